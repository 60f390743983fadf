import pytest
import torch
from random_models import H, T, V, random_ids, random_model

from gpt_core.anatomy import record
from gpt_core.errors import DataError


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_recorded_logits_are_the_models(bias: bool, tied: bool) -> None:
    model, ids = random_model(bias=bias, tied=tied).train(), random_ids()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recording = record(model, ids)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        torch.testing.assert_close(recording.logits, model.eval()(torch.tensor([ids]))[0])


def test_the_stream_is_the_sum_of_all_that_was_written() -> None:
    recording = record(random_model(), random_ids())
    written = recording.token_embeddings + recording.position_embeddings
    for block in recording.blocks:
        torch.testing.assert_close(block.stream_in, written)
        torch.testing.assert_close(block.weights.sum(dim=-1), torch.ones(H, T))
        assert block.weights.triu(diagonal=1).count_nonzero() == 0
        written = written + block.attention_update + block.feed_forward_update
    torch.testing.assert_close(recording.stream, written)


def test_a_text_that_does_not_fit_is_one_sentence() -> None:
    model = random_model()
    with pytest.raises(DataError, match="no token"):
        record(model, [])
    with pytest.raises(DataError, match="13 tokens and the model's context holds 12"):
        record(model, random_ids(13))
    with pytest.raises(DataError, match="token id 31 is outside"):
        record(model, [V])
