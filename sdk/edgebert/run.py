"""Run folders: what `finetune` and `distill` leave behind and every later command reads.

run.json             what it is: kind, student, config, task, labels, lengths, metrics, provenance
model.safetensors    a student's weights, or a teacher's classification head
encoder/             a teacher's encoder and tokenizer, in Hugging Face's own layout
tokenizer/           a student's featurizer files
dev.jsonl.gz         the dev rows, so that an export can be checked without the dataset
metrics.jsonl        one line per dev check of the training
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.data import Columns, Row, Splits, read_rows
from edgebert.tasks import get_task
from edgebert.tasks.base import Task
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import EdgeBertError, UsageError
from edgebert_runtime.features import Featurizer, load_featurizer
from edgebert_runtime.files import atomic_folder, atomic_write

if TYPE_CHECKING:
    from torch import nn

    from edgebert.models.hugging_face import Ready

SCHEMA = 2
RECORD = "run.json"
SAMPLE = 200  # train rows kept for calibration
MAX_LENGTH = 128  # tokens that a Hugging Face model reads here, whose folder does not say how many it learned with


@dataclass(frozen=True)
class Description:
    """`run.json`.

    Attributes:
        kind: `teacher` or `student`.
        student: the student's name in `STUDENTS`; for a teacher, the encoder it came from.
        config: rebuilds the network.
        labels: the names of the columns, for each head that has names.
        settings: what decode must know (see `Task.settings` and `Task.calibrate`).
        metric: the key of the task's metrics that decides.
        metrics: {"dev": {...}, "test": {...}, "teacher": {...}} as measured at the end of the run.
    """

    kind: str
    student: str
    config: Mapping[str, Any]
    task: str
    labels: Mapping[str, tuple[str, ...]]
    heads: tuple[Head, ...]
    settings: Mapping[str, Any]
    metric: str
    pair: bool
    max_length: int
    featurizer: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run folder, loaded: the network is in eval mode on the CPU."""

    folder: Path
    description: Description
    module: nn.Module
    featurizer: Featurizer

    def rows(self, name: str) -> list[Row]:
        """The `dev` rows or the `sample` of train rows that were stored with the run.

        Raises:
            EdgeBertError: there are none, or the file is damaged.
        """
        path = self.folder / f"{name}.jsonl.gz"
        if not path.is_file():
            raise EdgeBertError(
                f"{self.folder} holds no {path.name}; an export needs it. Run finetune or distill again."
            )
        task = get_task(self.description.task)
        return list(read_rows(path, lambda where, found: task.reader(where, found, Columns(), labelled=True)))


def write_run(
    folder: Path,
    description: Description,
    module: nn.Module,
    featurizer: Featurizer,
    splits: Splits,
    tokenizer: Any = None,
) -> None:
    """Write a run folder; `run.json` comes last, so a folder that has one is complete.

    Args:
        tokenizer: a teacher's Hugging Face tokenizer.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in module.state_dict().items()}
    if description.kind == "teacher":
        _save_encoder(folder / "encoder", module.encoder, tokenizer)
        weights = {name: value for name, value in weights.items() if not name.startswith("encoder.")}
    for name, content in featurizer.files().items():
        _write(folder / name, content)
    _write(folder / "model.safetensors", save(weights))
    task = get_task(description.task)
    _write(folder / "dev.jsonl.gz", _pack_rows(task, splits.dev))
    step = max(1, len(splits.train) // SAMPLE)
    _write(folder / "sample.jsonl.gz", _pack_rows(task, splits.train[::step][:SAMPLE]))
    _write(folder / RECORD, json.dumps({"schema": SCHEMA, **asdict(description)}, indent=1).encode())


def task_of(teacher: str | Path, wanted: str | None = None) -> str:
    """The task of a teacher, from its description alone; `wanted` is for a bare encoder, which has none of its own.

    Raises:
        EdgeBertError: there is no such teacher, or it is damaged.
        UsageError: it has learned another task than `wanted`.
    """
    folder = Path(teacher)
    if (folder / RECORD).is_file():
        known: str | None = read_description(folder).task
    else:
        ready = _ready(folder)
        known = ready.task if ready else None
    if known is None:
        if wanted != "embedding":
            raise EdgeBertError(
                f"{teacher} holds an encoder without a head for a task. "
                f"Make a teacher of it first: edgebert finetune --model {teacher} …"
            )
        return wanted
    if wanted not in (None, known):
        raise UsageError(f"the teacher {teacher} has learned {known}, not {wanted}; leave out --task.")
    return known


def load_run(folder: str | Path, pair: bool = False) -> Run:
    """Read a run folder; a Hugging Face folder with a head of its own, or a bare encoder, is taken as a teacher.

    Args:
        pair: whether a Hugging Face model is to read pairs, which its folder does not say.
    Raises:
        EdgeBertError: missing, unfinished, or damaged.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        return _load_hugging_face(folder, pair)
    description = read_description(folder)
    from safetensors import SafetensorError

    try:
        return (_load_teacher if description.kind == "teacher" else _load_student)(folder, description)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise EdgeBertError(f"the run folder {folder} is damaged: {first}") from error


def read_description(folder: Path) -> Description:
    """`run.json` alone, without loading any weights.

    Raises:
        EdgeBertError: damaged, or written by a newer EdgeBERT.
    """
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        schema = values.pop("schema")
        if schema != SCHEMA:
            newer = isinstance(schema, int) and schema > SCHEMA
            raise EdgeBertError(
                f"{path} was written by a newer EdgeBERT; upgrade with: pip install -U edgebert"
                if newer
                else f"{path} was written by an older EdgeBERT (schema {schema}); make the run again."
            )
        values["labels"] = {name: tuple(labels) for name, labels in values["labels"].items()}
        values["heads"] = tuple(Head(**head) for head in values["heads"])
        return Description(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EdgeBertError(f"{path} is damaged: {error}") from error


def folder_hash(folder: Path) -> str:
    """A hash of everything in a teacher's folder that its answers depend on."""
    digest = hashlib.sha256()
    files = [folder / "model.safetensors", *sorted((folder / "encoder").glob("*"))]
    if not (folder / RECORD).is_file():
        files = sorted(p for p in folder.iterdir() if p.is_file())
    for path in files:
        if path.is_file():
            digest.update(path.name.encode() + b"\0")
            with open(path, "rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as handle:
        handle.write(content)


def _save_encoder(folder: Path, encoder: Any, tokenizer: Any) -> None:
    with atomic_folder(folder) as temporary:
        try:
            encoder.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        except Exception as error:  # safetensors and tokenizers have kinds of their own for what the system says
            code = re.search(r"os error ([0-9]+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def _pack_rows(task: Task, rows: Sequence[Row]) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed:
        for row in rows:
            packed.write(json.dumps(task.record(row)).encode() + b"\n")
    return buffer.getvalue()


def _load_student(folder: Path, description: Description) -> Run:
    from safetensors.torch import load_file

    from edgebert.models import get_family

    featurizer = load_featurizer(description.featurizer, lambda name: (folder / name).read_bytes())
    module = get_family(description.student).load(description.config, featurizer, description.heads)
    module.load_state_dict(load_file(folder / "model.safetensors"))
    return Run(folder, description, module.eval(), featurizer)


def _load_teacher(folder: Path, description: Description) -> Run:
    from safetensors.torch import load_file

    from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer

    module = Teacher(load_encoder(folder / "encoder"), description.heads)
    head = load_file(folder / "model.safetensors")
    encoder = {f"encoder.{name}": value for name, value in module.encoder.state_dict().items()}
    module.load_state_dict({**encoder, **head})
    featurizer = featurizer_for(load_tokenizer(folder / "encoder"), description.max_length, description.pair)
    return Run(folder, description, module.eval(), featurizer)


def _ready(folder: Path) -> Ready | None:
    """What a Hugging Face folder has learned; None for a bare encoder.

    Raises:
        EdgeBertError: it is no such folder, or it is damaged.
    """
    from edgebert.models.hugging_face import hugging_face_task
    from edgebert.models.teacher import PACKAGED, locate

    place = Path(locate(folder)) if str(folder) in PACKAGED else folder
    if not place.is_dir():
        raise EdgeBertError(f"there is no run folder {folder}. Make one with edgebert finetune or edgebert distill.")
    if not (place / "config.json").is_file():
        hint = "the run is not finished; run the same command again" if (folder / "job.json").is_file() else "no run"
        raise EdgeBertError(f"{folder} holds no {RECORD}: {hint}.")
    try:
        return hugging_face_task(json.loads((place / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise EdgeBertError(f"{place / 'config.json'} is damaged: {error}") from error


def _load_hugging_face(folder: Path, pair: bool) -> Run:
    """A folder saved by Hugging Face's own trainer; a bare encoder gives its vectors."""
    from edgebert.models.hugging_face import Ready
    from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer, locate

    ready, place = _ready(folder), Path(locate(folder))
    tokenizer = load_tokenizer(place)
    encoder = load_encoder(place, ready.auto if ready else "AutoModel")
    positions = getattr(encoder.config, "max_position_embeddings", None) or MAX_LENGTH
    longest = 384 if ready and ready.task == "question-answering" else MAX_LENGTH
    max_length = min(longest, positions, getattr(tokenizer, "model_max_length", MAX_LENGTH))
    featurizer = featurizer_for(tokenizer, max_length, pair)
    if ready is None:
        width = int(encoder.config.hidden_size)
        ready = Ready("embedding", (Head("vector", width, "vector"),), {}, "AutoModel", {"width": width})
    task = get_task(ready.task)
    description = Description(
        kind="teacher",
        student=folder.name,
        config={},
        task=ready.task,
        labels=ready.labels,
        heads=ready.heads,
        settings=ready.settings,
        metric=task.metric_names(ready.settings)[0],
        pair=pair,
        max_length=max_length,
        featurizer=featurizer.spec(),
    )
    return Run(place, description, Teacher(encoder, ready.heads, own=ready.auto != "AutoModel").eval(), featurizer)
