"""Outputs to scores."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgebert_runtime.decode import Asked, check_task, check_threshold, get_decoder
from edgebert_runtime.decode.regression import Score
from edgebert_runtime.errors import BundleError, UsageError
from edgebert_runtime.outputs import OutputSpec

DECODER = get_decoder("regression")
SPECS = [OutputSpec("score", 1)]


def asked(count: int, **settings: Any) -> Asked:
    return Asked(["x"] * count, None, None, {}, settings)  # type: ignore[arg-type]


def test_the_network_learns_deviations_and_decode_undoes_that() -> None:
    outputs = {"score": np.array([[0.0], [1.0], [-2.0]], np.float32)}
    found = DECODER.decode(outputs, asked(3, scale=1.5, shift=2.75))
    assert [answer.score for answer in found] == pytest.approx([2.75, 4.25, -0.25])
    assert all(type(answer.score) is float for answer in found)
    assert DECODER.decode(outputs, asked(3)) == [Score(0.0), Score(1.0), Score(-2.0)]
    assert DECODER.margins(outputs, asked(3)) == [None, None, None]


def test_an_answer_is_json_and_a_line() -> None:
    answer = Score(3.14159)
    assert json.loads(json.dumps(answer.to_json())) == {"score": 3.14159}
    assert answer.summary() == "3.1416"


@pytest.mark.parametrize("settings", [{}, {"scale": 0.5, "shift": -3}, {"scale": None, "shift": None}, {"other": [1]}])
def test_good_settings_pass(settings: dict[str, Any]) -> None:
    check_task("regression", SPECS, settings)
    DECODER.decode({"score": np.ones((1, 1))}, asked(1, **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0}, "settings.scale must be a number"),
        ({"scale": -1.0}, "settings.scale must be a number"),
        ({"scale": "2"}, "settings.scale must be a number"),
        ({"scale": True}, "settings.scale must be a number"),
        ({"shift": [1]}, "settings.shift must be a number"),
        ({"shift": float("inf")}, "settings.shift must be a number"),
    ],
)
def test_damaged_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_task("regression", SPECS, settings)


def test_another_output_is_refused() -> None:
    with pytest.raises(BundleError, match="needs an output 'score' with one row a text"):
        check_task("regression", [OutputSpec("logits", 1)], {})


def test_a_score_has_no_probability() -> None:
    with pytest.raises(UsageError, match="regression have no probability; leave out the threshold"):
        check_threshold("regression", 0.5)
