"""The terminal display: what it prints where there is no terminal, and that it draws in one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows.display import TerminalDisplay, short
from gpt_core.artifact import Artifact
from gpt_core.callbacks import RunInfo

CHECKPOINT = Artifact(kind="checkpoint", path="elsewhere/tiny/step-4", fingerprint="f" * 32)
RUN = RunInfo(
    total_steps=4,
    first_step=2,
    tokens_per_step=128,
    n_parameters=1234,
    device="cpu",
    precision="fp32",
    out_dir=Path("run"),
)


def run_a_stage(display: TerminalDisplay) -> None:
    with display:
        display.stage_started("pretrain")
        display.progress("pretrain", "tokens", 10, 20)
        display.training_started("pretrain", RUN)
        display.metrics("pretrain", 3, {"train/loss": 1.5, "train/tokens_per_second": 2000.0})
        display.metrics("pretrain", 4, {"validation/loss": 1.25})
        display.sample("pretrain", 4, "[bold]Once\n", "upon " + 99 * "a time ")
        display.notice("a notice")
        display.stage_finished("pretrain", CHECKPOINT, 1.26)
        display.stage_present("pretrain", CHECKPOINT)


def test_a_pipe_gets_plain_lines_now_and_then() -> None:
    output = io.StringIO()
    run_a_stage(TerminalDisplay(Console(file=output, width=80)))
    lines = output.getvalue().splitlines()
    assert lines[0] == "  pretrain ..."
    assert lines[1].startswith("  1,234 parameters, 4 steps of 128 tokens on cpu in fp32")
    assert "from step 2" in lines[1]
    assert lines[2].startswith("  pretrain: step 3 of 4, loss 1.500, 2,000 tokens/s, ")
    assert lines[2].endswith(" s left")
    assert lines[3].startswith("  step 4: [bold]Once upon a time")
    assert len(lines[3]) <= 2 + len("step 4: ") + 160
    assert lines[4:] == ["  note: a notice", "✓ pretrain (1.3 s)  elsewhere/tiny/step-4"]


def test_a_cached_stage_is_reported_once_as_there_already() -> None:
    output = io.StringIO()
    display = TerminalDisplay(Console(file=output, width=80))
    with display:
        display.stage_present("pretrain", CHECKPOINT)
    assert output.getvalue() == "✓ pretrain (there already)  elsewhere/tiny/step-4\n"


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end() -> None:
    output = io.StringIO()
    run_a_stage(TerminalDisplay(Console(file=output, width=200, force_terminal=True)))
    drawn = output.getvalue()
    assert "pretrain ..." not in drawn
    assert "note: a notice" in drawn
    assert "\x1b[?25h" in drawn  # the cursor is shown again


def test_paths_below_the_current_directory_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert short(tmp_path / "data") == Path("data")
    assert short(tmp_path.parent) == tmp_path.parent
