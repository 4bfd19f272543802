"""`docs/distillation.md` says what the code does: its recipes parse, its tables are compared with the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from edgebert.distillation.objectives import OBJECTIVES, Sizes, make_objectives
from edgebert.models import STUDENTS, get_family
from edgebert.models.bert import Bert, BertConfig
from edgebert.models.bilstm import BiLstm, BiLstmConfig
from edgebert.models.mobilebert import PRESETS, MobileBert
from edgebert.recipe import DataSection, Recipe, TrainingSection, load_yaml, parse

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "distillation.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def rows(heading: str) -> dict[str, list[str]]:
    """The table under the line that starts with `heading`: the names in its first column to the other cells."""
    table = PAGE[PAGE.index(heading) :].split("\n\n")[0].splitlines()[2:]
    found = {}
    for line in table:
        first, *others = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|")))
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", first), others))
    return found


@pytest.mark.parametrize("text", RECIPES)
def test_each_recipe_on_the_page_parses(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = parse(Recipe, load_yaml(path), "recipe")
    family = get_family(recipe.student.name)
    parse(family.options, recipe.student.options, "student")
    parse(TrainingSection, {**family.training, **recipe.training}, "training")
    sizes = Sizes(2, 8, 2)
    assert make_objectives(recipe.objectives or family.objectives, sizes, sizes, ())


def test_there_are_recipes_and_none_is_hidden_in_another_fence() -> None:
    assert len(RECIPES) == 3 and all(isinstance(yaml.safe_load(text), dict) for text in RECIPES)


def test_the_tables_name_each_key() -> None:
    assert set(rows("| key | what it is")) == set(Recipe.model_fields)
    assert set(rows("| key of `data`")) == set(DataSection.model_fields)
    assert set(rows("| key of `training`")) == set(TrainingSection.model_fields)
    assert set(rows("| name | value")) == set(OBJECTIVES)
    assert set(rows("| name | parameters")) == set(STUDENTS)


def shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_defaults_are_the_codes() -> None:
    sizes = [name for name in STUDENTS if name.startswith("mobilebert")]
    columns = {1: ["ngram"], 2: ["bilstm"], 3: sizes, 4: ["bert-3"]}
    assert {name for names in columns.values() for name in names} == set(STUDENTS)
    for key, cells in rows("| key of `training`").items():
        default = TrainingSection.model_fields[key].default
        assert cells[0] == ("-" if key == "sparse_learning_rate" else shown(default))
        for column, name in ((column, name) for column, names in columns.items() for name in names):
            if cells[column] != "-":
                value = get_family(name).training.get(key, default)
                assert shown(value) in re.findall(r"[\w.\-]+", cells[column]), (key, name)


def test_the_sizes_are_the_codes() -> None:
    table = rows("| name | parameters")
    for name, config in PRESETS.items():
        with torch.device("meta"):
            network = MobileBert(config, ())
        count = sum(p.numel() for _, p in network.named_parameters())
        assert table[name][:2] == [f"{count / 1e6:.1f} M", f"{config.hidden} x {config.layers}"]
    minilm = {"hidden": 384, "feedforward": 1536, "heads": 12, "vocabulary": 30522}
    with torch.device("meta"):
        cut = Bert(BertConfig(**minilm, embedding=get_family("bert-3").options().embedding, layers=3), ())
    assert table["bert-3"][0] == f"{sum(p.numel() for p in cut.parameters()) / 1e6:.1f} M, of `minilm`"
    tagger = get_family("bilstm").options()
    with torch.device("meta"):
        largest = BiLstm(BiLstmConfig(tagger.words + 1, tagger.characters + 1, shapes=8), ())
    assert table["bilstm"][0] == f"at most {sum(p.numel() for p in largest.parameters()) / 1e6:.1f} M"
    assert table["bilstm"][1].startswith(f"{tagger.hidden} x {tagger.layers}")
    options = get_family("ngram").options()
    assert table["ngram"][0] == f"at most {sum(c.rows * c.width for c in options.channels) / 1e6:.1f} M"
