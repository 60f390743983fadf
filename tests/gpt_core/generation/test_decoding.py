from dataclasses import replace

import pytest
import torch

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation import beam_search, generate, stream
from gpt_core.generation import decoding as decoding_module
from gpt_core.generation.decoding import _count_slots
from gpt_core.models import GPT, allocate_model, build_model

V, T = 40, 12
GREEDY = DecodingConfig(temperature=0.0, max_new_tokens=30)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
EOS = len(ALPHABET)


def speller(word: str) -> GPT:
    """A GPT whose weights are set so that it spells a word, whatever tokens it reads.

    Token embeddings are zero, position embeddings unit vectors, the blocks add nothing and the
    head maps position i to letter i of the word; after the word comes the end of the document.
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
        for position, letter in enumerate([*map(ALPHABET.index, word), EOS]):
            model.lm_head.weight[letter, position] += 1.0
    return model


def varied_model() -> GPT:
    """A model whose continuations vary, so that a wrong token or position has an effect."""
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
    """Greedy decoding without a KV cache, up to the end of the context."""
    text = list(prompt)
    for _ in range(n):
        text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    return text[len(prompt) :]


def test_a_constructed_model_spells_its_word_and_stops() -> None:
    start = [ALPHABET.index("z")]
    spelled = list(stream(speller("attention"), start, GREEDY, eos_id=EOS))
    assert "".join(ALPHABET[i] for i in spelled) == "attention"


def test_rows_of_a_batch_continue_from_their_own_position() -> None:
    starts = [[ALPHABET.index(letter) for letter in part] for part in ("z", "zatten", "zat")]
    rows = generate(speller("attention"), starts, GREEDY, eos_id=EOS)
    assert ["".join(ALPHABET[i] for i in row) for row in rows] == ["attention", "tion", "tention"]


def test_cached_and_uncached_decoding_agree() -> None:
    model = varied_model()
    for prompt in prompts(5, longest=4):
        decoding = replace(GREEDY, max_new_tokens=T - len(prompt))
        assert list(stream(model, prompt, decoding)) == without_cache(
            model, prompt, T - len(prompt)
        )


def test_a_full_context_restarts_from_its_newer_half() -> None:
    model = varied_model()
    prompt = prompts(1, longest=4)[0]
    text = prompt + list(stream(model, prompt, GREEDY))
    assert len(text) == len(prompt) + GREEDY.max_new_tokens
    start = 0
    with torch.inference_mode():
        for position in range(len(prompt), len(text)):
            if position - start > T:
                start = position - T // 2
            seen = torch.tensor([text[start:position]])
            assert text[position] == int(model(seen)[0, -1].argmax()), position
    assert start > 0


def test_a_prompt_longer_than_the_context_is_truncated_at_its_beginning() -> None:
    model, prompt = varied_model(), prompts(1)[0] * 5
    assert len(prompt) > T
    assert list(stream(model, prompt, GREEDY)) == list(stream(model, prompt[-T:], GREEDY))


@pytest.mark.parametrize("eos_id", [None, 7])
@pytest.mark.parametrize(
    "decoding",
    [GREEDY, DecodingConfig(temperature=1.0, top_p=0.95, max_new_tokens=30, seed=5)],
    ids=["greedy", "sampled"],
)
def test_batched_rows_equal_rows_decoded_alone(
    decoding: DecodingConfig, eos_id: int | None
) -> None:
    model, texts = varied_model(), prompts(9)
    alone = [
        list(stream(model, text, replace(decoding, seed=decoding.seed + i), eos_id))
        for i, text in enumerate(texts)
    ]
    assert generate(model, texts, decoding, eos_id) == alone


def test_remaining_rows_keep_their_own_cache_when_others_finish() -> None:
    model = build_model(
        GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=12, context_length=64), seed=0
    )
    with torch.no_grad():  # attention decides: embeddings differ little, its updates much
        for block in model.h:
            block.attn.c_attn.weight.mul_(200)
            block.attn.c_proj.weight.mul_(200)
    texts = torch.randint(12, (16, 8), generator=torch.Generator().manual_seed(0)).tolist()
    decoding = DecodingConfig(temperature=1.0, max_new_tokens=40, seed=5)
    alone = [
        list(stream(model, text, replace(decoding, seed=decoding.seed + i), eos_id=3))
        for i, text in enumerate(texts)
    ]
    assert len({len(output) for output in alone}) > 5, "they end at different times"
    assert generate(model, texts, decoding, eos_id=3) == alone


def test_outputs_are_in_the_order_of_the_prompts_whatever_their_lengths() -> None:
    model = build_model(
        GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=V, context_length=200), seed=0
    )
    texts = prompts(6, longest=120)
    decoding = replace(GREEDY, max_new_tokens=3)
    assert generate(model, texts, decoding) == [list(stream(model, t, decoding)) for t in texts]


def test_the_seed_determines_the_output() -> None:
    model, prompt = varied_model(), [1, 2, 3]
    one, again, other = (
        list(stream(model, prompt, DecodingConfig(temperature=1.0, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_decoding_touches_neither_the_global_generator_nor_gradients() -> None:
    torch.manual_seed(0)
    before, model = torch.get_rng_state(), varied_model()
    generate(model, prompts(3), DecodingConfig(max_new_tokens=4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model(torch.zeros(1, 2, dtype=torch.long)).requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_decoding_is_without_dropout_and_restores_the_mode(training: bool) -> None:
    config = GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=V, context_length=T, dropout=0.9)
    model = build_model(config, seed=0).train(training)
    texts = [list(stream(model, [1, 2], GREEDY)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert model.training is training


def test_closing_the_stream_restores_the_mode() -> None:
    model = varied_model().train()
    pieces = stream(model, [1], GREEDY)
    next(pieces)
    pieces.close()
    assert model.training


def test_a_prompt_may_be_a_tensor() -> None:
    model = varied_model()
    expected = list(stream(model, [1, 2, 3], GREEDY))
    assert list(stream(model, torch.tensor([[1, 2, 3]]), GREEDY)) == expected
    assert generate(model, [torch.tensor([1, 2, 3])], GREEDY) == [expected]


def test_decoding_works_under_autocast_and_in_bfloat16() -> None:
    model = varied_model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(list(stream(model, [1, 2, 3], GREEDY))) == 30
    assert len(list(stream(model.bfloat16(), [1, 2, 3], GREEDY))) == 30


def test_no_prompts_give_no_outputs() -> None:
    assert generate(varied_model(), [], GREEDY) == []


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="the prompt is empty"):
        generate(varied_model(), [[1], []], GREEDY)


@pytest.mark.parametrize("outside", [V, -1])
def test_an_id_outside_the_vocabulary_is_refused(outside: int) -> None:
    with pytest.raises(DataError, match=f"token id {outside} of the prompt is outside"):
        list(stream(varied_model(), [1, outside], GREEDY))


def test_an_end_of_document_inside_the_prompt_does_not_stop_decoding() -> None:
    start = [EOS, ALPHABET.index("z"), EOS]
    [spelled] = generate(speller("attention"), [start], GREEDY, eos_id=EOS)
    assert "".join(ALPHABET[i] for i in spelled) == "tention"


def test_without_an_end_every_row_has_the_maximum_of_new_tokens() -> None:
    decoding = replace(GREEDY, max_new_tokens=7)
    assert [len(row) for row in generate(varied_model(), prompts(5), decoding)] == [7] * 5


def test_rows_with_the_same_prompt_are_sampled_with_different_seeds() -> None:
    decoding = DecodingConfig(temperature=1.0, max_new_tokens=8)
    rows = generate(varied_model(), [[1, 2, 3]] * 6, decoding)
    assert len(set(map(tuple, rows))) == 6


def test_slots_are_bounded_in_number_and_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = varied_model().config
    assert _count_slots(5, 10, config) == 5
    assert _count_slots(1000, 10, config) == 64
    values_per_slot = 2 * 2 * 16 * 10  # keys and values, layers, width, tokens
    monkeypatch.setattr(decoding_module, "_MAX_CACHE_BYTES", 3 * 4 * values_per_slot)
    assert _count_slots(5, 10, config) == 3
    monkeypatch.setattr(decoding_module, "_MAX_CACHE_BYTES", 1)
    assert _count_slots(2, 10, config) == 1


def test_beam_search_takes_the_most_probable_text() -> None:
    config = GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=11, context_length=16)
    model = build_model(config, seed=3).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6.0)
    beams = DecodingConfig(beams=4, max_new_tokens=6)
    prompts = [[1, 2], [3, 4, 5]]
    best = [beam_search(model, prompt, 4, 6)[0].token_ids for prompt in prompts]
    assert generate(model, prompts, beams) == [list(ids) for ids in best]
    assert list(stream(model, prompts[0], beams)) == list(best[0])
    assert model.training
    assert best[0][0] not in list(stream(model, prompts[0], beams, eos_id=best[0][0]))
