"""The list of runs in MLflow's UI with the key metrics as columns: a view saved in the experiment.

MLflow's UI keeps a shared view as a tag of the experiment and opens it by the tag's name.
"""

import json

from tasks.tracking.names import RESULTS

_KEY = "gptflow"
VIEW_TAG = f"mlflow.sharedViewState.{_KEY}"
"""The experiment's tag that holds the view."""

VIEW_PARAMETER = f"viewStateShareKey={_KEY}"
"""The part of the address of the list that opens it."""

_COLUMNS = ("test_loss", "validation_loss", "bits_per_byte", "accuracy", "f1", "exact_match")


def view_state() -> str:
    """The view, as MLflow's UI reads it: columns for what differs and for the key metrics."""
    metrics = [name for name in RESULTS if name.removeprefix("result/") in _COLUMNS]
    columns = [
        _column("tags", "stage"),
        _column("tags", "differs"),
        *(_column("metrics", name) for name in metrics),
    ]
    state = {"selectedColumns": columns, "orderByKey": "attributes.start_time", "orderByAsc": False}
    return json.dumps(state, separators=(",", ":"))


def _column(kind: str, name: str) -> str:
    """A column's name in MLflow's UI.

    Example:
        >>> _column("tags", "stage")
        'tags.`stage`'
    """
    return f"{kind}.`{name}`"
