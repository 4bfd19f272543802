"""Test vectors: what is written, and what counts as the same answer on another machine."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_helpers import manifest

from edgebert_runtime.bundle import output_tensors
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec
from edgebert_runtime.golden import MOST, SAMPLES, check_golden, compare, slack, vector
from edgebert_runtime.outputs import OutputSpec

INPUTS = (InputSpec("ids", 1, 10),)
PLAIN = ("no", "yes")
MODEL = manifest(outputs=output_tensors((OutputSpec("logits", 2, False, PLAIN), OutputSpec("tags", 3, True))))


class Answer(NamedTuple):
    """As decoders make them: any JSON."""

    value: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.value


ANSWER = {
    "label": "yes",
    "probability": 0.75,
    "sure": True,
    "spans": [{"start": 3, "text": "a", "probability": 0.5}, {"start": 9, "text": "b", "probability": 0.25}],
    "nothing": None,
}


def items(tokens: int = 3, scale: float = 1.0) -> list[Any]:
    logits = np.array([0.1, -0.7], np.float32) * np.float32(scale)
    tags = np.linspace(-1, 1, 3 * tokens, dtype=np.float32).reshape(tokens, 3)
    return [({"ids": np.arange(tokens, dtype=np.int32)}, {"logits": logits, "tags": tags})]


def made(margin: float | None = 0.4, **options: Any) -> dict[str, Any]:
    found = vector("hi", items(**options), Answer(copy.deepcopy(ANSWER)), margin, INPUTS)
    return check_golden(json.loads(json.dumps(found)), MODEL)


def compared(golden: Mapping[str, Any], answer: Any = None, tolerance: float = 1e-3, **options: Any) -> list[str]:
    return compare(golden, items(**options), Answer(answer or ANSWER), tolerance)[1]


# ---- what is written


def test_a_vector() -> None:
    found = made()
    (piece,) = found["pieces"]
    assert found["text"] == "hi" and found["answer"] == ANSWER and found["margin"] == 0.4
    assert piece["ids"] == {"ids": [0, 1, 2]} and list(piece["outputs"]) == ["logits", "tags"]
    assert piece["outputs"]["logits"] == {"shape": [2], "values": [0.1, -0.7]}  # as few digits as will do
    assert piece["outputs"]["tags"]["shape"] == [3, 3] and len(piece["outputs"]["tags"]["values"]) == 9


@given(st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=2, max_size=2))
def test_numbers_come_back_bit_for_bit(numbers: list[float]) -> None:
    logits = np.array(numbers, np.float32)
    found = vector("hi", [({"ids": np.zeros(1, np.int32)}, {"logits": logits})], Answer({}), None, INPUTS)
    again = json.loads(json.dumps(found))["pieces"][0]["outputs"]["logits"]["values"]
    assert np.array(again, np.float32).tobytes() == logits.tobytes()


def test_tuples_become_lists_and_pairs_too() -> None:
    found = vector(("a", "b"), items(), Answer({"spans": ((1, 2),)}), None, INPUTS)
    assert found["text"] == ["a", "b"] and found["answer"] == {"spans": [[1, 2]]}
    assert check_golden(found, MODEL)["text"] == ("a", "b")
    assert compare(found, items(), Answer({"spans": ((1, 2),)}), 0.0) == (0.0, [])


def test_an_answer_that_is_no_json_is_not_written() -> None:
    for wrong in (float("nan"), float("inf"), np.float32(1.0)):
        with pytest.raises((ValueError, TypeError)):
            vector("hi", items(), Answer({"score": wrong}), None, INPUTS)


def test_a_text_without_tokens() -> None:
    golden = made(tokens=0)
    assert golden["pieces"][0]["outputs"]["tags"] == {"shape": [0, 3], "values": []}
    assert compared(golden, tokens=0) == []


@pytest.mark.parametrize(("tokens", "kept"), [(8, 8 * 2048), (7, 7 * 2048), (9, SAMPLES)])
def test_of_a_large_output_some_numbers_are_kept(tokens: int, kept: int) -> None:
    """16,384 numbers are all kept; of one row more, 1,024, evenly spread."""
    big = manifest(
        max_length=16,
        shapes=manifest().shapes.__class__(None, None, 1, 16),
        task="later",
        outputs=output_tensors((OutputSpec("words", 2048, True),)),
    )
    words = np.arange(tokens * 2048, dtype=np.float32).reshape(tokens, 2048)
    piece = ({"ids": np.ones(tokens, np.int32)}, {"words": words})
    golden = check_golden(vector("hi", [piece], Answer({}), None, INPUTS), big)
    values = golden["pieces"][0]["outputs"]["words"]["values"]
    assert len(values) == kept and (kept == SAMPLES) == (words.size > MOST)
    assert values == [float(index * words.size // kept) for index in range(kept)]
    assert compare(golden, [piece], Answer({}), 0.0) == (0.0, [])
    moved = words.copy()
    moved.flat[17 * words.size // kept] += 1e6
    difference, wrong = compare(golden, [(piece[0], {"words": moved})], Answer({}), 1e-4)
    assert difference == 1e6 and len(wrong) == 1
    del values[-1]
    with pytest.raises(BundleError, match=f"values of 'words' must be {kept} numbers"):
        check_golden(golden, big)


# ---- what counts as the same


def test_the_same_answer_passes() -> None:
    assert compare(made(), items(), Answer(ANSWER), 0.0) == (0.0, [])


def test_outputs_may_differ_by_the_tolerance() -> None:
    """Relative to the largest number of that output, where that is above 1."""
    for scale, allowed in ((1.0, 0.01), (10.0, 0.07)):
        golden = made(scale=scale)
        for move, fails in ((allowed * 0.99, False), (allowed * 1.01, True)):
            ((features, outputs),) = items(scale=scale)
            outputs["logits"] = outputs["logits"] + np.array([0, move], np.float32)
            difference, wrong = compare(golden, [(features, outputs)], Answer(ANSWER), 0.01)
            assert difference == pytest.approx(move, rel=1e-4) and bool(wrong) == fails
            assert not fails or wrong == [f"logits differ by {difference:.3g}, allowed {allowed:.3g}"]


def test_other_ids_are_named_and_nothing_else() -> None:
    assert compared(made(), tokens=2) == ["other ids for 'ids'"]
    assert compare(made(), items() * 2, Answer(ANSWER), 1.0)[1] == ["the text is read in 2 parts, not 1"]


CHANGES: list[tuple[str, Any, str]] = [
    ("label", "no", 'the answer: \'label\' is "no", not "yes"'),
    ("sure", False, "the answer: 'sure' is false, not true"),
    ("nothing", "some", "the answer: 'nothing' is \"some\", not null"),
    ("spans", [], "the answer: 'spans' is [], not [{"),
    ("spans/1/start", 10, "the answer: 'spans': 1: 'start' is 10, not 9"),
    ("spans/0/text", "A", "the answer: 'spans': 0: 'text' is \"A\", not \"a\""),
    ("probability", None, "the answer: 'probability' is null, not 0.75"),
    ("probability", "0.75", "the answer: 'probability' is \"0.75\", not 0.75"),
    ("sure", 1, "the answer: 'sure' is 1, not true"),
    ("more", 1, "the answer is {"),
]


def changed(path: str, value: object) -> dict[str, Any]:
    answer: Any = copy.deepcopy(ANSWER)
    inner, keys = answer, path.split("/")
    for key in keys[:-1]:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[keys[-1]] = value
    return dict(answer)


@pytest.mark.parametrize(("path", "value", "reason"), CHANGES)
def test_another_answer_is_named(path: str, value: object, reason: str) -> None:
    """Whichever of the two is the recorded one; and only a margin within what is allowed excuses it."""
    (sentence,) = compared(made(), changed(path, value))
    assert sentence.startswith(reason)
    golden = made() | {"answer": changed(path, value)}
    assert len(compared(golden)) == 1
    for margin, excused in ((None, False), (0.0011, False), (0.0009, True), (0.0, True)):
        assert (compared(golden | {"margin": margin}) == []) == excused


def test_numbers_with_a_fraction_may_differ() -> None:
    golden = made()
    for value, fails in ((0.7539, False), (0.7541, True), (0.7459, True), (0.7461, False), (1, True)):
        wrong = compared(golden, changed("probability", value))
        assert bool(wrong) == fails
    assert compared(golden, changed("probability", 0.76)) == ["the answer: 'probability' is 0.76, not 0.75"]
    large = made() | {"answer": changed("probability", 200.0)}
    assert compared(large, changed("probability", 200.7)) == []  # relatively, where they are above 1
    assert compared(large, changed("probability", 200.9)) != []


def test_a_margin_does_not_excuse_another_number() -> None:
    """A probability is no decision: it follows from the outputs."""
    assert compared(made(margin=0.0), changed("probability", 0.9)) == ["the answer: 'probability' is 0.9, not 0.75"]


def test_a_recorded_integer_beyond_all_floats() -> None:
    golden = made() | {"answer": changed("probability", 10**400)}
    assert len(compared(golden)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_two_answers_can_be_compared(recorded: Any, found: Any) -> None:
    golden = made() | {"answer": {"it": recorded}}
    assert compared(golden, {"it": recorded}, tolerance=0.0) == []
    for sentence in compared(golden, {"it": found}):
        assert "\n" not in sentence


def test_numbers_that_decode_multiplies_may_differ_by_more() -> None:
    """A score is the output times a scale; a probability follows a logit the faster, the lower the temperature is."""
    assert slack({}) == slack({"scale": None, "temperature": {}}) == slack({"scale": "x", "temperature": [0]}) == 4
    assert slack({"scale": 2, "temperature": {"logits": 1.5}}) == 4
    assert slack({"scale": -10.0}) == 20 and slack({"temperature": {"intent": 0.1, "slots": 2.0}}) == 10
    golden = made()
    moved = {**copy.deepcopy(ANSWER), "probability": ANSWER["probability"] + 0.01}
    assert compare(golden, items(), Answer(moved), 1e-3)[1]
    assert not compare(golden, items(), Answer(moved), 1e-3, {"scale": 10.0})[1]
