from dataclasses import replace

import pytest
import torch

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation import generate, stream
from gpt_core.models import GPT, allocate_model, build_model

V, T = 40, 12
GREEDY = DecodingConfig(temperature=0.0, max_new_tokens=30)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
EOS = len(ALPHABET)


def speller(word: str) -> GPT:
    """A GPT whose weights are set so that it spells a word: each place votes for one letter.

    Tokens have no embedding, positions are unit vectors, the blocks write nothing and the head
    turns position i into the letter at i; after the word comes the end.
    """
    n = len(word) + 1
    model = allocate_model(
        GPTConfig(n_layer=1, n_head=1, n_embd=n, vocab_size=27, context_length=n, tied_head=False)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.ln_f.weight.fill_(1.0)
        model.wpe.weight.copy_(torch.eye(n))
        for place, letter in enumerate([*map(ALPHABET.index, word), EOS]):
            model.lm_head.weight[letter, place] += 1.0
    return model


def restless() -> GPT:
    """A model whose continuations wander, so that a wrong token or place shows."""
    model = build_model(
        GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=V, context_length=T), seed=3
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


def prompts(n: int, longest: int = 2 * T) -> list[list[int]]:
    generator = torch.Generator().manual_seed(n)
    lengths = torch.randint(1, longest, (n,), generator=generator).tolist()
    return [torch.randint(V, (length,), generator=generator).tolist() for length in lengths]


@torch.inference_mode()
def without_cache(model: GPT, prompt: list[int], n: int) -> list[int]:
    """Greedy decoding as one would first write it, up to the end of the context."""
    text = list(prompt)
    for _ in range(n):
        text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    return text[len(prompt) :]


def test_a_model_over_the_alphabet_spells_its_word_and_stops() -> None:
    start = [ALPHABET.index("z")]
    spelled = list(stream(speller("attention"), start, GREEDY, eos_id=EOS))
    assert "".join(ALPHABET[i] for i in spelled) == "attention"


def test_rows_of_a_batch_spell_on_from_where_they_are() -> None:
    starts = [[ALPHABET.index(letter) for letter in part] for part in ("z", "zatten", "zat")]
    rows = generate(speller("attention"), starts, GREEDY, eos_id=EOS)
    assert ["".join(ALPHABET[i] for i in row) for row in rows] == ["attention", "tion", "tention"]


def test_decoding_with_the_cache_gives_what_decoding_without_it_gives() -> None:
    model = restless()
    for prompt in prompts(5, longest=4):
        decoding = replace(GREEDY, max_new_tokens=T - len(prompt))
        assert list(stream(model, prompt, decoding)) == without_cache(
            model, prompt, T - len(prompt)
        )


def test_a_full_context_goes_on_from_its_newer_half() -> None:
    model = restless()
    prompt = prompts(1, longest=4)[0]
    text = prompt + list(stream(model, prompt, GREEDY))
    assert len(text) == len(prompt) + GREEDY.max_new_tokens
    start = 0
    with torch.inference_mode():
        for place in range(len(prompt), len(text)):
            if place - start > T:
                start = place - T // 2
            seen = torch.tensor([text[start:place]])
            assert text[place] == int(model(seen)[0, -1].argmax()), place
    assert start > 0


def test_only_the_end_of_a_prompt_longer_than_the_context_is_seen() -> None:
    model, prompt = restless(), prompts(1)[0] * 5
    assert len(prompt) > T
    assert list(stream(model, prompt, GREEDY)) == list(stream(model, prompt[-T:], GREEDY))


@pytest.mark.parametrize("eos_id", [None, 7])
@pytest.mark.parametrize(
    "decoding",
    [GREEDY, DecodingConfig(temperature=1.0, top_p=0.95, max_new_tokens=30, seed=5)],
    ids=["greedy", "sampled"],
)
def test_a_row_is_decoded_in_a_batch_as_it_is_alone(
    decoding: DecodingConfig, eos_id: int | None
) -> None:
    model, texts = restless(), prompts(9)
    alone = [
        list(stream(model, text, replace(decoding, seed=decoding.seed + i), eos_id))
        for i, text in enumerate(texts)
    ]
    assert generate(model, texts, decoding, eos_id) == alone


def test_rows_that_go_on_after_others_have_ended_keep_their_own_past() -> None:
    model = build_model(
        GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=12, context_length=64), seed=0
    )
    with torch.no_grad():  # the past decides: tokens differ little, what was gathered much
        for block in model.h:
            block.attn.c_attn.weight.mul_(200)
            block.attn.c_proj.weight.mul_(200)
    texts = torch.randint(12, (16, 8), generator=torch.Generator().manual_seed(0)).tolist()
    decoding = DecodingConfig(temperature=1.0, max_new_tokens=40, seed=5)
    alone = [
        list(stream(model, text, replace(decoding, seed=decoding.seed + i), eos_id=3))
        for i, text in enumerate(texts)
    ]
    assert len({len(answer) for answer in alone}) > 5, "they end at different times"
    assert generate(model, texts, decoding, eos_id=3) == alone


def test_very_different_lengths_are_decoded_apart_and_come_back_in_order() -> None:
    model = build_model(
        GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=V, context_length=200), seed=0
    )
    texts = prompts(6, longest=120)
    decoding = replace(GREEDY, max_new_tokens=3)
    assert generate(model, texts, decoding) == [list(stream(model, t, decoding)) for t in texts]


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    model, prompt = restless(), [1, 2, 3]
    one, again, other = (
        list(stream(model, prompt, DecodingConfig(temperature=1.0, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_decoding_leaves_the_global_generator_and_the_gradients_alone() -> None:
    torch.manual_seed(0)
    before, model = torch.get_rng_state(), restless()
    generate(model, prompts(3), DecodingConfig(max_new_tokens=4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model(torch.zeros(1, 2, dtype=torch.long)).requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_decoded_without_dropout_and_left_in_its_mode(training: bool) -> None:
    config = GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=V, context_length=T, dropout=0.9)
    model = build_model(config, seed=0).train(training)
    texts = [list(stream(model, [1, 2], GREEDY)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert model.training is training


def test_a_reader_who_stops_early_gets_the_model_back_in_its_mode() -> None:
    model = restless().train()
    pieces = stream(model, [1], GREEDY)
    next(pieces)
    pieces.close()
    assert model.training


def test_a_prompt_may_be_a_tensor() -> None:
    model = restless()
    expected = list(stream(model, [1, 2, 3], GREEDY))
    assert list(stream(model, torch.tensor([[1, 2, 3]]), GREEDY)) == expected
    assert generate(model, [torch.tensor([1, 2, 3])], GREEDY) == [expected]


def test_decoding_works_under_autocast_and_in_bfloat16() -> None:
    model = restless()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(list(stream(model, [1, 2, 3], GREEDY))) == 30
    assert len(list(stream(model.bfloat16(), [1, 2, 3], GREEDY))) == 30


def test_no_prompts_give_no_answers() -> None:
    assert generate(restless(), [], GREEDY) == []


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="the prompt is empty"):
        generate(restless(), [[1], []], GREEDY)


@pytest.mark.parametrize("outside", [V, -1])
def test_an_id_that_the_model_does_not_know_is_named(outside: int) -> None:
    with pytest.raises(DataError, match=f"token id {outside} of the prompt is outside"):
        list(stream(restless(), [1, outside], GREEDY))
