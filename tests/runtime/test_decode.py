"""Outputs to answers, and what a decoder wants of a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import runtime_graphs as graphs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from edgebert_runtime import Prediction, _core
from edgebert_runtime.decode import (
    DECODERS,
    Asked,
    check_task,
    check_threshold,
    get_decoder,
    number,
    temperature_of,
)
from edgebert_runtime.decode import classification as classify
from edgebert_runtime.errors import BundleError, UsageError
from edgebert_runtime.outputs import Outputs, OutputSpec

LOGITS = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32))


def asked(labels: Sequence[str], settings: Mapping[str, Any] | None = None) -> Asked:
    return Asked([], None, None, {"logits": tuple(labels)}, settings or {})  # type: ignore[arg-type]


def classification(
    logits: np.ndarray, labels: Sequence[str], settings: Mapping[str, Any] | None = None
) -> list[Prediction]:
    return classify.decode({"logits": logits}, asked(labels, settings))


@given(LOGITS, st.sampled_from([None, 1.0, 0.25, 3.5]))
def test_probabilities_are_the_softmax(logits: np.ndarray, temperature: float | None) -> None:
    settings = {} if temperature is None else {"temperature": {"logits": temperature}}
    found = classification(logits, ("a", "b", "c", "d"), settings)
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in found])
    expected = softmax(logits.astype(np.float64) / (temperature or 1.0), axis=-1)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-9, atol=1e-300)
    assert [prediction.label for prediction in found] == ["abcd"[index] for index in probabilities.argmax(axis=-1)]
    assert all(prediction.probability == max(prediction.probabilities.values()) for prediction in found)


@pytest.mark.parametrize("row", [[np.nan, 1, 2], [1, np.nan, 2], [1, 2, np.nan], [np.inf, 1, np.inf], [-np.inf] * 3])
def test_numbers_that_are_none_do_not_fail(row: list[float]) -> None:
    """A broken graph's answer is useless, but no traceback."""
    (found,) = classification(np.array([row], dtype=np.float32), ("a", "b", "c"))
    assert found.label in "abc"


def test_known_values() -> None:
    (found,) = classification(np.log([[0.2, 0.5, 0.3]]), ("a", "b", "c"))
    assert found.label == "b" and found.probability == pytest.approx(0.5) and found.sure
    assert found.probabilities == pytest.approx({"a": 0.2, "b": 0.5, "c": 0.3})
    assert type(found.probability) is float and all(type(value) is float for value in found.probabilities.values())
    (hot,) = classification(np.log([[0.2, 0.8]]), ("a", "b"), {"temperature": {"logits": 2.0}})
    assert hot.probabilities == pytest.approx({"a": 1 / 3, "b": 2 / 3})


def test_json_and_summary() -> None:
    (found,) = classification(np.log([[0.25, 0.75]]), ("a", "b"))
    assert json.loads(json.dumps(found.to_json())) == found.to_json() and found.summary() == "b\t0.7500"
    (unsure,) = classification(np.log([[0.25, 0.75]]), ("a", "b"), {"threshold": 0.8})
    assert unsure.to_json()["sure"] is False and unsure.label == "b" and unsure.summary() == "-\t0.7500"


@pytest.mark.parametrize(("threshold", "sure"), [(None, True), (0.0, True), (0.5, True), (0.6, False), (1.0, False)])
def test_threshold(threshold: float | None, sure: bool) -> None:
    (found,) = classification(np.zeros((1, 2)), ("a", "b"), {"threshold": threshold})
    assert found.sure is sure and found.label == "a"


def test_huge_logits_do_not_overflow() -> None:
    (found,) = classification(np.array([[1e30, -1e30]], dtype=np.float32), ("a", "b"))
    assert found.probabilities == {"a": 1.0, "b": 0.0}


def test_of_equal_labels_the_first() -> None:
    assert [p.label for p in classification(np.zeros((2, 2)), ("a", "b"))] == ["a", "a"]


ROWS = arrays.arrays(np.float32, (1, 3), elements=st.floats(-8, 8, width=32))
MOVES = arrays.arrays(np.float64, (1, 3), elements=st.sampled_from([-1.0, 1.0, 0.5]))
FITTED = st.fixed_dictionaries(
    {}, optional={"threshold": st.sampled_from([0.0, 0.4, 0.7, 0.95, 1.0]), "temperature": st.just({"logits": 1.7})}
)


@given(ROWS, MOVES, FITTED)
def test_a_margin_is_by_how_much_logits_may_move(logits: np.ndarray, moves: np.ndarray, settings: Any) -> None:
    """Any move below it leaves the label, and whether it is sure, as they were."""
    (margin,) = classify.margins({"logits": logits}, asked("abc", settings))
    assert margin is not None and margin >= 0
    (before,) = classification(logits, "abc", settings)
    (after,) = classification(logits + moves * margin * 0.999, "abc", settings)
    if margin > 1e-6:
        assert (before.label, before.sure) == (after.label, after.sure)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 0.3),  # half of what b is ahead by
        ({"threshold": 0.0}, 0.3),
        ({"threshold": 1.0}, 0.3),
        # p(b) = 1 / (1 + exp(-0.6)); the threshold is where b would be ahead by 0.4.
        ({"threshold": 1 / (1 + np.exp(-0.4))}, 0.1),
        ({"threshold": 1 / (1 + np.exp(-0.2)), "temperature": {"logits": 2.0}}, 0.1),
    ],
)
def test_known_margins(settings: dict[str, Any], expected: float) -> None:
    assert classify.margins({"logits": np.array([[1.0, 1.6]])}, asked("ab", settings)) == [pytest.approx(expected)]


def test_every_task_takes_no_texts() -> None:
    for task in DECODERS:
        decoder = get_decoder(task)
        none: Outputs = {name: [] if per_token else np.zeros((0, 2)) for name, per_token in decoder.outputs.items()}
        pieces = None if decoder.cut is None else []
        nothing = Asked([], pieces, graphs.wordpiece(), dict.fromkeys(none, ("a", "b")), {})
        assert decoder.decode(none, nothing) == [] and decoder.margins(none, nothing) == []


# ---- what a manifest may say


def test_a_number_of_the_settings() -> None:
    settings = {"temperature": {"logits": 2, "tags": None}, "shift": -3.5, "scale": "wide"}
    assert number(settings, "temperature", "logits", default=1.0) == 2.0
    assert number(settings, "temperature", "tags", default=1.0) == 1.0
    assert number(settings, "temperature", "intent", default=1.5) == 1.5
    assert number(settings, "thresholds", "logits", default=0.5) == 0.5
    assert number(settings, "shift", default=0.0) == -3.5
    for path, options, reason in (
        (("scale",), {}, "settings.scale must be a number, not 'wide'"),
        (("shift",), {"low": 0.0, "high": 1.0}, "settings.shift must be a number from 0 to 1, not -3.5"),
        (("shift", "more"), {}, "settings.shift must be a JSON object, not -3.5"),
        (("temperature",), {}, "settings.temperature must be a number, not {"),
    ):
        with pytest.raises(BundleError, match=reason):
            number(settings, *path, default=1.0, **options)


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": None}, {"temperature": {}}, {"temperature": {"logits": None}}, {"threshold": None}]
)
def test_what_is_missing_or_null_has_a_default(settings: dict[str, Any]) -> None:
    """What passes the check does not fail in decode."""
    check_task("classification", [OutputSpec("logits", 2, False, ("a", "b"))], settings)
    assert temperature_of(settings, "logits") == 1.0
    assert classification(np.zeros((1, 2)), "ab", settings)[0].sure


NEEDS = {
    "classification": (OutputSpec("logits", 2, False, ("a", "b")),),
    "token-classification": (OutputSpec("logits", 3, True, ("O", "B-A", "I-A")),),
    "intent-slots": (OutputSpec("intent", 1, False, ("a",)), OutputSpec("slots", 1, True, ("O",))),
    "regression": (OutputSpec("score", 1),),
    "question-answering": (OutputSpec("logits", 2, True),),
    "multi-label": (OutputSpec("logits", 2, False, ("a", "b")),),
    "embedding": (OutputSpec("vector", 5),),
    "masked-lm": (OutputSpec("logits", 26, True),),
}


@pytest.mark.parametrize("task", NEEDS)
def test_a_task_needs_its_outputs(task: str) -> None:
    check_task(task, NEEDS[task], {})
    check_task(task, [*NEEDS[task], OutputSpec("more", 9, True)], {})
    for place, spec in enumerate(NEEDS[task]):
        rows = "a row for each token" if spec.per_token else "one row a text"
        wrong = [[], [spec._replace(name="other")], [spec._replace(per_token=not spec.per_token)]]
        if spec.name in get_decoder(task).widths:
            wrong.append([spec._replace(width=spec.width + 1)])
        for instead in wrong:
            outputs = [*NEEDS[task][:place], *instead, *NEEDS[task][place + 1 :]]
            with pytest.raises(BundleError, match=f"its task {task} needs an output '{spec.name}' with {rows}"):
                check_task(task, outputs, {})
        if spec.labels:
            outputs = [*NEEDS[task][:place], spec._replace(labels=()), *NEEDS[task][place + 1 :]]
            with pytest.raises(BundleError, match=f"its output '{spec.name}' has no labels"):
                check_task(task, outputs, {})


DAMAGED: tuple[Any, ...] = ([], "x", -1, float("nan"), 10**400, True, {"logits": "x"}, {"intent": [], "slots": {}})


@pytest.mark.parametrize("task", NEEDS)
@pytest.mark.parametrize("value", DAMAGED)
@pytest.mark.parametrize("key", ["temperature", "threshold", "thresholds", "scale", "shift", "no_answer"])
def test_damaged_settings_are_refused_or_harmless(task: str, key: str, value: Any) -> None:
    """What the check lets through, decode takes: no traceback either way."""
    try:
        check_task(task, NEEDS[task], {key: value})
    except BundleError as error:
        assert str(error).startswith(f"settings.{key}")
        return
    if any(spec.per_token for spec in NEEDS[task]):
        return  # these decode tokens, for which it takes a featurizer
    outputs: Outputs = {spec.name: np.ones((1, spec.width), np.float32) for spec in NEEDS[task]}
    labels = {spec.name: spec.labels for spec in NEEDS[task] if spec.labels}
    assert len(get_decoder(task).decode(outputs, Asked(["a"], None, None, labels, {key: value}))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [1.2, -0.1, float("nan"), float("inf"), True, "0.5", None, [0.5]])
def test_a_wrong_threshold(threshold: Any) -> None:
    with pytest.raises(UsageError, match="must be a probability between 0 and 1"):
        check_threshold("classification", threshold)


def test_a_task_without_probabilities_takes_no_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECODERS, "scores", f"{__name__}:SCORES")
    with pytest.raises(UsageError, match="scores have no probability; leave out the threshold"):
        check_threshold("scores", 0.5)


SCORES = classify.DECODER._replace(takes_threshold=False)


@pytest.mark.parametrize(("size", "classes"), [(16, 0), (16, -1), (16, 3), (7, 1), (16, 2**62)])
def test_logits_that_are_no_rows_are_refused(size: int, classes: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        _core.softmax(bytes(size), classes)
