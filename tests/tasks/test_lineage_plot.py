"""The picture of a lineage: every artifact once, an arrow for every input."""

from dataclasses import replace

from matplotlib.figure import Figure

from tasks.lineage import Lineage, StageRunInfo
from tasks.lineage_plot import plot_lineage

RUN = StageRunInfo(
    run_id="ab" * 16, stage="encode_corpus", commit="cd" * 20, started="2026-11-26T07:14:08+00:00"
)
RAW = Lineage(
    name="raw:mine", fingerprint="f0", path="/data/raw/mine", run=None, config=None,
    metrics={}, raw_files={f"{n}.txt": f"{n}e" * 32 for n in range(3)}, parents=(),
)  # fmt: skip


def derived(name: str, *parents: Lineage, path: str | None = "/data/x") -> Lineage:
    return replace(
        RAW, name=name, fingerprint=name, raw_files={}, parents=parents, run=RUN, path=path
    )


def texts(drawn: Figure) -> list[str]:
    return [text.get_text() for text in drawn.axes[0].texts]


def test_every_artifact_is_drawn_once_with_its_run_and_an_arrow_for_each_input() -> None:
    corpus = derived("documents:mine", RAW)
    tokenizer = derived("tokenizer:mine", corpus)
    found = texts(plot_lineage(derived("shards:mine", corpus, tokenizer)))
    boxes = [text for text in found if text]
    assert [box.splitlines()[0] for box in boxes] == ["shards", "documents", "raw", "tokenizer"]
    assert found.count("") == 4, "arrows"
    assert boxes[0].splitlines()[2:] == [
        "encode_corpus", "2026-11-26 07:14 UTC", "run ababababab, commit cdcdcdcdcd",
    ]  # fmt: skip
    assert "0.txt: sha256 0e0e0e0e0e\n1.txt: sha256 1e1e1e1e1e\nand 1 more files" in boxes[2]


def test_what_was_removed_is_said() -> None:
    (box,) = texts(plot_lineage(derived("shards:gone", path=None)))
    assert "not here any more" in box
