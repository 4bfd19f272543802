"""Train, dev and test: found in a folder, named one by one, or loaded by a dataset's name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from edgebert.data.columns import Columns
from edgebert.data.formats import FORMATS, records, stem_and_format
from edgebert.data.hub import RowTask, hub_records, hub_rows, is_hub_name, is_saved_dataset, load_hub, rows_sha256
from edgebert.data.readers import Row, read_rows
from edgebert.data.stream import Stream
from edgebert_runtime.errors import DataError, UsageError

NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
DEV_SHARE = 0.1
DEV_MOST = 2000

_Found = tuple[dict[str, Sequence[Row]], dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Splits:
    """A dataset, read and checked.

    Attributes:
        train: a `Stream` where the task reads text alone: it is of any size, and never in memory as a whole.
        test: empty where the dataset has none.
        fingerprint: split name -> {"file", "sha256", "rows"}, for the provenance in a bundle; a dev split that
            was held out of train is {"held_out_of": "train", "rows"}, and train's "rows" are those left.
    """

    train: Sequence[Row]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    fingerprint: dict[str, dict[str, Any]]


def load_splits(
    data: str | Path | None,
    train: str | Path | None,
    dev: str | Path | None,
    test: str | Path | None,
    columns: Columns,
    task: RowTask,
) -> Splits:
    """Read a dataset: `data` is a folder, or a Hugging Face name; or name the files one by one.

    A folder holds train and, if it has them, dev (or validation, valid, val) and test, of any accepted type;
    other files in it are left alone. `dev` and `test` may be named beside `data` and then replace its own.
    Where there is no dev split a tenth of train is held out (see `hold_out`). A task that reads text alone also takes
    .txt, and at most 512 rows of a dev split, held out or not.

    Raises:
        UsageError: neither or both of `data` and `train` are given.
        DataError: a file, column or row is missing or bad.
    """
    _check_one(data, train)
    with _readable():
        found, fingerprint = _read_splits(data, train, dev, test, columns, task)
        if "train" not in found:
            raise _no_train(data)
        rows = found["train"]
        if "dev" not in found:
            rows, found["dev"] = rows.hold_out() if isinstance(rows, Stream) else hold_out(rows, task.keys)
            fingerprint["train"]["rows"] = len(rows)
            fingerprint["dev"] = {"held_out_of": "train", "rows": len(found["dev"])}
        elif isinstance(found["dev"], Stream):
            found["dev"] = found["dev"].sample()
        found["train"] = rows
        _check_same_shape(found, task)
        return Splits(rows, tuple(found["dev"]), tuple(found.get("test", ())), fingerprint)


def _read_splits(
    data: str | Path | None,
    train: str | Path | None,
    dev: str | Path | None,
    test: str | Path | None,
    columns: Columns,
    task: RowTask,
) -> _Found:
    found: dict[str, Sequence[Row]] = {}
    fingerprint: dict[str, dict[str, Any]] = {}
    named = {name: Path(path) for name, path in (("train", train), ("dev", dev), ("test", test)) if path is not None}
    files = dict(named)
    if data is not None:
        if _from_hub(data):
            found, fingerprint = _load_hub_splits(str(data), columns, task, skip=set(named))
        else:
            files = {**_find_files(Path(data), task.labelled), **named}
    for name, path in files.items():
        found[name] = _read_file(path, columns, task)
        fingerprint[name] = _fingerprint(path, found[name])
    return found, fingerprint


def first_records(data: str | Path | None, train: str | Path | None, count: int = 1000) -> list[Mapping[str, object]]:
    """The first records of train, to tell a task by; class numbers of a Hugging Face dataset are names.

    Raises:
        UsageError: neither or both of `data` and `train` are given.
        DataError: there is no train split, or its file is bad.
    """
    _check_one(data, train)
    with _readable():
        if train is None and data is not None and _from_hub(data):
            dataset = load_hub(str(data))
            if "train" not in dataset:
                raise _no_train(data)
            return list(islice(hub_records(dataset["train"]), count))
        path = Path(train) if train is not None else _find_files(Path(str(data)), labelled=True)["train"]
        return [record for _, record in islice(records(path, labelled=True), count)]


def load_evaluation(data: str | Path, columns: Columns, task: RowTask) -> tuple[tuple[Row, ...], dict[str, Any]]:
    """The rows to evaluate on, with their fingerprint: a file's own, else the test split, else the dev split.

    Raises:
        DataError: there is neither, or a row is bad.
    """
    path = Path(data)
    with _readable():
        if path.is_file() or stem_and_format(path)[1]:
            rows = tuple(_read_file(path, columns, task))
            return rows, _fingerprint(path, rows)
        if _from_hub(data):
            found, fingerprint = _load_hub_splits(str(data), columns, task, skip={"train"})
            for name in ("test", "dev"):
                if found.get(name):
                    return tuple(found[name]), fingerprint[name]
        else:
            files = _find_files(path, task.labelled, needed=())
            for name in ("test", "dev"):
                if name in files:
                    return load_evaluation(files[name], columns, task)
    raise DataError(
        f"{data}: there is no test split and no dev split to evaluate on. Name a file with --data."
        f"{_for_text(path, task.labelled)}"
    )


def hold_out(rows: Iterable[Row], keys: Callable[[Row], tuple[str, str]]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Split rows into train and dev: a tenth of each stratum, at most 2,000 rows, at least one group of each.

    The choice depends on the groups alone (a hash of each), so it is the same on each run and in each row order, and
    a group stays on one side. A stratum with a single group stays in train.

    Args:
        keys: the group and the stratum of a row, such as its text and its label.
    Raises:
        DataError: nothing can be held out because no stratum has two groups.
    """
    rows = tuple(rows)
    sizes: dict[str, int] = defaultdict(int)
    stratum_of: dict[str, str] = {}
    for row in rows:
        group, stratum = keys(row)
        sizes[group] += 1
        stratum_of[group] = min(stratum, stratum_of.get(group, stratum))  # one text may stand under two labels
    strata: dict[str, list[str]] = defaultdict(list)
    for group, stratum in stratum_of.items():
        strata[stratum].append(group)
    share = min(DEV_SHARE, DEV_MOST / max(len(rows), 1))
    held: set[str] = set()
    for groups in strata.values():
        if len(groups) < 2:
            continue
        groups.sort(key=_hash)
        room = max(1, int(share * sum(sizes[group] for group in groups)))
        chosen = []
        for group in groups:
            if sizes[group] <= room:
                chosen.append(group)
                room -= sizes[group]
        held.update((chosen or groups[:1])[: len(groups) - 1])
    if not held:
        where = rows[0].source if rows else "train"
        raise DataError(f"{where}: too few rows to hold a dev split out of train. Add rows, or give a dev file.")
    kept = tuple(row for row in rows if keys(row)[0] not in held)
    return kept, tuple(row for row in rows if keys(row)[0] in held)


def _read_file(path: Path, columns: Columns, task: RowTask) -> Sequence[Row]:
    read = partial(read_rows, path, partial(task.reader, columns=columns, labelled=task.labelled), task.labelled)
    return tuple(read()) if task.labelled else Stream(read, lambda row: task.keys(row)[0])


def _check_one(data: str | Path | None, train: str | Path | None) -> None:
    if (data is None) == (train is None):
        raise UsageError("say where the data is: --data with a folder or a dataset name, or --train with a file.")


def _no_train(data: str | Path | None) -> DataError:
    return DataError(f"{data}: there is no train split. Add one, or name the file with --train.")


def _fingerprint(path: Path, rows: Sequence[Row]) -> dict[str, Any]:
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


def _hash(group: str) -> bytes:
    return hashlib.sha256(group.encode("utf-8")).digest()


def _from_hub(data: str | Path) -> bool:
    return is_saved_dataset(Path(data)) or is_hub_name(str(data))


def _find_files(folder: Path, labelled: bool, needed: tuple[str, ...] = ("train",)) -> dict[str, Path]:
    if folder.is_file():
        raise DataError(f"{folder} is a file, and --data wants a folder here. Name the file with --train.")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}. Check the path.")
    files: dict[str, Path] = {}
    accepted = [suffix for suffix in FORMATS if not (labelled and suffix == ".txt")]
    for split, names in NAMES.items():
        matches = []
        for path in sorted(folder.iterdir()):
            stem, suffix = stem_and_format(path)
            if stem.lower() in names and suffix in accepted and path.is_file():
                matches.append(path)
        if len(matches) > 1:
            listed = " and ".join(path.name for path in matches)
            raise DataError(f"{folder}: {listed} could each be the {split} split. Keep one, or name it with --{split}.")
        if matches:
            files[split] = matches[0]
        elif split in needed:
            present = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
            raise DataError(
                f"{folder}: there is no {split} file ({split} with one of {', '.join(accepted)}; "
                "all but Parquet also .gz). "
                f"It holds {present}. Name the file with --{split}.{_for_text(folder, labelled)}"
            )
    return files


def _for_text(folder: Path, labelled: bool) -> str:
    """A hint where labels are looked for in a folder, and text lies in it."""
    texts = labelled and folder.is_dir() and any(stem_and_format(path)[1] == ".txt" for path in folder.iterdir())
    return " A .txt file holds no labels: it is for --task masked-lm." if texts else ""


def _load_hub_splits(data: str, columns: Columns, task: RowTask, skip: set[str]) -> _Found:
    dataset = load_hub(data)
    found: dict[str, Sequence[Row]] = {}
    fingerprint: dict[str, dict[str, Any]] = {}
    for split, names in NAMES.items():
        name = next((name for name in names if name in dataset), None)
        if name is None or split in skip:
            continue
        rows = hub_rows(dataset[name], Path(data).name, name, columns, task)
        if rows:
            found[split] = rows
            fingerprint[split] = {"file": f"{Path(data).name}[{name}]", "sha256": rows_sha256(rows), "rows": len(rows)}
    return found, fingerprint


def _check_same_shape(found: Mapping[str, Sequence[Row]], task: RowTask) -> None:
    """A dataset of pairs with a split of single sentences would train one model and test another."""
    first = found["train"][0]
    for rows in found.values():
        if rows and type(task.texts(rows[:1])[0]) is not type(task.texts((first,))[0]):
            raise DataError(
                f"{rows[0].source} and {first.source} differ: one holds single texts, the other pairs. "
                "Name the columns with --text-column and --text-pair-column."
            )
