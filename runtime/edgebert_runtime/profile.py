"""Profile: what a bundle costs here, measured in a process of its own.

`python -m edgebert_runtime.profile BUNDLE` prints the JSON. The protocol, one for workstation and phone:

1. A fresh process, so that nothing is loaded yet and peak memory is the bundle's own.
2. Cold load: verify the bundle, import the engine, load the graph. (Its file is usually in the page cache.)
3. The first prediction, which pays for lazy initialisation.
4. Warm-up until a fast and a slow moving average agree, or a fixed number of predictions.
5. Runs: one text at a time, cycling through the golden texts, with a clock around tokenize, infer and decode.

Percentiles interpolate linearly between the ranked samples (as numpy's do). Times are wall-clock milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert_runtime import errors
from edgebert_runtime.engines import check_threads
from edgebert_runtime.errors import EdgeBertError, UsageError
from edgebert_runtime.features import Text, length_of

SCHEMA = 1
RUNS = 200
STAGES = ("tokenize", "infer", "decode", "total")
# The child imports this very package, wherever its parent found it, and everything else from its own path; the
# working directory is not on it (-P).
_BOOT = """
import sys
home = sys.argv.pop(1)
sys.path.insert(0, home)
import edgebert_runtime
sys.path.remove(home)
from edgebert_runtime.profile import _main
sys.exit(_main())
"""
_WARMUP_LEAST, _WARMUP_MOST, _WARMUP_SECONDS = 10, 2000, 10.0


@dataclass(frozen=True)
class Stage:
    """Milliseconds of one stage over all runs."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Profile:
    """What was measured; see the module's docstring for the protocol.

    `bundle` holds name, task, student, format, precision, max_length, labels (their number), size_bytes and
    model_bytes; `texts` holds count and mean_length; `versions` the packages that took part.
    `peak_rss_mib` is of the whole measuring process, `base_rss_mib` of it before the bundle was loaded.
    """

    bundle: Mapping[str, Any]
    engine: str
    threads: int
    runs: int
    warmup_runs: int
    cold_load_ms: float
    first_prediction_ms: float
    stages: Mapping[str, Stage]
    sentences_per_second: float
    peak_rss_mib: float
    base_rss_mib: float
    texts: Mapping[str, float]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The JSON object that workstation and phone share ("schema": 1)."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Profile:
        """The inverse of `to_json`."""
        return cls(**{**value, "stages": {name: Stage(**stage) for name, stage in value["stages"].items()}})


def profile(path: str | Path, threads: int = 1, runs: int = RUNS, warmup: int | None = None) -> Profile:
    """Measure a bundle in a fresh process.

    Args:
        threads: for the engine.
        runs: timed predictions.
        warmup: predictions before them; None stops by itself when the times have settled.

    Raises:
        UsageError: a number that makes no sense.
        BundleError, MissingExtraError: as `EdgeModel.load`.
        EdgeBertError: the measuring process died.
    """
    check_threads(threads)
    _check_count("runs", runs, 1)
    if warmup is not None:
        _check_count("warmup", warmup, 0)
    with tempfile.TemporaryDirectory(prefix="edgebert-profile-") as folder:
        answer = Path(folder) / "profile.json"
        command = [sys.executable, "-P", "-c", _BOOT, str(Path(__file__).resolve().parent.parent), "--out", str(answer)]
        command += ["--threads", str(threads), "--runs", str(runs)]
        command += [] if warmup is None else ["--warmup", str(warmup)]
        done = subprocess.run([*command, "--", os.fspath(path)], stdin=subprocess.DEVNULL, capture_output=True)
        if not answer.is_file():
            raise EdgeBertError(f"the measuring process died (exit status {done.returncode}){_tail(done.stderr)}")
        value = json.loads(answer.read_text("utf-8"))
    if "error" in value:
        raise getattr(errors, value["kind"], EdgeBertError)(value["error"])
    return Profile.from_json(value)


def measure(path: str | Path, threads: int = 1, runs: int = RUNS, warmup: int | None = None) -> Profile:
    """What `profile` does, in this process: cold load and peak memory are honest only if it has done nothing else."""
    base = _peak_rss_mib()
    start = time.perf_counter()
    from edgebert_runtime.model import EdgeModel

    model = EdgeModel.load(path, threads=threads)
    cold = _since(start)
    with model:
        texts = [vector["text"] for vector in model.bundle.golden()]
        start = time.perf_counter()
        model.predict(texts[0])
        first = _since(start)
        warmed = _warm_up(model, texts, warmup)
        times = np.array([_timed(model, text) for text in islice(cycle(texts), runs)])
        return Profile(
            bundle=_bundle_facts(model),
            engine=model.manifest.format,
            threads=threads,
            runs=runs,
            warmup_runs=warmed,
            cold_load_ms=cold,
            first_prediction_ms=first,
            stages={name: _stage(times[:, column]) for column, name in enumerate(STAGES)},
            sentences_per_second=1000.0 / float(times[:, -1].mean()),
            peak_rss_mib=_peak_rss_mib(),
            base_rss_mib=base,
            texts=_text_facts(model, texts),
            machine=_machine(),
            versions=_versions(model.manifest.requires.get("package")),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000.0


def _timed(model: Any, text: Text) -> tuple[float, float, float, float]:
    """Milliseconds of tokenize, infer, decode and the whole, for one text.

    An engine that reads text itself is timed from text to outputs; tokenizing is timed apart, and infer is the rest.
    """
    clock = time.perf_counter
    start = clock()
    asked = model.ask([text])
    features = model.featurize(asked)
    tokenized = clock()
    if model.reads_text:
        apart, start = tokenized - start, clock()
        asked, features = model.ask([text]), ()
    outputs = model.infer(asked, features, batch_size=1)
    inferred = clock()
    if model.reads_text:
        tokenized = start + min(apart, inferred - start)
    model.decode(asked, outputs)
    end = clock()
    return (
        (tokenized - start) * 1000.0,
        (inferred - tokenized) * 1000.0,
        (end - inferred) * 1000.0,
        (end - start) * 1000.0,
    )


def _warm_up(model: Any, texts: Sequence[Text], fixed: int | None) -> int:
    """Predict until the times settle, or `fixed` times; returns how often.

    Settled means: a fast and a slow exponential average are within 5 % after whole rounds through the texts, so
    that a long text does not look like a slow run.
    """
    if fixed is not None:
        for text in islice(cycle(texts), fixed):
            _timed(model, text)
        return fixed
    begun, count = time.perf_counter(), 0
    fast = slow = 0.0
    while count < _WARMUP_MOST and time.perf_counter() - begun < _WARMUP_SECONDS:
        mean = float(np.mean([_timed(model, text)[-1] for text in texts]))
        fast, slow = (mean, mean) if count == 0 else (0.5 * fast + 0.5 * mean, 0.8 * slow + 0.2 * mean)
        count += len(texts)
        if count >= max(_WARMUP_LEAST, 3 * len(texts)) and abs(fast - slow) <= 0.05 * slow:
            break
    return count


def _stage(times: np.ndarray) -> Stage:
    p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
    return Stage(float(times.mean()), p50, p90, p99)


def _peak_rss_mib() -> float:
    """Peak resident memory of this process image, in MiB.

    VmHWM where there is one (Linux, Android): `getrusage` keeps the peak of the process that started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    except (OSError, ValueError, IndexError):
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0


def _bundle_facts(model: Any) -> dict[str, Any]:
    manifest, bundle = model.manifest, model.bundle
    return {
        "name": manifest.name,
        "task": manifest.task,
        "student": manifest.student,
        "format": manifest.format,
        "precision": manifest.precision,
        "max_length": manifest.max_length,
        "labels": len(manifest.labels),
        "size_bytes": bundle.size,
        "model_bytes": manifest.files[bundle.model_name].size,
    }


def _text_facts(model: Any, texts: Sequence[Text]) -> dict[str, float]:
    inputs = model.manifest.input_specs
    lengths = [length_of(features, inputs) for features in model.featurize(model.ask(texts))]
    return {"count": len(texts), "mean_length": float(np.mean(lengths))}


def _machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": processor,
        "cores": os.cpu_count() or 1,
    }


def _versions(package: str | None) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    import edgebert_runtime

    found = {"edgebert": edgebert_runtime.__version__, "python": platform.python_version()}
    for name in {"numpy", package} - {None}:
        try:
            found[str(name)] = version(str(name))
        except (PackageNotFoundError, ValueError):
            continue
    return dict(sorted(found.items()))


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} must be a whole number from {least}, not {value!r}")


def _tail(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m edgebert_runtime.profile", description="Measure a bundle, print JSON.")
    parser.add_argument("bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--warmup", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None, help="a file for the JSON instead of stdout")
    options = parser.parse_args(arguments)
    value: dict[str, Any]
    try:
        value = measure(options.bundle, options.threads, options.runs, options.warmup).to_json()
    except EdgeBertError as error:
        value = {"error": str(error), "kind": type(error).__name__}
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if options.out is not None:
        options.out.write_text(text, "utf-8")
    elif "error" in value:
        print(value["error"], file=sys.stderr)
    else:
        print(text)
    return int("error" in value)


class _CallableModule(ModuleType):
    """`edgebert_runtime.profile` is this module and the public function at once, whichever is imported first."""

    def __call__(self, *arguments: Any, **options: Any) -> Profile:
        return profile(*arguments, **options)


if __name__ == "__main__":
    sys.exit(_main())
else:
    sys.modules[__name__].__class__ = _CallableModule
