"""The saved view of MLflow's list of runs has the key metrics as columns."""

import json

from tasks.tracking.names import RESULTS
from tasks.tracking.view import VIEW_PARAMETER, VIEW_TAG, view_state


def test_the_view_is_found_by_its_key_and_shows_recorded_metrics() -> None:
    assert VIEW_TAG.rpartition(".")[2] == VIEW_PARAMETER.rpartition("=")[2]
    columns = json.loads(view_state())["selectedColumns"]
    metrics = [c.removeprefix("metrics.`").rstrip("`") for c in columns if c.startswith("metrics")]
    assert len(metrics) >= 5
    assert set(metrics) <= set(RESULTS), "a name that no run has would be an empty column"
