"""Metrics of the flows that ran lately, by the ids of their runs in Prefect."""

from datetime import datetime

from tasks.tracking.names import by_present_names
from tasks.tracking.store import client

_PARENT, _FLOW_RUN = "mlflow.parentRunId", "prefect.flow_run"
_PAGE = 1000


def metrics_since(begin: datetime) -> dict[str, dict[str, float]]:
    """The metrics of flows that started after a time.

    Returns:
        Metrics such as ``result/validation_loss`` by the id of the flow run in Prefect.
    """
    experiments = [each.experiment_id for each in client().search_experiments()]
    wanted = f"attributes.start_time >= {int(begin.timestamp() * 1000)}"
    found: dict[str, dict[str, float]] = {}
    token: str | None = None
    while True:
        page = client().search_runs(experiments, wanted, max_results=_PAGE, page_token=token)
        for run in page:
            flow_run = run.data.tags.get(_FLOW_RUN)
            if flow_run and _PARENT not in run.data.tags:
                found.setdefault(flow_run, by_present_names(run.data.metrics))
        token = page.token
        if not token:
            return found
