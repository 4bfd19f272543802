"""Texts on which tokenizers part ways, and the oracle: Hugging Face's BertTokenizerFast."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wordpiece_library import LOWERCASE, STRIP_ACCENTS, WordPiece

Tokens = tuple[list[int], list[int], list[tuple[int, int]]]
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
# lowercase, strip_accents: the two kinds of models, and the two that nobody ships
MODES = {"uncased": (True, None), "cased": (False, None), "lower": (True, False), "strip": (False, True)}

SNIPPETS = (
    "The", "cat", "naïve", "ÉCOLE", "don't", "unaffable", "日本語", "가각힣", "😀", "👩\u200d👩\u200d👧", "[SEP]",
    "[MASK]", "[CLS]", "[PAD]", "[UNK]", "[SEP", "SEP]", "[sep]", "##ing", "a" * 99, "x" * 100, "x" * 101,
    "é" * 100, "é" * 101, "İ" * 51, "\0", "\ufffd", "\u00ad", "\u200b", "\u200d", "\u034f", "\ufe0f", "ﬁ",
    "İ", "ß", "ẞ", "Σας", "\u0344", "\u0340", "\u0f73", "\u0f77", "\u1e9b\u0323", "\u302e", "\u302e\u0301",
    "\u0301\u302e", "\U0001d15f", "\U0001d160\u0334\u302e\u0301", "\u0dde", "\u0ddd", "\u0cc7",
    "\u0ccb\u0cd5", "\u1b3d", "\u0f76", "\u037e", "\u0387", "\u1fef", "\u2260", "\u226e", "\u1fee",
    "\ufa0e", "\uf900", "\U0002f800", "\u3000", "\u00a0", "\u2028", "\x85", "\x0b", "\x1c", "\t", "\r\n",
    "“", "”", "—", "…", "€", "½", "١٢٣", "हिन्दी", "ไทย", "ру́сский", "Ångström", "A\u030angstro\u0308m",
    "\ue000", "\U000e0001", "\u0378", "_", "a_b", "http://x.y/z?q=1", "3.14", "C++", "@user", "#tag",
    "\U00016ff0", "\u1ac1", "\U00011f41", "\U0001e08f", "\u0c48", "\u0cc0", "\U0001112e",
)  # fmt: skip


def letters_vocabulary(limit: int = 0x32000) -> bytes:
    """A vocab.txt in which every letter is a piece: no [UNK] hides the offsets of exotic scripts."""
    without = ((0x0A, 0x0B), (0x4E80, 0x9F00), (0xAD00, 0xD700), (0xE000, 0xF8F0), (0x20100, 0x2F700))
    points = [p for p in POINTS if p < limit and not any(low <= p < high for low, high in without)]
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    lines += [prefix + chr(point) for point in points for prefix in ("", "##")]
    return ("\n".join(lines) + "\n").encode()


@functools.cache
def oracle(vocab: Path, mode: str) -> Any:
    """The `tokenizers` pipeline that BertTokenizerFast wraps, with the special tokens that this vocabulary has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    model = models.WordPiece.from_file(str(vocab), unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    ids = tokenizer.get_vocab()
    tokenizer.add_special_tokens([t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if t in ids])
    lowercase, strip = MODES[mode]
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=strip, lowercase=lowercase
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@functools.cache
def core(vocab: Path, mode: str) -> WordPiece:
    """The same, of the core."""
    lowercase, strip = MODES[mode]
    flags = LOWERCASE * lowercase + STRIP_ACCENTS * (lowercase if strip is None else strip)
    return WordPiece(vocab.read_bytes(), flags)


def differences(ours: WordPiece, theirs: Any, texts: Sequence[str], chunk: int = 2000) -> Iterator[str]:
    """One line for each text whose ids, words or offsets differ."""
    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        for text, encoding in zip(part, theirs.encode_batch(part, add_special_tokens=False), strict=True):
            expected: Tokens = (encoding.ids, encoding.word_ids, encoding.offsets)
            found = ours.tokens(text)
            if found != expected:
                yield f"{text!r}: expected {expected}, found {found}"


def assert_equal(ours: WordPiece, theirs: Any, texts: Sequence[str]) -> None:
    """Raises AssertionError with the first few differences."""
    found = list(differences(ours, theirs, texts))
    assert not found, "\n".join([f"{len(found)} of {len(texts)} texts differ", *found[:5]])


class RandomTexts:
    """Texts made of code points, SNIPPETS and words of the vocabulary, and mutations of real texts."""

    RANGES = (
        (0x20, 0x7F), (0x20, 0x7F), (0, 0x20), (0x7F, 0x250), (0x300, 0x370), (0x300, 0x370), (0x370, 0x600),
        (0x590, 0x700), (0x900, 0xE00), (0xF00, 0x1000), (0x1AB0, 0x1B80), (0x1DC0, 0x2000), (0x2000, 0x2070),
        (0x20D0, 0x2100), (0x3000, 0x3100), (0x3300, 0x3500), (0x4DB0, 0x4E20), (0xABE0, 0xACFF), (0xD780, 0xD800),
        (0xF8F0, 0xFB20), (0xFE00, 0x10000), (0x10A00, 0x11FFF), (0x16FE0, 0x17000), (0x1D150, 0x1D1C0),
        (0x1E000, 0x1E960), (0x1F300, 0x1FA00), (0x2F7F0, 0x2FA30), (0xE0000, 0xE0200),
        (0x10FF00, 0x110000), (0, 0x110000),
    )  # fmt: skip

    def __init__(self, seed: int, words: Sequence[str], texts: Sequence[str] = ()) -> None:
        self._random, self._words, self._texts = random.Random(seed), words, texts

    def _point(self) -> str:
        point = self._random.randrange(*self._random.choice(self.RANGES))
        return chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd"

    def _item(self) -> str:
        pick = self._random.random()
        if pick < 0.3:
            return self._point()
        if pick < 0.5:
            return "".join(self._point() for _ in range(self._random.randrange(1, 6)))
        if pick < 0.7:
            return self._random.choice(SNIPPETS)
        if pick < 0.75:
            return self._random.choice(SNIPPETS) * self._random.randrange(2, 20)
        word = self._random.choice(self._words).removeprefix("##")
        return self._random.choice((word, word, word.title(), word.upper(), word + self._random.choice(self._words)))

    def _made(self) -> str:
        join = self._random.choice(("", " ", " "))
        return join.join(self._item() for _ in range(self._random.randrange(1, 12)))

    def _mutated(self) -> str:
        text = self._random.choice(self._texts)
        start = self._random.randrange(max(1, len(text) - 60))
        signs = list(text[start : start + self._random.randrange(1, 80)])
        for _ in range(self._random.randrange(1, 6)):
            at = self._random.randrange(len(signs) + 1)
            signs[at : at + self._random.randrange(3)] = self._item() if self._random.random() < 0.7 else ""
        return "".join(signs)

    def __call__(self, count: int) -> list[str]:
        """The next texts."""
        return [self._mutated() if self._texts and self._random.random() < 0.4 else self._made() for _ in range(count)]
