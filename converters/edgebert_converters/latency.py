"""How long one text takes in each of several exported files, measured fairly: in turns, on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from edgebert_converters.base import Artifact, ExportableModel
from edgebert_converters.quiet import quiet
from edgebert_converters.verify import Reference, engine_for, run
from edgebert_runtime.engines import Engine, TextEngine
from edgebert_runtime.features import Text

TEXTS = 24
SECONDS = 2.0  # for each file
FEWEST_ROUNDS = 3


def measure(artifacts: Mapping[str, Artifact], model: ExportableModel, known: Reference) -> dict[str, float]:
    """Median milliseconds of one dev text (text to outputs, batch 1), by the name of the artifact.

    The files take turns text by text, so that a busy moment of the machine hits all of them.
    """
    count = min(TEXTS, known.dev)
    texts = [known.texts[index * known.dev // count] for index in range(count)]
    engines = {name: engine_for(artifact, model) for name, artifact in artifacts.items()}
    times: dict[str, list[float]] = {name: [] for name in artifacts}
    try:
        with quiet("measuring latency"):
            for name, engine in engines.items():  # warm-up: buffers for every length
                for text in texts:
                    _answer(engine, text, model, artifacts[name])
            deadline = time.perf_counter() + SECONDS * len(artifacts)
            rounds = 0
            while rounds < FEWEST_ROUNDS or time.perf_counter() < deadline:
                for text in texts:
                    for name, engine in engines.items():
                        start = time.perf_counter()
                        _answer(engine, text, model, artifacts[name])
                        times[name].append(time.perf_counter() - start)
                rounds += 1
    finally:
        for engine in engines.values():
            engine.close()
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def _answer(engine: Engine, text: Text, model: ExportableModel, artifact: Artifact) -> None:
    features = [] if isinstance(engine, TextEngine) else model.featurizer([text])
    run(engine, artifact, model, [text], features)
