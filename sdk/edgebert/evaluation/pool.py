"""Two classifiers as one: how probable each label is by what both of them say."""

from __future__ import annotations

import numpy as np

from edgebert.evaluation.calibration import fit_temperature
from edgebert.evaluation.metrics import Ids, softmax

WEIGHTS = np.linspace(0, 1, 21)
_LEAST = 1e-9  # a probability of 0 has no logarithm


def pool(first: np.ndarray, second: np.ndarray, gold: Ids) -> np.ndarray:
    """Probabilities [n, classes]: a logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1(1)).

    The mean of the logarithms, whose weight and temperature give gold the largest likelihood.

    Args:
        first, second: probabilities [n, classes].
        gold: class ids [n].
    """
    one, other = (np.log(np.maximum(table, _LEAST)) for table in (first, second))
    pools = []
    for weight in WEIGHTS:
        mixed = weight * one + (1 - weight) * other
        pools.append(softmax(mixed, fit_temperature(mixed, gold)))
    rows = np.arange(len(gold))
    return max(pools, key=lambda table: float(np.log(np.maximum(table[rows, gold], _LEAST)).mean()))
