"""The subject of all chapters: a model, its tokenizer and a recorded sentence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from gpt_core.anatomy import Recording, record
from gpt_core.chapters.sentence import Sentence, read_sentence, token_name
from gpt_core.checkpoints import TOKENIZER, CheckpointDescription, read_description
from gpt_core.config import CleaningConfig
from gpt_core.models import GPT, GPTClassifier, load_classifier, load_model
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_DIGITS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model that has read a sentence."""

    checkpoint: Path
    description: CheckpointDescription
    model: GPT
    """The language model; of a classifier the body, with the token embeddings as its head."""

    classifier: GPTClassifier | None
    """The classifier that the model is the body of."""

    tokenizer: Tokenizer
    cleaning: CleaningConfig
    sentence: Sentence
    recording: Recording

    @property
    def speaks(self) -> bool:
        """Whether the model predicts tokens: all but a classifier do."""
        return self.classifier is None

    def names(self, token_ids: Iterable[int]) -> list[str]:
        """Tokens in visible characters."""
        return [token_name(self.tokenizer, token_id) for token_id in token_ids]


def open_subject(checkpoint: Path, text: str | None, cleaning: CleaningConfig) -> Subject:
    """Load a checkpoint's model and record what it computes for a text.

    Args:
        checkpoint: A checkpoint of any kind.
        text: The sentence or the instruction; None for a default one.
        cleaning: The rules that clean it.

    Raises:
        CheckpointError: If the checkpoint is incomplete or damaged.
        DataError: If the text is empty, too long, or not in the tokenizer's vocabulary.
    """
    sentence = read_sentence(checkpoint, text, cleaning)
    description = read_description(checkpoint)
    classifier = None
    if description.kind == "classifier":
        classifier = load_classifier(checkpoint)[0]
        model = _with_own_head(classifier.gpt)
    else:
        model = load_model(checkpoint)
    return Subject(
        checkpoint=checkpoint, description=description, model=model, classifier=classifier,
        tokenizer=load_tokenizer(checkpoint / TOKENIZER), cleaning=cleaning, sentence=sentence,
        recording=record(model, sentence.token_ids),
    )  # fmt: skip


def _with_own_head(body: GPT) -> GPT:
    """Give the body of a classifier a head again, which shares the token embeddings."""
    body.lm_head = nn.Linear(body.config.n_embd, body.wte.weight.size(0), bias=False)
    body.lm_head.weight = body.wte.weight
    return body


def numbers(values: Tensor | Sequence[float], digits: int = _DIGITS) -> list[object]:
    """A tensor of any shape as nested lists of rounded numbers; -inf becomes None."""
    listed = values.tolist() if isinstance(values, Tensor) else list(values)
    return [_rounded(value, digits) for value in listed]


def _rounded(value: object, digits: int) -> object:
    if isinstance(value, list):
        return [_rounded(each, digits) for each in value]
    assert isinstance(value, float | int)
    return None if value == -float("inf") else round(value, digits)
