"""The chapters on weights: the skeleton, training, GPT-2's names, changes of fine-tuning."""

import torch

from gpt_core.anatomy import gradient_norms, low_rank_updates, occlude
from gpt_core.callbacks import METRICS, SAMPLES, read_records
from gpt_core.chapters.sentence import token_name
from gpt_core.chapters.subject import Subject, numbers
from gpt_core.chapters.text_stages import Values
from gpt_core.checkpoints import ADAPTER
from gpt_core.config import DecodingConfig
from gpt_core.data import TEMPLATES, encode_example
from gpt_core.generation import stream
from gpt_core.interop.gpt2_names import tensor_names
from gpt_core.models import count_parameters, parameter_shapes, read_adapter
from gpt_core.text import InstructionExample

_CURVE = ("train/loss", "validation/loss", "train/learning_rate")
_MAX_ROWS = 400  # points of a curve
_LOSSES = 24  # tokens of the answer


def show_skeleton(subject: Subject) -> Values:
    """Every parameter with its shape, and the count of all."""
    config = subject.description.model
    return {
        "shape": {
            "blocks": config.n_layer, "heads": config.n_head, "width": config.n_embd,
            "context": config.context_length, "vocabulary": config.vocab_size,
            "tied": config.tied_head, "tokens": len(subject.sentence.token_ids),
        },
        "parameters": [
            [name, list(shape), torch.Size(shape).numel()]
            for name, shape in parameter_shapes(config)
        ],
        "total": count_parameters(config),
    }  # fmt: skip


def show_training(subject: Subject) -> Values:
    """The run's own curves and samples, and how the loss of the last token walks back."""
    folder, ids = subject.checkpoint.parent, subject.sentence.token_ids
    rows = read_records(folder / METRICS)
    rows = rows[:: max(1, len(rows) // _MAX_ROWS)]
    values: Values = {
        "names": list(subject.sentence.names),
        "curves": {
            name: [[row["step"], row[name]] for row in rows if name in row] for name in _CURVE
        },
        "samples": [
            [row["step"], row["prompt"], row["text"]] for row in read_records(folder / SAMPLES)
        ],
        "gradients": None,
    }
    if subject.speaks and len(ids) > 1:
        values["gradients"] = numbers(gradient_norms(subject.model, ids, len(ids) - 1))
    return values


def show_names(subject: Subject) -> Values:
    """Every tensor of GPT-2's release next to the parameter that it becomes."""
    config = subject.description.model
    shapes = dict(parameter_shapes(config))
    return {
        "blocks": config.n_layer,
        "tensors": [
            [
                name.tensorflow, name.huggingface, name.ours, name.transposed,
                list(shapes[name.ours]),
            ]
            for name in tensor_names(config)
            if name.ours in shapes
        ],
    }  # fmt: skip


def show_classification(subject: Subject) -> Values | None:
    """Which words decide: the logits of the classes with and without each."""
    classifier, ids = subject.classifier, subject.sentence.token_ids
    if classifier is None:
        return None
    spans = word_spans(subject)
    length = classifier.pad_to or len(ids)
    row = [*ids, *[subject.tokenizer.pad_id] * (length - len(ids))]
    with torch.no_grad():
        tokens, lengths = torch.tensor([row]), torch.tensor([len(ids)])
        logits = classifier(tokens, lengths)[0]
        probabilities = classifier.probabilities(tokens, lengths)[0]
    changes = occlude(classifier, ids, spans, subject.tokenizer.pad_id) if len(spans) > 1 else None
    return {
        "labels": list(subject.description.labels or ()),
        "logits": numbers(logits),
        "probabilities": numbers(probabilities),
        "words": ["".join(subject.sentence.names[b:e]) for b, e in spans],
        "changes": None if changes is None else numbers(changes),
    }


def word_spans(subject: Subject) -> list[tuple[int, int]]:
    """The first and last token (exclusive) of every word: a word begins at a space."""
    ids = subject.sentence.token_ids
    starts = [
        index
        for index, token_id in enumerate(ids)
        if index == 0 or subject.tokenizer.token_bytes(token_id)[:1].isspace()
    ]
    return list(zip(starts, [*starts[1:], len(ids)], strict=True))


def show_instruction(subject: Subject) -> Values | None:
    """A prompt with the model's own answer: where the loss counts, and how large it is."""
    template = subject.description.template
    if template is None:
        return None
    tokenizer, context = subject.tokenizer, subject.description.model.context_length
    decoding = DecodingConfig(max_new_tokens=_LOSSES, temperature=0)
    answer = tokenizer.decode(
        stream(subject.model, subject.sentence.token_ids, decoding, tokenizer.eos_id)
    )
    example = InstructionExample(subject.sentence.cleaned, "", answer)
    ids, targets = encode_example(example, tokenizer, TEMPLATES[template], max_tokens=context)
    with torch.no_grad():
        logs = subject.model(torch.tensor([ids]))[0].log_softmax(dim=-1)
    losses = [
        None if target < 0 else round(-float(logs[index, target]), 4)
        for index, target in enumerate(targets)
    ]
    return {
        "answer": answer,
        "inputs": [token_name(tokenizer, each) for each in ids],
        "targets": [None if each < 0 else token_name(tokenizer, each) for each in targets],
        "losses": losses,
    }


def show_low_rank(subject: Subject) -> Values | None:
    """The update of every matrix that an adapter changed."""
    folder = subject.checkpoint / ADAPTER
    if not folder.is_dir():
        return None
    adapter = read_adapter(folder)
    weights = dict(subject.model.named_parameters())
    updates = []
    for update in low_rank_updates(adapter):
        name = next((n for n in weights if n.endswith(f"{update.layer}.weight")), None)
        updates.append(
            {
                "layer": update.layer,
                "shape": list(update.shape),
                "rank": update.rank,
                "values": numbers(update.singular_values),
                "norm": round(update.norm, 6),
                "weight_norm": name and round(float(weights[name].detach().norm()), 6),
                "parameters": update.n_parameters,
            }
        )
    return {"updates": updates, "total": count_parameters(subject.description.model)}
