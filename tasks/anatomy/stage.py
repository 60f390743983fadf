"""The stage that dissects a model, with its page, its pictures and its notebooks."""

from pathlib import Path

from gpt_core.artifact import REPORT, Artifact
from gpt_core.config import AnatomyConfig, CleaningConfig
from gpt_core.files import read_json
from tasks.anatomy.page import render_page
from tasks.anatomy.pictures import draw_pictures
from tasks.reporting import report_link
from tasks.stage import StageRun, stage


@stage(package="chapters", kind="report")
def dissect(
    run: StageRun, checkpoint: Artifact, config: AnatomyConfig, cleaning: CleaningConfig, page: str
) -> Artifact:
    """Follow a text through a checkpoint's model, see ``gpt_core.chapters.dissect``.

    Args:
        run: The stage's run.
        checkpoint: A checkpoint of any kind.
        config: The text.
        cleaning: The rules that clean it.
        page: See ``page_version``, so that a page is made again when its template has changed.
    """
    from gpt_core import chapters

    report = chapters.dissect(
        checkpoint, config, cleaning, run.out_dir, render=render_page, progress=run.progress
    )
    file = report.directory / chapters.PAGE
    run.record.log_text(file.read_text(encoding="utf-8"), chapters.PAGE)
    for name, figure in draw_pictures(read_json(report.directory / REPORT)["chapters"]):
        run.record.log_figure(figure, f"figures/{name}")
    report_link("anatomy", Path(file), run.record.link)
    return report
