"""Outputs to answers. A task's decoder is one file in this folder and one line in `DECODERS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from edgebert_runtime import checks
from edgebert_runtime.errors import BundleError, UsageError, choose, resolve
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs, OutputSpec

# Task name -> "module:object", loaded when a bundle needs it.
DECODERS: dict[str, str] = {
    "classification": "edgebert_runtime.decode.classification:DECODER",
    "token-classification": "edgebert_runtime.decode.token_classification:DECODER",
    "intent-slots": "edgebert_runtime.decode.intent_slots:DECODER",
    "regression": "edgebert_runtime.decode.regression:DECODER",
    "question-answering": "edgebert_runtime.decode.question_answering:DECODER",
    "multi-label": "edgebert_runtime.decode.multi_label:DECODER",
    "embedding": "edgebert_runtime.decode.embedding:DECODER",
    "masked-lm": "edgebert_runtime.decode.masked_lm:DECODER",
}


class Piece(NamedTuple):
    """What the network reads: a text, which of the asked texts it is cut from, and where it begins there.

    `start` counts code points; in a pair, of the second text (the first one is read from its beginning).
    """

    text: Text
    owner: int
    start: int


class Asked(NamedTuple):
    """One call: the texts, the pieces that the network reads of them, and what a decoder may look up.

    Attributes:
        pieces: ascending owners, each text with at least one; None where every text is read as it is.
        labels: output name to the names of its columns.
        settings: plain JSON: temperature, thresholds, scale, scheme; a decoder takes a default for what is missing.
    """

    texts: Sequence[Text]
    pieces: Sequence[Piece] | None
    featurizer: Featurizer
    labels: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any]

    @property
    def read(self) -> Sequence[Text]:
        """What the network reads, in the order of its outputs."""
        return self.texts if self.pieces is None else [piece.text for piece in self.pieces]


class Decoder(NamedTuple):
    """What a task is at run time.

    Attributes:
        outputs: the outputs that `decode` needs, and whether each has a row for each token.
        decode: outputs of the pieces -> one answer a text; an answer is a named tuple with `to_json()` (plain JSON)
            and `summary()` (one line for a terminal).
        margins: by how much any number of the outputs may move before the answer of a text becomes another one (a
            lower bound); None where an answer has no decision in it.
        cut: pieces of the texts where a task reads parts; None where each text is read as it is.
        takes_threshold: whether its answers have a probability that `settings["threshold"]` can be compared with.
        check: refuses labels and settings that `decode` could not use (BundleError). Asked once, when a manifest is
            read, so that `decode` need not look again.
        check_text: refuses a text that has no answer (DataError, with its number). Asked of what `predict` is given,
            and of nothing else: test vectors hold such texts too.
        widths: how many columns an output must have, where the task fixes that.
    """

    outputs: Mapping[str, bool]
    decode: Callable[[Outputs, Asked], list[Any]]
    margins: Callable[[Outputs, Asked], list[float | None]]
    cut: Callable[[Sequence[Text], Featurizer, Mapping[str, Any]], list[Piece]] | None = None
    takes_threshold: bool = False
    check: Callable[[Mapping[str, tuple[str, ...]], Mapping[str, Any]], None] | None = None
    check_text: Callable[[Text, int], None] | None = None
    widths: Mapping[str, int] = MappingProxyType({})


def get_decoder(task: str) -> Decoder:
    """The decoder of a task.

    Raises:
        UsageError: an unknown task.
    """
    decoder = resolve(DECODERS[choose("task", task, DECODERS)])
    assert isinstance(decoder, Decoder)
    return decoder


def check_threshold(task: str, threshold: float) -> None:
    """Raise UsageError unless answers of `task` have a probability that `threshold` can be compared with."""
    if not checks.is_number(threshold) or not 0 <= threshold <= 1:
        raise UsageError(f"the threshold {threshold!r} must be a probability between 0 and 1.")
    if not get_decoder(task).takes_threshold:
        raise UsageError(f"the answers of {task} have no probability; leave out the threshold.")


def ask(
    decoder: Decoder,
    texts: Sequence[Text],
    featurizer: Featurizer,
    labels: Mapping[str, tuple[str, ...]],
    settings: Mapping[str, Any],
) -> Asked:
    """The texts of one call, cut into what the network reads."""
    pieces = None if decoder.cut is None else decoder.cut(texts, featurizer, settings)
    return Asked(texts, pieces, featurizer, labels, settings)


def check_task(task: str, outputs: Sequence[OutputSpec], settings: Mapping[str, Any]) -> None:
    """Refuse outputs, labels and settings that the decoder of a task could not use.

    Raises:
        BundleError: saying what the task needs.
    """
    decoder = get_decoder(task)
    found = {spec.name: spec for spec in outputs}
    for name, per_token in decoder.outputs.items():
        spec, width = found.get(name), decoder.widths.get(name)
        if spec is None or spec.per_token is not per_token or width not in (None, spec.width):
            rows = "a row for each token" if per_token else "one row a text"
            columns = "" if width is None else f", of width {width}"
            raise BundleError(f"its task {task} needs an output {name!r} with {rows}{columns}")
    if decoder.check is not None:
        decoder.check({spec.name: spec.labels for spec in outputs if spec.labels}, settings)


def need_labels(labels: Mapping[str, tuple[str, ...]], *names: str) -> None:
    """For `Decoder.check`: refuse a model whose outputs `names` have no labels.

    Raises:
        BundleError: naming the first one.
    """
    for name in names:
        if not labels.get(name):
            raise BundleError(f"its output {name!r} has no labels, and its task needs them")


def number(
    settings: Mapping[str, Any], *path: str, default: float, low: float = -math.inf, high: float = math.inf
) -> float:
    """A number in the settings, such as `number(settings, "temperature", "logits", default=1.0, low=0.001)`.

    Args:
        default: where it, or an object on the way to it, is missing or null.

    Raises:
        BundleError: what stands there is no finite number from `low` to `high`.
    """
    value: Any = settings
    for depth, key in enumerate(path):
        if not isinstance(value, Mapping):
            raise checks.wrong(".".join(("settings", *path[:depth])), "a JSON object", value)
        value = value.get(key)
        if value is None:
            return default
    if not checks.is_number(value) or not low <= value <= high:
        bounds = "" if (low, high) == (-math.inf, math.inf) else f" from {low:g} to {high:g}"
        raise checks.wrong(".".join(("settings", *path)), f"a number{bounds}", value)
    return float(value)


def check_confidence(settings: Mapping[str, Any], *names: str) -> None:
    """For `Decoder.check`: refuse a threshold or temperatures (of the outputs `names`) that make no probability.

    Raises:
        BundleError: naming the wrong number.
    """
    number(settings, "threshold", default=0.0, low=0.0, high=1.0)
    for name in names:
        number(settings, "temperature", name, default=1.0, low=1e-3, high=1e3)


def temperature_of(settings: Mapping[str, Any], output: str) -> float:
    """What the logits of an output are divided by before they become probabilities; 1 where nothing was fitted."""
    found = settings.get("temperature")
    return (found.get(output) or 1.0) if found else 1.0
