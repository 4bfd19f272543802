"""Datasets by their Hugging Face name, through the `datasets` library."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from edgebert.data.columns import Columns, find_fields
from edgebert.data.readers import Row, to_row
from edgebert_runtime.errors import DataError, MissingExtraError, require

PREFIX = "hf:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")


def is_hub_name(data: str) -> bool:
    """True for "hf:NAME", and for a NAME, OWNER/NAME or OWNER/NAME:CONFIG that does not look like a path here."""
    if data.startswith(PREFIX):
        return True
    path = Path(data)
    in_a_folder = path.parent != Path() and path.parent.exists()  # then a missing name is more likely a typo
    return _NAME.fullmatch(data) is not None and not path.exists() and not path.suffix and not in_a_folder


def is_saved_dataset(folder: Path) -> bool:
    """True for a folder that `DatasetDict.save_to_disk` wrote."""
    return (folder / "dataset_dict.json").is_file()


def load_hub(data: str) -> Any:
    """Load a `datasets.DatasetDict` by name, by "hf:FOLDER", or from a folder that `save_to_disk` wrote.

    Raises:
        DataError: there is no such dataset, or it cannot be reached.
        MissingExtraError: `datasets` is not installed.
    """
    name = data.removeprefix(PREFIX)
    try:
        datasets = require("datasets", "data")
    except MissingExtraError as error:
        raise MissingExtraError(
            f"there is no file or folder {name!r}, and to read it as a dataset's name {error}"
        ) from error
    try:
        if is_saved_dataset(Path(name)):
            return datasets.load_from_disk(name)
        if Path(name).exists():
            return datasets.load_dataset(name)
        repository, _, config = name.partition(":")
        return datasets.load_dataset(repository, config or None)
    except Exception as error:  # the library raises a dozen unrelated types here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"there is no file or folder {name!r}, and no dataset of that name could be loaded: {reason.rstrip('.')}. "
            "Check the path or the name; a configuration is written NAME:CONFIG."
        ) from error


def hub_rows(dataset: Any, name: str, split: str, columns: Columns) -> tuple[Row, ...]:
    """The rows of one split; class numbers become class names.

    Returns no rows where every label is -1, the way public test sets hide their labels.
    """
    where = f"{name}[{split}]"
    if not dataset.num_rows:
        raise DataError(f"{where}: the split is empty.")
    fields = find_fields(where, list(dataset.column_names), columns, labelled=True)
    assert fields.label is not None
    names = getattr(dataset.features[fields.label], "names", None)
    if names and set(dataset[fields.label]) == {-1}:
        return ()
    rows = []
    for number, record in enumerate(dataset, start=1):
        value = record[fields.label]
        if names and isinstance(value, int):
            record = {**record, fields.label: names[value] if 0 <= value < len(names) else None}
        rows.append(to_row(record, fields, f"{where}:{number}"))
    return tuple(rows)


def rows_sha256(rows: tuple[Row, ...]) -> str:
    """A fingerprint of the rows themselves, for data that is not one file."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.text, row.label]).encode("ascii") + b"\n")
    return digest.hexdigest()
