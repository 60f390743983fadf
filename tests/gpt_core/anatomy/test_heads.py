import torch
from random_models import C, H, T, random_model

from gpt_core.anatomy import score_heads


def test_a_head_that_attends_to_the_token_before_is_called_so() -> None:
    model = random_model()
    attention = model.h[1].attn
    width = C // H
    angles = 2 * torch.pi * torch.arange(T) / T
    directions = torch.zeros(T, width)  # of the positions; each is its own best match
    directions[:, 0], directions[:, 1] = 20 * angles.cos(), 20 * angles.sin()
    with torch.no_grad():  # in head 2 of block 1 a query asks for the position before its own
        for parameter in model.h.parameters():
            parameter.zero_()
        model.wte.weight.zero_()
        model.wpe.weight.copy_(torch.nn.functional.one_hot(torch.arange(T), C))
        model.h[1].ln_1.weight.fill_(1.0)
        attention.c_attn.weight[2 * width : C, :T] = directions.roll(1, 0).T
        attention.c_attn.weight[C + 2 * width : 2 * C, :T] = directions.T
    scores = score_heads(model)
    assert scores.kind(1, 2) == "previous"
    assert float(scores.previous[1, 2]) > 0.9
    assert scores.kind(1, 0) is None  # attends to everything alike
