from dataclasses import replace

import pytest
import torch

from gpt_core.config import GPTConfig
from gpt_core.models import GPTClassifier, build_model

CONFIG = GPTConfig(n_layer=3, n_head=2, n_embd=8, vocab_size=13, context_length=12)
LENGTHS = torch.tensor([5, 1, 9])


def classifier() -> GPTClassifier:
    torch.manual_seed(0)
    return GPTClassifier(build_model(CONFIG, seed=0), n_classes=4).eval()


def test_padding_changes_no_logit() -> None:
    model = classifier()
    token_ids = torch.randint(13, (3, 12), generator=torch.Generator().manual_seed(0))
    alone = [model(row[None, :n], n[None]) for row, n in zip(token_ids, LENGTHS, strict=True)]
    logits = model(token_ids, LENGTHS)
    assert logits.shape == (3, 4)
    torch.testing.assert_close(logits, torch.cat(alone))


def test_logits_depend_on_every_token() -> None:
    model = classifier()
    token_ids = torch.zeros(1, 5, dtype=torch.long)
    changed = token_ids.clone()
    changed[0, 0] = 7
    length = torch.tensor([5])
    assert not torch.allclose(model(token_ids, length), model(changed, length))


def test_the_first_token_is_classified_where_asked_for() -> None:
    model = classifier()
    token_ids = torch.randint(13, (3, 12), generator=torch.Generator().manual_seed(1))
    wanted = model.score(model.gpt.hidden(token_ids)[:, 0])
    model.position = "first"
    torch.testing.assert_close(model(token_ids, LENGTHS), wanted)


def test_the_mean_of_the_texts_tokens_is_classified_where_asked_for() -> None:
    model = classifier()
    model.position = "mean"
    token_ids = torch.randint(13, (3, 12))
    rows = zip(token_ids, LENGTHS, strict=True)
    means = [model.gpt.hidden(row[None, :n])[0].double().mean(dim=0) for row, n in rows]
    wanted = model.score(torch.stack(means).float())
    torch.testing.assert_close(model(token_ids, LENGTHS), wanted)


def test_padding_to_a_length_classifies_the_last_position() -> None:
    model = classifier()
    model.pad_to = 12
    token_ids = torch.randint(13, (3, 12), generator=torch.Generator().manual_seed(2))
    wanted = model.score(model.gpt.hidden(token_ids)[:, 11])
    torch.testing.assert_close(model(token_ids, LENGTHS), wanted)
    with pytest.raises(ValueError, match="rows have 11 tokens, not pad_to=12"):
        model(token_ids[:, :11], LENGTHS)


@pytest.mark.parametrize("pad_to", [None, 12])
def test_next_tokens_of_each_text_are_predicted_as_well_as_its_label(pad_to: int | None) -> None:
    model, head = classifier(), torch.randn(13, 8)
    model.pad_to = pad_to
    token_ids = torch.randint(13, (3, 12))
    logits, losses = model.forward_with_next_tokens(token_ids, LENGTHS, head)
    torch.testing.assert_close(logits, model(token_ids, LENGTHS))
    for row, length, loss in zip(token_ids, LENGTHS.tolist(), losses, strict=True):
        if length == 1:
            assert loss == 0
            continue
        scores = model.gpt.hidden(row[None, :length])[0, :-1].double() @ head.double().T
        exact = -scores.log_softmax(-1).gather(1, row[1:length, None]).mean()
        assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_the_temperature_divides_the_logits() -> None:
    model = classifier()
    model.temperature = 2.5
    token_ids = torch.randint(13, (3, 12), generator=torch.Generator().manual_seed(3))
    wanted = torch.softmax(model(token_ids, LENGTHS) / 2.5, dim=-1)
    torch.testing.assert_close(model.probabilities(token_ids, LENGTHS), wanted)


@pytest.mark.parametrize("n_blocks", [0, 1, 2, 3, 4])
def test_freezing_leaves_the_last_blocks_norm_and_head_trainable(n_blocks: int) -> None:
    model = classifier()
    model.freeze_all_but(n_blocks)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    last = tuple(f"gpt.h.{index}." for index in range(max(0, 3 - n_blocks), 3))
    norm = ("gpt.ln_f.",) if n_blocks else ()  # nothing but the head for 0
    expected = {
        name for name, _ in model.named_parameters() if name.startswith((*last, *norm, "score."))
    }
    assert trained == expected


def test_the_language_model_head_is_removed() -> None:
    untied = build_model(replace(CONFIG, tied_head=False), seed=0)
    names = {name for name, _ in GPTClassifier(untied, n_classes=4).named_parameters()}
    assert not {name for name in names if "lm_head" in name}


def test_the_head_starts_small_and_without_bias() -> None:
    torch.manual_seed(0)
    wide = GPTConfig(n_layer=1, n_head=1, n_embd=512, vocab_size=13, context_length=4)
    score = GPTClassifier(build_model(wide, seed=0), n_classes=20).score
    assert score.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not score.bias.any()
