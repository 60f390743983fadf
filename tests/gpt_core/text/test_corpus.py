"""Documents are read as they were written, and their split depends on their id alone."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import new_artifact
from gpt_core.errors import DataError
from gpt_core.text import (
    SPLITS,
    Document,
    DocumentWriter,
    iter_documents,
    iter_texts,
    list_row_groups,
    read_row_group,
    split_of,
)

FRACTIONS = st.floats(0, 0.5)


@given(st.text(), FRACTIONS, FRACTIONS)
def test_a_larger_test_fraction_keeps_the_test_documents(
    document_id: str, validation: float, test: float
) -> None:
    if split_of(document_id, validation, test / 2) == "test":
        assert split_of(document_id, validation, test) == "test"


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.2), (0.05, 0.05), (0.0, 0.5)])
def test_the_splits_have_about_the_configured_fractions(validation: float, test: float) -> None:
    splits = [split_of(f"doc#{number}", validation, test) for number in range(20_000)]
    assert abs(splits.count("validation") / len(splits) - validation) < 0.01
    assert abs(splits.count("test") / len(splits) - test) < 0.01


@pytest.mark.parametrize(
    ("texts", "n_groups"),
    [(["text"] * 70_000, 2), (["x" * 500_000] * 7, 3), ([], 0)],
    ids=["many", "long", "none"],
)
def test_documents_come_back_in_order_from_several_row_groups(
    tmp_path: Path, texts: list[str], n_groups: int
) -> None:
    documents = [Document(f"a#{i}", text, "a") for i, text in enumerate(texts)]
    with new_artifact(tmp_path / "made", kind="documents") as draft:
        for split in SPLITS:
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for document in documents:
                    writer.write(document)
    assert writer.n_documents == len(texts)
    assert writer.n_characters == sum(map(len, texts))
    groups = list_row_groups(draft.artifact, "test")
    assert len(groups) == n_groups
    assert [text for group in groups for text in read_row_group(group.file, group.number)] == texts
    assert list(iter_texts(draft.artifact, "test")) == texts
    assert list(iter_documents(draft.artifact, "test")) == documents


def test_a_damaged_file_raises_a_one_line_error(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "made", kind="documents") as draft:
        (draft.directory / "train.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"train.parquet cannot be read as documents"):
        list(iter_texts(draft.artifact, "train"))


def test_buffered_documents_are_not_written_after_an_exception(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        DocumentWriter(tmp_path / "a.parquet") as writer,
    ):
        writer.write(Document("1", "text", "a"))
        raise RuntimeError("stop")
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_rows == 0
