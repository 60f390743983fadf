"""Checkpoints are found, compared and pruned by their manifests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, _fingerprint
from gpt_core.checkpoints import TRAINING_STATE, list_steps
from gpt_core.errors import CheckpointError, DataError
from gpt_core.files import read_json, sha256_file, write_json
from gpt_core.manifest import MANIFEST, read_manifest
from gpt_core.models import build_model, weights_of
from gpt_core.training import checkpoint as checkpoint_module
from gpt_core.training.checkpoint import (
    Snapshot,
    best_checkpoint,
    latest_checkpoint,
    lock_run_dir,
    prune,
    remove_leftovers,
    require_best,
    require_same_run,
    save_checkpoint,
    step_of,
)


@pytest.fixture
def save(shards: Artifact, config_of, tmp_path: Path) -> Callable[..., Artifact]:
    """Saves a checkpoint at a step, with a validation loss or without one."""

    def save_at(step: int, loss: float | None = None) -> Artifact:
        metrics = {} if loss is None else {"validation_loss": loss}
        config = config_of(model={"vocab_size": 257})
        snapshot = Snapshot(
            step=step, weights=weights_of(build_model(config.model, seed=step)),
            state={"step": step}, config=config, parents=[shards], metrics=metrics,
        )  # fmt: skip
        return save_checkpoint(tmp_path, snapshot)

    return save_at


def test_the_best_checkpoint_has_the_lowest_validation_loss(
    save: Callable[..., Artifact], tmp_path: Path
) -> None:
    assert best_checkpoint(tmp_path) is None
    save(2)
    newest = save(4)
    assert best_checkpoint(tmp_path) == newest, "none was evaluated"
    best = save(6, 1.0)
    save(8, 2.0)
    assert best_checkpoint(tmp_path) == best
    assert require_best(tmp_path) == best


def test_a_run_without_a_checkpoint_has_no_best_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint after training"):
        require_best(tmp_path)


def test_the_latest_checkpoint_is_the_newest_intact_one(
    save: Callable[..., Artifact], tmp_path: Path
) -> None:
    assert latest_checkpoint(tmp_path) == (None, [])
    first, second = save(2), save(4)
    assert latest_checkpoint(tmp_path) == (second, [])
    (second.directory / TRAINING_STATE).write_bytes(b"")
    found, notices = latest_checkpoint(tmp_path)
    assert found == first
    assert len(notices) == 1
    assert notices[0].endswith("the checkpoint before it is used")
    (first.directory / "manifest.json").unlink()
    found, notices = latest_checkpoint(tmp_path)
    assert found is None
    assert notices[1].endswith("no earlier one is intact")


def test_pruning_keeps_the_newest_and_the_best(
    save: Callable[..., Artifact], tmp_path: Path
) -> None:
    for step, loss in ((2, 1.0), (4, 0.5), (6, 2.0), (8, 3.0), (10, 4.0)):
        save(step, loss)
    prune(tmp_path, keep_last=2)
    names = ["step-00000010", "step-00000008", "step-00000004"]
    assert [path.name for path in list_steps(tmp_path)] == names
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_step_is_read_back(save: Callable[..., Artifact]) -> None:
    assert (step_of(save(7)), step_of(None)) == (7, 0)


def test_the_records_are_on_disk_before_the_checkpoint_is(
    save: Callable[..., Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics.jsonl").touch()
    synced: list[tuple[Path, bool]] = []
    target = tmp_path / "step-00000002"
    monkeypatch.setattr(
        checkpoint_module, "sync_file", lambda path: synced.append((path, target.exists()))
    )
    save(2)
    assert synced == [(tmp_path / "metrics.jsonl", False)]


def test_only_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000004.shards").mkdir()
    (tmp_path / ".metrics.jsonl.x1").write_text("")
    kept = [tmp_path / name for name in ("metrics.jsonl", ".notes", "step-00000002")]
    for path in kept:
        path.write_text("")
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_locked_directory_is_refused_until_it_is_released(tmp_path: Path) -> None:
    with (
        lock_run_dir(tmp_path),
        pytest.raises(CheckpointError, match=r"is in use by process \d+"),
        lock_run_dir(tmp_path),
    ):
        pass
    with lock_run_dir(tmp_path):
        assert tmp_path.is_dir()


def test_a_checkpoint_of_another_run_is_refused(
    save: Callable[..., Artifact], shards: Artifact, config_of
) -> None:
    checkpoint = save(2)
    require_same_run(checkpoint, config_of(model={"vocab_size": 257}), [shards])
    with pytest.raises(CheckpointError, match=r"training\.micro_batch was 4, is now 8"):
        require_same_run(checkpoint, config_of(micro_batch=8, model={"vocab_size": 257}), [shards])
    with pytest.raises(CheckpointError, match=r"compute\.fit_memory was False, is now True"):
        fitting = config_of(compute={"fit_memory": True}, micro_batch=8, model={"vocab_size": 257})
        require_same_run(checkpoint, fitting, [shards])
    with pytest.raises(CheckpointError, match="did not begin as the same model"):
        require_same_run(checkpoint, config_of(model={"vocab_size": 257}), [shards, checkpoint])


def forge(checkpoint: Artifact, name: str, change: Callable[[dict], object]) -> None:
    """Change a JSON file of a checkpoint, and every hash that covers it."""
    content = read_json(checkpoint.directory / name)
    change(content)
    write_json(checkpoint.directory / name, content)
    if name != MANIFEST:
        file = checkpoint.directory / name
        entry = {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        forge(checkpoint, MANIFEST, lambda manifest: manifest["files"].update({name: entry}))
    elif "fingerprint" in content:
        try:
            content["fingerprint"] = _fingerprint(read_manifest(checkpoint.directory))
        except DataError:
            return
        write_json(checkpoint.directory / name, content)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (MANIFEST, lambda m: m["info"].pop("ended"), "should have bool at info.ended"),
        (MANIFEST, lambda m: m["info"].pop("step"), "should have int at info.step"),
        (MANIFEST, lambda m: m["info"].update(step="4"), "should have int at info.step"),
        (MANIFEST, lambda m: m["info"].update(step=8), "has the description of step 4"),
        (MANIFEST, lambda m: m.pop("info"), "is not a manifest"),
        (MANIFEST, lambda m: m.pop("fingerprint"), "is not a manifest"),
        (MANIFEST, lambda m: m["files"].pop("training_state.pt"), "lacks training_state.pt"),
        (MANIFEST, lambda m: m["files"].update({"../x": m["files"]["config.json"]}), "leads out"),
        ("config.json", lambda c: c.pop("model"), "the setting model is missing"),
        ("config.json", lambda c: c["model"].pop("vocab_size"), "vocab_size is missing"),
        ("config.json", lambda c: c["model"].update(n_layer=9_999), "lacks the tensor h.2"),
        ("config.json", lambda c: c["model"].update(n_embd=2**20), "has shape"),
    ],
)
def test_a_forged_checkpoint_is_passed_over_with_a_notice(
    save: Callable[..., Artifact],
    tmp_path: Path,
    name: str,
    change: Callable[[dict], object],
    message: str,
) -> None:
    first, second = save(2), save(4)
    forge(second, name, change)
    found, (notice,) = latest_checkpoint(tmp_path)
    assert found == first
    assert message in notice
    assert notice.endswith("the checkpoint before it is used")


def test_other_folders_are_no_steps(save: Callable[..., Artifact], tmp_path: Path) -> None:
    first = save(2)
    for name in ("step-1a", "step-00000009x", "step-9"):
        (tmp_path / name).mkdir()
    assert latest_checkpoint(tmp_path) == (first, [])
