"""A flow run with its MLflow run."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpt_core.config import RunConfig
from tasks.stage import flow_tags
from tasks.tracking import FlowRecord, tracked_flow


@contextmanager
def recorded(name: str, config: RunConfig) -> Iterator[FlowRecord]:
    """The MLflow run of the flow run that is under way."""
    with tracked_flow(name, config, flow_tags()) as record:
        yield record
