"""The judge's key comes from the environment alone."""

import pytest

from gpt_core.errors import ConfigError
from tasks.judging import KEY, judge_key


def test_the_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    assert judge_key() is None
    monkeypatch.setenv(KEY, " s3cret-of-the-judge\n")
    assert judge_key() == "s3cret-of-the-judge"


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_no_header_takes_is_refused_without_being_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ConfigError, match="one line of ASCII") as caught:
        judge_key()
    assert key not in str(caught.value)
