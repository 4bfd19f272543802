"""The profile that a phone wrote: foreign input, checked before anything is made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgebert.device.adb import Phone
from edgebert_runtime import errors
from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.manifest import parse_json
from edgebert_runtime.profile import SCHEMA, STAGES, Profile, Stage

# What people are shown of the fields that are objects.
_SHOWN: dict[str, dict[str, type]] = {
    "bundle": {"name": str, "student": str, "format": str, "precision": str, "size_bytes": float},
    "texts": {"count": float, "mean_length": float},
    "stage": {field.name: float for field in dataclasses.fields(Stage)},
}


@dataclass(frozen=True)
class PhoneProfile(Profile):
    """A profile that was measured on a phone.

    `device` is what only a phone has: `thermal` (status before, during and after, 0 to 6), `throttled`, `sustained`,
    `cores`, `memory_mib`, `p95` and `samples_ms`. `machine` also holds what adb knows: `phone` (its model) and
    `emulated`, which is true where the times are of a computer that plays a phone.
    """

    device: Mapping[str, Any] = field(default_factory=dict)


def read_result(content: bytes, phone: Phone, facts: Mapping[str, Any]) -> PhoneProfile:
    """Check what the app wrote. `facts` are those of the phone.

    Raises:
        EdgeBertError: it is damaged, or of another version; or what the app itself reports, as the class it names.
    """
    damaged = f"the result of the EdgeBERT app on {phone} is damaged"
    try:
        value = parse_json(content, "it")
    except BundleError as error:
        raise EdgeBertError(f"{damaged}: {error}. Run the same command again.") from None
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        raise _kind(value.get("kind"))(f"the EdgeBERT app on {phone} says: {value['error']}")
    if isinstance(value, dict) and type(value.get("schema")) is int and value["schema"] != SCHEMA:
        raise EdgeBertError(
            f"the EdgeBERT app on {phone} writes profiles of version {value['schema']}, and this EdgeBERT reads "
            f"version {SCHEMA}. Bring both to the same version."
        )
    try:
        return _profile(value, facts)
    except _DamagedError as error:
        raise EdgeBertError(f"{damaged}: {error}. Run the same command again.") from None


class _DamagedError(Exception):
    """What is wrong with a field."""


def _profile(value: object, facts: Mapping[str, Any]) -> PhoneProfile:
    data = _object(value, "it")
    kinds: dict[str, type] = {"int": int, "float": float, "str": str}
    known: dict[str, Any] = {}
    for entry in dataclasses.fields(Profile):
        kind = kinds.get(str(entry.type))  # the others are objects
        known[entry.name] = _checked(data, entry.name, kind, "") if kind else _object(data.get(entry.name), entry.name)
    known["machine"] |= {name: facts[name] for name in ("phone", "emulated")}
    for name in ("bundle", "texts"):
        _check_shown(known[name], name)
    stages = {}
    for name in STAGES:
        stage = _object(known["stages"].get(name), f"stage {name!r}")
        _check_shown(stage, "stage")
        stages[name] = Stage(**{key: stage[key] for key in _SHOWN["stage"]})
    return PhoneProfile(**{**known, "stages": stages}, device=_object(data.get("device", {}), "'device'"))


def _check_shown(value: Mapping[str, Any], where: str) -> None:
    for name, kind in _SHOWN[where].items():
        _checked(value, name, kind, f" of {where!r}")


def _checked(value: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    found = value.get(name)
    fits = isinstance(found, (int, float) if kind is float else kind) and not isinstance(found, bool)
    if not fits or (isinstance(found, (int, float)) and not 0 <= found < 1e15):  # also holds NaN and infinity off
        raise _DamagedError(f"{name!r}{where} is missing or wrong")
    return found


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _DamagedError(f"{where} is missing or no object")
    return value


def _kind(name: object) -> type[EdgeBertError]:
    found = getattr(errors, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, EdgeBertError) else EdgeBertError
