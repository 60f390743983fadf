"""The sizes of a plan are computed from the settings: processes, tokens, memory, time and price."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.declarations import FLOWS
from flows.plan import plan_stages
from flows.sizes import data_sizes, tensor_bytes, training_sizes
from gpt_core.config import RunConfig, load_config
from gpt_core.models import count_parameters, flops_per_token

CLUSTER = (
    "launch.nodes=4", "launch.rendezvous=node-0:29500", "launch.processes=2",
    "training.micro_batch=2", "compute.device=cpu", "plan.flops_per_second=1e12",
    "plan.price_per_hour=12.5", "training.steps=1000", "tokenizer.kind=byte",
    "tokenizer.vocab_size=none",
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def source(tmp_path: Path) -> str:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("a" * 3_000_000)
    (folder / "b.txt").write_text("b" * 1_000_000)
    return f"source={folder}"


def lines_of(config: RunConfig) -> dict[str, str]:
    flow = FLOWS["pretrain"]
    stages = plan_stages(flow, config)
    return dict([*data_sizes(flow, config, stages), *training_sizes(config, stages)])


def test_a_plan_of_several_nodes_has_processes_tokens_memory_time_and_price(source: str) -> None:
    config = load_config("tiny", settings=[source, *CLUSTER])
    lines = lines_of(config)
    assert lines["processes"] == "8, 2 on each of 4 nodes"
    assert lines["tokens of a step"] == "4,096, 512 in each process"
    assert lines["micro-batches of a step"] == "2 of 2 samples each"
    assert lines["source"] == "4.0 MB in 2 files, as they are stored"
    assert lines["token shards"] == "at most 8.0 MB, 2 bytes for a token"
    assert lines["bytes moved"] == "at most 2.0 MB read by each node in an epoch"
    assert lines["disk of the data"].startswith("at most 12.0 MB, free are ")
    model = load_config("tiny", settings=["model.vocab_size=257"]).model
    exchanged = 2 * 4 * count_parameters(model) * 7 / 8 / 1e6
    assert lines["gradients of a step"].startswith(f"{exchanged:.1f} MB sent by each process")
    evaluated = (1000 // config.training.eval_every + 1) * config.training.eval_tokens / 3
    flops = (4096 * 1000 + evaluated) * flops_per_token(model)
    seconds = flops / 8e12
    assert lines["time, estimated"].startswith(f"{seconds:.0f} s of pretraining at 1e+03 GFLOP/s")
    assert "on 8 such" in lines["time, estimated"]
    price = 12.5 * 4 * seconds / 3600
    assert lines["price, estimated"].startswith(
        f"{price:,.2f} for pretraining, at 12.5 for an hour"
    )


def test_shards_of_a_model_take_their_part_of_the_memory() -> None:
    def n_bytes(strategy: str) -> float:
        config = load_config("tiny", settings=[*CLUSTER, f"launch.strategy={strategy}"])
        return tensor_bytes(config, model, local=2)

    model = load_config("tiny", settings=["model.vocab_size=257"]).model
    weights = 28 * count_parameters(model)
    assert n_bytes("ddp") - n_bytes("hsdp") == pytest.approx(weights / 2)
    assert n_bytes("ddp") - n_bytes("fsdp") == pytest.approx(weights * 7 / 8)


def test_one_process_has_no_price_unless_one_is_given(
    source: str, planned: Callable[..., list[str]]
) -> None:
    assert "pretrain" in planned("pretrain")
    lines = lines_of(load_config("tiny", settings=[source, "plan.flops_per_second=1e12"]))
    assert lines["processes"] == "1"
    assert not {"price, estimated", "tokens of a step", "bytes moved"} & lines.keys()
