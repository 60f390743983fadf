"""The losses of both fine-tunes, their logits and gradients, against Hugging Face's GPT-2."""

import random
from dataclasses import replace
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.config import ClassificationConfig, GPTConfig, InstructionConfig
from gpt_core.config.data import IGNORED
from gpt_core.finetuning.answer_loss import AnswerLoss
from gpt_core.finetuning.example_encoder import Row
from gpt_core.finetuning.label_loss import EncodedExample, LabelLoss
from gpt_core.models import GPT, GPTClassifier

transformers = pytest.importorskip("transformers")

SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=32, vocab_size=61, context_length=48)
PAD = 60
CLOSE = {"atol": 1e-5, "rtol": 0.0}
"""Far below the values: losses are near 4, and the gradients compared have norms above 0.1."""


def draw_model() -> GPT:
    """A model with weights far from those at the start, so that every part has an effect."""
    model = GPT(SHAPE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.15)
    return model


def theirs(model: GPT, head: str) -> nn.Module:
    """Hugging Face's model of the same shape and weights, with another head perhaps."""
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=32, vocab_size=61, n_positions=48, attn_pdrop=0, embd_pdrop=0,
        resid_pdrop=0, pad_token_id=PAD, num_labels=3,
    )  # fmt: skip
    twin: nn.Module = getattr(transformers, head)(config)
    with torch.no_grad():
        for name, parameter in twin.transformer.named_parameters():
            ours = model.get_parameter(name)
            parameter.copy_(ours.T if is_transposed(name) else ours)
    return twin


def is_transposed(name: str) -> bool:
    """Whether Hugging Face stores a weight as (in, out)."""
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def assert_equal_gradients(ours: nn.Module, twin: nn.Module) -> None:
    checked = 0
    for name, parameter in twin.transformer.named_parameters():
        found, expected = ours.get_parameter(name).grad, parameter.grad
        assert found is not None
        assert expected is not None
        torch.testing.assert_close(found, expected.T if is_transposed(name) else expected, **CLOSE)
        checked += 1
    assert checked == 28


def draw_ids(rng: random.Random, n: int) -> list[int]:
    return [rng.randrange(PAD) for _ in range(n)]


def test_a_classifier_has_the_logits_loss_and_gradients_of_hugging_face() -> None:
    rng, body = random.Random(), draw_model()
    twin = theirs(body, "GPT2ForSequenceClassification")
    model = GPTClassifier(body, 3)
    with torch.no_grad():
        twin.score.weight.copy_(model.score.weight.normal_(0.0, 0.2))
    examples = [EncodedExample(draw_ids(rng, n), rng.randrange(3)) for n in (48, 7, 1, 20, 33)]
    objective = LabelLoss(model, model.gpt.wte.weight, PAD, [], ClassificationConfig())
    token_ids = torch.full((5, 48), PAD)
    for row, example in zip(token_ids, examples, strict=True):
        row[: len(example.token_ids)] = torch.tensor(example.token_ids)
    labels = torch.tensor([example.label for example in examples])
    expected = twin(token_ids, attention_mask=(token_ids != PAD).long(), labels=labels)
    torch.testing.assert_close(objective.logits(examples), expected.logits, **CLOSE)
    loss = objective.loss(examples) / sum(map(objective.weight, examples))
    torch.testing.assert_close(loss, expected.loss, **CLOSE)
    loss.backward()
    expected.loss.backward()
    assert_equal_gradients(body, twin)
    torch.testing.assert_close(model.score.weight.grad, twin.score.weight.grad, **CLOSE)


def draw_rows(rng: random.Random) -> list[Row]:
    """Examples with prompts and answers of several lengths, one as long as the context."""
    rows = []
    for n_prompt, n_answer in ((20, 5), (3, 40), (30, 18), (1, 1), (9, 12)):
        ids = draw_ids(rng, n_prompt + n_answer + 1)
        targets = [IGNORED] * (n_prompt - 1) + ids[n_prompt:]
        rows.append((ids[:-1], targets))
    return rows


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("prompt_weight", [0.0, 1.0])
def test_the_loss_on_instructions_and_its_gradients_are_those_of_hugging_face(
    packing: bool, prompt_weight: float
) -> None:
    rng, model = random.Random(), draw_model()
    twin = theirs(model, "GPT2LMHeadModel")
    rows = draw_rows(rng)
    config = InstructionConfig(packing=packing, prompt_loss_weight=prompt_weight)
    objective = AnswerLoss(model, PAD, [], config)
    width = max(len(ids) for ids, _ in rows) + 1  # theirs shifts the labels itself
    token_ids, labels = torch.full((5, width), PAD), torch.full((5, width), -100)
    for i, (ids, targets) in enumerate(rows):
        whole = [*ids, targets[-1]]
        token_ids[i, : len(whole)] = torch.tensor(whole)
        first = 1 if prompt_weight else next(j for j, t in enumerate(targets) if t != IGNORED) + 1
        labels[i, first : len(whole)] = torch.tensor(whole[first:])
    mask = (torch.arange(width) < torch.tensor([[len(ids)] for ids, _ in rows])).long()
    # The last token is a label only; at the longest it would exceed the context.
    logits = twin(token_ids[:, :-1], attention_mask=mask[:, :-1]).logits
    expected = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    loss = objective.loss(rows) / sum(map(objective.weight, rows))
    torch.testing.assert_close(loss, expected, **CLOSE)
    loss.backward()
    expected.backward()
    assert_equal_gradients(model, twin)


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
@pytest.mark.parametrize("recompute", [False, True])
def test_packed_examples_have_the_losses_and_gradients_that_they_have_alone(
    attention: Literal["explicit", "sdpa"], recompute: bool
) -> None:
    rng = random.Random()
    model = draw_model()
    other = GPT(replace(SHAPE, attention=attention))
    other.load_state_dict(model.state_dict())
    other.set_execution(recompute=recompute)
    rows = draw_rows(rng)
    config = InstructionConfig(prompt_loss_weight=0.3)
    packed = AnswerLoss(other, PAD, [], config)
    alone = AnswerLoss(model, PAD, [], replace(config, packing=False))
    answers = AnswerLoss(other, PAD, [], InstructionConfig())
    answers_alone = AnswerLoss(model, PAD, [], InstructionConfig(packing=False))
    for i, row in enumerate(rows):  # among the others, whose targets do not count
        silent = [(ids, [IGNORED] * len(ids)) for ids, _ in rows]
        found = answers.loss([*silent[:i], row, *silent[i + 1 :]]) / answers.weight(row)
        expected = answers_alone.loss([row]) / answers.weight(row)
        torch.testing.assert_close(found, expected, **CLOSE)
    weight = sum(map(packed.weight, rows))
    (packed.loss(rows) / weight).backward()
    for row in rows:
        (alone.loss([row]) / weight).backward()
    for name, parameter in model.named_parameters():
        gradient = other.get_parameter(name).grad
        assert gradient is not None
        assert parameter.grad is not None
        torch.testing.assert_close(gradient, parameter.grad, **CLOSE)


def test_packed_hidden_states_are_those_of_each_sequence_alone_in_float64() -> None:
    from gpt_core.models.packing import Packing

    model, rng = draw_model().double(), random.Random()
    lengths = [rng.randint(1, 48) for _ in range(7)]
    sequences = [draw_ids(rng, n) for n in lengths]
    row = torch.tensor([[token for each in sequences for token in each]])
    packed: Tensor = model.hidden(row, packing=Packing(lengths, row.device))
    for part, sequence in zip(packed[0].split(lengths), sequences, strict=True):
        torch.testing.assert_close(part, model.hidden(torch.tensor([sequence]))[0])
    with pytest.raises(ValueError, match="49 tokens exceed the context"):
        model.hidden(torch.zeros(1, 50, dtype=torch.int64), packing=Packing([1, 49], row.device))


def test_the_backward_pass_by_hand_in_bf16_takes_packed_rows() -> None:
    from gpt_core.models.packing import Packing

    model, rng = draw_model(), random.Random()
    lengths = [rng.randint(1, 48) for _ in range(5)]
    sequences = [draw_ids(rng, n) for n in lengths]
    row = torch.tensor([[token for each in sequences for token in each]])
    with torch.autocast("cpu", torch.bfloat16):  # attention chooses its own backward pass here
        packed: Tensor = model.hidden(row, packing=Packing(lengths, row.device))
        alone = torch.cat([model.hidden(torch.tensor([each]))[0] for each in sequences])
    torch.testing.assert_close(packed[0], alone, atol=0.15, rtol=0.05)
