"""Train, dev and test: found in a folder, named one by one, or loaded by a dataset's name."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.data.columns import Columns
from edgebert.data.formats import FORMATS, stem_and_format
from edgebert.data.hub import hub_rows, is_hub_name, is_saved_dataset, load_hub, rows_sha256
from edgebert.data.readers import Row, Text, read_rows
from edgebert_runtime.errors import DataError, UsageError

NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
DEV_SHARE = 0.1
DEV_MOST = 2000

_Found = tuple[dict[str, tuple[Row, ...]], dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Splits:
    """A dataset, read and checked.

    Attributes:
        test: empty where the dataset has none.
        fingerprint: split name -> {"file", "sha256", "rows"}, for the provenance in a bundle; a dev split that
            was held out of train is {"held_out_of": "train", "rows"}, and train's "rows" are those left.
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    fingerprint: dict[str, dict[str, Any]]


def load_splits(
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    columns: Columns = Columns(),
) -> Splits:
    """Read a dataset: `data` is a folder, or a Hugging Face name; or name the files one by one.

    A folder holds train and, if it has them, dev (or validation, valid, val) and test, of any accepted type;
    other files in it are left alone. `dev` and `test` may be named beside `data` and then replace its own.
    Where there is no dev split a tenth of train is held out (see `hold_out`).

    Raises:
        UsageError: neither or both of `data` and `train` are given.
        DataError: a file, column or row is missing or bad.
    """
    if (data is None) == (train is None):
        raise UsageError("say where the data is: --data with a folder or a dataset name, or --train with a file.")
    with _readable():
        found, fingerprint = _read_splits(data, train, dev, test, columns)
    if "train" not in found:
        raise DataError(f"{data}: there is no train split. Add one, or name the file with --train.")
    if "dev" not in found:
        found["train"], found["dev"] = hold_out(found["train"])
        fingerprint["train"]["rows"] = len(found["train"])
        fingerprint["dev"] = {"held_out_of": "train", "rows": len(found["dev"])}
    _check_same_shape(found)
    return Splits(found["train"], found["dev"], found.get("test", ()), fingerprint)


def _read_splits(
    data: str | Path | None,
    train: str | Path | None,
    dev: str | Path | None,
    test: str | Path | None,
    columns: Columns,
) -> _Found:
    found: dict[str, tuple[Row, ...]] = {}
    fingerprint: dict[str, dict[str, Any]] = {}
    named = {name: Path(path) for name, path in (("train", train), ("dev", dev), ("test", test)) if path is not None}
    files = dict(named)
    if data is not None:
        if _from_hub(data):
            found, fingerprint = _load_hub_splits(str(data), columns, skip=set(named))
        else:
            files = {**_find_files(Path(data)), **named}
    for name, path in files.items():
        found[name] = tuple(read_rows(path, columns))
        fingerprint[name] = _fingerprint(path, found[name])
    return found, fingerprint


def load_evaluation(data: str | Path, columns: Columns = Columns()) -> tuple[tuple[Row, ...], dict[str, Any]]:
    """The rows to evaluate on, with their fingerprint: a file's own, else the test split, else the dev split.

    Raises:
        DataError: there is neither, or a row is bad.
    """
    path = Path(data)
    with _readable():
        if path.is_file() or stem_and_format(path)[1]:
            rows = tuple(read_rows(path, columns))
            return rows, _fingerprint(path, rows)
        if _from_hub(data):
            found, fingerprint = _load_hub_splits(str(data), columns, skip={"train"})
            for name in ("test", "dev"):
                if found.get(name):
                    return found[name], fingerprint[name]
        else:
            files = _find_files(path, needed=())
            for name in ("test", "dev"):
                if name in files:
                    return load_evaluation(files[name], columns)
    raise DataError(f"{data}: there is no test split and no dev split to evaluate on. Name a file with --data.")


def hold_out(rows: Iterable[Row]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Split rows into train and dev: a tenth of each label, at most 2,000 rows, at least one of each label.

    The choice depends on the texts alone (a hash of each), so it is the same on each run and in each row order,
    and equal texts stay on one side. A label with a single text stays in train.

    Raises:
        DataError: nothing can be held out because no label has two different texts.
    """
    rows = tuple(rows)
    groups: dict[Text, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.text].append(row)
    by_label: dict[str, list[Text]] = defaultdict(list)
    for text, members in groups.items():
        by_label[min(row.label or "" for row in members)].append(text)  # one text may stand under two labels
    share = min(DEV_SHARE, DEV_MOST / max(len(rows), 1))
    held: set[Text] = set()
    for texts in by_label.values():
        if len(texts) < 2:
            continue
        texts.sort(key=_text_hash)
        room = max(1, int(share * sum(len(groups[text]) for text in texts)))
        chosen = []
        for text in texts:
            if len(groups[text]) <= room:
                chosen.append(text)
                room -= len(groups[text])
        held.update((chosen or texts[:1])[: len(texts) - 1])
    if not held:
        where = rows[0].source if rows else "train"
        raise DataError(f"{where}: too few rows to hold a dev split out of train. Add rows, or give a dev file.")
    kept = tuple(row for row in rows if row.text not in held)
    return kept, tuple(row for row in rows if row.text in held)


def _fingerprint(path: Path, rows: tuple[Row, ...]) -> dict[str, Any]:
    with path.open("rb") as handle:
        return {"file": path.name, "sha256": hashlib.file_digest(handle, "sha256").hexdigest(), "rows": len(rows)}


@contextmanager
def _readable() -> Iterator[None]:
    """A path that the system refuses (no permission, a name too long) is a data error too."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or "the data")
        where = where if len(where) <= 200 else where[:200] + "..."
        raise DataError(
            f"cannot read {where}: {error.strerror or error}. Check the path and its permissions."
        ) from error


def _text_hash(text: Text) -> bytes:
    return hashlib.sha256(json.dumps(text).encode("ascii")).digest()


def _from_hub(data: str | Path) -> bool:
    return is_saved_dataset(Path(data)) or is_hub_name(str(data))


def _find_files(folder: Path, needed: tuple[str, ...] = ("train",)) -> dict[str, Path]:
    if folder.is_file():
        raise DataError(f"{folder} is a file, and --data wants a folder here. Name the file with --train.")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}. Check the path.")
    files: dict[str, Path] = {}
    for split, names in NAMES.items():
        matches = []
        for path in sorted(folder.iterdir()):
            stem, suffix = stem_and_format(path)
            if stem.lower() in names and suffix not in ("", ".txt") and path.is_file():
                matches.append(path)
        if len(matches) > 1:
            listed = " and ".join(path.name for path in matches)
            raise DataError(f"{folder}: {listed} could each be the {split} split. Keep one, or name it with --{split}.")
        if matches:
            files[split] = matches[0]
        elif split in needed:
            accepted = ", ".join(suffix for suffix in FORMATS if suffix != ".txt")
            present = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
            raise DataError(
                f"{folder}: there is no {split} file ({split} with one of {accepted}; all but Parquet also .gz). "
                f"It holds {present}. Name the file with --{split}."
            )
    return files


def _load_hub_splits(data: str, columns: Columns, skip: set[str]) -> _Found:
    dataset = load_hub(data)
    found: dict[str, tuple[Row, ...]] = {}
    fingerprint: dict[str, dict[str, Any]] = {}
    for split, names in NAMES.items():
        name = next((name for name in names if name in dataset), None)
        if name is None or split in skip:
            continue
        rows = hub_rows(dataset[name], Path(data).name, name, columns)
        if rows:
            found[split] = rows
            fingerprint[split] = {"file": f"{Path(data).name}[{name}]", "sha256": rows_sha256(rows), "rows": len(rows)}
    return found, fingerprint


def _check_same_shape(found: dict[str, tuple[Row, ...]]) -> None:
    """A dataset of pairs with a split of single sentences would train one model and test another."""
    first = found["train"][0]
    for rows in found.values():
        if rows and isinstance(rows[0].text, str) != isinstance(first.text, str):
            raise DataError(
                f"{rows[0].source} and {first.source} differ: one holds single texts, the other pairs. "
                "Name the columns with --text-column and --text-pair-column."
            )
