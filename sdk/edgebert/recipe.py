"""The recipe: what a distillation run is. One typed model, filled from a YAML file, the flags, or both.

    student: ngram
    teacher: runs/teacher
    data: {path: data/trec6, unlabelled: [questions.txt]}
    objectives: {logits: {weight: 0.7, temperature: 2}, hard_labels: {weight: 0.3}}
    training: {epochs: 5, seed: 0}

Whatever is left out comes from the student's own defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgebert_runtime.errors import EdgeBertError, UsageError, require


class Section(BaseModel):
    """A part of a recipe: typed, frozen, and without room for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """Where the text comes from; see `edgebert.data`."""

    path: str | None = None
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    unlabelled: tuple[str, ...] = ()
    unlabelled_column: str | None = None
    unlabelled_limit: int | None = Field(None, ge=1, description="read at most this many unlabelled texts of each file")
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None


class TrainingSection(Section):
    """How a network is trained; the defaults here are a teacher's, each student has its own."""

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    sparse_learning_rate: float = Field(
        0.05, gt=0, description="of embedding tables with sparse gradients (row-wise Adagrad)"
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0, description="largest gradient norm of the dense weights")
    patience: int = Field(3, ge=1, description="stop after this many dev checks without a better result")
    checks_per_epoch: int = Field(1, ge=1, description="dev checks in an epoch")
    max_length: int = Field(128, ge=4, description="tokens (transformers) or words (n-gram) read of a text")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)
    whole_word: bool = Field(False, description="of masked-lm: hide all pieces of a word, or none of them")
    checkpoint_seconds: float = Field(60.0, ge=0)


class StudentSection(BaseModel):
    """The student's name; its other keys are checked by the student itself."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class Recipe(Section):
    """One distillation run."""

    teacher: str
    task: str | None = Field(None, description="the teacher's, unless the teacher is a bare encoder")
    metric: str | None = Field(None, description="the number on dev that decides; the teacher's where none is named")
    student: StudentSection
    data: DataSection
    out: str
    objectives: dict[str, dict[str, Any]] | None = None
    training: dict[str, Any] = Field(default_factory=dict)


S = TypeVar("S", bound=BaseModel)


def parse(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """Check `values` against `model`.

    Args:
        where: the section's place, such as `training` or `recipe.yaml`, for the message.
    Raises:
        UsageError: the first wrong key or value, with the closest known key.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _known_keys(model, first["loc"][:-1])
            close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"{where}: unknown key {place!r}.{hint} Known: {', '.join(known)}.") from error
        if first["type"] == "invalid_key":
            raise UsageError(f"{where}: the key {first['loc'][-1]!r} is not text; put it in quotes.") from error
        if first["type"] == "missing":
            raise UsageError(f"{where}: {place!r} is missing.") from error
        given = repr(first["input"])
        given = given if len(given) <= 60 else given[:60] + "..."
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise UsageError(f"{where}: {place} = {given}: {message}.") from error


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys of the (sub)section at `path`; a number in it is a place in a list."""
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[str(part)].annotation
        sections = [kind for kind in (annotation, *get_args(annotation)) if _is_section(kind)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        EdgeBertError: missing, not UTF-8, not YAML, or not a mapping.
    """
    yaml = require("yaml", "train")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgeBertError(f"cannot read the recipe {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise EdgeBertError(f"{path}: not UTF-8 at byte {error.start}; save the recipe as UTF-8.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise EdgeBertError(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise EdgeBertError(f"{path}: a recipe is a mapping of keys such as 'student' and 'data'.")
    if isinstance(content.get("student"), str):
        content["student"] = {"name": content["student"]}
    return content


def merge(recipe: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """`recipe` with every flag that was given (is not None or empty) laid over it, section by section."""
    merged = dict(recipe)
    for key, value in flags.items():
        if isinstance(value, Mapping):
            present = merged.get(key)
            inner = merge(present if isinstance(present, Mapping) else {}, value)
            if inner:
                merged[key] = inner
        elif value is not None and value != ():
            merged[key] = value
    return merged
