import pytest
from random_models import H, V, random_ids, random_model

from gpt_core.anatomy import logit_contributions, record


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_contributions_add_up_to_the_logit(bias: bool, tied: bool) -> None:
    model = random_model(bias=bias, tied=tied)
    recording = record(model, random_ids())
    for position, token_id in ((0, 3), (5, 0), (-1, V - 1)):
        parts = logit_contributions(model, recording, position, token_id)
        logit = float(recording.logits[position, token_id])
        assert sum(part.logit for part in parts) == pytest.approx(logit, abs=1e-5, rel=1e-5)
        assert [part.part for part in parts].count("head") == 2 * H
