"""Test vectors: what a bundle's own engine answered to some texts when it was made, one JSON line each.

    {"text": "where is it ?",                                              a list of two for a pair
     "pieces": [{"ids": {"input_ids": [101, ...], ...},                    what the network read, and what it gave
                 "outputs": {"logits": {"shape": [7, 9], "values": [0.25, ...]}}}],
     "answer": {...},                                                      `to_json()` of the answer
     "margin": 0.31}

An output of up to 16,384 numbers is kept whole, a larger one as 1,024 of them, evenly spread. `margin` is by how much
each number may move before the answer becomes another one; null where an answer has no decision in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from edgebert_runtime import checks
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import Features, InputSpec, Text
from edgebert_runtime.manifest import Manifest
from edgebert_runtime.outputs import OutputSpec

MOST, SAMPLES = 16_384, 1_024  # numbers of an output

Item = tuple[Features, Mapping[str, np.ndarray]]  # what the network read of a text (or of a part), and what it gave


def vector(
    text: Text, items: Sequence[Item], answer: Any, margin: float | None, inputs: Sequence[InputSpec]
) -> dict[str, Any]:
    """One test vector.

    Args:
        items: of each piece that the network reads of `text`; outputs are [width] or [tokens, width].
        answer: as `EdgeModel.decode` gave it.
    """
    return {
        "text": list(text) if isinstance(text, tuple) else text,
        "pieces": [_piece(features, outputs, inputs) for features, outputs in items],
        "answer": plain(answer),
        "margin": margin,
    }


def plain(answer: Any) -> Any:
    """What an answer is in JSON."""
    return json.loads(json.dumps(answer.to_json(), allow_nan=False))


def _piece(features: Features, outputs: Mapping[str, np.ndarray], inputs: Sequence[InputSpec]) -> dict[str, Any]:
    return {
        "ids": {spec.name: features[spec.name].tolist() for spec in inputs},
        "outputs": {
            # The shortest digits that are the same float32 again.
            name: {"shape": list(values.shape), "values": [float(str(value)) for value in _kept(values)]}
            for name, values in sorted(outputs.items())
        },
    }


def _kept(values: np.ndarray) -> np.ndarray:
    """The numbers of an output that a vector holds, float32."""
    flat = np.ravel(np.asarray(values, np.float32))
    return flat if flat.size <= MOST else flat[np.arange(SAMPLES) * flat.size // SAMPLES]


# ---- reading


def check_golden(value: Any, manifest: Manifest) -> dict[str, Any]:
    """`value` if it is a vector of this model, a pair of texts made a tuple.

    Raises:
        BundleError: saying what is wrong.
    """
    data = checks.keys("a test vector", value, {"text", "pieces", "answer", "margin"})
    text = data["text"]
    if isinstance(text, list) and len(text) == 2 and all(isinstance(half, str) for half in text):
        data["text"] = tuple(text)
    elif not isinstance(text, str):
        raise BundleError("'text' must be a text or a list of two texts")
    pieces = data["pieces"]
    if not isinstance(pieces, list) or not pieces:
        raise BundleError("'pieces' must be a list of at least one object")
    for piece in pieces:
        _check_piece(piece, manifest)
    checks.object_("'answer'", data["answer"])
    if data["margin"] is not None and (not checks.is_number(data["margin"]) or data["margin"] < 0):
        raise BundleError("'margin' must be null or a number from 0")
    return data


def _check_piece(piece: Any, manifest: Manifest) -> None:
    checks.keys("a piece", piece, {"ids", "outputs"})
    inputs = {spec.name: spec for spec in manifest.input_specs}
    ids, outputs = piece["ids"], piece["outputs"]
    if not isinstance(ids, dict) or set(ids) != set(inputs):
        raise BundleError(f"'ids' must hold exactly the inputs {', '.join(sorted(inputs))}")
    for name, spec in inputs.items():
        _check_ids(ids[name], spec, manifest.max_length)
    specs = manifest.output_specs
    if not isinstance(outputs, dict) or set(outputs) != {spec.name for spec in specs}:
        raise BundleError(f"'outputs' must hold exactly the outputs {', '.join(spec.name for spec in specs)}")
    first = manifest.input_specs[0]
    for output in specs:
        _check_values(outputs[output.name], output, len(ids[first.name]) // first.per_length)


def _check_ids(ids: Any, spec: InputSpec, max_length: int) -> None:
    if not isinstance(ids, list) or not all(type(item) is int and 0 <= item < spec.rows for item in ids):
        raise BundleError(f"'ids' of {spec.name!r} must be whole numbers from 0 to {spec.rows - 1}")
    if len(ids) > spec.per_length * max_length:
        raise BundleError(f"{spec.name!r} has {len(ids)} ids, more than the model takes")


def _check_values(value: Any, output: OutputSpec, tokens: int) -> None:
    data = checks.keys(f"the output {output.name!r}", value, {"shape", "values"})
    shape = [tokens, output.width] if output.per_token else [output.width]
    if data["shape"] != shape:
        raise checks.wrong(f"the shape of {output.name!r}", str(shape), data["shape"])
    size = tokens * output.width if output.per_token else output.width
    count, values = size if size <= MOST else SAMPLES, data["values"]
    if not isinstance(values, list) or len(values) != count or not all(map(checks.is_number, values)):
        raise BundleError(f"the values of {output.name!r} must be {count} numbers")


# ---- comparing


def compare(
    golden: Mapping[str, Any],
    items: Sequence[Item],
    answer: Any,
    tolerance: float,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[float, list[str]]:
    """How a vector is answered here: the largest difference of a number of the outputs, and what is wrong.

    Ids must be equal. The numbers of an output may differ by `tolerance` times the largest of them in the vector, at
    least by `tolerance` itself. In the answer, numbers with a fraction may differ by `slack` times that, and relatively
    where they are above 1; everything else must be equal, unless it is as good as undecided: a margin that is no
    larger than what the outputs may differ by.
    """
    pieces = golden["pieces"]
    if len(pieces) != len(items):
        return 0.0, [f"the text is read in {len(items)} parts, not {len(pieces)}"]
    wrong = [
        f"other ids for {name!r}"
        for piece, (features, _) in zip(pieces, items, strict=True)
        for name, ids in piece["ids"].items()
        if features[name].tolist() != ids
    ]
    if wrong:
        return 0.0, wrong
    largest = most = 0.0
    for name in pieces[0]["outputs"]:
        expected = [np.asarray(piece["outputs"][name]["values"], np.float32) for piece in pieces]
        found = [_kept(outputs[name]) for _, outputs in items]
        allowed = tolerance * max(1.0, *(_largest(values) for values in expected))
        pairs = zip(expected, found, strict=True)
        difference = max(_largest(values.astype(np.float64) - here) for values, here in pairs)
        if difference > allowed:
            wrong.append(f"{name} differ by {difference:.3g}, allowed {allowed:.3g}")
        largest, most = max(largest, difference), max(most, allowed)
    decisions, numbers = _answer_differences("the answer", golden["answer"], plain(answer), slack(settings) * most)
    undecided = golden["margin"] is not None and golden["margin"] <= most
    if not (decisions and undecided):
        wrong += [*decisions[:1], *numbers[:1]]
    return largest, wrong


def slack(settings: Mapping[str, Any]) -> float:
    """How many times as far as an output a number of the answer may move: 4, and more where decode multiplies it, with
    a scale or with a temperature below 1/4."""
    scale: Any = settings.get("scale")
    temperatures = settings.get("temperature")
    found = temperatures.values() if isinstance(temperatures, Mapping) else ()  # a task that has none checks none
    colder = [1 / value for value in found if checks.is_number(value) and value > 0]
    return max(4.0, 2 * abs(scale) if checks.is_number(scale) else 0.0, *colder)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _answer_differences(where: str, expected: Any, found: Any, allowed: float) -> tuple[list[str], list[str]]:
    """Sentences about what differs: what was decided (texts, counts, yes or no), and numbers with a fraction."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        parts = [(f"{where}: {key[:40]!r}", expected[key], found[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        parts = [(f"{where}: {index}", *both) for index, both in enumerate(zip(expected, found, strict=True))]
    else:
        return _value_differences(where, expected, found, allowed)
    decisions: list[str] = []
    numbers: list[str] = []
    for part in parts:
        more = _answer_differences(*part, allowed)
        decisions += more[0]
        numbers += more[1]
    return decisions, numbers


def _value_differences(where: str, expected: Any, found: Any, allowed: float) -> tuple[list[str], list[str]]:
    if isinstance(found, float) and checks.is_number(expected):
        if abs(found - expected) <= allowed * max(1.0, abs(expected)):
            return [], []
        return [], [f"{where} is {found:.6g}, not {expected:.6g}"]
    if type(expected) is type(found) and expected == found:
        return [], []
    return [f"{where} is {_shown(found)}, not {_shown(expected)}"], []


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]
