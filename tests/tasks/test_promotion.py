"""Models are promoted by the gate, from the command line and at the end of a run."""

import json
import threading
from pathlib import Path

import pytest
from models import language_model, prepare_shards
from webhook import Hook

from gpt_core.artifact import Artifact
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import ConfigError, DataError
from tasks.notifications import ADDRESSES, flush
from tasks.progress import Display, use_display
from tasks.promotion import named_version, promote, promote_models, take_back
from tasks.tracking import champions, client, registered_checkpoint, tracked_flow

CONFIG = load_config(settings=["registry.max_bytes=2000"])
NAME = "language-model"


@pytest.fixture
def made(home: Path, project_root: Path) -> list[Artifact]:
    """Three language models, each better than the one before."""
    shards = prepare_shards(home, project_root / "data/samples/text/english.txt")
    return [language_model(home, shards, f"m-{n}", n) for n in (90.0, 60.0, 1.0)]


class Notices(Display):
    """Records notices."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def notice(self, message: str) -> None:
        self.seen.append(message)


def champion() -> Artifact:
    return registered_checkpoint(f"models:/{NAME}@champion")


def test_a_worse_candidate_is_refused_and_a_better_one_promoted(made: list[Artifact]) -> None:
    worst, middle, best = made
    display = Notices()
    with use_display(display), tracked_flow("run", RunConfig(), {}) as flow:
        flow.note("pretrain", middle)
        promote_models(flow, CONFIG)
        assert champion() == middle, "the first one has nothing to be compared with"
        flow.note("pretrain", worst)
        promote_models(flow, CONFIG)
    tags = client().get_run(flow.run_id).data.tags
    refused = tags[f"promotion.{NAME}"]
    assert refused.startswith(
        "language-model version 2 is worse than the champion, version 1: bits"
    )
    assert display.seen[-1] == refused
    assert "refused.because" in named_version(f"{NAME}@2").tags
    outcome = promote(named_version(NAME), CONFIG, "a demonstration")
    assert (outcome.is_champion, champion()) == (True, worst)
    assert named_version(f"models:/{NAME}@champion").tags["promoted.reason"] == "a demonstration"
    assert take_back(NAME)[1].version == 1
    with tracked_flow("run", RunConfig(), {}) as flow:
        flow.note("pretrain", best)
    outcome = promote(named_version(NAME), CONFIG)
    assert (outcome.is_champion, champion()) == (True, best)
    (row,) = json.loads(named_version(NAME).tags["compared"])
    assert row[:2] == ["held-out text", "bits_per_byte"]
    assert row[2] < row[3]
    assert promote(named_version(NAME), CONFIG).sentence.endswith("it is that already")
    assert [version.version for version in champions()] == [3]
    with pytest.raises(ConfigError, match="gptflow promote language-model --rollback"):
        take_back(f"{NAME}@2")
    with pytest.raises(DataError, match="there is no registered model 'nobody'"):
        named_version("nobody")


def test_only_a_model_that_is_better_is_a_message(
    made: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, middle, best = made
    with Hook().serving() as hook, tracked_flow("run", RunConfig(), {}) as flow:
        monkeypatch.setenv(ADDRESSES, hook.address)
        for model in (middle, best, middle):
            flow.note("pretrain", model)
            promote_models(flow, CONFIG)
        flush()
    (text,) = hook.texts
    assert text.startswith("language-model has a better model\nlanguage-model version 2 is the")


def test_of_two_promotions_at_once_none_is_lost(made: list[Artifact]) -> None:
    with tracked_flow("run", RunConfig(), {}) as flow:
        for model in made:
            flow.note("pretrain", model)
    versions = [named_version(f"{NAME}@{number}") for number in (2, 3)]
    threads = [threading.Thread(target=promote, args=(each, CONFIG)) for each in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert champion() == made[2], "whichever came first, the better one is the champion"
