"""Settings of the judge: a language model behind an address that scores answers."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_at_most,
    require_named,
    require_positive,
)
from gpt_core.config.section import Section

Scale = Literal["rubric", "hundred"]
"""The scales of scores: 1 to 5 by a rubric, 0 to 100 in the words of well-known tutorials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeConfig(Section):
    """A model that scores answers, such as one of Ollama, vLLM or llama.cpp."""

    url: str | None = None
    """Base address of an API like OpenAI's, such as ``http://127.0.0.1:11434/v1``; with it
    ``instruct`` and ``run`` have the test answers judged. A key for it belongs into the environment
    variable ``GPTFLOW_JUDGE_KEY``."""

    model: str | None = None
    """The judge's name there, such as ``llama3.1:8b``."""

    answers: str | None = None
    """A file of answers for ``gptflow judge`` in place of a checkpoint's: CSV, TSV, JSON, JSON
    lines or Parquet with the columns ``instruction``, perhaps ``input``, and the two below."""

    against: str | None = None
    """A checkpoint or file with other answers to the same instructions: each pair is compared in
    both orders, and a verdict that depends on the order counts as a tie."""

    reference_column: str = "expected"
    """The column of the right answers in a file."""

    answer_column: str = "answer"
    """The column of the answers that are judged in a file."""

    scale: Literal["rubric", "hundred", "both"] = "rubric"
    """1 to 5 by a rubric after a rationale; 0 to 100 by the prompt of well-known tutorials, to
    compare with their metrics; or both."""

    samples: int = 1
    """Times that each answer is scored; its score is the median."""

    temperature: float = 0.0
    """The judge's temperature."""

    seed: int = 1337
    """Seed of the judge, of the check's order and of intervals."""

    max_tokens: int = 512
    """Longest reply of the judge."""

    check_items: int = 20
    """Questions on which the judge itself is checked first, at six calls each; 0 leaves the check
    out. Without a check that succeeds no score is reported."""

    concurrency: int = 1
    """Calls under way at once."""

    connect_seconds: float = 5.0
    """Longest wait for a connection."""

    read_seconds: float = 60.0
    """Longest silence of the judge."""

    answer_seconds: float = 120.0
    """Longest time for one score, all its calls and waits together."""

    run_seconds: float = 14_400.0
    """Longest time for all scores; the same command continues later."""

    retry_after_seconds: float = 60.0
    """Longest wait that the judge's ``Retry-After`` can ask for."""

    tries: int = 3
    """Times that a call without a reply is made."""

    reasks: int = 2
    """Times that the judge is asked again, with what was wrong with its reply."""

    breaker: int = 5
    """Answers in a row without a reply after which the judge is not asked any more."""

    max_bytes: int = 1_000_000
    """Longest response that is read."""

    traces: int = 200
    """Judged answers that MLflow gets as traces with assessments, at most; its table has all."""

    def __post_init__(self) -> None:
        require_named(self, "url", "model", "answers", "against")
        require_named(self, "reference_column", "answer_column")
        require_at_least(self, 0, "temperature", "seed", "check_items", "reasks", "traces")
        require_at_least(self, 0, "retry_after_seconds")
        require_at_least(self, 1, "samples", "max_tokens", "concurrency", "tries", "breaker")
        require_at_least(self, 1, "max_bytes")
        require_at_most(self, 256, "concurrency")
        require_positive(
            self, "connect_seconds", "read_seconds", "answer_seconds", "run_seconds"
        )  # fmt: skip
        require(
            self.url is None or _is_base(self.url),
            "url must be an address such as http://127.0.0.1:11434/v1, without a password or a "
            f"query (a key belongs into GPTFLOW_JUDGE_KEY), got {self.url!r:.200}",
        )
        require(
            self.url is None or self.model is not None,
            "model must name the judge that answers at judge.url, such as llama3.1:8b",
        )
        require(
            self.reference_column != self.answer_column,
            f"reference_column and answer_column must differ, got {self.answer_column!r} for both",
        )

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that answers are scored on."""
        return ("rubric", "hundred") if self.scale == "both" else (self.scale,)


def _is_base(url: str) -> bool:
    """Whether an address has a host, and neither a user nor a query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    printable = url.isprintable() and " " not in url and url.isascii()
    good_host = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return good_host and plain and printable
