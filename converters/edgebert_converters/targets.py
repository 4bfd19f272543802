"""What each family of devices takes."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert_converters.base import CONVERTERS
from edgebert_runtime.errors import UsageError, choose


@dataclass(frozen=True)
class Target:
    """A family of devices.

    Attributes:
        formats: what runs there, in order of preference (the order counts where two are equally fast).
    """

    name: str
    description: str
    formats: tuple[str, ...]


TARGETS: dict[str, Target] = {
    "android": Target("android", "Android phones, 64-bit ARM", ("native", "tflite", "executorch", "onnx")),
    "linux": Target(
        "linux", "Linux servers and boards, x86-64 and 64-bit ARM", ("native", "onnx", "tflite", "executorch")
    ),
}


def target(name: str) -> Target:
    """The target of this name.

    Raises:
        UsageError: unknown; with the known ones and the closest match.
    """
    return TARGETS[choose("target", name, TARGETS)]


def formats_for(name: str, format: str) -> tuple[str, ...]:
    """The formats to try for a target: one, or all of the target's for "auto" and "all".

    Raises:
        UsageError: an unknown target or format, or a format that the target does not run.
    """
    device = target(name)
    choose("format", format, [*CONVERTERS, "auto", "all"])
    if format in ("auto", "all"):
        return device.formats
    if format not in device.formats:
        raise UsageError(f"{device.name} does not run {format}. It runs: {', '.join(device.formats)}.")
    return (format,)
