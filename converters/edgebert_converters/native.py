"""`native` (.ebnn): the n-gram student as the C core runs it. The layout stands in runtime/core/src/model.h.

Rows are whole numbers with one scale a column, so the core adds them up without a rounding error and every processor
gives the same bits. The network on top has int8 weights with one scale an output. The character n-grams of each known
word are added up here, once: a known word then costs one row instead of a dozen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel, Precision, check_precision
from edgebert_runtime import __version__, _core
from edgebert_runtime.errors import EdgeBertError, ExportError
from edgebert_runtime.ngrams import NgramFeaturizer

MAGIC, VERSION = b"EBNN", 1
HEADER, ENTRY, ALIGNMENT, BLOCK = 128, 32, 64, 32
CHECKED_FROM = 24
PAIRS, MEAN = 1, 2
NGRAMS, ROWS, SCALES, FOLDED, FOLDED_SCALES, FOLDED_COUNTS, LINEAR, HIDDEN, OUTPUT = range(1, 10)
BITS = {Precision.INT8: 8, Precision.INT4: 4}
# Four bits a number: a few of the largest are cut off, so that the others keep a step that is worth having.
INT4_PERCENTILE = 99.5


class NativeConverter:
    """See `base.Converter`. `keep_float` has no meaning here: nothing in the file is float but scales and biases."""

    format = "native"
    suffix = ".ebnn"
    precisions = (Precision.INT8, Precision.INT4)
    packages: tuple[str, ...] = ()
    featurizers = ("ngram",)

    def convert(
        self,
        model: ExportableModel,
        precision: Precision,
        directory: Path,
        keep_float: frozenset[str] = frozenset(),
    ) -> Artifact:
        """See `base.Converter.convert`."""
        check_precision(self, precision)
        if not isinstance(model.featurizer, NgramFeaturizer):
            raise ExportError("the native format is for n-gram students; choose another --format")
        if len(model.outputs) != 1 or model.outputs[0].per_token:
            raise ExportError("the native format holds one answer a text; choose another --format")
        path = directory / f"model{self.suffix}"
        try:
            path.write_bytes(encode(model.module, model.featurizer, model.outputs[0].width, BITS[precision]))
        except OSError as error:
            raise EdgeBertError(f"cannot write {path}: {error.strerror or error}") from error
        longest = model.featurizer.max_length
        return Artifact(
            path=path,
            format=self.format,
            precision=precision,
            shapes={"batch": None, "lengths": None, "min_length": 1, "max_length": longest},
            size=path.stat().st_size,
            requires={"package": "edgebert", "made_with": {"edgebert": __version__}},
            featurizer={**model.featurizer.spec(), "table": path.name},
        )


@dataclass(frozen=True)
class Section:
    """One entry of the file's table."""

    kind: int
    channel: int
    content: bytes


def encode(module: Any, featurizer: NgramFeaturizer, classes: int, bits: int) -> bytes:
    """The file of an n-gram network.

    Args:
        classes: how many numbers it gives for a text; of a regression that is one.
        module: `tables` (embeddings, row 0 for padding), `linear`, `hidden` and `output` (or None), `config` with
            `single`, `spelled`, `pair` and `pooling`, and `spelling(channel)`: see edgebert.models.ngram.
    """
    tables = [_floats(table.weight)[1:] for table in module.tables]
    widths = [-(-table.shape[1] // BLOCK) * BLOCK for table in tables]
    config = module.config
    sections = [Section(NGRAMS, 0, featurizer.table)]
    for index, (table, width) in enumerate(zip(tables, widths, strict=True)):
        rows, scales = quantize_columns(_wider(table, width), bits)
        sections += [Section(ROWS, index, pack(rows, bits)), Section(SCALES, index, scales.tobytes())]
    for index in config.spelled:
        sections += _folded(index, tables[index], widths[index], module.spelling(index).numpy()[1:], bits)
    spread = _columns([table.shape[1] for table in tables], widths, 4 if config.pair else 1)
    sections.append(_layer(LINEAR, module.linear, spread))
    hidden = 0
    if module.hidden is not None:
        hidden = -(-module.hidden.out_features // BLOCK) * BLOCK
        sections.append(_layer(HIDDEN, module.hidden, spread, hidden))
        inner = np.arange(module.hidden.out_features)
        sections.append(_layer(OUTPUT, module.output, (inner, hidden)))
    flags = PAIRS * bool(config.pair) | MEAN * (config.pooling == "mean")
    fold = config.single + 1 if config.spelled else 0
    return assemble((classes, hidden, len(tables), flags, bits, fold), widths, sections)


def quantize_columns(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers int8 [n, width] of `bits` bits and a float32 scale for each column."""
    most = 127 if bits == 8 else 7
    sizes = np.abs(values)
    largest = sizes.max(axis=0, initial=0)
    if bits == 4 and len(values):
        often = np.percentile(sizes, INT4_PERCENTILE, axis=0)
        largest = np.where(often > 0, often, largest)  # a column that is nearly all zeros keeps the others
    scales = (largest / most).astype(np.float32)
    scales[scales == 0] = 1
    return np.clip(np.rint(values / scales), -most - (bits == 4), most).astype(np.int8), scales


def pack(rows: np.ndarray, bits: int) -> bytes:
    """Rows as bytes; with 4 bits, byte k of a block of 32 numbers holds number k and, above it, number k + 16."""
    if bits == 8:
        return rows.tobytes()
    blocks = (rows.astype(np.uint8) & 15).reshape(-1, 2, BLOCK // 2)
    return (blocks[:, 0] | blocks[:, 1] << 4).tobytes()


def _folded(index: int, table: np.ndarray, width: int, spelling: np.ndarray, bits: int) -> Iterable[Section]:
    """Sums of the rows of each known word's character n-grams, int8 or int4, and how many they are."""
    padded = np.concatenate([np.zeros((1, table.shape[1]), np.float32), table])
    sums = np.zeros((len(spelling), table.shape[1]), np.float32)
    for column in spelling.T:  # one n-gram of every word at a time: all at once would take 12 times the memory
        sums += padded[column]
    rows, scales = quantize_columns(_wider(sums, width), bits)
    counts = (spelling > 0).sum(axis=1).astype(np.uint8)
    return (
        Section(FOLDED, index, pack(rows, bits)),
        Section(FOLDED_SCALES, index, scales.tobytes()),
        Section(FOLDED_COUNTS, index, counts.tobytes()),
    )


def _floats(tensor: Any) -> np.ndarray:
    result: np.ndarray = tensor.detach().float().numpy()
    return result


def _wider(values: np.ndarray, width: int) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))


def _columns(true: list[int], padded: list[int], times: int) -> tuple[np.ndarray, int]:
    """Where the inputs of a layer lie once each channel's columns are padded, and how many there are then."""
    starts = np.cumsum([0, *padded[:-1]])
    once = np.concatenate([start + np.arange(width) for start, width in zip(starts, true, strict=True)])
    total = sum(padded)
    return np.concatenate([once + total * i for i in range(times)]), total * times


def _layer(kind: int, layer: Any, spread: tuple[np.ndarray, int], outputs: int = 0) -> Section:
    """A linear layer: scales, biases, int8 weights with one scale an output."""
    columns, width = spread
    weights = _floats(layer.weight)
    outputs = outputs or len(weights)
    placed = np.zeros((outputs, width), np.float32)
    placed[: len(weights), columns] = weights
    bias = np.zeros(outputs, np.float32)
    if layer.bias is not None:
        bias[: len(weights)] = _floats(layer.bias)
    whole, scales = quantize_columns(placed.T, 8)
    return Section(kind, 0, scales.tobytes() + bias.tobytes() + np.ascontiguousarray(whole.T).tobytes())


def assemble(numbers: tuple[int, ...], widths: list[int], sections: list[Section]) -> bytes:
    """Header, section table and sections, with size and checksum.

    Args:
        numbers: classes, hidden, channels, flags, bits, fold.
    """
    at = -(-(HEADER + ENTRY * len(sections)) // ALIGNMENT) * ALIGNMENT
    table, body = b"", b""
    for section in sections:
        table += struct.pack("<IIQQQ", section.kind, section.channel, at + len(body), len(section.content), 0)
        body += section.content + bytes(-len(section.content) % ALIGNMENT)
    head = struct.pack("<I6I", len(sections), *numbers).ljust(64 - CHECKED_FROM, b"\0")
    head += struct.pack(f"<{len(widths)}I", *widths).ljust(64, b"\0")
    checked = (head + table).ljust(at - CHECKED_FROM, b"\0") + body
    front = struct.pack("<4sIQ", MAGIC, VERSION, CHECKED_FROM + len(checked))
    checksum = _core.model_checksum(front + bytes(8) + checked)
    return front + struct.pack("<Q", checksum) + checked
