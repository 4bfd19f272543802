"""Smaller n-gram students: what is cut is what was meant to be, and what is left answers as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from converter_models import DEV, logits_of

from edgebert_converters.base import ExportableModel, Precision
from edgebert_converters.ladder import export_model
from edgebert_converters.native import BITS, encode
from edgebert_converters.shrink import OVERHEAD, candidates, fewer, importance, narrower, tabled
from edgebert_runtime import EdgeModel
from edgebert_runtime.errors import ExportError
from edgebert_runtime.ngrams import NgramFeaturizer, build_table, known_hashes


@pytest.fixture
def model(models) -> ExportableModel:
    return replace(models["ngram"], calibration_texts=models["ngram"].pieces)


def table_of(model: ExportableModel) -> NgramFeaturizer:
    assert isinstance(model.featurizer, NgramFeaturizer)
    return model.featurizer


def rows_of(model: ExportableModel) -> list[int]:
    return [rows - 1 for rows in table_of(model).rows]


def test_a_table_gives_its_hashes_back(model) -> None:
    featurizer = table_of(model)
    hashes = known_hashes(featurizer.table, len(featurizer.channels))
    assert [len(known) for known in hashes] == rows_of(model)
    assert build_table(featurizer.channels, hashes, featurizer.max_length) == featurizer.table


def test_all_rows_kept_change_nothing(model) -> None:
    same = fewer(model, importance(model), 1.0)
    assert rows_of(same) == rows_of(model)
    assert np.array_equal(logits_of(same, DEV), logits_of(model, DEV))


def test_rows_that_no_text_reaches_go_first(model) -> None:
    """The fixture's tables hold 2,000 n-grams that are in no text: without them, the same ids and the same answers."""
    counts = [(weights > 0) * 1.0 for weights in importance(model)]
    for index, weights in enumerate(counts):
        ids = np.concatenate([item[table_of(model).channels[index].name] for item in model.featurizer(DEV)])
        weights[np.unique(ids) - 1] += 1
    share = max(float((weights > 1).mean()) for weights in counts) + 0.01
    smaller = fewer(model, counts, share)
    assert all(after < before for after, before in zip(rows_of(smaller), rows_of(model), strict=True))
    np.testing.assert_allclose(logits_of(smaller, DEV), logits_of(model, DEV), atol=1e-4)


def test_spellings_follow_their_rows(model) -> None:
    """A known word's stored character n-grams are those that the smaller featurizer finds in it."""
    smaller = fewer(model, importance(model), 0.6)
    featurizer, module = table_of(smaller), smaller.module
    words = sorted({word for text in DEV for word in text.split()})
    for word in words:
        (item,) = featurizer([word])
        if len(item["word_ids"]) == 1:
            stored = module.spelling(2)[item["word_ids"][0]]  # type: ignore[operator]
            assert sorted(item["char_ids"].tolist()) == sorted(int(row) for row in stored if row)


def test_directions_that_no_row_uses_cost_nothing(model) -> None:
    """Tables of rank 32 in 64 columns: half of the width is free."""
    module: Any = model.module
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        low = torch.randn(module.tables[0].weight.shape[0], 32, generator=generator)
        low[0] = 0
        module.tables[0].weight.copy_(low @ torch.randn(32, 64, generator=generator))
    before = logits_of(model, DEV)
    after = narrower(model, 0.5)
    assert after.module.tables[0].weight.shape[1] == 32  # type: ignore[union-attr,index]
    np.testing.assert_allclose(logits_of(after, DEV), before, atol=2e-3 * float(np.abs(before).max()))
    assert model.module.tables[0].weight.shape[1] == 64  # type: ignore[union-attr,index]


def test_n_grams_that_a_smaller_table_cannot_tell_apart_are_merged() -> None:
    hashes = np.array([1, 2, 1 << 60, (1 << 60) + 1, 1 << 63], np.uint64)
    assert tabled(hashes, np.arange(5)).tolist() == [0, 2, 4]
    assert tabled(hashes, np.arange(5)[::-1]).tolist() == [4, 3, 1]


def test_the_important_n_grams_stay_where_a_line_is_full() -> None:
    hashes = np.arange(40, dtype=np.uint64) << np.uint64(48)  # all of them in one line
    rows = np.random.default_rng(0).permutation(40)
    assert tabled(hashes, rows).tolist() == rows[:29].tolist()


@pytest.mark.parametrize("precision", [None, Precision.INT8])
def test_every_candidate_fits(model, precision: Precision | None) -> None:
    budget = OVERHEAD + 150_000
    found = list(candidates(model, budget, precision))
    assert found
    assert {item.precision for item in found} == ({precision} if precision else {Precision.INT8, Precision.INT4})
    for item in found:
        assert len(encode(item.model.module, table_of(item.model), 2, BITS[item.precision])) + OVERHEAD <= budget


def test_a_pair_model_keeps_its_width(model) -> None:
    from converter_models import ngram

    pairs = replace(ngram(pair=True), calibration_texts=tuple((text, text) for text in DEV))
    widths = [table.weight.shape[1] for table in pairs.module.tables]  # type: ignore[union-attr]
    for item in candidates(pairs, OVERHEAD + 150_000, Precision.INT8):
        assert [table.weight.shape[1] for table in item.model.module.tables] == widths  # type: ignore[union-attr]


def test_export_in_a_given_size(model, tmp_path: Path) -> None:
    log: list[str] = []
    out, budget = tmp_path / "x.edgebert", 260_000
    (made,) = export_model(model, "linux", "auto", max_size=budget, max_drop=0.2, out=out, log=log.append)
    assert made.format == "native" and out.stat().st_size <= budget
    assert sum(line.startswith("native: converting") for line in log) > 1  # several were tried
    with EdgeModel.load(out) as loaded:
        assert loaded.self_test().passed


def test_a_size_that_nothing_fits(model, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no bundle fits 50,000 bytes"):
        export_model(model, "linux", "native", max_size=50_000, out=tmp_path / "x.edgebert", log=lambda _: None)
    assert list(tmp_path.iterdir()) == []
