"""Identify the language of a document, also where many share a script.

The script alone tells Arabic from English, and ``cleaning.language`` uses nothing else; it does not
tell Arabic from Persian or English from French. py3langid does, with a model of 139 languages that
comes with the package (BSD licence, 4 MB, nothing is downloaded).

References:
    Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool".
"""

from collections.abc import Sequence

from gpt_core.errors import ConfigError

_SAMPLE = 2000  # first characters of a document, by which its language is identified


class LanguageFilter:
    """Keeps documents of some languages.

    Args:
        languages: The codes of the languages.

    Raises:
        ConfigError: If py3langid is not installed or does not know one of the languages.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        try:
            import py3langid
        except ImportError as error:
            raise ConfigError(
                "cleaning.languages needs py3langid: pip install 'gptflow[filters]'"
            ) from error
        known = sorted(str(code) for code, _ in py3langid.rank("a"))
        unknown = sorted(set(languages) - set(known))
        if unknown:
            raise ConfigError(
                f"cleaning.languages has {', '.join(unknown)}, which py3langid does not know; it "
                f"knows {', '.join(known)}"
            )
        self._classify = py3langid.classify
        self._languages = frozenset(languages)

    def reason(self, text: str) -> str | None:
        """``language_`` and the code of a text's language if that is none of those to keep."""
        language, _ = self._classify(text[:_SAMPLE])
        return None if language in self._languages else f"language_{language}"
