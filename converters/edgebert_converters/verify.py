"""The exported file against torch: first numbers, then the task's own metric.

The file runs in the runtime's own engine, on what the network reads of the dev texts, one at a time (as on a device),
and on texts that break exports: long, empty, emoji, and a batch of very different lengths where the format takes
batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel, Precision
from edgebert_converters.quiet import quiet
from edgebert_runtime.engines import Engine, TextEngine, batch_shape, load_engine
from edgebert_runtime.errors import BundleError, ExportError
from edgebert_runtime.features import Features, Text
from edgebert_runtime.inference import infer
from edgebert_runtime.outputs import Outputs, join, take

BATCH = 32
MIXED = 8

# An fp32 export computes the same as torch in another order; more than this (relative to the largest number of an
# output) is a wrong graph, whatever the metric says.
FLOAT_TOLERANCE = 2e-3

AWKWARD = (
    "",
    " ",
    "ok",
    "👍🏽 🎉🎉 👩‍👩‍👧 great 😀!!!",
    "ÀÉÎõü naïve Straße ﬁn 北京 東京 नमस्ते مرحبا",
    "not bad, isn't it? don't!  \t\n no-one's #1 @home http://example.org/?q=1&x=2",
    "a" * 500,
)


@dataclass(frozen=True)
class Reference:
    """What torch answers in fp32; computed once for all formats.

    Attributes:
        texts: what the network reads of the dev texts, then of the awkward ones.
        features: one per text.
        outputs: of each text.
        dev: how many of the texts belong to dev.
        metric: the task's metric over dev.
    """

    texts: tuple[Text, ...]
    features: tuple[Features, ...]
    outputs: Outputs
    dev: int
    metric: float

    @property
    def answers(self) -> Outputs:
        """The outputs of dev."""
        return take(self.outputs, range(self.dev))


@dataclass(frozen=True)
class Verification:
    """What the check of an exported file found.

    Attributes:
        max_difference: the largest difference of a number from torch's, over all outputs of all texts.
        agreement: the share of decisions on dev that are the same as in torch, 0..1.
        metric: the task's metric of the exported file over dev.
        float_metric: the same of the torch module.
        drop: float_metric - metric; negative if the export happens to be better.
        texts: how many texts were compared.
        answers: the exported file's own outputs of dev.
    """

    max_difference: float
    agreement: float
    metric: float
    float_metric: float
    drop: float
    texts: int
    answers: Outputs = field(repr=False, compare=False)


def awkward_texts(model: ExportableModel) -> tuple[Text, ...]:
    """Texts that break exports, as pairs where the model takes pairs; a task may still cut them."""
    long = " ".join(" ".join(text) if isinstance(text, tuple) else text for text in model.asked[:200])
    long = (long + " word") * (1 + model.featurizer.max_length * 8 // (len(long) + 5))
    singles = (*AWKWARD, long[: model.featurizer.max_length * 40])
    if not model.featurizer.pair:
        return singles
    return tuple((first, second) for first, second in zip(singles, reversed(singles), strict=True))


def reference(model: ExportableModel) -> Reference:
    """Run the torch module over what it reads of the dev texts and of the awkward ones.

    Raises:
        ExportError: its outputs are not those described, or not finite.
        UsageError: the runtime has no decoder for the task.
    """
    features = model.featurizer(model.pieces)
    answers = torch_outputs(model, features)
    awkward = model.ask(awkward_texts(model), model.settings(answers)).read
    awkward_features = model.featurizer(awkward)
    return Reference(
        texts=(*model.pieces, *awkward),
        features=(*features, *awkward_features),
        outputs=join([answers, torch_outputs(model, awkward_features)]),
        dev=len(features),
        metric=float(model.score(answers)),
    )


class TorchEngine:
    """The torch module as an engine: its texts are padded and its answers cut as those of an exported file are."""

    package = "torch"

    def __init__(self, model: ExportableModel) -> None:
        self._model = model
        featurizer = model.featurizer
        lengths = {"lengths": None, "min_length": featurizer.min_length, "max_length": featurizer.max_length}
        self.graph = model.graph({"batch": None, **lengths})

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Engine.run`.

        Raises:
            ExportError: the module's outputs are not those described, or not finite.
        """
        import torch

        model = self._model
        with torch.no_grad():
            found = model.module(*(torch.from_numpy(batch[spec.name]).long() for spec in self.graph.inputs))
        outputs = {name: values.float().numpy() for name, values in found.items()}
        _check_outputs(model, outputs, *batch_shape(batch, self.graph))
        return outputs

    def close(self) -> None:
        """Nothing to free."""


def _check_outputs(model: ExportableModel, outputs: Mapping[str, np.ndarray], rows: int, length: int) -> None:
    names = [spec.name for spec in model.outputs]
    if list(outputs) != names:
        raise ExportError(f"{model.name}: the module gives the outputs {list(outputs)}, not {names}")
    for spec in model.outputs:
        wanted = (rows, length, spec.width) if spec.per_token else (rows, spec.width)
        found = outputs[spec.name]
        if found.shape != wanted:
            raise ExportError(f"{model.name}: the module gives {spec.name!r} of shape {found.shape}, not {wanted}")
        if not np.isfinite(found).all():
            raise ExportError(f"{model.name}: the torch module gives numbers that are not finite; train it again")


def torch_outputs(model: ExportableModel, features: Sequence[Features]) -> Outputs:
    """What the torch module answers; texts of similar length share a batch."""
    engine = TorchEngine(model)
    return infer(engine, features, engine.graph, BATCH)


def engine_for(artifact: Artifact, model: ExportableModel) -> Engine:
    """The runtime's engine with the exported file loaded, one thread.

    Raises:
        ExportError: the engine refuses the file.
    """
    with _running(artifact):
        return load_engine(artifact.format, artifact.path, model.graph(artifact.shapes), 1)


def run(
    engine: Engine,
    artifact: Artifact,
    model: ExportableModel,
    texts: Sequence[Text],
    features: Sequence[Features],
    batch_size: int = 1,
) -> Outputs:
    """What the exported file answers; by default to each text by itself, as on a device.

    Args:
        features: of the texts; an engine that reads text itself does not use them.

    Raises:
        ExportError: the file does not run.
    """
    with _running(artifact):
        if isinstance(engine, TextEngine):
            return {model.outputs[0].name: engine.read(texts)}
        return infer(engine, features, model.graph(artifact.shapes), batch_size)


@contextlib.contextmanager
def _running(artifact: Artifact) -> Iterator[None]:
    """Quiet engines, and their refusals as what they are here: a failed export."""
    try:
        with quiet(f"running the exported {artifact.format} file"):
            yield
    except BundleError as error:
        raise ExportError(f"the exported {artifact.format} file does not run: {error}") from error


def verify(artifact: Artifact, model: ExportableModel, known: Reference | None = None) -> Verification:
    """Run the exported file and compare it with torch.

    Args:
        known: the torch answers, if they were computed before.
    Raises:
        ExportError: the file does not run, or an fp32 file does not compute what torch computes.
    """
    known = known or reference(model)
    texts, mixed = range(len(known.texts)), _mixed_batch(known)
    engine = engine_for(artifact, model)
    try:
        found = run(engine, artifact, model, known.texts, known.features)
        members = [known.texts[index] for index in mixed], [known.features[index] for index in mixed]
        together = run(engine, artifact, model, *members, batch_size=len(mixed))
    finally:
        engine.close()
    both, order = join([found, together]), [*texts, *mixed]
    differences = _differences(artifact, both, take(known.outputs, order))
    if artifact.precision is Precision.FP32:
        _check_float(artifact, known, order, differences)
    answers = take(found, range(known.dev))
    metric = float(model.score(answers))
    return Verification(
        max_difference=max(float(each.max()) for each in differences.values()),
        agreement=float(model.agree(answers, known.answers)),
        metric=metric,
        float_metric=known.metric,
        drop=known.metric - metric,
        texts=len(known.texts),
        answers=answers,
    )


def _differences(artifact: Artifact, found: Outputs, expected: Outputs) -> dict[str, np.ndarray]:
    """By output, the largest difference in each text: [texts]; 0 where a text has no tokens.

    Raises:
        ExportError: an output has another shape than torch's.
    """
    differences = {}
    for name, rows in expected.items():
        pairs = list(zip(found[name], rows, strict=True))
        wrong = [(ours.shape, theirs.shape) for ours, theirs in pairs if ours.shape != theirs.shape]
        if wrong:
            ours, theirs = wrong[0]
            raise ExportError(f"the exported {artifact.format} file gives {name!r} of shape {ours}, not {theirs}")
        differences[name] = np.array([np.abs(ours - theirs).max(initial=0) for ours, theirs in pairs])
    return differences


def _check_float(
    artifact: Artifact, known: Reference, order: Sequence[int], differences: Mapping[str, np.ndarray]
) -> None:
    """Raise ExportError if an fp32 file does not compute what torch computes. `order`: the text of each difference."""
    for name, found in differences.items():
        limit = FLOAT_TOLERANCE * max(1.0, largest(known.outputs, name))
        if found.max() > limit:
            text = known.texts[order[int(found.argmax())]]
            raise ExportError(
                f"the fp32 {artifact.format} file does not compute what torch computes: {name} differ by "
                f"{found.max():.3g} (allowed {limit:.3g}) on the text {str(text)[:60]!r}"
            )


def largest(outputs: Outputs, name: str) -> float:
    """The largest size of a number of this output; 0 where no text has any."""
    return max((float(np.abs(row).max(initial=0)) for row in outputs[name]), default=0.0)


def _mixed_batch(known: Reference) -> list[int]:
    """Indices of texts of very different lengths: some of dev and all awkward ones."""
    return [*range(min(MIXED, known.dev)), *range(known.dev, len(known.texts))]
