"""Do all builds and all kernels of the core give the same bits? Runs each over the same texts and compares checksums.

    same_bits.py --native edgebert-bench --aarch64 edgebert-bench-aarch64 --wasm edgebert.wasm
                 [--model x.ebnn] [--vocabulary vocab.txt] texts.txt

The arms: this machine with each kernel it has, 64-bit Arm under qemu as three processors, WebAssembly in Node.
Prints one line an arm; exit 1 when two differ or one fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

WASM_RUN = Path(__file__).resolve().parent / "wasm_run.mjs"
# cortex-a53 has no dot product, cortex-a76 has it, max has all that qemu knows.
PROCESSORS = {"cortex-a53": ("scalar", "neon"), "cortex-a76": ("scalar", "neon", "dotprod"), "max": ("auto",)}
MISSING = "this processor has no"


def arms(options: argparse.Namespace, what: Sequence[str], kernels: bool) -> Iterator[tuple[str, list[str], bool]]:
    """Name, command, and whether it may be left out because this machine cannot run it."""
    tail = [*what, "--rounds", "1", "--json"]

    def with_kernel(name: str) -> list[str]:
        return [*tail, "--features", name] if kernels else tail

    for kernel in ("scalar", "avx2", "avx512", "neon", "dotprod") if kernels else ("-",):
        yield f"native {kernel}", [options.native, *with_kernel(kernel)], True
    for processor, names in PROCESSORS.items():
        for kernel in names if kernels else ("-",):
            command = [options.qemu, "-cpu", processor, options.aarch64, *with_kernel(kernel)]
            yield f"{processor} {kernel}", command, False
    yield "wasm", [options.node, str(WASM_RUN), options.wasm, *what], False


def run(name: str, command: list[str], may_lack: bool) -> str | None:
    """The checksum, None for an arm that this machine does not have."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 1 and may_lack and MISSING in done.stderr:
        return None
    if done.returncode != 0:
        sys.exit(f"{name} failed with exit status {done.returncode}: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    print(f"{found['mode']:<10} {name:<20} {found['checksum']}  {found['sentences_per_second']:>12.0f} sentences/s")
    return str(found["checksum"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts")
    for name in ("native", "aarch64", "wasm"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--qemu", default="qemu-aarch64")
    parser.add_argument("--node", default="node")
    parser.add_argument("--model")
    parser.add_argument("--vocabulary")
    options = parser.parse_args()
    runs: list[tuple[list[str], bool]] = []
    if options.model:
        runs.append(([options.model, options.texts], True))
    if options.vocabulary:
        runs.append((["--wordpiece", options.vocabulary, options.texts], False))
        runs.append((["--wordpiece", options.vocabulary, options.texts, "--cased"], False))
    if not runs:
        parser.error("give --model or --vocabulary, or both")
    different = False
    for what, kernels in runs:
        found = {run(*arm) for arm in arms(options, what, kernels)} - {None}
        different |= len(found) != 1
    if different:
        sys.exit("the checksums differ")
    print("all the same")


if __name__ == "__main__":
    main()
