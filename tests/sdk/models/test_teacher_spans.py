"""Where the tokens of byte pairs and SentencePiece stand in their text; the tokenizers are built here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

sys.path.append(str(Path(__file__).parents[2] / "runtime"))  # pytest's importlib mode puts no folder of tests there

import span_texts

from edgebert_runtime.units import unit_ranges, units

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
HuggingFaceFeaturizer = pytest.importorskip("edgebert.models.teacher").HuggingFaceFeaturizer

SETTINGS = settings(max_examples=40)
CORPUS = [
    "the cat is here, in the U.S. of a naïve 日本語 world",
    "not bad, isn't it? don't! 1,000.50 [x] wonderful",
] * 3


def byte_pairs(trim: bool) -> Any:
    """As RoBERTa's (which trims the space off its offsets) or GPT-2's (which does not)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=330, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim, False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def sentence_pieces(split: bool) -> Any:
    """As XLM-R's; with `split=False` as those that take a whole text for one word."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=split)
    specials = ["<s>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


KINDS = {
    "roberta": lambda: byte_pairs(True),
    "gpt2": lambda: byte_pairs(False),
    "xlm-r": lambda: sentence_pieces(True),
    "llama": lambda: sentence_pieces(False),
}


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def single(tokenizer: Any) -> Any:
    return HuggingFaceFeaturizer(tokenizer, 40, pair=False)


@pytest.fixture(scope="module")
def paired(tokenizer: Any) -> Any:
    return HuggingFaceFeaturizer(tokenizer, 40, pair=True)


def words_of(featurizer: Any, text: str) -> list[str]:
    spans = featurizer.spans(text, cut=False)
    return [text[start:end] for start, end in unit_ranges(spans, units(spans)).tolist()]


def check_order(spans: np.ndarray, halves: tuple[str, ...]) -> None:
    for number, half in enumerate(halves):
        rows = spans[spans[:, 0] == number]
        assert all(start < end <= len(half) for _, _, start, end in rows.tolist())
        assert not any(half[start].isspace() for start in rows[:, 2].tolist())
        assert (np.diff(rows[:, 1:], axis=0) >= 0).all() and (rows[:1, 1] == 0).all()
    assert (spans[spans[:, 0] < 0] == [-1, -1, 0, 0]).all()


@SETTINGS
@given(text=span_texts.TEXT)
def test_words_begin_at_characters_and_in_order(single: Any, text: str) -> None:
    spans = single.spans(text)
    assert len(spans) == len(single([text])[0]["input_ids"]) and spans.dtype == np.int32
    check_order(spans, (text,))
    whole = single.spans(text, cut=False)
    check_order(whole, (text,))
    assert whole[: len(spans) - 1].tolist() == spans[:-1].tolist()


@SETTINGS
@given(a=span_texts.TEXT, b=span_texts.TEXT)
def test_pairs_too(paired: Any, a: str, b: str) -> None:
    spans = paired.spans((a, b))
    assert len(spans) == len(paired([(a, b)])[0]["input_ids"])
    check_order(spans, (a, b))


@pytest.mark.parametrize("text", span_texts.AWKWARD)
def test_awkward_texts(single: Any, text: str) -> None:
    check_order(single.spans(text), (text,))


@SETTINGS
@given(text=span_texts.TEXT)
def test_every_character_but_white_space_is_in_a_token_that_begins_there_or_before(single: Any, text: str) -> None:
    """An off-by-one would leave out the first or the last character of a word."""
    ascii_text = "".join(sign for sign in text if sign.isascii() and sign.isprintable())
    covered = np.zeros(len(ascii_text), bool)
    for _, _, start, end in single.spans(ascii_text, cut=False).tolist():
        covered[start:end] = True
    assert all(covered[i] != ascii_text[i].isspace() for i in range(len(ascii_text)))


def test_words_are_parted_as_word_pieces_are() -> None:
    for kind in ("roberta", "gpt2", "xlm-r"):
        single = HuggingFaceFeaturizer(KINDS[kind](), 40, pair=False)
        assert words_of(single, "the  cat, in the U.S.") == ["the", "cat", ",", "in", "the", "U", ".", "S", "."], kind


def test_a_sign_of_many_bytes_is_one_word(single: Any) -> None:
    assert words_of(single, "cat \U0001f600 cat") == ["cat", "\U0001f600", "cat"]
