"""Folders in which data sets are published and saved: their data among files that describe it.

``datasets`` saves Arrow files beside ``state.json`` and ``dataset_info.json``, and several splits
below ``dataset_dict.json``; a hub has Parquet below a ``README.md`` that begins with YAML.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.files import MAX_JSON_BYTES, read_json
from gpt_core.object_paths import Location

_DATA = (".arrow", ".parquet")
_STATE = "state.json"
_DESCRIPTIONS = (_STATE, "dataset_info.json", "dataset_infos.json", "dataset_dict.json")
_CARD = "README.md"


def without_descriptions(files: Iterable[tuple[str, Location]]) -> list[tuple[str, Location]]:
    """Leave out the files that only describe the data of a data set, and check what they list.

    Args:
        files: The files of a source with their names.

    Raises:
        DataError: If a saved data set lacks a file that it lists.
    """
    named = list(files)
    folders = {place for _, file in named if file.suffix in _DATA for place in file.parents}
    kept = list[tuple[str, Location]]()
    for name, file in named:
        if file.parent not in folders or not _describes(file):
            kept.append((name, file))
        elif file.name == _STATE:
            _require_files(file)
    return kept


def _describes(file: Location) -> bool:
    if file.name != _CARD:
        return file.name in _DESCRIPTIONS
    try:
        with file.open("rb") as stream:
            return stream.read(4) in (b"---\n", b"---\r")
    except OSError:
        return False  # reading it says why


def _require_files(state: Location) -> None:
    """Refuse a saved data set that is not complete."""
    content = _read_state(state)
    listed = content.get("_data_files") if isinstance(content, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if isinstance(name, str) and name and not (state.parent / Path(name).name).is_file():
            raise DataError(
                f"{state} lists {name!r:.200}, which is not beside it: copy the data set again"
            )


def _read_state(state: Location) -> object:
    if isinstance(state, Path):
        return read_json(state)
    with state.open("rb") as stream:
        content = stream.read(MAX_JSON_BYTES)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{state} is not valid JSON: {error}") from error
