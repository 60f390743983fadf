"""Prefect and MLflow are away for two minutes: afterwards both tell the truth, and nothing is lost.

The servers are those of ``compose.yaml``, as in ``tests/security/test_databases.py``.
"""

import threading
from pathlib import Path

import pytest
from webhook import Hook
from week import SECRETS, disturb, site, wait_until_finished
from week_check import judge, orphans, seconds_until_true, train_undisturbed

pytestmark = [pytest.mark.long, pytest.mark.soak, pytest.mark.timeout(2400)]

RUNS, GAP_SECONDS = 3, 20.0
AWAY_SECONDS = 120.0
BACK_SECONDS = 120.0
"""Both tell the truth at the latest so long after everything is back."""
PAUSE_SECONDS = (5.0, 20.0)
LIMIT_SECONDS = 1200.0


@pytest.mark.parametrize("away", ["Prefect away", "MLflow away"])
def test_two_minutes_without_a_server(tmp_path: Path, project_root: Path, away: str) -> None:
    undisturbed = train_undisturbed(project_root, tmp_path / "core", RUNS)
    with Hook().serving() as hook:
        begun = site(project_root, tmp_path, RUNS, GAP_SECONDS, hook, SECRETS, AWAY_SECONDS)
        with begun as made:
            happened: list[str] = []
            work = threading.Thread(
                target=lambda: happened.extend(disturb(made, [away], 1, PAUSE_SECONDS)), daemon=True
            )
            work.start()
            work.join(LIMIT_SECONDS)
            assert [each[9:] for each in happened] == [away]
            seconds_until_true(made, BACK_SECONDS)
            assert wait_until_finished(made, RUNS, LIMIT_SECONDS), made.up.log[-5000:]
            assert [each.problems for each in judge(made, undisturbed)] == [()] * RUNS
        assert orphans(made) == []
