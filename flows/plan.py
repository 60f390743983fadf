"""Print what a run would do: its stages with their states, sizes, and the expected time."""

from rich.console import Console
from rich.table import Table

from flows.declarations import Flow
from flows.display import short
from flows.sizes import data_sizes, training_sizes
from gpt_core.config import RunConfig
from tasks.planning import PlannedStage, planning


def print_plan(flow: Flow, config: RunConfig, console: Console) -> None:
    """Print the stages of a flow with their states, and the size of its pretraining.

    Raises:
        ConfigError: If a source is unknown.
        DataError: If a source cannot be read.
    """
    planned = plan_stages(flow, config)
    table = Table(box=None, pad_edge=False, expand=False)
    any_done = any(stage.done for stage in planned)
    for column in ("stage", "state", "where" if any_done else ""):
        table.add_column(column, no_wrap=True, overflow="fold")
    for stage in planned:
        where = str(short(stage.artifact.directory)) if stage.done else ""
        table.add_row(stage.name, stage.state, where)
    origin = flow.origin(config)
    console.print(f"gptflow {flow.name}: {config.name}, from {origin}\n", highlight=False)
    console.print(table, soft_wrap=True)
    lines = [*data_sizes(flow, config, planned), *training_sizes(config, planned)]
    if lines:
        console.print()
    for name, value in lines:
        console.print(f"  {name:<26}{value}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nNothing was run. The same command without --dry-run runs it.", highlight=False)


def plan_stages(flow: Flow, config: RunConfig) -> list[PlannedStage]:
    """The stages of a flow, found by its own function in a planning context."""
    function = flow.function()
    with planning(config.name) as plan:
        function(config)
    return plan.stages
