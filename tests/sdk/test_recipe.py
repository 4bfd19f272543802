"""Recipes: one typed model, from YAML and flags, with an answer to each mistake."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from edgebert.recipe import Recipe, TrainingSection, load_yaml, merge, parse
from edgebert_runtime.errors import EdgeBertError, UsageError

GOOD: dict[str, Any] = {"teacher": "t", "student": {"name": "ngram"}, "data": {"path": "d"}, "out": "o"}


def test_a_recipe_is_typed() -> None:
    recipe = parse(Recipe, {**GOOD, "training": {"epochs": 2}}, "recipe.yaml")
    assert recipe.student.name == "ngram" and recipe.student.options == {}
    assert recipe.data.path == "d" and recipe.objectives is None
    settings = parse(TrainingSection, recipe.training, "training")
    assert settings.epochs == 2 and settings.learning_rate == 5e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objetives": {}}, "unknown key 'objetives'. Did you mean 'objectives'"),
        ({"data": {"pth": "x"}}, "unknown key 'data.pth'. Did you mean 'path'"),
        ({"student": {}}, "'student.name' is missing"),
        ({"teacher": None}, "teacher = None: "),
        ({"out": 5}, "out = 5: .*string"),
        ({"data": {"unlabelled_limit": 0}}, "data.unlabelled_limit = 0: "),
        ({"data": []}, r"data = \[\]: "),
        ({"objectives": {"logits": 1}}, "objectives.logits = 1: "),
        ({3: "x"}, "the key 3 is not text"),
    ],
)
def test_a_wrong_recipe_is_answered(change: dict[Any, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(Recipe, {**GOOD, **change}, "recipe.yaml")
    assert str(caught.value).startswith("recipe.yaml: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs = 0: "),
        ({"epochs": 2.5}, "epochs = 2.5: "),
        ({"epochs": "many"}, "epochs = 'many': "),
        ({"learning_rate": math.inf}, "learning_rate = inf: "),
        ({"learning_rate": math.nan}, "learning_rate = nan: "),
        ({"precision": "fp8"}, "precision = 'fp8': "),
        ({"seed": -1}, "seed = -1: "),
        ({"seed": ["x" * 500]}, r"seed = \['x+\.\.\.: "),
    ],
)
def test_wrong_training_settings_are_answered(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(TrainingSection, values, "training")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden": 3}, "unknown key 'hiden'. Did you mean 'hidden'"),
        ({"channels": [{"name": "a"}, {"name": "b", "width": 4, "row": 3}]}, r"'channels.1.row'. Did you mean 'rows'"),
        ({"channels": [{"name": "a", "kind": "letter"}]}, "channels.0.kind = 'letter'"),
        ({"pooling": "max"}, "pooling = 'max'"),
    ],
)
def test_wrong_student_options_are_answered_at_each_level(options: dict[str, Any], message: str) -> None:
    from edgebert.models import get_family

    with pytest.raises(UsageError, match=message):
        parse(get_family("ngram").options, options, "student")


def test_flags_count_more_than_the_recipe() -> None:
    recipe = {"student": {"name": "ngram", "hidden": 8}, "training": {"epochs": 5, "seed": 1}, "teacher": "a"}
    flags = {
        "teacher": "b",
        "student": {"name": "mobilebert"},
        "training": {"epochs": 2, "seed": None},
        "data": {"path": None, "unlabelled": ()},
        "out": None,
    }
    merged = merge(recipe, flags)
    assert merged == {
        "student": {"name": "mobilebert", "hidden": 8},
        "training": {"epochs": 2, "seed": 1},
        "teacher": "b",
    }
    assert recipe["training"] == {"epochs": 5, "seed": 1}  # untouched
    assert merge({}, {"training": {"seed": 0}}) == {"training": {"seed": 0}}  # zero is a value


def test_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("student: ngram\ntraining: {learning_rate: 1e-3}\n", encoding="utf-8")
    values = load_yaml(path)
    assert values["student"] == {"name": "ngram"}
    assert parse(TrainingSection, values["training"], "training").learning_rate == 1e-3  # YAML 1.1 calls it text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1, 2", "not valid YAML"),
        (b"a: b: c", "not valid YAML"),
        (b"a: !!python/object/apply:os.system [echo]", "not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8 at byte 0"),
        (b"- a\n- b\n", "a recipe is a mapping"),
        (b"", "a recipe is a mapping"),
        (b"[" * 5000, "not valid YAML"),
    ],
)
def test_bad_yaml_is_answered_in_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(EdgeBertError, match=message) as caught:
        load_yaml(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot read the recipe .*none.yaml: No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(EdgeBertError, match="Is a directory"):
        load_yaml(tmp_path)
