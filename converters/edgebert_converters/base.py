"""What crosses the borders of this package: a trained student in, an artifact out.

`ExportableModel` is what a student hands over, `Artifact` is the file that a converter made of it, and `Converter`
is what each format's file provides. Nothing here imports torch at run time, so `edgebert formats` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgebert_runtime.decode import Asked, ask, get_decoder
from edgebert_runtime.errors import EdgeBertError, ExportError, choose, resolve
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import GraphSpec, Outputs, OutputSpec

if TYPE_CHECKING:
    import torch

# A format is one line here, one file in this folder and one file in edgebert_runtime/engines.
CONVERTERS: dict[str, str] = {
    "onnx": "edgebert_converters.onnx:OnnxConverter",
    "tflite": "edgebert_converters.tflite:TfliteConverter",
    "executorch": "edgebert_converters.executorch:ExecuTorchConverter",
    "native": "edgebert_converters.native:NativeConverter",
}


class Precision(StrEnum):
    """How the numbers of an exported model are stored and multiplied.

    fp32         everything in float
    fp16         weights stored in half precision; arithmetic in float on CPUs without half
    int8         embedding rows int8 with one scale each, linear weights int8 per output channel, activations
                 quantized on the fly (dynamic); needs no data
    int8-static  as int8, but activation ranges fixed beforehand from calibration texts
    int4         rows of n-grams in four bits (native alone); the rest as int8
    """

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT8_STATIC = "int8-static"
    INT4 = "int4"


@dataclass(frozen=True)
class ExportableModel:
    """A trained student with everything an export needs. Converters know no tasks: they call what is here, and the
    runtime's decoder of `task`.

    Attributes:
        module: in eval mode; forward takes int64 tensors `[batch, per_length * length]` in the order of
            `featurizer.inputs` and returns exactly `outputs` by name, in alphabetical order: float32 `[batch, width]`,
            or `[batch, length, width]` where an output has a row for each token. If it has a method `unrolled()`, that
            gives the same network without operators that tflite and executorch lack; `symbolic()`, one with ONNX's own.
        buckets: ascending lengths for the formats without a dynamic length; the last is `featurizer.max_length`.
        outputs: in alphabetical order.
        asked: whole dev texts; the test vectors are taken from them.
        pieces: what the network reads of them, in order; the exported file is judged on these.
        score: from the outputs of `pieces` to the task's own metric, 0..1, higher is better.
        agree: from the outputs of `pieces`, of two models, to the share of equal decisions, 0..1.
        settings: from this very file's outputs of `pieces` to what its decoder must know, plain JSON. A key
            "calibration" goes into the manifest's metrics instead.
        metric: the name of what `score` gives.
        calibration_texts: for int8-static, what the network reads of train; dev texts are never used to calibrate.
        metrics: numbers already known about teacher and student; copied into the manifest.
        provenance: recipe, dataset fingerprints, revision; copied into the manifest.
        card: free text for the model card: "description", "data", "limits", "license", "data_license", "author", …
    """

    name: str
    task: str
    student: str
    module: torch.nn.Module
    featurizer: Featurizer
    buckets: tuple[int, ...]
    outputs: tuple[OutputSpec, ...]
    asked: tuple[Text, ...]
    pieces: tuple[Text, ...]
    score: Callable[[Outputs], float]
    agree: Callable[[Outputs, Outputs], float]
    settings: Callable[[Outputs], Mapping[str, Any]]
    metric: str = "accuracy"
    calibration_texts: tuple[Text, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        longest = self.featurizer.max_length
        if list(self.buckets) != sorted(set(self.buckets)) or not self.buckets or self.buckets[-1] != longest:
            raise ExportError(
                f"{self.name}: buckets must ascend and end with the featurizer's longest length {longest}, "
                f"not {list(self.buckets)}"
            )
        if self.buckets[0] < self.featurizer.min_length:
            raise ExportError(
                f"{self.name}: the smallest bucket is {self.buckets[0]}, but the model needs a length of at least "
                f"{self.featurizer.min_length}"
            )
        names = [spec.name for spec in self.outputs]
        if not names or names != sorted(set(names)):
            raise ExportError(f"{self.name}: outputs must be named, in alphabetical order and each once, not {names}")
        if not self.asked or not self.pieces:
            raise ExportError(f"{self.name}: there are no dev texts, so an exported file could not be checked")

    def graph(self, shapes: Mapping[str, Any]) -> GraphSpec:
        """How an engine sees this network in a file that takes `shapes`."""
        return GraphSpec(self.featurizer.inputs, self.outputs, shapes)

    def ask(self, texts: Sequence[Text], settings: Mapping[str, Any]) -> Asked:
        """The texts as the bundle will be asked them: cut into what the network reads.

        Raises:
            UsageError: the runtime has no decoder for the task.
        """
        labels = {spec.name: spec.labels for spec in self.outputs if spec.labels}
        return ask(get_decoder(self.task), texts, self.featurizer, labels, settings)


@dataclass(frozen=True)
class Artifact:
    """A file that another runtime runs.

    Attributes:
        shapes: as in the manifest: {"batch": None | 1, "lengths": None | [..], "min_length", "max_length"};
            None means dynamic.
        size: of the file, in bytes.
        requires: as in the manifest: {"package", "made_with": {package: version}, perhaps "minimum"}.
        kept: module names that stayed in float.
        featurizer: the manifest's, where the file itself holds the featurizer's data; None: the model's own.
    """

    path: Path
    format: str
    precision: Precision
    shapes: Mapping[str, Any]
    size: int
    requires: Mapping[str, Any]
    kept: tuple[str, ...] = ()
    featurizer: Mapping[str, Any] | None = None


class Converter(Protocol):
    """One format: its name, its file suffix, what it can store, and how a model becomes such a file."""

    @property
    def format(self) -> str:
        """Its name in `CONVERTERS`."""
        ...

    @property
    def suffix(self) -> str:
        """Of the file, with the dot."""
        ...

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What the format can store."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Modules beyond the base installation that must be importable for converting and for running the result."""
        ...

    @property
    def featurizers(self) -> tuple[str, ...] | None:
        """Types of featurizer whose models the format holds, None for any; one made for a few is their default."""
        ...

    def convert(
        self,
        model: ExportableModel,
        precision: Precision,
        directory: Path,
        keep_float: frozenset[str] = frozenset(),
    ) -> Artifact:
        """Write the model in this format into `directory`.

        Args:
            keep_float: names of modules of `model.module` whose weights stay in float in the int8 precisions.

        Raises:
            ExportError: the exporter failed (the message ends with the tail of what it printed) or this format
                has no such precision.
            MissingExtraError: a package of this format is not installed.
        """
        ...


def converter(format: str) -> Converter:
    """The converter of a format.

    Raises:
        UsageError: an unknown format, with the known ones and the closest match.
    """
    choose("format", format, CONVERTERS)
    made = resolve(CONVERTERS[format])
    if not callable(made):
        raise EdgeBertError(f"the converter registered for {format!r} is not a class")
    instance: Converter = made()
    return instance


def requirement(package: str, *tools: str) -> dict[str, Any]:
    """`requires` of a manifest: the distribution that runs the file, and the versions that made it."""
    return {"package": package, "made_with": {name: version(name) for name in (package, *tools, "torch")}}


def check_precision(converter: Converter, precision: Precision) -> None:
    """Raise ExportError if the format has no such precision."""
    if precision not in converter.precisions:
        known = ", ".join(converter.precisions)
        raise ExportError(f"{converter.format} has no precision {precision}. It has: {known}.")


def check_keep_float(model: ExportableModel, keep_float: frozenset[str]) -> None:
    """Raise ExportError if a name in `keep_float` is no module of the model."""
    unknown = sorted(keep_float - {name for name, _ in model.module.named_modules()})
    if unknown:
        raise ExportError(f"{model.name} has no module named {unknown[0]!r} to keep in float")
