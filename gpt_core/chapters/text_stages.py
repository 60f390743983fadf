"""The chapters before the model: cleaning, tokens, windows."""

import regex

from gpt_core.anatomy import cleaning_steps, merge_steps, most_probable_path
from gpt_core.chapters.sentence import visible
from gpt_core.chapters.subject import Subject
from gpt_core.text import language_of
from gpt_core.tokenizers import BPETokenizer, UnigramTokenizer

Values = dict[str, object]
"""The content of a chapter, as JSON values."""


def show_cleaning(subject: Subject) -> Values:
    """The raw text and what each rule removed."""
    steps = cleaning_steps(subject.sentence.raw, subject.cleaning)
    return {
        "raw": subject.sentence.raw,
        "cleaned": subject.sentence.cleaned,
        "language": language_of(subject.sentence.raw),
        "steps": [
            {
                "rule": step.rule,
                "removed": len(step.before) - len(step.after),
                "changes": [[change.kind, change.text] for change in step.changes],
            }
            for step in steps
        ],
    }


def show_tokens(subject: Subject) -> Values:
    """Each token with its characters, code points and bytes, and how it was found."""
    sentence, tokenizer = subject.sentence, subject.tokenizer
    tokens = []
    for index, token_id in enumerate(sentence.token_ids):
        content = tokenizer.token_bytes(token_id)
        text = content.decode(errors="ignore")
        tokens.append(
            {
                "id": token_id,
                "name": sentence.names[index],
                "bytes": content.hex(" "),
                "points": [f"U+{ord(c):04X}" for c in text],
                "characters": regex.findall(r"\X", text),
            }
        )
    text = sentence.read
    return {
        "kind": tokenizer.kind,
        "vocabulary": tokenizer.vocab_size,
        "tokens": tokens,
        "counts": {
            "words": len(text.split()),
            "tokens": len(sentence.token_ids) - sentence.starts,
            "characters": len(regex.findall(r"\X", text)),
            "code points": len(text),
            "bytes": len(text.encode()),
        },
        "merging": _merging(subject),
        "path": _path(subject),
    }


def _merging(subject: Subject) -> list[Values] | None:
    tokenizer = subject.tokenizer
    if not isinstance(tokenizer, BPETokenizer):
        return None
    return [
        {
            "piece": visible(merging.piece.encode()),
            "steps": [[visible(token) for token in step] for step in merging.steps],
        }
        for merging in merge_steps(tokenizer, subject.sentence.read)
    ]


def _path(subject: Subject) -> list[Values] | None:
    tokenizer = subject.tokenizer
    if not isinstance(tokenizer, UnigramTokenizer):
        return None
    return [
        {
            "piece": step.piece,
            "score": round(step.score, 3),
            "total": round(step.total, 3),
            "rivals": [[piece, round(total, 3)] for piece, total in step.rivals],
        }
        for step in most_probable_path(tokenizer, subject.sentence.read)
    ]


def show_windows(subject: Subject) -> Values:
    """The ids, which the page cuts into inputs and targets."""
    return {
        "ids": list(subject.sentence.token_ids),
        "names": list(subject.sentence.names),
        "context": subject.description.model.context_length,
    }
