"""Flat features: the same ids as one text at a time, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebert.distillation import features
from edgebert.distillation.batches import lengths_of
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Featurizer, WordPiece
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table, ngram_hashes

TEXTS = [f"{'no ' * (n % 7)}film number {n} wasn't bad !" for n in range(300)] + [""]
CHANNELS = (Channel("word_ids", "word", (1, 1), 1000, 4), Channel("char_ids", "char", (3, 4), 1000, 4))


def ngram(pair: bool = False) -> NgramFeaturizer:
    hashes = [np.unique(ngram_hashes(channel, TEXTS, 8)[0]) for channel in CHANNELS]
    return NgramFeaturizer(CHANNELS, build_table(CHANNELS, [h[:1000] for h in hashes], 8), 8, pair)


def wordpiece() -> WordPiece:
    return WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "no", "bad", "!"], lowercase=True, max_length=9)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("make", [ngram, wordpiece])
def test_they_are_what_the_featurizer_gives(make, mapped: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(features, "CHUNK", 37)
    monkeypatch.setattr(features, "MAPPED", 1 if mapped else 10_000)
    featurizer: Featurizer = make()
    found = features.featurize(featurizer, TEXTS, tmp_path / "features")
    expected = featurizer(TEXTS)
    assert len(found) == len(TEXTS)
    assert lengths_of(found).tolist() == lengths_of(expected).tolist()
    for got, wanted in zip(found, expected, strict=True):
        assert {name: ids.tolist() for name, ids in got.items()} == {name: ids.tolist() for name, ids in wanted.items()}
    assert found[-1]["word_ids" if make is ngram else "input_ids"].dtype == np.int32
    with pytest.raises(IndexError):
        found[len(TEXTS)]
    assert (tmp_path / "features").is_dir() is mapped
    features.remove(tmp_path / "features")
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("mapped", [90, 10_000])
def test_a_stream_is_read_once_and_counted(mapped: int, tmp_path: Path, monkeypatch) -> None:
    """Its ids go to files when there are many of them, in the middle of it."""
    monkeypatch.setattr(features, "CHUNK", 37)
    monkeypatch.setattr(features, "MAPPED", mapped)
    stream = iter(TEXTS)
    found = features.featurize(wordpiece(), stream, tmp_path / "features")
    assert next(stream, None) is None and len(found) == len(TEXTS)
    assert [item["input_ids"].tolist() for item in found] == [i["input_ids"].tolist() for i in wordpiece()(TEXTS)]
    assert isinstance(found[0]["input_ids"].base, np.memmap) is (mapped == 90)


def test_an_empty_stream(tmp_path: Path) -> None:
    assert len(features.featurize(ngram(), iter(()), tmp_path)) == 0


def test_another_librarys_tokenizer_reads_a_stream_too(tmp_path: Path) -> None:
    class Plain:
        def __call__(self, texts: list[str]) -> list[dict[str, np.ndarray]]:
            return [{"ids": np.array([len(text)])} for text in texts]

    assert len(features.featurize(Plain(), iter(TEXTS), tmp_path)) == len(TEXTS)  # type: ignore[arg-type]


def test_pairs(tmp_path: Path) -> None:
    pairs = [(text, TEXTS[0]) for text in TEXTS[:50]]
    featurizer = ngram(pair=True)
    found = features.featurize(featurizer, pairs, tmp_path)
    assert [item["char_ids_b"].tolist() for item in found] == [i["char_ids_b"].tolist() for i in featurizer(pairs)]


def test_no_texts(tmp_path: Path) -> None:
    assert len(features.featurize(ngram(), [], tmp_path)) == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(features, "MAPPED", 1)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EdgeBertError, match="cannot write"):
        features.featurize(ngram(), TEXTS, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
