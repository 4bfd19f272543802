"""Teachers whose tokenizer is not our WordPiece."""

from __future__ import annotations

from pathlib import Path

from edgebert.models.teacher import HuggingFaceFeaturizer, load_tokenizer


def test_long_pairs_are_cut_as_hugging_face_cuts_them(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    featurizer = HuggingFaceFeaturizer(tokenizer, 16, pair=True)
    pairs = [("the cat " * 60, "a frog saw the river " * 40), ("", "a cat"), ("a cat", ""), ("a cat", "the frog")]
    expected = tokenizer([a for a, _ in pairs], [b for _, b in pairs], truncation=True, max_length=16)
    assert [item["input_ids"].tolist() for item in featurizer(pairs)] == expected["input_ids"]


def test_a_pair_of_very_long_texts_is_no_product_of_their_lengths(tiny_encoder: Path) -> None:
    # Cut by the library alone, this takes 20 GB and minutes.
    featurizer = HuggingFaceFeaturizer(load_tokenizer(tiny_encoder), 16, pair=True)
    (item,) = featurizer([("a" * 100_000, "the cat " * 12_500)])
    assert len(item["input_ids"]) == 16
