"""The cluster of a deployment is checked when the file is read."""

from pathlib import Path

import pytest

from flows.clusters import read_cluster
from flows.deployments import FILE_NAME, read_file
from gpt_core.config import load_config
from gpt_core.errors import ConfigError

ENTRY = """
[[deployment]]
name = "Big model"
flow = "pretrain"
preset = "hadith"
settings = ["training.micro_batch=2"]
"""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('type = "pbs"', "type must be one of"),
        ('type = "slurm", nodes = 0', "nodes must be at least 1"),
        ('type = "slurm", home = "data"', "home must be an absolute path"),
        ('type = "slurm", partition = "a b"', "partition has letters"),
        ('type = "slurm", nodes = 3', "3 processes cannot share a step"),
    ],
)
def test_a_wrong_cluster_is_a_sentence(tmp_path: Path, table: str, words: str) -> None:
    text = f"{ENTRY}cluster = {{ {table} }}"
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="deployment 'Big model': cluster: ") as error:
        read_file(tmp_path / FILE_NAME)
    assert words in str(error.value)


def test_a_cluster_stands_alone_and_says_how_many_nodes() -> None:
    nodes = ["launch.nodes=2", "launch.rendezvous=a:1", "training.micro_batch=4"]
    with pytest.raises(ConfigError, match=r"leave them out of settings"):
        read_cluster({"type": "slurm"}, load_config("tiny", settings=nodes))
    with pytest.raises(ConfigError, match=r"write cluster = "):
        read_cluster("slurm", load_config("tiny"))


def test_pools_schedules_and_flows_without_pretraining_are_refused(tmp_path: Path) -> None:
    cluster = 'cluster = { type = "slurm" }\n'
    entries = {
        f'flow = "pretrain"\nschedules = [{{ interval = 60 }}]\n{cluster}': "leave pool and",
        f'flow = "prepare"\n{cluster}': "does not pretrain",
    }
    for entry, words in entries.items():
        settings = 'settings = ["training.micro_batch=4"]\n'
        (tmp_path / FILE_NAME).write_text(f'[[deployment]]\nname = "n"\n{settings}{entry}', "utf-8")
        with pytest.raises(ConfigError, match=words):
            read_file(tmp_path / FILE_NAME)
