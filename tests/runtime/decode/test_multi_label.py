"""Logits to any number of labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from edgebert_runtime.decode import Asked, check_task, check_threshold, get_decoder
from edgebert_runtime.decode.multi_label import MultiLabel
from edgebert_runtime.errors import BundleError
from edgebert_runtime.outputs import OutputSpec

DECODER = get_decoder("multi-label")
LABELS = ("a", "b", "c")
SPECS = [OutputSpec("logits", 3, labels=LABELS)]


def asked(count: int, **settings: Any) -> Asked:
    return Asked(["x"] * count, None, None, {"logits": LABELS}, settings)  # type: ignore[arg-type]


def decode(rows: Any, **settings: Any) -> list[MultiLabel]:
    return DECODER.decode({"logits": np.asarray(rows, np.float32)}, asked(len(rows), **settings))


logits = hnp.arrays(np.float32, (2, 3), elements=st.floats(-1e6, 1e6, width=32))
limits = st.lists(st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), min_size=3, max_size=3)


@given(logits, limits, st.sampled_from([0.25, 1.0, 3.5]))
def test_a_label_is_given_where_its_probability_reaches_its_threshold(
    rows: np.ndarray, limits: list[float], temperature: float
) -> None:
    found = decode(rows, thresholds=limits, temperature={"logits": temperature})
    for answer, row in zip(found, rows, strict=True):
        values = list(answer.probabilities.values())
        np.testing.assert_allclose(values, expit(row.astype(np.float64) / temperature), rtol=1e-9, atol=1e-300)
        expected = [label for label, p, least in zip(LABELS, values, limits, strict=True) if p >= least]
        assert list(answer.labels) == expected and list(answer.probabilities) == list(LABELS)


@given(hnp.arrays(np.float32, (1, 3), elements=st.floats(-30, 30, width=32)), limits, st.sampled_from([0.5, 2.0]))
def test_no_smaller_change_than_the_margin_makes_another_answer(
    row: np.ndarray, limits: list[float], temperature: float
) -> None:
    settings = {"thresholds": limits, "temperature": {"logits": temperature}}
    (margin,) = DECODER.margins({"logits": row}, asked(1, **settings))
    (answer,) = decode(row, **settings)
    step = 0.999 * margin - 1e-4 if margin is not None else 5.0
    if step <= 0:
        return
    for column in range(3):
        for sign in (-1, 1):
            moved = row.copy()
            moved[0, column] += sign * step
            assert decode(moved, **settings)[0].labels == answer.labels
    # ... and one as large does, or the margin would hide nothing.
    if margin is not None and margin < 25:
        beyond = [
            row + sign * np.eye(3, dtype=np.float32)[k] * (margin * 1.001 + 1e-4) for k in range(3) for sign in (-1, 1)
        ]
        assert any(decode(moved, **settings)[0].labels != answer.labels for moved in beyond)


def test_which_threshold() -> None:
    rows = np.log([[0.3 / 0.7, 0.6 / 0.4, 0.9 / 0.1]])
    assert decode(rows)[0].labels == ("b", "c")
    assert decode(rows, thresholds=[0.2, 0.7, 0.9001])[0].labels == ("a",)
    assert decode(rows, thresholds=[0.2, 0.7, 0.9001], threshold=0.8)[0].labels == ("c",)
    assert decode(rows, thresholds=[0.2, 0.7, 0.9001], threshold=0.0)[0].labels == LABELS
    assert decode(rows, threshold=1.0)[0].labels == ()


def test_an_answer_is_json_and_a_line() -> None:
    (answer,) = decode([[1.0, -1.0, 2.0]])
    plain = json.loads(json.dumps(answer.to_json()))
    assert plain["labels"] == ["a", "c"] and plain["probabilities"] == pytest.approx(answer.probabilities)
    assert answer.summary() == "a 0.7311  c 0.8808"
    assert decode([[-1.0] * 3])[0].summary() == "-"


@pytest.mark.parametrize("row", [[np.nan] * 3, [np.inf, -np.inf, 0.0], [3e38, -3e38, 0.0]])
def test_numbers_that_are_none_do_not_fail(row: list[float]) -> None:
    (answer,) = decode([row], temperature={"logits": 0.01})
    assert set(answer.labels) <= set(LABELS)


def test_no_rows() -> None:
    assert decode(np.zeros((0, 3))) == [] and DECODER.margins({"logits": np.zeros((0, 3))}, asked(0)) == []


@pytest.mark.parametrize(
    "settings", [{}, {"thresholds": [0, 0.5, 1]}, {"thresholds": None, "threshold": None}, {"temperature": {}}]
)
def test_good_settings_pass(settings: dict[str, Any]) -> None:
    check_task("multi-label", SPECS, settings)
    decode([[0.0] * 3], **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": 0.5}, "settings.thresholds must be a list"),
        ({"thresholds": [0.5]}, "must hold a number for each label, 3 in all"),
        ({"thresholds": [0.5, "x", 0.5]}, r"settings.thresholds\[1\] must be a number from 0 to 1, not 'x'"),
        ({"thresholds": [0.5, 0.5, 1.5]}, r"settings.thresholds\[2\] must be a number from 0 to 1"),
        ({"thresholds": [True, 0.5, 0.5]}, r"settings.thresholds\[0\] must be a number from 0 to 1"),
        ({"thresholds": [0.5, float("nan"), 0.5]}, r"settings.thresholds\[1\] must be a number"),
        ({"threshold": 2}, "settings.threshold must be a number"),
        ({"temperature": 1.5}, "settings.temperature must be a JSON object"),
        ({"temperature": {"logits": 0}}, "settings.temperature.logits must be a number"),
    ],
)
def test_damaged_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_task("multi-label", SPECS, settings)


def test_an_output_without_labels_is_refused() -> None:
    with pytest.raises(BundleError, match="its output 'logits' has no labels"):
        check_task("multi-label", [OutputSpec("logits", 3)], {})


def test_it_takes_a_threshold() -> None:
    check_threshold("multi-label", 0.8)
