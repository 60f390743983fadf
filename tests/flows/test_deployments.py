"""``deployments.toml`` is read with everything that it may say, and a mistake is one sentence."""

from pathlib import Path

import pytest

from flows.deployments import FILE_NAME, find_file, read_file
from gpt_core.errors import ConfigError

GOOD = """
[[deployment]]
name = "nightly"
flow = "prepare"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / FILE_NAME
    file.write_text(text, "utf-8")
    return file


def test_a_deployment_has_settings_schedules_and_a_pool(tmp_path: Path) -> None:
    text = """
    project = "hadith"

    [[deployment]]
    name = "nightly"
    flow = "pretrain"
    preset = "tiny"
    description = "every night"
    tags = ["hadith"]
    missed = "skip"
    grace = 60
    settings = ["training.steps=500"]
    pool = { name = "boxes", type = "docker", image = "gptflow:1", job = { mem_limit = "8g" } }

    [[deployment.schedules]]
    cron = "0 3 * * *"
    timezone = "Europe/Berlin"

    [[deployment.schedules]]
    slug = "often"
    interval = 3600
    anchor = 2026-01-01T12:00:00
    active = false

    [[deployment]]
    name = "sundays"
    flow = "import-gpt2"
    settings = ["size=355M", "lora.rank=2"]
    schedules = [{ rrule = "FREQ=WEEKLY;BYDAY=SU" }]

    [[deployment]]
    name = "short"
    flow = "pretrain"
    settings = { training = { steps = 40 } }
    """
    file = read_file(write(tmp_path, text))
    nightly, sundays, short = file.deployments
    assert file.project == "hadith"
    assert nightly.full_name == "pretrain/nightly"
    assert nightly.config.training.steps == 500
    assert (nightly.missed, nightly.grace, nightly.tags) == ("skip", 60, ("hadith",))
    assert [each.slug for each in nightly.schedules] == ["cron", "often"]
    assert nightly.schedules[1].anchor_date.isoformat() == "2026-01-01T12:00:00+00:00"
    assert nightly.pool is not None
    assert nightly.pool.job_variables == {"mem_limit": "8g", "image": "gptflow:1"}
    assert sundays.config.gpt2.size == "355M"
    assert sundays.unread == ("lora.rank=2",)
    assert sundays.description == "A GPT-2 release to a checkpoint."
    assert short.config.training.steps == 40
    assert short.missed == "catch up"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it declares no [[deployment]]"),
        ("deployment = 1", "write [[deployment]]"),
        ("projekt = 'a'\n" + GOOD, "there is no setting projekt"),
        (GOOD.replace("prepare", "prepar"), "deployment 'nightly': there is no flow 'prepar'"),
        (GOOD.replace("nightly", "a/b"), "deployment 'a/b': a name has letters"),
        (GOOD.replace("nightly", "prepare"), "the one that gptflow up makes itself"),
        (GOOD + GOOD, "it declares prepare/nightly twice"),
        (GOOD + "shedules = []", "'nightly': there is no shedules; there are name, flow, "),
        (GOOD + "preset = 'small'", "'nightly': there is no preset 'small'"),
        (GOOD + "settings = ['shards.worker=1']", "there is no setting shards.worker"),
        (
            GOOD + "settings = { shards = { workers = 'x' } }",
            "shards.workers must be a whole number",
        ),
        (GOOD + "settings = 'a.b=1'", "settings must be a table, or a list"),
        (GOOD + "settings = ['source=https://me:word@host/a']", "must not hold a password"),
        (GOOD + "missed = 'never'", "missed must be one of skip, catch up, got 'never'"),
        (GOOD + "grace = 1", "grace must be at least 10"),
        (GOOD + "schedules = [{}]", "schedule 1: give one of cron, interval and rrule"),
        (GOOD + "schedules = [{cron = '0 25 * * *', slug = 'a'}]", "schedule 'a': cron must be"),
        (GOOD + "schedules = [{interval = 0}]", "interval must be at least 1 second"),
        (GOOD + "schedules = [{interval = 9, timezone = 'Mars'}]", "no time zone 'Mars'"),
        (GOOD + "schedules = [{interval = 9, anchor = 'noon'}]", "anchor must be a time"),
        (GOOD + "schedules = [{interval = 9}, {interval = 8}]", "have the slug interval"),
        (GOOD + "pool = 'here'", "pool: write pool = "),
        (GOOD + "pool = {name = 'a', type = 'slurm'}", "pool: type must be one of process, docker"),
        (GOOD + "pool = {name = 'a', image = 'b'}", "a pool of type process has no image"),
        (
            GOOD
            + "pool = {name = 'a'}\n"
            + GOOD.replace("nightly", "b")
            + "pool = {name = 'a', type = 'docker'}",
            "the pool a is declared in two ways",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_file(file)
    said = str(caught.value)
    assert said.startswith(f"{file}")
    assert message in said
    assert "\n" not in said


def test_the_file_is_found_here_or_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("GPTFLOW_HOME", str(home))
    assert find_file() is None
    in_home = write(home, GOOD)
    assert find_file() == in_home
    in_folder = write(here, GOOD)
    assert find_file() == in_folder
    assert find_file(in_home) == in_home


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml does not exist"):
        read_file(tmp_path / "nothing.toml")
