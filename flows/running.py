"""Flows as Prefect flows: run at once by a command, or deployed.

A deployment names a flow by a module and an attribute; the attributes of this module are all flows.
"""

from collections.abc import Mapping

import prefect

from flows.declarations import FLOWS, Flow, FlowResult
from flows.forms import Form, form_class, to_config, to_form
from gpt_core.config import RunConfig
from tasks.addresses import hide_passwords, redact_logs
from tasks.reporting import report_run
from tasks.stage import flow_tags
from tasks.tracking import tracked_flow

PrefectFlow = prefect.Flow[[Form], FlowResult]


def run_flow(flow: Flow, config: RunConfig) -> FlowResult:
    """Run a flow in this process, recorded in Prefect and MLflow."""
    sections = flow.sections_used(config)
    return as_prefect_flow(flow, sections)(to_form(config, sections))


def as_prefect_flow(flow: Flow, sections: tuple[str, ...]) -> PrefectFlow:
    """Wrap a flow's function as a Prefect flow whose only parameter is a form.

    Args:
        flow: The declaration.
        sections: What the form shows.
    """
    function = flow.function()

    def run(config: Form) -> FlowResult:
        redact_logs()
        complete = hide_passwords(to_config(config))
        recorded = to_form(complete, flow.sections_used(complete))
        with tracked_flow(flow.name, recorded, flow_tags()) as record:
            result = function(complete)
            if isinstance(result, Mapping):
                metrics = {name: artifact.metrics() for name, artifact in result.items()}
                record.describe(report_run(config.name, metrics))
            return result

    run.__name__, run.__doc__ = function.__name__, flow.help
    run.__annotations__["config"] = form_class(sections)
    return PrefectFlow(run, name=flow.name, flow_run_name="{config.name}")


def __getattr__(name: str) -> PrefectFlow:
    """A flow with its complete form, by the name of its function.

    Raises:
        AttributeError: If there is no such flow.
    """
    flow = FLOWS.get(name.replace("_", "-"))
    if flow is None:
        raise AttributeError(f"there is no flow {name}")
    return as_prefect_flow(flow, flow.form_sections)
