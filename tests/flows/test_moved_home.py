"""A home that is moved to another folder keeps its cache, its records and its lineage."""

import re
from dataclasses import replace
from typing import Any


def test_a_moved_home_keeps_every_stage_cached(cli: Any, small: list[str]) -> None:
    first = cli.run("prepare", *small)
    assert first.code == 0, first.out + first.err
    assert cli.run("down").out == "stopped\n"
    experiment = cli.mlflow_client().get_experiment_by_name("gptflow").experiment_id
    (flow,) = cli.mlflow_client().search_runs([experiment], "tags.stage = 'prepare'")
    assert flow.data.tags["artifact.encode_corpus"].startswith(f"{cli.home}/data/shards/")

    moved = replace(cli, home=cli.home.with_name("elsewhere"))
    cli.home.rename(moved.home)
    try:
        again, lineage = moved.run_several([["prepare", *small], ["lineage", flow.info.run_id]])
    finally:
        moved.run("down")
    assert again.code == 0, again.out + again.err
    assert len(re.findall(r"✓ \w+ \(there already\)  /\S+/elsewhere/data/", again.out)) == 3
    place = moved.mlflow_client().get_experiment(experiment).artifact_location
    assert place == str(moved.home / "mlflow" / "artifacts")
    assert lineage.code == 0, lineage.err
    assert re.search(r"text\.txt  sha256 \w{16}", lineage.out)
    assert not cli.home.exists(), "nothing was written where the home was"
