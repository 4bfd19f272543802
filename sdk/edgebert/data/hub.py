"""Datasets by their Hugging Face name, through the `datasets` library."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from edgebert.data.columns import LABELS, TAGS, Columns, match
from edgebert.data.formats import class_name
from edgebert.data.readers import Reader, Row, Text
from edgebert.data.stream import Stream
from edgebert_runtime.errors import DataError, MissingExtraError, require

PREFIX = "hf:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")


class RowTask(Protocol):
    """What is needed of a task to read its data; `edgebert.tasks.Task` has it."""

    @property
    def labelled(self) -> bool:
        """Whether its rows hold more than text; text alone is read as a stream, and a .txt will do."""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """What makes rows of the records of the file `where`, whose columns are `found`."""

    def keys(self, row: Row) -> tuple[str, str]:
        """What must stay on one side when dev is held out of train, and the stratum that gives a share."""

    def texts(self, rows: Sequence[Row]) -> list[Text]:
        """What a model is asked about these rows."""


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


def hub_rows(dataset: Any, name: str, split: str, columns: Columns, task: RowTask) -> Sequence[Row]:
    """The rows of one split; class numbers become class names.

    Returns no rows where every label is -1, the way public test sets hide their labels.
    """
    where = f"{name}[{split}]"
    if not dataset.num_rows:
        raise DataError(f"{where}: the split is empty.")
    found = list(dataset.column_names)
    read = task.reader(where, found, columns, task.labelled)

    def rows() -> Iterator[Row]:
        return (read(record, f"{where}:{number}") for number, record in enumerate(hub_records(dataset), start=1))

    if not task.labelled:
        return Stream(rows, lambda row: task.keys(row)[0])
    if _hidden(dataset, columns.label or match((*LABELS, *TAGS), found)):
        return ()
    return tuple(rows())


def hub_records(dataset: Any) -> Iterator[dict[str, object]]:
    """The records of one split, with class names in place of class numbers."""
    names = {}
    for column, feature in dataset.features.items():
        kind = getattr(feature, "feature", feature)  # of a list: of its items
        if isinstance(listed := getattr(kind, "names", None), list):
            names[column] = listed
    for record in dataset:
        yield {
            column: class_name(value, names[column]) if column in names else value for column, value in record.items()
        }


def _hidden(dataset: Any, column: str | None) -> bool:
    """True where every value of the column is -1, or a list of nothing else."""
    return column is not None and all(
        value == -1 or (isinstance(value, list) and set(value) == {-1}) for value in dataset[column]
    )


def rows_sha256(rows: Iterable[Row]) -> str:
    """A fingerprint of the rows themselves, for data that is not one file."""
    digest = hashlib.sha256()
    for row in rows:
        # `Words` and `Answers` are dataclasses, which JSON does not know.
        digest.update(json.dumps([row.text, row.gold], default=asdict).encode("ascii") + b"\n")
    return digest.hexdigest()
