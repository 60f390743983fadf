"""Documents: read from common file formats, cleaned by switchable rules, split by a hash."""

from gpt_core.text.cleaning import Cleaner, clean_corpus, language_of
from gpt_core.text.corpus import (
    SPLITS,
    Document,
    DocumentWriter,
    Split,
    count_row_groups,
    documents_file,
    iter_documents,
    iter_texts,
    read_documents,
    read_row_group,
    split_of,
)
from gpt_core.text.examples import (
    Example,
    InstructionExample,
    read_examples,
    read_instructions,
)
from gpt_core.text.reading import read_texts
from gpt_core.text.records import RecordFormat, read_record_file
from gpt_core.text.sources import register_source, source_files, source_path

__all__ = [
    "SPLITS",
    "Cleaner",
    "Document",
    "DocumentWriter",
    "Example",
    "InstructionExample",
    "RecordFormat",
    "Split",
    "clean_corpus",
    "count_row_groups",
    "documents_file",
    "iter_documents",
    "iter_texts",
    "language_of",
    "read_documents",
    "read_examples",
    "read_instructions",
    "read_record_file",
    "read_row_group",
    "read_texts",
    "register_source",
    "source_files",
    "source_path",
    "split_of",
]
