"""Compare a split pattern with Oniguruma, the engine by which ``AutoTokenizer`` reads a release.

To it ``^`` is the beginning of every line, and some groups are unknown, such as ``(?s:.)``.
"""

import regex

from gpt_core.config.patterns import SENTENCES, complete_pattern
from gpt_core.errors import ConversionError


def lines_cut_otherwise(pattern: str) -> list[str] | None:
    """Find sample lines that Oniguruma cuts at other places than gptflow.

    Args:
        pattern: A regular expression that ``require_pattern`` accepts.

    Returns:
        The lines; None if ``tokenizers``, which has the engine, is not installed.

    Raises:
        ConversionError: If Oniguruma cannot read the pattern, so that no release can have it.
    """
    try:
        import tokenizers  # optional: the core does without it
        from tokenizers.pre_tokenizers import Split
    except ImportError:
        return None
    expression = complete_pattern(pattern)
    try:
        split = Split(tokenizers.Regex(expression), "isolated")
    except Exception as error:  # it has no class of its own
        raise ConversionError(
            f"tokenizer.pattern={pattern!r} cannot be released: AutoTokenizer does not read it "
            f"({error})"
        ) from error
    compiled = regex.compile(expression)
    return [
        sentence.strip()
        for sentence in SENTENCES
        if [piece for piece, _ in split.pre_tokenize_str(sentence)]
        != [match[0] for match in compiled.finditer(sentence)]
    ]
