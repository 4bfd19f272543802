"""Export a model: convert, check, climb until accuracy holds, choose by measured latency, package.

The call, stable:

    export_model(
        model: ExportableModel,
        target: str,                                   # "android" | "linux" (targets.TARGETS)
        format: str = "auto",                          # a name in CONVERTERS, "auto" or "all"
        precision: str = "auto",                       # "auto" or a value of Precision
        max_size: int | None = None,                   # bytes of the bundle
        max_drop: float = 0.01,                        # of the task's metric over model.pieces, 0..1
        out: str | Path = ...,                         # a file; a folder for format "all"
        log: Callable[[str], None] = ...,              # progress and tables, one call a line; default stderr
        created: str | None = None,                    # ISO 8601 time for the manifests; default now
    ) -> list[Exported]                                # one item; for "all" one per format written

With "all" the files are `out/NAME-FORMAT.edgebert`. Nothing appears at `out` before everything has passed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgebert_converters.base import Artifact, Converter, ExportableModel, Precision, converter
from edgebert_converters.latency import measure
from edgebert_converters.packager import write_bundle
from edgebert_converters.targets import formats_for
from edgebert_converters.verify import Reference, Verification, reference, verify
from edgebert_runtime.errors import EdgeBertError, ExportError, MissingExtraError, UsageError, choose

MOST_KEPT = 0.5  # beyond this share of the layer groups in float, fp16 or fp32 is the better answer


@dataclass(frozen=True)
class Exported:
    """A bundle that passed.

    Attributes:
        size: of the bundle, in bytes.
        latency_ms: median of one dev text on this machine, one thread; None if nothing was compared.
        kept: modules that stayed in float, in an int8 precision.
    """

    path: Path
    format: str
    precision: Precision
    size: int
    verification: Verification
    kept: tuple[str, ...] = ()
    latency_ms: float | None = None


@dataclass(frozen=True)
class _Request:
    model: ExportableModel
    known: Reference
    precision: Precision | None
    max_size: int | None
    max_drop: float
    created: str | None
    work: Path
    log: Callable[[str], None]


@dataclass(frozen=True)
class _Rung:
    """One try of the ladder and how it ended. `smallest` is 0 where nothing was written."""

    name: str
    kept: tuple[str, ...]
    size: int
    verification: Verification | None
    reason: str  # "" = passed
    artifact: Artifact | None = None
    bundle: Path | None = None


@dataclass
class _Ladder:
    format: str
    rungs: list[_Rung] = field(default_factory=list)

    @property
    def passed(self) -> _Rung | None:
        """The best of those that passed; of equals the first."""
        passed = [(rung.verification.metric, rung) for rung in self.rungs if not rung.reason and rung.verification]
        return max(passed, key=lambda item: item[0])[1] if passed else None


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def export_model(
    model: ExportableModel,
    target: str,
    format: str = "auto",
    precision: str = "auto",
    max_size: int | None = None,
    max_drop: float = 0.01,
    out: str | Path = "model.edgebert",
    log: Callable[[str], None] = _to_stderr,
    created: str | None = None,
) -> list[Exported]:
    """Write the model as one bundle (or one for each format) for a target. See the module's docstring.

    Raises:
        UsageError: an unknown or impossible name, an `out` of the wrong kind.
        MissingExtraError: a package of an explicitly chosen format is not installed.
        ExportError: nothing met `max_drop` and `max_size`; the message has the numbers and what to try.
    """
    out = Path(out)
    formats = formats_for(target, format)
    chosen = _precision(precision)
    _check_out(out, format)
    usable = _usable(model, formats, chosen, explicit=format not in ("auto", "all"), log=log)
    log(f"checking {model.name} in torch on {len(model.asked)} dev texts")
    known = reference(model)
    log(f"{model.metric} {known.metric:.4f} in fp32; at most {max_drop:.4f} may be lost")
    with _workplace(out) as work:
        request = _Request(model, known, chosen, max_size, max_drop, created, work, log)
        ladders = []
        for name in usable:
            ladders.append(_climb(request, converter(name)))
            if format == "auto" and converter(name).featurizers is not None and ladders[-1].passed is not None:
                break  # made for such models: the others need not be tried
        passed = {ladder.format: ladder.passed for ladder in ladders if ladder.passed is not None}
        failed = [ladder for ladder in ladders if ladder.passed is None]
        if failed and (format == "all" or not passed):
            raise ExportError(_why_not(request, failed))
        times = _latencies(request, passed) if format == "auto" and len(passed) > 1 else {}
        if format == "auto":
            best = min(passed, key=lambda name: times.get(name, 0.0))
            passed = {best: passed[best]}
        return _place(model, passed, times, out, folder=format == "all")


def _precision(name: str) -> Precision | None:
    """None for "auto"."""
    choose("precision", name, ["auto", *Precision])
    return None if name == "auto" else Precision(name)


def _check_out(out: Path, format: str) -> None:
    if format == "all" and out.exists() and not out.is_dir():
        raise UsageError(f"--format all writes several bundles, so --out must be a folder, and {out} is a file")
    if format != "all" and out.is_dir():
        raise UsageError(f"--out must be the file to write, such as {out / 'model.edgebert'}; {out} is a folder")


def _usable(
    model: ExportableModel,
    formats: tuple[str, ...],
    precision: Precision | None,
    explicit: bool,
    log: Callable[[str], None],
) -> list[str]:
    """The formats whose packages are installed and that have the precision; the others are named with the reason.

    Raises:
        MissingExtraError, ExportError: the only format asked for cannot be made, or none can.
    """
    usable, problems = [], []
    for name in formats:
        problem = _obstacle(model, converter(name), precision)
        if problem is None:
            usable.append(name)
            continue
        problems.append(problem)
        if not explicit and _suits(model, converter(name)):
            log(f"skipped {problem}")
    if not usable:
        kinds = {type(problem) for problem in problems}
        raise (kinds.pop() if len(kinds) == 1 else ExportError)("; ".join(str(problem) for problem in problems))
    return usable


def _suits(model: ExportableModel, tool: Converter) -> bool:
    """Whether the format holds models of this kind."""
    return tool.featurizers is None or model.featurizer.spec()["type"] in tool.featurizers


def _obstacle(model: ExportableModel, tool: Converter, precision: Precision | None) -> EdgeBertError | None:
    """Why a format cannot be made of this model, here."""
    if not _suits(model, tool):
        assert tool.featurizers is not None
        return ExportError(f"{tool.format}: it holds {tool.featurizers[0]} students, and {model.name} is none")
    absent = [package for package in tool.packages if importlib.util.find_spec(package) is None]
    if absent:
        return MissingExtraError(
            f"{tool.format}: the Python package {absent[0]!r} is not installed. "
            f'Install it with: pip install "edgebert[{tool.format}]"'
        )
    if precision is not None and precision not in tool.precisions:
        return UsageError(f"{tool.format}: it has no precision {precision}, only {', '.join(tool.precisions)}")
    return None


class _workplace:
    """A hidden folder beside `out`, so that a finished bundle moves to its place in one step."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def __enter__(self) -> Path:
        self.new = not self.out.parent.exists()
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.folder = tempfile.TemporaryDirectory(prefix=f".{self.out.name}.", suffix=".part", dir=self.out.parent)
        except OSError as error:
            raise EdgeBertError(f"cannot write beside {self.out}: {error.strerror or error}") from error
        return Path(self.folder.name)

    def __exit__(self, *unused: object) -> None:
        self.folder.cleanup()
        if self.new:  # a folder made for an export that then failed; one that holds a bundle stays
            with contextlib.suppress(OSError):
                self.out.parent.rmdir()


def _climb(request: _Request, tool: Converter) -> _Ladder:
    """Try the rungs of one format until one passes; prints them as a table."""
    ladder = _Ladder(tool.format)
    if request.max_size is not None and tool.featurizers is not None:
        return _fit(request, tool, ladder)
    for number, (precision, keep) in enumerate(_steps(request, tool, ladder)):
        request.log(f"{tool.format}: converting to {_name(precision, keep)}")
        ladder.rungs.append(_try(request, tool, precision, keep, f"{tool.format}-{number}"))
        if not ladder.rungs[-1].reason or _too_large(request, ladder.rungs[-1]):
            break  # passed, or: every later rung is larger still
    _print_table(request, ladder)
    return ladder


def _fit(request: _Request, tool: Converter, ladder: _Ladder) -> _Ladder:
    """An n-gram student in a given size: each way to make it fit is exported and measured; the best one is taken."""
    from edgebert_converters.shrink import candidates

    assert request.max_size is not None
    for number, smaller in enumerate(candidates(request.model, request.max_size, request.precision)):
        request.log(f"{tool.format}: converting to {smaller.name}")
        rung = _try(
            replace(request, model=smaller.model), tool, smaller.precision, frozenset(), f"{tool.format}-{number}"
        )
        ladder.rungs.append(replace(rung, name=smaller.name))
    if not ladder.rungs:
        ladder.rungs.append(_try(request, tool, request.precision or Precision.INT8, frozenset(), f"{tool.format}-all"))
    _print_table(request, ladder)
    return ladder


def _steps(request: _Request, tool: Converter, ladder: _Ladder) -> Iterator[tuple[Precision, frozenset[str]]]:
    """What to try, in order. The sensitivities are only measured if plain int8 was not good enough."""
    if request.precision is not None:
        yield request.precision, frozenset()
        return
    yield Precision.INT8, frozenset()
    holds_float = Precision.FP32 in tool.precisions  # one that does not cannot keep layers in float either
    if holds_float and ladder.rungs[-1].verification is not None:  # it was made, and lost too much
        yield from ((Precision.INT8, keep) for keep in _float_sets(request))
    for precision in (Precision.FP16, Precision.FP32):
        if precision in tool.precisions:
            yield precision, frozenset()


def _float_sets(request: _Request) -> Iterator[frozenset[str]]:
    """Growing sets of the most sensitive layers (1, 2, 4, … groups), those that torch already sees failing left out."""
    from edgebert_converters.sensitivity import imitated_drop, rank_groups

    groups = rank_groups(request.model, request.known)
    count = 1
    while count <= len(groups) * MOST_KEPT:
        keep = frozenset(name for group in groups[:count] for name in group)
        if imitated_drop(request.model, request.known, keep) <= request.max_drop:
            yield keep
        count *= 2


def _try(request: _Request, tool: Converter, precision: Precision, keep: frozenset[str], folder: str) -> _Rung:
    """Convert, check and package one rung."""
    name, kept = _name(precision, keep), tuple(sorted(keep))
    directory = request.work / folder
    directory.mkdir()
    try:
        artifact = tool.convert(request.model, precision, directory, keep)
        verification = verify(artifact, request.model, request.known)
    except MissingExtraError:
        raise
    except ExportError as error:
        return _Rung(name, kept, 0, None, str(error))
    rung = _Rung(name, kept, artifact.size, verification, "", artifact)
    if verification.drop > request.max_drop:
        return replace(rung, reason=f"loses {verification.drop:.4f} of {request.model.metric}")
    bundle = write_bundle(artifact, verification, request.model, directory / "bundle.edgebert", request.created)
    size = bundle.stat().st_size
    if request.max_size is not None and size > request.max_size:
        return replace(rung, size=size, reason=f"{size:,} bytes, more than {request.max_size:,}")
    return replace(rung, size=size, bundle=bundle)


def _name(precision: Precision, keep: frozenset[str]) -> str:
    return f"{precision}, {len(keep)} layer{'s' * (len(keep) > 1)} in float" if keep else str(precision)


def _too_large(request: _Request, rung: _Rung) -> bool:
    return request.max_size is not None and rung.size > request.max_size


def _print_table(request: _Request, ladder: _Ladder) -> None:
    width = max(28, *(len(rung.name) for rung in ladder.rungs))
    request.log(f"{ladder.format}: {'rung':<{width}} {'bytes':>12} {'drop':>8} {'agree':>7}  result")
    for rung in ladder.rungs:
        found = rung.verification
        drop, agree = (f"{found.drop:.4f}", f"{found.agreement:.4f}") if found else ("-", "-")
        size = f"{rung.size:,}" if rung.size else "-"
        result = (rung.reason or "passed").splitlines()[0]
        request.log(f"{ladder.format}: {rung.name:<{width}} {size:>12} {drop:>8} {agree:>7}  {result}")
        if rung.kept:
            request.log(f"{ladder.format}:   in float: {', '.join(rung.kept)}")


def _why_not(request: _Request, ladders: list[_Ladder]) -> str:
    """One message for a failed export: what was reached, and what to try."""
    model = request.model
    rungs = [(ladder.format, rung) for ladder in ladders for rung in ladder.rungs]
    too_large = [(rung.size, name, rung.name) for name, rung in rungs if _too_large(request, rung)]
    dropped = [
        (rung.verification.drop, name, rung)
        for name, rung in rungs
        if rung.verification and rung.verification.drop > request.max_drop
    ]
    if too_large and dropped:
        size, name, rung_name = min(too_large)
        drop, lossy_name, lossy = min(dropped, key=lambda item: item[0])
        return (
            f"{model.name}: nothing keeps {model.metric} and fits {request.max_size:,} bytes. "
            f"{lossy_name}, {lossy.name} loses {drop:.4f} (allowed {request.max_drop:.4f}); "
            f"{name}, {rung_name} takes {size:,} bytes. "
            "Give a larger --max-size or --max-drop, or distill a smaller student"
        )
    if too_large:
        size, name, rung_name = min(too_large)
        return (
            f"{model.name}: no bundle fits {request.max_size:,} bytes. The smallest reached is {size:,} bytes "
            f"({name}, {rung_name}). Give a larger --max-size, or distill a smaller student"
        )
    if dropped:
        drop, name, best = min(dropped, key=lambda item: item[0])
        assert best.verification is not None
        advice = (
            "Try --precision auto, which keeps the most sensitive layers in float, or --precision fp32, "
            "or a larger --max-drop"
            if request.precision is not None
            else "Give a larger --max-drop"
        )
        return (
            f"{model.name}: the best export ({name}, {best.name}) has {model.metric} {best.verification.metric:.4f}, "
            f"{drop:.4f} below the {best.verification.float_metric:.4f} of torch; allowed are {request.max_drop:.4f}. "
            f"{advice}"
        )
    return "; ".join(f"{name}, {rung.name}: {rung.reason}" for name, rung in rungs)


def _latencies(request: _Request, passed: dict[str, _Rung]) -> dict[str, float]:
    """Median milliseconds of each format that passed; prints them."""
    artifacts = {name: rung.artifact for name, rung in passed.items() if rung.artifact is not None}
    request.log("measuring latency: batch 1, one thread, dev texts in turns")
    times = measure(artifacts, request.model, request.known)
    fastest = min(times, key=lambda name: times[name])
    for name in sorted(times, key=lambda name: times[name]):
        mark = "  <- chosen" if name == fastest else ""
        request.log(f"{name:<11} {passed[name].name:<28} {times[name]:>9.3f} ms {passed[name].size:>12,} bytes{mark}")
    request.log("(measured on this machine; a phone may order them otherwise: see `edgebert profile`)")
    return times


def _place(
    model: ExportableModel, passed: dict[str, _Rung], times: dict[str, float], out: Path, folder: bool
) -> list[Exported]:
    """Move the finished bundles to where they were asked for."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", model.name).strip("-.") or "model"
    placed = []
    for name, rung in passed.items():
        assert rung.bundle is not None and rung.artifact is not None and rung.verification is not None
        path = out / f"{stem}-{name}.edgebert" if folder else out
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(rung.bundle, path)
        except OSError as error:
            raise EdgeBertError(f"cannot write {path}: {error.strerror or error}") from error
        placed.append(
            Exported(
                path=path,
                format=name,
                precision=rung.artifact.precision,
                size=rung.size,
                verification=rung.verification,
                kept=rung.artifact.kept,
                latency_ms=times.get(name),
            )
        )
    return placed
