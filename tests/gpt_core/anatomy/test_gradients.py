import pytest
import torch
from random_models import random_ids, random_model

from gpt_core.anatomy import gradient_norms
from gpt_core.errors import DataError


def test_the_gradient_is_that_of_a_small_change_of_the_embeddings() -> None:
    model, ids = random_model().double(), random_ids(6)
    norms = gradient_norms(model, ids, 4)
    embeddings = model.wte.weight.detach()[ids].clone()

    def loss(moved: torch.Tensor) -> float:
        x = moved[None] + model.wpe.weight[: len(ids)]
        for block in model.h:
            x = block(x)
        logits = model.lm_head(model.ln_f(x))[0, 3]
        return float(-logits.log_softmax(dim=-1)[ids[4]])

    slopes = torch.zeros_like(embeddings)
    with torch.no_grad():
        for index in range(embeddings.numel()):
            step = torch.zeros_like(embeddings).view(-1)
            step[index] = 1e-6
            step = step.view_as(embeddings)
            slopes.view(-1)[index] = (loss(embeddings + step) - loss(embeddings - step)) / 2e-6
    torch.testing.assert_close(norms[0].double(), slopes.norm(dim=-1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("position", [0, 6])
def test_a_position_without_a_prediction_is_refused(position: int) -> None:
    with pytest.raises(DataError, match="has no token to predict: give one from 1 to 5"):
        gradient_norms(random_model(), random_ids(6), position)


def test_no_gradient_of_the_weights_is_left() -> None:
    model = random_model()
    gradient_norms(model, random_ids(6), 4)
    assert all(parameter.grad is None for parameter in model.parameters())
