"""`edgebert cascade`: two bundles in one; the large model is asked only where the small one is not sure."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert.console import note, table
from edgebert_runtime.errors import UsageError

if TYPE_CHECKING:
    from edgebert.data import Row
    from edgebert_runtime.features import Text
    from edgebert_runtime.model import EdgeModel

TASK = "classification"
TIMED = 200  # dev texts that both models are timed on
CLEAR = 0.02  # a test vector's probability is at least this far from the threshold
SHOWN = 8  # rows of the printed curve


@dataclass(frozen=True)
class Point:
    """What one threshold gives on dev.

    Attributes:
        share: of texts that the large model is asked about.
        accuracy: as counted.
        expected: the accuracy that can be expected of other texts (see `curve`).
        ms: mean time of a text, the small model's and its share of the large one's.
    """

    threshold: float
    share: float
    accuracy: float
    expected: float
    ms: float


def cascade(
    small: str | Path,
    big: str | Path,
    *,
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    max_drop: float | None = None,
    accuracy: float | None = None,
    latency: float | None = None,
    out: str | Path,
) -> Path:
    """Write a bundle that answers with `small` and asks `big` where the probability is below a threshold.

    The threshold is chosen on dev, never on test: the fastest one that keeps the wanted accuracy, or the most accurate
    one that keeps the wanted latency.

    Args:
        data, train, dev: see `edgebert.data.load_splits`.
        max_drop: how much of the large model's accuracy may be lost, 0..1, as expected from dev. Default: 0.002.
        accuracy: the accuracy that is wanted instead, 0..1, as expected from dev.
        latency: the mean time of a text that is wanted instead, in ms as measured here.
    Returns:
        `out`.
    Raises:
        UsageError: the two do not answer the same question, or more than one wish is named.
        DataError: a bad row.
        EdgeBertError: a bundle cannot be read, or `out` not written.
    """
    from edgebert_runtime.model import EdgeModel

    wishes = {"max_drop": max_drop, "accuracy": accuracy, "latency": latency}
    named = [f"--{name.replace('_', '-')}" for name, value in wishes.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are two ways to say what is wanted; name one.")
    for name, value in (("max-drop", max_drop), ("accuracy", accuracy)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"--{name} {value} is a share between 0 and 1, such as 0.002.")
    with EdgeModel.load(small) as first, EdgeModel.load(big) as second:
        _check(Path(small), first, Path(big), second)
        rows = _dev_rows(first, data, train, dev, (text_column, text_pair_column, label_column))
        points = curve(first, second, rows)
        best = choose(points, 0.002 if not named else max_drop, accuracy, latency)
        _print(points, best)
        if best.share in (0, 1):
            never, alone = (big, small) if best.share == 0 else (small, big)
            note(f"on dev {never} is of no use: {alone} alone gives what is wanted, and is the better bundle.")
        return _write(first, second, best, Path(out))


def curve(first: EdgeModel, second: EdgeModel, rows: Sequence[Row]) -> list[Point]:
    """What each threshold gives on these rows, from never asking the second model to always asking it.

    Of a thousand thresholds the luckiest is often a percent better on dev than on any other data: only the few texts on
    which the two differ tell one threshold from another, and one that is right by chance counts in full. So what is
    expected is the second model's accuracy, and for each text that it is not asked about, how much more probable the
    first one's label is than its own by what both say of that text (see `pool`).
    """
    from edgebert.evaluation.pool import pool

    texts: list[Text] = [row.text for row in rows]
    answers, others = _answers(first, texts, "small model"), _answers(second, texts, "large model")
    labels = second.labels
    gold = np.array([labels.index(str(row.gold)) for row in rows])
    (ours, small), (theirs, large) = (_tables(found, labels) for found in (answers, others))
    both = pool(small, large, gold)
    place = np.arange(len(rows))
    sure = np.array([answer.probability for answer in answers])
    order = np.argsort(sure, kind="stable")
    gained = (ours == gold).astype(float) - (theirs == gold)
    likely = both[place, ours] - both[place, theirs]
    right, expected = ((theirs == gold).mean() + _of_unasked(gain[order]) for gain in (gained, likely))
    fast, slow = _times((first, second), texts[:: max(1, len(texts) // TIMED)])
    points = []
    for asked in range(len(rows) + 1):
        if 0 < asked < len(rows) and sure[order[asked]] == sure[order[asked - 1]]:
            continue  # no threshold lies between equal probabilities
        low = sure[order[asked - 1]] if asked else 0.0
        high = sure[order[asked]] if asked < len(rows) else 1.0
        share = asked / len(rows)
        points.append(
            Point(float((low + high) / 2), share, float(right[asked]), float(expected[asked]), fast + share * slow)
        )
    return points


def _tables(answers: Sequence[Any], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of the labels that were given [n], and the probabilities of all [n, labels]."""
    given = np.array([labels.index(answer.label) for answer in answers])
    return given, np.array([[answer.probabilities[label] for label in labels] for answer in answers])


def _of_unasked(gains: np.ndarray) -> np.ndarray:
    """What those that are not asked again add to the mean of all, when the first k are asked [n + 1]."""
    return np.append(np.cumsum(gains[::-1])[::-1], 0.0) / len(gains)


def choose(points: Sequence[Point], max_drop: float | None, accuracy: float | None, latency: float | None) -> Point:
    """The fastest point that is expected to be accurate enough, or the most accurate one that is fast enough.

    Raises:
        UsageError: there is none.
    """
    if latency is not None:
        fast = [point for point in points if point.ms <= latency]
        if not fast:
            raise UsageError(f"--latency {latency}: the small model alone takes {points[0].ms:.4g} ms here.")
        return max(fast, key=lambda point: (point.expected, -point.ms))
    wanted = points[-1].expected - (max_drop or 0.0) if accuracy is None else accuracy
    good = [point for point in points if point.expected >= wanted - 1e-12]
    if not good:
        best = max(point.expected for point in points)
        raise UsageError(f"--accuracy {accuracy}: the best that can be expected of these two is {best:.4f}.")
    return min(good, key=lambda point: (point.ms, -point.expected))


def _check(small: Path, first: EdgeModel, big: Path, second: EdgeModel) -> None:
    """Raise UsageError unless both are classifications with the same labels of the same kind of text."""
    from edgebert.commands.predict import takes_pairs

    for path, model in ((small, first), (big, second)):
        if model.manifest.task != TASK:
            raise UsageError(f"a cascade needs a {TASK}, and {path} does {model.manifest.task}.")
        if model.manifest.cascade is not None:
            raise UsageError(f"{path} is a cascade already, and a cascade has two models.")
    if takes_pairs(first) != takes_pairs(second):
        raise UsageError(f"{small} and {big} cannot answer for each other: only one of them reads pairs of texts.")
    if other := sorted(set(first.labels) ^ set(second.labels)):
        raise UsageError(f"{small} and {big} cannot answer for each other: only one of them knows {other[0]!r}.")


def _dev_rows(
    model: EdgeModel,
    data: str | Path | None,
    train: str | Path | None,
    dev: str | Path | None,
    columns: tuple[str | None, str | None, str | None],
) -> Sequence[Row]:
    from edgebert.commands.predict import takes_pairs
    from edgebert.data import Columns, load_evaluation, load_splits
    from edgebert.tasks import get_task

    task = get_task(TASK)
    if dev is not None and data is None and train is None:
        rows, _ = load_evaluation(dev, Columns(*columns), task)
    else:
        rows = load_splits(data, train, dev, None, Columns(*columns), task).dev
    if isinstance(rows[0].text, tuple) != takes_pairs(model):
        kinds = ("pairs of texts", "single ones") if takes_pairs(model) else ("single texts", "pairs")
        raise UsageError(f"{rows[0].source}: the models read {kinds[0]}, and this data holds {kinds[1]}.")
    task.check(rows, {"logits": model.labels}, "dev")
    return rows


def _answers(model: EdgeModel, texts: Sequence[Text], description: str) -> list[Any]:
    """One answer a text, each asked for itself."""
    from edgebert.console import Progress

    found = []
    with Progress(len(texts), description) as bar:
        for text in texts:
            found += model.predict([text], batch_size=1)
            bar.update()
    return found


def _times(models: Sequence[EdgeModel], texts: Sequence[Text]) -> list[float]:
    """Mean ms of a text, the models in turn."""
    totals = [0.0] * len(models)
    for text in texts:
        for place, model in enumerate(models):
            start = time.perf_counter()
            model.predict([text], batch_size=1)
            totals[place] += time.perf_counter() - start
    return [1e3 * total / len(texts) for total in totals]


def _print(points: Sequence[Point], best: Point) -> None:
    step = max(1, (len(points) - 1) // SHOWN)
    shown = sorted({*points[::step], points[-1], best}, key=lambda point: point.share)
    rows = [
        (
            "->" if point == best else "",
            f"{point.threshold:.4f}",
            f"{point.share:.1%}",
            f"{point.accuracy:.4f}",
            f"{point.expected:.4f}",
            f"{point.ms:.3f}",
            f"{points[-1].ms / point.ms:.1f}x",
        )
        for point in shown
    ]
    note(table(rows, ("", "threshold", "asked again", "accuracy", "expected", "mean ms", "faster")))


def _write(first: EdgeModel, second: EdgeModel, best: Point, out: Path) -> Path:
    """The large model's bundle with the small one's inside, and test vectors of both together."""
    import json
    import tempfile

    from edgebert_runtime.bundle import GOLDEN, PART, write_bundle_file
    from edgebert_runtime.model import EdgeModel

    entries: dict[str, bytes | Path] = {name: second.bundle.read(name) for name in second.manifest.files}
    entries |= {f"{PART}/{name}": first.bundle.read(name) for name in first.bundle.names}
    facts = dataclasses.asdict(best)
    manifest = dataclasses.replace(
        second.manifest,
        cascade={"threshold": best.threshold},
        metrics={**second.manifest.metrics, "cascade": facts},
    )
    known = [*second.bundle.golden(), *first.bundle.golden()]
    texts = list(dict.fromkeys(vector["text"] for vector in known))
    sure = [answer.probability for answer in first.predict(texts, batch_size=1)]
    clear = [text for text, one in zip(texts, sure, strict=True) if abs(one - best.threshold) >= CLEAR]
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.edgebert"
        write_bundle_file(trial, manifest, entries)
        with EdgeModel.load(trial) as model:
            vectors = model.record(clear or texts[:1])
    entries[GOLDEN] = "".join(json.dumps(vector) + "\n" for vector in vectors).encode()
    write_bundle_file(out, manifest, entries)
    return out
