import pytest
from random_models import random_ids, random_model

from gpt_core.anatomy import logit_lens, record


def test_the_lens_after_all_blocks_is_the_models_answer() -> None:
    model = random_model()
    recording = record(model, random_ids())
    lens = logit_lens(model, recording, k=3)
    assert len(lens) == 3
    probabilities = recording.logits.softmax(dim=-1)
    for position, prediction in enumerate(lens[-1]):
        best = probabilities[position].topk(3)
        assert prediction.token_ids == tuple(best.indices.tolist())
        assert prediction.probabilities == pytest.approx(best.values.tolist(), rel=1e-5)
