"""``gptflow clean`` asks before it removes, and reads ages as people write them."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows import cleaning
from flows.cleaning import clean_home, parse_age, size
from gpt_core.errors import ConfigError
from tasks.cleaning import Rules


def test_ages_are_hours_days_and_weeks() -> None:
    assert [parse_age(each) for each in ("12h", "30d", "2w")] == [43200.0, 2592000.0, 1209600.0]
    for wrong in ("30", "d", "-1d", "1.5d", "30 days"):
        with pytest.raises(ConfigError, match="hours, days or weeks, such as 30d"):
            parse_age(wrong)


def test_sizes_have_the_unit_that_fits() -> None:
    assert [size(each) for each in (0, 999, 1000, 5e9, 7e15)] == [
        "0 B", "999 B", "1.0 KB", "5.0 GB", "7000.0 TB",
    ]  # fmt: skip


def test_without_a_terminal_nothing_is_removed_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="add --yes, or --dry-run to only look"):
        cleaning._ask(3)


def test_on_a_terminal_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text, abort: asked.append((text, abort)))
    cleaning._ask(3)
    assert asked == [("Remove these 3?", True)], "a no ends the command"


def test_the_parts_of_interrupted_stages_go_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = home / "data" / "shards" / ".mine-1.parts" / "train" / "part-00000" / "part.json"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 5000)
    monkeypatch.setattr(cleaning, "decide", lambda rules: [])
    monkeypatch.setattr(cleaning, "remove", lambda paths, rules: [])
    for older, dry_run, stays in ((3600.0, False, True), (0.0, True, True), (0.0, False, False)):
        console = Console(file=io.StringIO(), width=200)
        clean_home(Rules(keep=3, older_than=older), console, dry_run=dry_run, yes=True)
        assert part.exists() == stays
        assert isinstance(console.file, io.StringIO)
        said = "Interrupted stages keep 5.0 KB of finished parts" in console.file.getvalue()
        assert said == (older == 0.0)
