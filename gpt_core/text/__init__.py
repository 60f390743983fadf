"""Documents: read from common file formats, cleaned by switchable rules, split by a hash."""

from gpt_core.text.cleaned_corpus import clean_corpus
from gpt_core.text.cleaning import Cleaner, language_of
from gpt_core.text.corpus import (
    SPLITS,
    Document,
    DocumentWriter,
    RowGroup,
    Split,
    iter_documents,
    iter_texts,
    list_row_groups,
    read_documents,
    read_row_group,
    read_row_group_documents,
    split_of,
)
from gpt_core.text.examples import (
    Example,
    ExampleFile,
    InstructionExample,
    Row,
    read_examples,
    read_instructions,
)
from gpt_core.text.labels import positive_label
from gpt_core.text.leakage import asked_text
from gpt_core.text.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    text_hash,
)
from gpt_core.text.parquet_files import parquet_errors
from gpt_core.text.preferences import (
    PreferenceFile,
    PreferencePair,
    PreferenceSplits,
    read_preference_splits,
    read_preferences,
)
from gpt_core.text.probe import TextProbe, probe_texts
from gpt_core.text.reading import read_texts
from gpt_core.text.records import RecordFormat, file_errors, read_objects, read_record_file
from gpt_core.text.rows import TableLayout, TableRow, WantedColumns, find_layout, read_rows
from gpt_core.text.sources import (
    file_entry,
    is_pattern,
    is_registered,
    local_path,
    path_exists,
    register_source,
    source_files,
    source_path,
)
from gpt_core.text.splits import (
    ExampleSplits,
    InstructionSplits,
    Splits,
    balance,
    label_weights,
    read_example_splits,
    read_instruction_splits,
    split_examples,
    split_instructions,
)

__all__ = [
    "SPLITS",
    "Cleaner",
    "Document",
    "DocumentWriter",
    "Example",
    "ExampleFile",
    "ExampleSplits",
    "InstructionExample",
    "InstructionSplits",
    "PreferenceFile",
    "PreferencePair",
    "PreferenceSplits",
    "RecordFormat",
    "Row",
    "RowGroup",
    "Split",
    "Splits",
    "TableLayout",
    "TableRow",
    "TextProbe",
    "WantedColumns",
    "asked_text",
    "balance",
    "clean_corpus",
    "file_entry",
    "file_errors",
    "find_layout",
    "find_near_duplicates",
    "group_near_duplicates",
    "is_pattern",
    "is_registered",
    "iter_documents",
    "iter_texts",
    "label_weights",
    "language_of",
    "list_row_groups",
    "local_path",
    "parquet_errors",
    "path_exists",
    "positive_label",
    "probe_texts",
    "read_documents",
    "read_example_splits",
    "read_examples",
    "read_instruction_splits",
    "read_instructions",
    "read_objects",
    "read_preference_splits",
    "read_preferences",
    "read_record_file",
    "read_row_group",
    "read_row_group_documents",
    "read_rows",
    "read_texts",
    "register_source",
    "source_files",
    "source_path",
    "split_examples",
    "split_instructions",
    "split_of",
    "text_hash",
]
