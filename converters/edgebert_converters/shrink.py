"""Smaller versions of an n-gram student, for `--max-size`: fewer rows, narrower tables, fewer bits.

Which of them keeps most accuracy is not guessed: the ladder exports each one and measures it on the dev texts.

Rows: those with the largest product of frequency and length are kept, the frequency being counted on the calibration
texts (Ye et al. 2022, arXiv 2110.08536, prune by frequency). Width: the rows are turned onto their principal
directions, the layers above are turned back, and the last directions are cut off; a pair model compares its two vectors
number by number and is left as wide as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgebert_converters.base import ExportableModel, Precision
from edgebert_converters.native import BITS, BLOCK, encode
from edgebert_runtime.ngrams import NgramFeaturizer, build_table, kept_by_table, known_hashes

WIDTHS = (1.0, 0.75, 0.5, 0.25)
FEWEST = 0.02  # of the rows; with less there is no model left
SEARCHES = 8  # halvings of the share of rows
OVERHEAD = 100_000  # bytes of a bundle beside the model: manifest, test vectors, card, alignment


@dataclass(frozen=True)
class Smaller:
    """One candidate: what was done to it, and the model."""

    name: str
    model: ExportableModel
    precision: Precision


def candidates(model: ExportableModel, budget: int, precision: Precision | None) -> Iterator[Smaller]:
    """Models whose bundle takes at most `budget` bytes, as large as it allows: one for each width and precision."""
    module: Any = model.module
    for chosen in (precision,) if precision is not None else (Precision.INT8, Precision.INT4):
        for share in WIDTHS[:1] if module.config.pair else WIDTHS:
            narrow = narrower(model, share)
            kept, found = _most_rows(narrow, budget, chosen)
            if found is None:
                continue
            widths = "/".join(str(table.weight.shape[1]) for table in found.module.tables)  # type: ignore[union-attr]
            yield Smaller(f"{chosen}, {kept:.0%} of the rows, width {widths}", found, chosen)
            if kept == 1:
                break  # narrower tables would only lose


def _most_rows(model: ExportableModel, budget: int, precision: Precision) -> tuple[float, ExportableModel | None]:
    """The largest share of rows that fits, by halving, and the model with it."""

    def fits(candidate: ExportableModel) -> bool:
        assert isinstance(candidate.featurizer, NgramFeaturizer)
        size = len(encode(candidate.module, candidate.featurizer, model.outputs[0].width, BITS[precision]))
        return size + OVERHEAD <= budget

    if fits(model):
        return 1.0, model
    importances = importance(model)
    low, high, best = 0.0, 1.0, None
    for _ in range(SEARCHES):
        share = (low + high) / 2
        candidate = fewer(model, importances, share)
        if fits(candidate):
            low, best = share, candidate
        else:
            high = share
    return low, best if low >= FEWEST else None


def importance(model: ExportableModel) -> list[np.ndarray]:
    """(1 + how often a row is met in the calibration texts) x its length; float [rows without padding] a channel."""
    featurizer: Any = model.featurizer
    texts = [half for text in model.calibration_texts for half in (text if isinstance(text, tuple) else (text,))]
    found = []
    for index, table in enumerate(model.module.tables):  # type: ignore[arg-type]
        counts = np.bincount(featurizer.ids(index, texts)[0], minlength=len(table.weight))
        found.append((1 + counts[1:]) * np.linalg.norm(table.weight.detach().float().numpy()[1:], axis=1))
    return found


def fewer(model: ExportableModel, importances: Sequence[np.ndarray], share: float) -> ExportableModel:
    """The model with this share of each channel's rows."""
    import torch

    module: Any = copy.deepcopy(model.module)
    featurizer: Any = model.featurizer
    kept, hashes = [], []
    for known, weights in zip(known_hashes(featurizer.table, len(importances)), importances, strict=True):
        rows = np.argsort(-weights, kind="stable")[: round(share * len(weights))]
        rows = np.sort(tabled(known, rows))
        kept.append(rows)
        hashes.append(known[rows])
    for index, rows in enumerate(kept):
        with_padding = torch.from_numpy(np.concatenate([[0], rows + 1]))
        _set(module.tables[index], module.tables[index].weight[with_padding])
    config = module.config
    new_rows = [_positions(len(weights), rows) for weights, rows in zip(importances, kept, strict=True)]
    for channel in config.spelled:
        spelling = module.spelling(channel).numpy()[np.concatenate([[0], kept[config.single] + 1])]
        renumbered = -np.sort(-new_rows[channel][spelling], axis=1)  # the zeros last
        setattr(module, f"spelling_{channel}", torch.from_numpy(renumbered.astype(np.int32)))
    table = build_table(featurizer.channels, hashes, featurizer.max_length)
    smaller = NgramFeaturizer(featurizer.channels, table, featurizer.max_length, featurizer.pair)
    return replace(model, module=module, featurizer=smaller)


def _positions(count: int, kept: np.ndarray) -> np.ndarray:
    """Old row to new row, padding included; 0 for one that is gone."""
    places = np.zeros(count + 1, np.int64)
    places[kept + 1] = np.arange(1, len(kept) + 1)
    return places


def tabled(hashes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`rows`, the important ones first, without those that a table of so few n-grams would leave out."""
    while True:
        kept = rows[np.sort(kept_by_table(hashes[rows]))]
        if len(kept) == len(rows):
            return rows
        rows = kept


def narrower(model: ExportableModel, share: float) -> ExportableModel:
    """The model with each table turned onto its principal directions and cut to a share of its width."""
    if share == 1:
        return model
    import torch

    module: Any = copy.deepcopy(model.module)
    turns = []
    with torch.no_grad():
        for table in module.tables:
            weight = table.weight.float()
            _, directions = torch.linalg.eigh(weight.T @ weight)
            width = max(BLOCK, round(share * weight.shape[1] / BLOCK) * BLOCK)
            turns.append(directions.flip(1)[:, :width])
            _set(table, weight @ turns[-1])
        turn = torch.block_diag(*turns)
        for layer in (module.linear, module.hidden):
            if layer is not None:
                layer.weight = torch.nn.Parameter(layer.weight @ turn, requires_grad=False)
    return replace(model, module=module)


def _set(table: Any, weight: Any) -> None:
    """Give an embedding another table."""
    import torch

    table.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
    table.num_embeddings, table.embedding_dim = weight.shape
