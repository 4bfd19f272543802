"""Teachers as Hugging Face loads them: their dropout, and tokenizers other than our WordPiece."""

from __future__ import annotations

from pathlib import Path

import torch

from edgebert.models.teacher import HuggingFaceFeaturizer, load_encoder, load_tokenizer


def test_only_attention_trains_without_dropout(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder).train()
    rates = {name: module.p for name, module in encoder.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates["encoder.layer.0.attention.self.dropout"] == 0.0
    assert {rate for name, rate in rates.items() if not name.endswith("self.dropout")} == {0.1}


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
