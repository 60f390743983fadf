"""Judged answers as MLflow traces with assessments, made by MLflow's own evaluation and a scorer.

``mlflow.genai.evaluate`` prints, starts threads and retries for minutes where a server is away, so
it runs in a process of its own, which is ended after a limit:
``python -m tasks.tracking.assessments`` with a request as JSON on its standard input.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from gpt_core.artifact import Artifact
from gpt_core.judging import JUDGEMENTS, Item, Score
from gpt_core.redaction import redact
from tasks.tracking.store import answers, tracking_uri

if TYPE_CHECKING:
    from mlflow.genai.scorers import Scorer

_NAME = "judge"
_BASE_SECONDS, _SECONDS_EACH = 240.0, 3.0  # after which MLflow is not waited for
_UNSCORED = "UNSCORED"


def log_assessments(run_id: str, report: Artifact, judge: str, limit: int) -> str:
    """Record judged answers as traces of a run, each with the judge's assessment.

    Args:
        run_id: The run.
        report: A judge's report.
        judge: The judge's name.
        limit: How many answers, at most.

    Returns:
        Why MLflow did not get them; empty if it did.
    """
    if not limit:
        return ""
    if not answers(tracking_uri()):
        return "the MLflow server does not answer"
    request = {
        "run": run_id,
        "table": str(report.directory / JUDGEMENTS),
        "judge": judge,
        "reliable": report.metrics().get("judge_reliable") == 1.0,
        "limit": limit,
    }
    seconds = _BASE_SECONDS + _SECONDS_EACH * limit
    command = [sys.executable, "-m", "tasks.tracking.assessments"]
    try:
        ended = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"MLflow took longer than {seconds:.0f} s"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
    return redact(lines[-1])[:400]


def judge_scorer(score: Callable[[Item], Score], judge: str, *, reliable: bool) -> "Scorer":
    """A scorer for ``mlflow.genai.evaluate`` by which each row gets the judge's assessment.

    A row has ``instruction`` and ``input`` in its inputs, the answer as its output and the right
    one as expectation ``expected_response``. An answer without a score gets the reason as error.
    The score of an unreliable judge is recorded as text, of which MLflow makes no mean.

    Args:
        score: Scores an answer, such as ``partial(score_item, judge, scale="rubric")``.
        judge: The judge's name, the source of the assessments.
        reliable: Whether the judge passed its check.
    """
    from mlflow.entities import AssessmentError, AssessmentSource, Feedback
    from mlflow.genai.scorers import scorer

    @scorer(name=_NAME, aggregations=[])  # the run has the mean, with how many it is of
    def assess(inputs: dict[str, str], outputs: str, expectations: dict[str, str]) -> Feedback:
        found = score(_item(inputs, outputs, expectations))
        source = AssessmentSource(source_type="LLM_JUDGE", source_id=judge)
        about = {"status": found.status, "read_as": found.read_as, "calls": str(found.calls)}
        about["reliable"] = str(reliable)
        if found.value is None:
            error = AssessmentError(error_code=_UNSCORED, error_message=found.reason)
            return Feedback(source=source, error=error, metadata=about)
        value = found.value if reliable else f"{found.value:g}"
        rationale = found.rationale or found.reason
        return Feedback(value=value, source=source, rationale=rationale, metadata=about)

    return assess


def _item(inputs: dict[str, str], outputs: str, expectations: dict[str, str]) -> Item:
    return Item(
        instruction=inputs["instruction"],
        input=inputs.get("input", ""),
        reference=expectations["expected_response"],
        answer=outputs,
    )


def _record(request: dict[str, object]) -> int:
    """Evaluate the answers of a table with the scores in it; the number of answers."""
    import mlflow
    import pandas as pd

    rows = pd.read_parquet(Path(str(request["table"]))).head(int(str(request["limit"])))
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    names = {each.name: each.name for each in fields(Score)} | {"value": "score"}
    known, data = {}, []
    for row in records:
        item = Item(**{each.name: row[each.name] for each in fields(Item)})
        known[item] = Score(**{name: row[key] for name, key in names.items() if key in row})
        data.append(
            {
                "inputs": {"instruction": item.instruction, "input": item.input},
                "outputs": item.answer,
                "expectations": {"expected_response": item.reference},
            }
        )
    assess = judge_scorer(
        known.__getitem__, str(request["judge"]), reliable=request["reliable"] is True
    )
    with mlflow.start_run(run_id=str(request["run"])):
        mlflow.genai.evaluate(data=data, scorers=[assess])
    return len(data)


def main() -> None:
    """Record what the request on standard input names."""
    from tasks.environment import configure_environment
    from tasks.tracking.store import client

    configure_environment()
    request = json.loads(sys.stdin.read())
    client()
    _record(request)


if __name__ == "__main__":
    main()
