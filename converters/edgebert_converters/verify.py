"""The exported file against torch: first numbers, then the task's own metric.

The file runs in the runtime's own engine, on the dev texts one at a time (as on a device) and on texts that break
exports: long, empty, emoji, and a batch of very different lengths where the format takes batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel, Precision, is_pair
from edgebert_converters.quiet import quiet
from edgebert_runtime.engines import Engine, TextEngine, load_engine
from edgebert_runtime.errors import BundleError, ExportError
from edgebert_runtime.features import Features, Text, length_of, pad
from edgebert_runtime.inference import infer

BATCH = 32
MIXED = 8

# An fp32 export computes the same as torch in another order; more than this (relative to the largest logit) is a
# wrong graph, whatever the metric says.
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
        texts: the dev texts, then the awkward ones.
        features: one per text.
        logits: float32 [texts, classes].
        dev: how many of the texts are dev texts.
        metric: the task's metric over the dev texts.
    """

    texts: tuple[Text, ...]
    features: tuple[Features, ...]
    logits: np.ndarray
    dev: int
    metric: float


@dataclass(frozen=True)
class Verification:
    """What the check of an exported file found.

    Attributes:
        max_difference: the largest difference of a logit from torch, over all texts.
        agreement: the share of texts with the same best label as in torch, 0..1.
        metric: the task's metric of the exported file over the dev texts.
        float_metric: the same of the torch module.
        drop: float_metric - metric; negative if the export happens to be better.
        texts: how many texts were compared.
    """

    max_difference: float
    agreement: float
    metric: float
    float_metric: float
    drop: float
    texts: int


def awkward_texts(model: ExportableModel) -> tuple[Text, ...]:
    """Texts that break exports, as pairs where the model takes pairs."""
    long = " ".join(" ".join(text) if isinstance(text, tuple) else text for text in model.dev_texts[:200])
    long = (long + " word") * (1 + model.featurizer.max_length * 8 // (len(long) + 5))
    singles = (*AWKWARD, long[: model.featurizer.max_length * 40])
    if not is_pair(model.dev_texts):
        return singles
    return tuple((first, second) for first, second in zip(singles, reversed(singles), strict=True))


def reference(model: ExportableModel) -> Reference:
    """Run the torch module over the dev texts and the awkward ones.

    Raises:
        ExportError: its logits have another shape than the labels ask for, or are not finite.
    """
    texts = (*model.dev_texts, *awkward_texts(model))
    features = model.featurizer(texts)
    logits = torch_logits(model, features)
    if logits.shape != (len(texts), len(model.labels)):
        raise ExportError(
            f"{model.name}: the module gives logits of shape {logits.shape} for {len(model.labels)} labels"
        )
    if not np.isfinite(logits).all():
        raise ExportError(f"{model.name}: the torch module gives logits that are not finite; train it again")
    count = len(model.dev_texts)
    return Reference(texts, tuple(features), logits, count, float(model.score(logits[:count])))


def torch_logits(model: ExportableModel, features: Sequence[Features]) -> np.ndarray:
    """Logits of the torch module, float32 [len(features), classes]; texts of similar length share a batch."""
    import torch

    inputs = model.featurizer.inputs
    lengths = [max(model.featurizer.min_length, length_of(item, inputs)) for item in features]
    order = sorted(range(len(features)), key=lambda index: lengths[index])
    rows: dict[int, np.ndarray] = {}
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            members = order[start : start + BATCH]
            batch = pad([features[index] for index in members], inputs, lengths[members[-1]])
            output = model.module(*(torch.from_numpy(batch[spec.name]).long() for spec in inputs))["logits"]
            rows.update(zip(members, output.float().numpy(), strict=True))
    return np.stack([rows[index] for index in range(len(features))]).astype(np.float32)


def engine_for(artifact: Artifact, model: ExportableModel) -> Engine:
    """The runtime's engine with the exported file loaded, one thread.

    Raises:
        ExportError: the engine refuses the file.
    """
    with _running(artifact):
        return load_engine(artifact.format, artifact.path, model.featurizer.inputs, artifact.shapes, 1)


def run_alone(
    engine: Engine, artifact: Artifact, model: ExportableModel, texts: Sequence[Text], features: Sequence[Features]
) -> np.ndarray:
    """Logits of each text run by itself, as on a device.

    Args:
        features: of the texts; an engine that reads text itself does not use them.

    Raises:
        ExportError: the file does not run.
    """
    with _running(artifact):
        if isinstance(engine, TextEngine):
            return engine.read(texts)
        return infer(engine, features, model.featurizer.inputs, artifact.shapes, 1)


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
    mixed = _mixed_batch(known)
    engine = engine_for(artifact, model)
    try:
        found = run_alone(engine, artifact, model, known.texts, known.features)
        with _running(artifact):
            if isinstance(engine, TextEngine):
                together = engine.read([known.texts[index] for index in mixed])
            else:
                in_batch = [known.features[index] for index in mixed]
                together = infer(engine, in_batch, model.featurizer.inputs, artifact.shapes, len(mixed))
    finally:
        engine.close()
    if found.shape != known.logits.shape:
        raise ExportError(f"the exported {artifact.format} file gives logits of shape {found.shape}")
    found_all, known_all = np.concatenate([found, together]), np.concatenate([known.logits, known.logits[mixed]])
    difference = float(np.abs(found_all - known_all).max())
    agreement = float((found_all.argmax(1) == known_all.argmax(1)).mean())
    limit = FLOAT_TOLERANCE * max(1.0, float(np.abs(known.logits).max()))
    if artifact.precision is Precision.FP32 and difference > limit:
        worst = int(np.abs(found_all - known_all).max(1).argmax())
        text = known.texts[worst if worst < len(found) else mixed[worst - len(found)]]
        raise ExportError(
            f"the fp32 {artifact.format} file does not compute what torch computes: logits differ by {difference:.3g} "
            f"(allowed {limit:.3g}) on the text {str(text)[:60]!r}"
        )
    metric = float(model.score(found[: known.dev]))
    return Verification(
        max_difference=difference,
        agreement=agreement,
        metric=metric,
        float_metric=known.metric,
        drop=known.metric - metric,
        texts=len(found),
    )


def _mixed_batch(known: Reference) -> list[int]:
    """Indices of texts of very different lengths: some dev texts and all awkward ones."""
    return [*range(min(MIXED, known.dev)), *range(known.dev, len(known.texts))]
