"""The n-gram student as a family: its options, its vocabulary, and rows that start from the teacher's word vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice, pairwise, repeat
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from edgebert.console import Progress
from edgebert.distillation.batches import collate
from edgebert.models import Context, Family, Student
from edgebert.models.ngram import NgramConfig, NgramNet
from edgebert.models.outputs import masked_mean
from edgebert.recipe import Section
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.ngrams import (
    CHARACTERS_PER_WORD,
    Channel,
    NgramFeaturizer,
    build_table,
    ngram_hashes,
    words_of,
)

# Texts counted at once; merging sorted counts costs about as much as hashing when this is too small.
CHUNK = 20_000
# The root mean square of a starting row's numbers: small against what training adds, large against zero.
START_SCALE = 0.1


class ChannelOptions(Section):
    """One table; see `edgebert_runtime.ngrams.Channel`."""

    name: str
    kind: Literal["word", "char"] = "word"
    orders: tuple[int, int] = (1, 1)
    rows: int = Field(20_000, ge=1)
    width: int = Field(128, ge=1)


class Options(Section):
    """What a recipe may say under `student` for `ngram`.

    The paper's own student is one channel: `{name: ids, orders: [1, 4], rows: 1000000, width: 1000}` with
    `pooling: mean` and `hidden: 1000`.
    """

    channels: tuple[ChannelOptions, ...] = (
        ChannelOptions(name="word_ids", kind="word", orders=(1, 1), rows=20_000, width=128),
        ChannelOptions(name="gram_ids", kind="word", orders=(2, 4), rows=30_000, width=64),
        ChannelOptions(name="char_ids", kind="char", orders=(3, 5), rows=20_000, width=64),
    )
    min_count: int = Field(2, ge=1, description="n-grams seen less often are left out")
    hidden: int = Field(128, ge=0)
    pooling: Literal["sqrt", "mean"] = "sqrt"
    ngram_dropout: float = Field(0.1, ge=0, lt=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    start_from_teacher: bool = True


def build(options: Options, context: Context) -> Student:
    """Count the vocabulary, make the tables, and start the word rows from the teacher."""
    channels = [Channel(c.name, c.kind, c.orders, c.rows, c.width) for c in options.channels]
    if len({channel.name for channel in channels}) != len(channels):
        raise UsageError("student.channels: two channels have the same name.")
    kept = count_vocabulary(channels, context.texts(), context.max_length, options.min_count)
    table = build_table(channels, kept, context.max_length)
    featurizer = NgramFeaturizer(channels, table, context.max_length, context.pair)
    single = single_words(channels)
    characters = tuple(index for index, channel in enumerate(channels) if channel.kind == "char")
    config = NgramConfig(
        rows=featurizer.rows,
        widths=tuple(channel.width for channel in channels),
        hidden=options.hidden,
        pair=context.pair,
        pooling=options.pooling,
        ngram_dropout=options.ngram_dropout,
        dropout=options.dropout,
        single=single,
        spelled=characters if single is not None else (),
    )
    network = NgramNet(config, context.heads)
    if single is not None:
        words = find_words(featurizer, single, context.texts())
        for index in config.spelled:
            network.spelling(index).copy_(spellings(featurizer, words, index, featurizer.rows[single]))
        if options.start_from_teacher:
            start_rows(network.tables[single], words, context)
    return Student(network, featurizer, asdict(config))


def load(config: Mapping[str, Any], featurizer: Featurizer, heads: Sequence[Head]) -> NgramNet:
    """See `Family.load`."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    return NgramNet(NgramConfig(**values), heads)


def single_texts(texts: Iterable[Text]) -> Iterator[str]:
    """Each text, and both texts of a pair."""
    for text in texts:
        if isinstance(text, tuple):
            yield from text
        else:
            yield text


def count_vocabulary(
    channels: Sequence[Channel], texts: Iterable[Text], max_length: int, min_count: int
) -> list[np.ndarray]:
    """The most frequent n-grams of each channel, as uint64 hashes [rows], the most frequent first.

    One pass; memory grows with the number of different n-grams, 16 bytes each. The core hashes without the GIL, so the
    channels are counted side by side.
    """
    totals = [(np.zeros(0, np.uint64), np.zeros(0, np.int64)) for _ in channels]

    def count(index: int, chunk: Sequence[str]) -> None:
        totals[index] = _merge(totals[index], ngram_hashes(channels[index], chunk, max_length)[0])

    with Progress(None, "counting n-grams") as bar, ThreadPoolExecutor() as pool:
        for chunk in _chunks(single_texts(texts)):
            list(pool.map(count, range(len(channels)), repeat(chunk)))
            bar.update(len(chunk))
    kept = []
    for channel, (keys, counts) in zip(channels, totals, strict=True):
        keys, counts = keys[counts >= min_count], counts[counts >= min_count]
        # Among equal counts the smaller low half wins: the same choice each time, and one that fills the lines of the
        # table, which go by the high bits, evenly.
        most = np.lexsort((keys, keys & np.uint64(0xFFFFFFFF), -counts))[: channel.rows]
        kept.append(keys[most])
    return kept


def _chunks(texts: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(texts, CHUNK)):
        yield chunk


def _merge(total: tuple[np.ndarray, np.ndarray], hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add the n-grams in `hashes` to (sorted keys, counts)."""
    keys, counts = np.unique(hashes, return_counts=True)
    merged, places = np.unique(np.concatenate([total[0], keys]), return_inverse=True)
    sums = np.bincount(places, weights=np.concatenate([total[1], counts]), minlength=len(merged))
    return merged, sums.astype(np.int64)


def single_words(channels: Sequence[Channel]) -> int | None:
    """The first channel that holds single words alone, if there is one."""
    found = (i for i, channel in enumerate(channels) if channel.kind == "word" and channel.orders == (1, 1))
    return next(found, None)


def find_words(featurizer: NgramFeaturizer, single: int, texts: Iterable[Text]) -> dict[int, str]:
    """A spelling of each known word, the most frequent one: row to word. (A vocabulary itself stores no strings.)"""
    counted = Counter(word for text in single_texts(texts) for word in words_of(text))
    spelled = [word for word, _ in counted.most_common()]
    rows, offsets = featurizer.ids(single, spelled)
    known = [spelled[i] for i in np.flatnonzero(np.diff(offsets))]  # each is one word: one row or none
    found: dict[int, str] = {}
    for row, word in zip(rows.tolist(), known, strict=True):
        found.setdefault(row, word)
    return found


def spellings(featurizer: NgramFeaturizer, words: Mapping[int, str], channel: int, rows: int) -> torch.Tensor:
    """Rows of the character n-grams in each known word, int32 [rows, n], zero-padded."""
    result = np.zeros((rows, CHARACTERS_PER_WORD), dtype=np.int32)
    order = sorted(words)
    ids, offsets = featurizer.ids(channel, [words[row] for row in order])
    for row, (start, end) in zip(order, pairwise(offsets.tolist()), strict=True):
        result[row, : end - start] = ids[start:end]
    return torch.from_numpy(result)


@torch.no_grad()
def start_rows(table: Any, words: Mapping[int, str], context: Context) -> None:
    """Start word rows at static vectors distilled out of the teacher: each word read alone, then PCA (brief 10b)."""
    rows = sorted(words, key=lambda row: (len(words[row]), row))
    context.teacher.eval()
    device = next(context.teacher.parameters()).device
    vectors = []
    with Progress(len(rows), "word vectors") as bar:
        for start in range(0, len(rows), 256):
            texts = [words[row] for row in rows[start : start + 256]]
            features = context.reader([(text, "") for text in texts] if context.reader.pair else texts)
            inputs = collate(features, context.reader.inputs, device=device)
            outputs = context.teacher.run(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)
            vectors.append(masked_mean(outputs.hidden[-1], inputs[1]).float().cpu())
            bar.update(len(texts))
    if not vectors:
        return
    stacked = torch.cat(vectors)
    stacked = stacked - stacked.mean(0)
    # The longest directions of the vocabulary, as many as the table is wide.
    _, basis = torch.linalg.eigh(stacked.T @ stacked)
    width = min(table.weight.shape[1], basis.shape[1])
    projected = stacked @ basis[:, -width:]
    table.weight[torch.tensor(rows), :width] = projected * (
        START_SCALE / projected.pow(2).mean().sqrt().clamp(min=1e-6)
    )


FAMILY = Family(
    options=Options,
    build=build,
    load=load,
    gives=frozenset({"text", "pairs"}),
    training={
        "epochs": 5,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "sparse_learning_rate": 0.05,
        "max_length": 256,
        "patience": 3,
    },
    objectives={"logits": {"weight": 0.7, "temperature": 2.0}, "hard_labels": {"weight": 0.3}},
    buckets=(32, 256),
)
