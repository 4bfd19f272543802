"""A profile by the bare core: the static edgebert-bench under `adb shell`, with no app."""

from __future__ import annotations

import contextlib
import json
import secrets
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgebert.console import note
from edgebert.device import CHECKOUT
from edgebert.device.adb import Answer, Phone
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import EdgeBertError, UsageError
from edgebert_runtime.features import Text

CORE = CHECKOUT / "runtime" / "core"
BENCH = CORE / "build" / "bench" / "edgebert-bench-aarch64"
FOLDER = "/data/local/tmp"
# Each text is read about this often; edgebert-bench takes at most 1000 rounds.
READS, MOST_ROUNDS, RUN_SECONDS = 20_000, 1000, 600.0
_NUMBERS = ("sentences_per_second", "p50_us", "p90_us", "p99_us")


@dataclass(frozen=True)
class ShellProfile:
    """What edgebert-bench measured on a phone, one text at a time in one thread; times in microseconds.

    `bundle` holds name, task, student, format, precision, size_bytes and model_bytes; `kernels` is what of the
    processor was used; `machine` says what ran it, and `emulated` in it whether that was a computer playing a phone.
    """

    bundle: Mapping[str, Any]
    kernels: str
    texts: int
    rounds: int
    sentences_per_second: float
    p50_us: float
    p90_us: float
    p99_us: float
    machine: Mapping[str, Any]
    created: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def profile_by_bench(path: Path, phone: Phone) -> ShellProfile:
    """Measure a native bundle's model on its test vectors. What was pushed is deleted again, whatever happens.

    Raises:
        UsageError: the bundle is of another format.
        EdgeBertError: one sentence; also when the phone's answers are not those of this computer.
    """
    with open_bundle(path) as bundle:
        manifest = bundle.manifest
        if manifest.format != "native":
            raise UsageError(
                f"{path} is of the format {manifest.format}, and --device-shell measures native bundles. "
                "Export one with --format native, or use --device."
            )
        model = bundle.read(bundle.model_name)
        texts: list[Text] = [_one_line(vector["text"]) for vector in bundle.golden()]
        facts = {name: getattr(manifest, name) for name in ("name", "task", "student", "format", "precision")}
        facts |= {"size_bytes": bundle.size, "model_bytes": len(model)}
    machine = phone.facts()
    _check_ready(phone, machine["architecture"])
    rounds = min(MOST_ROUNDS, max(5, READS // len(texts)))
    said = _run(phone, model, texts, rounds)
    if said["checksum"] != checksum(model, texts):
        raise EdgeBertError(
            f"edgebert-bench on {phone} gives other answers than this EdgeBERT, so its times are worth nothing. "
            f"Build it again with `make -C {CORE} bench-aarch64`."
        )
    return ShellProfile(
        bundle=facts,
        kernels=said["features"],
        texts=len(texts),
        rounds=rounds,
        machine=machine,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: said[name] for name in _NUMBERS},
    )


def checksum(model: bytes, texts: Sequence[Text]) -> str:
    """What edgebert-bench prints for these texts: FNV-1a over the bits of all logits."""
    from edgebert_runtime import _core
    from edgebert_runtime.features import split_texts

    loaded = _core.Model(model, _core.features())
    logits = loaded.logits(*split_texts(texts, bool(loaded.facts()[1])))
    total = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("=I", logits):
        total = (total ^ word) * 0x100000001B3 % 2**64
    return f"{total:016x}"


def _check_ready(phone: Phone, architecture: str) -> None:
    if architecture != "aarch64":
        raise EdgeBertError(f"{phone} is {architecture}, and edgebert-bench is built for 64-bit Arm. Use --device.")
    if BENCH.is_file():
        return
    if (CORE / "Makefile").is_file():
        raise EdgeBertError(
            f"edgebert-bench is not built. Run `make -C {CORE} bench-aarch64`, and then the same command again."
        )
    raise EdgeBertError(
        "--device-shell needs edgebert-bench, which no wheel holds. Install EdgeBERT from a checkout "
        "(pip install -e .) and build it there with `make -C runtime/core bench-aarch64`."
    )


def _run(phone: Phone, model: bytes, texts: Sequence[Text], rounds: int) -> dict[str, Any]:
    """The JSON object that edgebert-bench prints."""
    there = f"{FOLDER}/edgebert-{secrets.token_hex(6)}"
    lines = ["\t".join(text) if isinstance(text, tuple) else text for text in texts]
    try:
        _done(phone, phone.shell(f"mkdir {there}"))
        phone.push(BENCH, f"{there}/edgebert-bench")
        with tempfile.TemporaryDirectory(prefix="edgebert-bench-") as folder:
            content = "".join(f"{line}\n" for line in lines).encode()
            for name, made in (("model.ebnn", model), ("texts.txt", content)):
                (Path(folder) / name).write_bytes(made)
                phone.push(Path(folder) / name, f"{there}/{name}")
        note(f"measuring on {phone}; leave it alone")
        command = f"cd {there} && chmod 755 edgebert-bench && "
        command += f"./edgebert-bench model.ebnn texts.txt --rounds {rounds} --json"
        return _parse(phone, _done(phone, phone.shell(command, RUN_SECONDS)))
    finally:
        with contextlib.suppress(EdgeBertError):
            phone.shell(f"rm -rf {there}")


def _done(phone: Phone, answer: Answer) -> str:
    if answer.status:
        lines = (answer.err or answer.out).strip().splitlines()
        reason = f": {lines[-1][:300]}" if lines else ""
        raise EdgeBertError(f"edgebert-bench failed on {phone} (exit status {answer.status}){reason}")
    return answer.out


def _parse(phone: Phone, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if all(value[name] > 0 for name in _NUMBERS) and isinstance(value["checksum"] + value["features"], str):
            return dict(value)
    except (ValueError, TypeError, KeyError):
        pass
    raise EdgeBertError(f"what edgebert-bench printed on {phone} is damaged: {text[:100]!r}. Run it again.")


def _one_line(text: Text) -> Text:
    """A text as edgebert-bench reads it: one line, and a tab only between the two of a pair."""
    if isinstance(text, tuple):
        return (_one_line_of(text[0]).replace("\t", " "), _one_line_of(text[1]))
    return _one_line_of(text)


def _one_line_of(text: str) -> str:
    return text.replace("\n", " ")
