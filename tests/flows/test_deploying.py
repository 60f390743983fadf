"""``gptflow deploy`` makes the server what the file says, and says what that changed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from rich.console import Console

from flows.deploying import deploy
from flows.deployments import read_file
from gpt_core.errors import ConfigError, DataError

FIRST = """
project = "tested"

[[deployment]]
name = "nightly"
flow = "prepare"
tags = ["small"]
settings = ["shards.workers=1"]
missed = "skip"
schedules = [
    { cron = "0 3 * * *", timezone = "Europe/Berlin" },
    { interval = 3600, active = false },
    { rrule = "FREQ=WEEKLY;BYDAY=SU", slug = "sundays" },
]

[[deployment]]
name = "boxed"
flow = "prepare"
pool = { name = "tested-boxes", type = "docker", image = "gptflow:1", job = { mem_limit = "4g" } }

[[deployment]]
name = "pod"
flow = "prepare"
pool = { name = "tested-pods", type = "kubernetes", limit = 2, job = { gpus = 1 } }
"""
SECOND = FIRST.replace("workers=1", "workers=2").replace("0 3 * *", "0 4 * *")
SECOND = SECOND.replace("    { interval = 3600, active = false },\n", "")
SECOND = SECOND[: SECOND.index('[[deployment]]\nname = "pod"')]

Deploy = Callable[..., str]


@pytest.fixture
def deployed(connected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """Deploys a text and gives what was printed."""
    monkeypatch.setenv("GPTFLOW_COMMIT", "0123456789abcdef")
    file = tmp_path / "deployments.toml"

    def run(text: str, *, prune: bool = False, dry_run: bool = False) -> str:
        file.write_text(text, "utf-8")
        console = Console(record=True, width=200, file=io.StringIO())
        deploy(read_file(file), console, prune=prune, dry_run=dry_run)
        return "\n".join(line.rstrip() for line in console.export_text().splitlines())

    return run


def found(name: str) -> Any:
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(name)


def test_the_server_becomes_what_the_file_says(deployed: Deploy) -> None:
    planned = deployed(FIRST, dry_run=True)
    assert "new  prepare/nightly  cron 0 3 * * * Europe/Berlin" in planned
    assert planned.endswith("3 new; nothing was changed (--dry-run)")
    with pytest.raises(ObjectNotFound):
        found("prepare/nightly")

    done = deployed(FIRST)
    assert "gptflow worker tested-boxes runs prepare/boxed" in done
    nightly = found("prepare/nightly")
    assert {each.slug: each.active for each in nightly.schedules} == {
        "cron": True, "interval": False, "sundays": True
    }  # fmt: skip
    assert nightly.tags == ["gptflow", "small", "project:tested", "skip after 600 s"]
    assert nightly.version.startswith("0123456789-")
    assert nightly.parameters["config"]["shards"]["workers"] == 1
    assert nightly.entrypoint == "flows.running.prepare"
    assert nightly.work_pool_name is None
    boxed = found("prepare/boxed")
    assert boxed.work_pool_name == "tested-boxes"
    assert boxed.job_variables == {"mem_limit": "4g", "image": "gptflow:1"}
    with get_client(sync_client=True) as client:
        pods = client.read_work_pool("tested-pods")
    assert (pods.type, pods.concurrency_limit) == ("kubernetes", 2)

    assert "3 unchanged" in deployed(FIRST)

    changed = deployed(SECOND)
    assert "shards.workers: 1 -> 2" in changed
    assert "schedule cron: cron 0 3 * * * Europe/Berlin -> cron 0 4 * * * Europe/Berlin" in changed
    assert "interval: every 3600 s from 2026-01-01T00:00:00Z UTC, paused -> none" in changed
    assert "not in the file  prepare/pod      gptflow deploy --prune removes it" in changed
    nightly = found("prepare/nightly")
    assert {each.slug: getattr(each.schedule, "cron", "") for each in nightly.schedules} == {
        "cron": "0 4 * * *", "sundays": ""
    }  # fmt: skip
    assert found("prepare/pod").name == "pod"

    assert "removed    prepare/pod" in deployed(SECOND, prune=True)
    with pytest.raises(ObjectNotFound):
        found("prepare/pod")
    assert found("prepare/boxed").name == "boxed"


def test_what_the_server_cannot_take_is_said_before_anything_is_registered(
    deployed: Deploy,
) -> None:
    wrong = FIRST.replace("tested", "refused")
    with pytest.raises(ConfigError, match="'nightly', schedule 'sundays': "):
        deployed(wrong.replace("BYDAY=SU", "BYDAY=XX"))
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_work_pool("refused-boxes")
    deployed(FIRST.replace("tested", "taken").replace("nightly", "weekly"))
    other = FIRST.replace("tested", "taken").replace('type = "docker", ', "")
    other = other.replace(', image = "gptflow:1", job = { mem_limit = "4g" }', "")
    with pytest.raises(DataError, match="taken-boxes is of type docker, not process"):
        deployed(other)


def test_the_example_of_the_documentation_can_be_deployed(
    deployed: Deploy, project_root: Path
) -> None:
    example = (project_root / "docs" / "deployments.toml").read_text("utf-8")
    planned = deployed(example, dry_run=True)
    assert "cron 0 3 * * * Europe/Berlin" in planned
    assert "4 new; nothing was changed (--dry-run)" in planned
    page = (project_root / "docs" / "operations.md").read_text("utf-8")
    shown = page.split("```toml")[1].split("```")[0]
    assert "run/nightly" in deployed(shown, dry_run=True)
