"""Flows as Prefect flows: run at once by a command, or deployed.

A deployment names a flow by a module and an attribute; the attributes of this module are all flows.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import prefect
from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.states import Completed

from flows.declarations import FLOWS, Flow, FlowResult
from flows.forms import Form, form_class, resolve, to_config, to_form
from flows.missed import missed_state
from flows.notifying import Ending
from flows.preflight import check_flow
from flows.run_log import RunLog
from gpt_core.config import PRESETS, RunConfig, use_limits
from gpt_core.errors import ConfigError
from tasks.absence import Outcome, silence_logging_errors
from tasks.addresses import hide_passwords, redact_logs
from tasks.automations import TAG, register_automations
from tasks.leftovers import remove_leftovers
from tasks.liveness import close_dead_runs, has_completed, hold_flow_run, note_outcome
from tasks.nodes import current_first_node
from tasks.progress import Displays, current_display, use_display
from tasks.promotion import promote_models
from tasks.reporting import report_run
from tasks.sharing import use_store
from tasks.stage import flow_tags
from tasks.tracking import tracked_flow, waiting_for_server

_DONE = "An earlier start of this run completed it, while Prefect's server was away"

_UNRECORDED = ("notify", "store", "plan")  # sections that no result depends on

PrefectFlow = prefect.Flow[..., FlowResult]

_DESCRIPTION = """{help}

Args:
    preset: Begin from this preset, instead of from the configuration below.
    settings: Changes of the configuration, made last: a list of section.field=value, such as
        training.steps=500, or a table of sections and fields.
    config: The configuration; to change a few settings of it, use the settings above.
"""


_AGAIN = (
    "start {} of this run: finished stages are cached, and pretraining continues from its newest "
    "checkpoint"
)


def run_flow(flow: Flow, config: RunConfig) -> FlowResult:
    """Run a flow in this process, recorded in Prefect and MLflow."""
    silence_logging_errors()
    sections, outcome = flow.sections_used(config), Outcome()
    prefect_flow = as_prefect_flow(flow, sections, outcome)
    with prefect.tags(TAG):
        return outcome.restore(lambda: prefect_flow(config=to_form(config, sections)))


def as_prefect_flow(
    flow: Flow, sections: tuple[str, ...], outcome: Outcome | None = None
) -> PrefectFlow:
    """Wrap a flow's function as a Prefect flow whose parameters are a form and changes of it.

    Args:
        flow: The declaration.
        sections: What the form shows.
        outcome: Keeps the function's result, if Prefect's own may get lost.
    """
    function, kept = flow.function(), outcome or Outcome()

    def run(
        *,
        preset: str | None = None,
        settings: list[str] | dict[str, object] | None = None,
        config: Form,
    ) -> FlowResult:
        missed = _missed() if _is_deployed() else None
        if missed is not None:
            return missed  # type: ignore[return-value]  # Prefect's own way to end a run
        redact_logs()
        with _display():
            was_killed = hold_flow_run(runtime.flow_run.id)
            if has_completed(runtime.flow_run.id):
                return Completed(message=_DONE)  # type: ignore[return-value]
        with _display(), waiting_for_server(), Ending(flow.name, to_config(config)) as ending:
            remove_leftovers()
            complete = hide_passwords(resolve(to_config(config), preset, settings))
            ending.config = complete
            if was_killed:
                ending.report_kill()
            if _is_deployed():
                check_flow(flow, complete)
            ending.result = kept.keep(partial(_run_recorded, flow, function, complete))
            return ending.result

    run.__name__, run.__doc__ = function.__name__, _DESCRIPTION.format(help=flow.help)
    run.__annotations__["preset"] = Literal[tuple(PRESETS)] | None
    run.__annotations__["config"] = form_class(sections)
    return PrefectFlow(run, name=flow.name, description=flow.help, flow_run_name=_run_name)


def _run_recorded(
    flow: Flow, function: Callable[[RunConfig], FlowResult], config: RunConfig
) -> FlowResult:
    """Call a flow's function in its run of Prefect, as a run of MLflow."""
    recorded = to_form(config, tuple(n for n in flow.sections_used(config) if n not in _UNRECORDED))
    register_automations()
    close_dead_runs()
    with (
        use_limits(config.limits),
        TagsContext(current_tags=set()),  # a task with tags asks the server for slots, and waits
        note_outcome(runtime.flow_run.id),
        tracked_flow(flow.name, recorded, flow_tags()) as record,
    ):
        if runtime.flow_run.run_count > 1:
            current_display().notice(_AGAIN.format(runtime.flow_run.run_count))
        with _several_nodes(flow, config), use_store(config.store):
            result = function(config)
        if isinstance(result, Mapping):
            metrics = {name: artifact.metrics() for name, artifact in result.items()}
            record.describe(report_run(config.name, metrics))
        if config.registry.promote:
            promote_models(record, config)
        return result


def _several_nodes(flow: Flow, config: RunConfig) -> AbstractContextManager[object]:
    """Lead the nodes of a deployment's run; a command has done so before it began the flow."""
    if config.launch.nodes == 1 or "launch" not in flow.form_sections or current_first_node():
        return nullcontext()
    from tasks.joining import join

    return join(config, current_display().notice, must_lead=True)


def _is_deployed() -> bool:
    """Whether this is a run of a deployment, which no command has checked before."""
    return runtime.deployment.id is not None


def _missed() -> State[None] | None:
    """The state of this run if it starts too late for its deployment, else None."""
    run = runtime.flow_run
    return missed_state(run.tags, run.scheduled_start_time, datetime.now(UTC), run.run_count - 1)


def _display() -> AbstractContextManager[None]:
    """Show the run where the caller does, and in Prefect's log of it as well."""
    return use_display(Displays(current_display(), RunLog(prefect.get_run_logger())))


def _run_name() -> str:
    """The configuration's name, which the flow's parameters may give in three ways."""
    given = runtime.flow_run.parameters
    config = given["config"]
    try:
        name = config["name"] if isinstance(config, Mapping) else config.name
        return resolve(RunConfig(name=name), given.get("preset"), given.get("settings")).name
    except (ConfigError, KeyError):
        return "refused"


def __getattr__(name: str) -> PrefectFlow:
    """A flow with its complete form, by the name of its function.

    Raises:
        AttributeError: If there is no such flow.
    """
    flow = FLOWS.get(name.replace("_", "-"))
    if flow is None:
        raise AttributeError(f"there is no flow {name}")
    return as_prefect_flow(flow, flow.form_sections)
