import torch
from random_models import C, H, T, random_model

from gpt_core.anatomy import score_heads


def test_a_head_that_attends_to_the_token_before_is_called_so() -> None:
    model = random_model()
    attention = model.h[1].attn
    width = C // H
    with torch.no_grad():  # positions that match the next query in head 2 of block 1
        model.wte.weight.zero_()
        model.wpe.weight.copy_(torch.nn.functional.one_hot(torch.arange(T), C))
        model.h[0].attn.c_proj.weight.zero_()
        model.h[0].mlp.c_proj.weight.zero_()
        attention.c_attn.weight.zero_()
        attention.c_attn.bias.zero_()
        shift = torch.zeros(T, T)
        shift[torch.arange(T - 1), torch.arange(1, T)] = 1.0
        directions = 20 * torch.nn.functional.normalize(torch.randn(T, width))
        attention.c_attn.weight[2 * width : C, :T] = (shift.T @ directions).T
        attention.c_attn.weight[C + 2 * width : 2 * C, :T] = directions.T
    scores = score_heads(model)
    assert scores.kind(1, 2) == "previous"
    assert float(scores.previous[1, 2]) > 0.9
    assert scores.kind(1, 0) is None  # attends to everything alike
