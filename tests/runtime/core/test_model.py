"""The native model against the reference in numpy, bit for bit and with every kernel; and against every damage."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import reference_model as model
import reference_ngrams as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_model import MEAN, PAIRS, Sizes
from reference_ngrams import CHARACTERS, WORDS

from edgebert_runtime import _core

# EB_AVX2, EB_AVX512, EB_NEON, EB_DOTPROD as this processor has them; 0 is the scalar version.
KERNELS = [0, *(bit for bit in (1, 2, 4, 8) if bit & _core.features()), _core.features()]

CORPUS = (
    "the red fox didn't run, isn’t it odd? no!",
    "über Straße 日本語 naïve İstanbul 😀 internationalization",
    "a b c d e f g not not a bad b film film",
)
TEXTS = (
    *CORPUS,
    "",
    " \n\t ",
    "nothingknown qqqq zzzz",
    "the the THE The",
    "the unknownword fox nothingelse redfoxes 日本",
    "\x00\ufffd😀\U0010ffff ' '",
    "internationalization" * 20,
)
ALL = ((WORDS, 1, 1), (WORDS, 2, 3), (CHARACTERS, 3, 5), (CHARACTERS, 1, 2))


def vocabulary(
    channels: Iterable[tuple[int, int, int]] = ALL, max_length: int = 1000, texts: Iterable[str] = CORPUS, keep: int = 3
) -> bytes:
    """All n-grams of some texts but every `keep`-th."""
    made = []
    for kind, low, high in channels:
        known = sorted({new for text in texts for new in reference.hashes(kind, low, high, 10**6, text.encode())})
        kept = [new for place, new in enumerate(known) if place % keep]
        made.append((kind, low, high, max(0, len(kept) // 4).bit_length(), kept))
    return reference.write_vocabulary(max_length, made)


def core_logits(content: bytes, features: int, texts: Any, second: Any = None) -> np.ndarray:
    opened = _core.Model(content, features)
    classes, _ = opened.facts()
    return np.frombuffer(opened.logits(texts, second), np.float32).reshape(-1, classes)


def check(content: bytes, texts: Iterable[str] = TEXTS, second: Iterable[str] | None = None) -> np.ndarray:
    """The core gives the reference's bits with every kernel."""
    known, texts = model.Model(content), list(texts)
    pairs = list(zip(texts, second, strict=True)) if second is not None else [(text, None) for text in texts]
    expected = np.stack([known.logits(*pair) for pair in pairs])
    for features in KERNELS:
        found = core_logits(content, features, texts, None if second is None else list(second))
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32), f"kernels {features}")
    return expected


def make(sizes: Sizes, table: bytes | None = None, seed: int = 0, rows: int | None = None) -> bytes:
    table = table or vocabulary(ALL[: len(sizes.widths)])
    return model.write(sizes, model.random_sections(sizes, table, seed, rows))


# ---- the same bits


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("hidden", [0, 32, 96])
@pytest.mark.parametrize("widths", [(32, 32, 32), (128, 64, 32), (96, 32, 160), (352, 64, 32, 64)])
def test_logits_are_the_references(widths: tuple[int, ...], hidden: int, fold: int, bits: int) -> None:
    logits = check(make(Sizes(3, hidden, widths, 0, bits, fold)))
    assert np.isfinite(logits).all() and len(np.unique(logits, axis=0)) >= 6  # the texts can be told apart


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("hidden", [0, 64])
@pytest.mark.parametrize("flags", [0, MEAN])
def test_pairs(flags: int, hidden: int, bits: int) -> None:
    content = make(Sizes(2, hidden, (64, 32, 32), PAIRS | flags, bits, 1))
    logits = check(content, TEXTS, TEXTS[::-1])
    assert not np.array_equal(logits, logits[::-1])  # which of the two is first counts
    check(content, TEXTS, TEXTS)


def test_mean_is_not_sqrt() -> None:
    mean, root = (check(make(Sizes(2, 0, (32, 32, 32), flags, 8, 1))) for flags in (MEAN, 0))
    assert not np.array_equal(mean, root)


@pytest.mark.parametrize(
    ("channels", "fold"),
    [
        ([(WORDS, 1, 1)], 0),
        ([(WORDS, 1, 1)], 1),
        ([(CHARACTERS, 3, 5)], 0),
        ([(WORDS, 2, 4), (CHARACTERS, 3, 5)], 0),  # no single words, so nothing is folded
        ([(CHARACTERS, 2, 3), (WORDS, 1, 1), (CHARACTERS, 4, 8)], 2),  # characters before their words
        ([(WORDS, 1, 8), (WORDS, 1, 1), (CHARACTERS, 1, 8)], 2),
        ([(WORDS, 1, 1), (WORDS, 1, 1), (CHARACTERS, 3, 3), (CHARACTERS, 3, 3)], 2),
        ([(WORDS, 1, 1), (WORDS, 2, 2), (WORDS, 3, 3), (WORDS, 4, 4), *[(CHARACTERS, n, n) for n in (2, 3, 4, 5)]], 1),
    ],
)
def test_channels_of_every_kind(channels: list[tuple[int, int, int]], fold: int) -> None:
    widths = tuple(32 * (1 + index % 3) for index in range(len(channels)))
    for bits in (8, 4):
        check(make(Sizes(2, 32, widths, 0, bits, fold), vocabulary(channels)))


@settings(max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40), seed=st.integers(0, 3))
def test_any_text(text: str, seed: int) -> None:
    sizes = Sizes(2, 32 * (seed % 2), (32, 32, 64), 0, 8 if seed < 2 else 4, 1)
    check(make(sizes, vocabulary(ALL[:3], texts=[*CORPUS, text]), seed), [text])


@pytest.mark.parametrize("count", [1, 62, 63, 64, 65, 66, 127, 128, 129, 192, 300])
def test_words_are_read_in_chunks_that_do_not_show(count: int) -> None:
    """N-grams reach over the borders of chunks, which lie at every 64th word."""
    text = " ".join(f"w{number % 23}{'x' * (number % 4)}" for number in range(count))
    for max_length in (1000, count, max(1, count - 1), 64):
        table = vocabulary([(WORDS, 1, 1), (WORDS, 1, 8), (CHARACTERS, 2, 4)], max_length, [text], keep=5)
        check(make(Sizes(2, 0, (32, 64, 32), 0, 8, 1), table), [text, text + " more", "w1 " + text])


def test_a_text_is_cut_at_the_longest_length() -> None:
    content = make(Sizes(2, 0, (32, 32, 32), 0, 8, 1), vocabulary(ALL[:3], max_length=5))
    logits = check(content, ["the red fox didn't run", "the red fox didn't run, isn’t it odd?", "the red fox didn't"])
    assert np.array_equal(logits[0], logits[1]) and not np.array_equal(logits[0], logits[2])


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rows", [-128, -127, 127, -8, 7])
def test_sums_leave_int16_without_harm(bits: int, rows: int) -> None:
    """Kernels add up to 256 rows in int16. One word 64 times brings 8 n-grams each: up to 512 rows at once."""
    for count in (31, 32, 33, 40, 64, 65, 200):
        text = "no " * count
        table = vocabulary([(WORDS, 1, 1), (WORDS, 1, 8), (CHARACTERS, 1, 2)], 10_000, [text], keep=10**6)
        check(make(Sizes(2, 32, (32, 96, 32), 0, bits, 1), table, rows=rows), [text])


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("widths", [(32,), (4096,), (65504,), (16352,)])
def test_products_stay_in_int32(weight: int, widths: tuple[int, ...]) -> None:
    """The largest weights on the largest activations, all of one sign; the reference checks the size of its sums."""
    sizes = Sizes(2, 0, widths, PAIRS if widths == (16352,) else 0)
    table = vocabulary([(WORDS, 1, 1)], keep=10**6)
    sections = model.random_sections(sizes, table, rows=127)
    sections[model.SCALES, 0] = np.full(widths[0], 0.01, np.float32).tobytes()
    floats = np.array([0.01, 0.02, 0, 0], np.float32).tobytes()
    sections[model.LINEAR, 0] = floats + np.full(2 * sizes.inputs, weight, np.int8).tobytes()
    check(model.write(sizes, sections), ["the red fox"], ["fox fox"] if sizes.flags else None)


def test_an_empty_vocabulary_leaves_the_bias() -> None:
    table = reference.write_vocabulary(9, [(WORDS, 1, 1, 0, []), (CHARACTERS, 3, 4, 2, [])])
    content = make(Sizes(4, 0, (32, 64), 0, 8, 1), table)
    bias = np.frombuffer(model.Model(content).sections[model.LINEAR, 0], np.float32)[4:8]
    np.testing.assert_array_equal(check(content), [bias] * len(TEXTS))


def test_one_class_and_many() -> None:
    for classes in (1, 2, 150):
        assert check(make(Sizes(classes, 32, (32, 32), 0, 8))).shape == (len(TEXTS), classes)


@pytest.mark.parametrize("flags", [0, PAIRS, MEAN])
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-30, 1.0, 1e5, 9.9e8, -9.9e8])
def test_numbers_that_no_training_gives(scale: float, flags: int) -> None:
    """Scales and biases as large as a file may have them, and none at all: finite answers, everywhere the same."""
    sizes = Sizes(2, 32, (32, 32, 32), flags, 8, 1)
    outputs = {model.LINEAR: 2, model.HIDDEN: 32, model.OUTPUT: 2}
    for rows in (None, 127):
        sections = model.random_sections(sizes, vocabulary(ALL[:3]), rows=rows)
        for (kind, channel), content in list(sections.items()):
            scales = {model.SCALES: 32, model.FOLDED_SCALES: 32}.get(kind, 2 * outputs.get(kind, 0))
            large = np.full(scales, scale, np.float32).tobytes()
            sections[kind, channel] = large + content[len(large) :]
        texts = [*TEXTS, "the fox " * 400]
        assert np.isfinite(check(model.write(sizes, sections), texts, texts[::-1] if flags & PAIRS else None)).all()


def test_the_file_may_lie_anywhere() -> None:
    content = make(Sizes(2, 0, (32, 32, 32), 0, 8, 1))
    expected = core_logits(content, 0, TEXTS)
    for shift in range(1, 9):
        moved: Any = memoryview(bytes(shift) + content)[shift:]
        np.testing.assert_array_equal(core_logits(moved, 0, TEXTS), expected)


def test_facts() -> None:
    assert _core.Model(make(Sizes(5, 0, (32,))), 0).facts() == (5, 0)
    assert _core.Model(make(Sizes(2, 0, (32,), PAIRS)), 0).facts() == (2, 1)


# ---- damage


SMALL = Sizes(2, 32, (32, 32, 32), 0, 8, 1)
CONTENT = make(SMALL, vocabulary([(WORDS, 1, 1), (WORDS, 2, 2), (CHARACTERS, 3, 3)], 70, CORPUS[:1]))
REFUSAL = r"not an EdgeBERT model, or it is damaged|made for another version"


def test_the_checksum_is_the_references() -> None:
    for size in (24, 32, 40, 48, 56, 64, 1000, 4096):
        content = np.random.default_rng(size).bytes(size)
        assert _core.model_checksum(content) == model.checksum(content)
    for content in (b"", bytes(23), bytes(25), bytes(8)):
        assert _core.model_checksum(content) == 0  # no such file
    assert _core.model_checksum(memoryview(b"\0" + CONTENT)[1:]) == model.checksum(CONTENT)


def test_every_cut_and_every_growth_is_refused() -> None:
    for damaged in [*(CONTENT[:end] for end in range(len(CONTENT))), CONTENT + bytes(8), CONTENT + bytes(64)]:
        with pytest.raises(ValueError, match=REFUSAL):
            _core.Model(damaged, 0)


def test_every_flipped_bit_is_refused() -> None:
    damaged = bytearray(CONTENT)
    for place in range(8 * len(CONTENT)):
        if place >= 8 * 4096 and place % 7:  # behind the head a seventh will do
            continue
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match=REFUSAL):
            _core.Model(bytes(damaged), 0)
        damaged[place // 8] ^= 1 << place % 8


def test_words_that_change_places_are_refused() -> None:
    for first, second in ((24, 32), (128, 160), (1024, 1032), (1024, 1056), (2048, 4096)):
        damaged = bytearray(CONTENT)
        damaged[first : first + 8] = CONTENT[second : second + 8]
        damaged[second : second + 8] = CONTENT[first : first + 8]
        if damaged != CONTENT:
            with pytest.raises(ValueError, match=REFUSAL):
                _core.Model(bytes(damaged), 0)


def signed(content: bytes | bytearray) -> bytes:
    return bytes(content[:16]) + struct.pack("<Q", _core.model_checksum(bytes(content))) + bytes(content[24:])


def open_and_ask(content: bytes) -> bool:
    """Whether the core takes the file; if so, it answers as the reference does."""
    try:
        opened = _core.Model(content, 0)
    except ValueError:
        return False
    pairs = opened.facts()[1]
    texts = [*TEXTS[:4], "the red fox " * 30]
    with np.errstate(all="ignore"):
        known = model.Model(content)
        expected = np.stack([known.logits(text, text[::-1] if pairs else None) for text in texts])
    for features in KERNELS:
        found = core_logits(content, features, texts, [text[::-1] for text in texts] if pairs else None)
        np.testing.assert_array_equal(found, expected)
    return True


def test_no_damage_that_is_signed_again_does_harm() -> None:
    """Numbers of the head, of the table of sections and of the vocabulary, singly and together."""
    random = np.random.default_rng(11)
    sections = struct.unpack_from("<I", CONTENT, 24)[0]
    head = model.HEADER + model.ENTRY * sections
    vocabulary_at = struct.unpack_from("<Q", CONTENT, model.HEADER + 8)[0]
    likely = [0, 1, 2, 3, 4, 8, 31, 32, 33, 64, 96, 128, 4096, len(CONTENT), 2**16, 2**31 - 1, 2**31, 2**32 - 1]
    taken = 0
    for _ in range(2000):
        damaged = bytearray(CONTENT)
        for _ in range(random.integers(1, 4)):
            choice = random.random()
            if choice < 0.5:
                struct.pack_into("<I", damaged, 4 * int(random.integers(6, head // 4)), int(random.choice(likely)))
            elif choice < 0.7:
                place = vocabulary_at + 4 * int(random.integers(2, 200))
                struct.pack_into("<I", damaged, place, int(random.choice(likely)))
            else:
                damaged[random.integers(24, len(damaged))] = random.integers(256)
        taken += open_and_ask(signed(damaged))
    assert 100 < taken < 1900


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 0x474E4245),  # the magic of a vocabulary
        (24, 0), (24, 65), (24, 2**32 - 1),  # sections
        (28, 0), (28, 3), (28, 65537), (28, 2**32 - 1),  # classes
        (32, 0x20000), (32, 1), (32, 64), (32, 2**32 - 32),  # hidden
        (36, 2), (36, 4), (36, 0), (36, 2**32 - 1),  # channels
        (40, 1), (40, 4), (40, 2**32 - 1),  # flags: a model for pairs has larger layers
        (44, 4), (44, 0), (44, 16), (44, 2**32 - 1),  # bits
        (48, 2), (48, 3), (48, 4), (48, 2**32 - 1),  # fold: not single words
        (64, 0), (64, 16), (64, 33), (64, 64), (64, 65568), (64, 2**32 - 32),  # widths
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(place: int, value: int) -> None:
    damaged = bytearray(CONTENT)
    struct.pack_into("<I", damaged, place, value)
    with pytest.raises(ValueError, match=REFUSAL):
        _core.Model(signed(damaged), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9, -1e9, 3e38])
def test_floats_that_make_no_sense_are_refused(value: float) -> None:
    sections = model.random_sections(SMALL, model.Model(CONTENT).sections[model.NGRAMS, 0])
    number = struct.pack("<f", value)
    for key in list(sections):
        if key[0] in (model.SCALES, model.FOLDED_SCALES, model.LINEAR, model.HIDDEN, model.OUTPUT):
            damaged = {**sections, key: sections[key][:4] + number + sections[key][8:]}
            with pytest.raises(ValueError, match=REFUSAL):
                _core.Model(model.write(SMALL, damaged), 0)


def test_a_missing_section_is_refused() -> None:
    sections = model.Model(CONTENT).sections
    for key in sections:
        with pytest.raises(ValueError, match=REFUSAL):
            _core.Model(model.write(SMALL, {k: v for k, v in sections.items() if k != key}), 0)
        for content in (sections[key] + bytes(64), sections[key][:-1]):
            with pytest.raises(ValueError, match=REFUSAL):
                _core.Model(model.write(SMALL, {**sections, key: content}), 0)


@pytest.mark.parametrize("channel", [(WORDS, 1, 2), (WORDS, 2, 2), (WORDS, 1, 8), (CHARACTERS, 1, 1)])
def test_only_single_words_fold(channel: tuple[int, int, int]) -> None:
    """A row of anything else says nothing about one word, however well the sections fit."""
    table = vocabulary([channel, (CHARACTERS, 3, 4)])
    with pytest.raises(ValueError, match=REFUSAL):
        _core.Model(make(Sizes(2, 0, (32, 32), 0, 8, 1), table), 0)


def test_a_damaged_vocabulary_inside_is_refused() -> None:
    sections = model.Model(CONTENT).sections
    for place, value in ((4, 1), (8, 0), (76, 33), (192, 1)):
        table = bytearray(sections[model.NGRAMS, 0])
        struct.pack_into("<I", table, place, value)
        with pytest.raises(ValueError, match=REFUSAL):
            _core.Model(model.write(SMALL, {**sections, (model.NGRAMS, 0): bytes(table)}), 0)


def test_another_version_is_named() -> None:
    for version in (0, 2):
        with pytest.raises(ValueError, match="another version of EdgeBERT"):
            _core.Model(CONTENT[:4] + struct.pack("<I", version) + CONTENT[8:], 0)


@pytest.mark.parametrize("content", [b"", b"EBNN", bytes(128), bytes(4096), b"not a model at all" * 100])
def test_what_is_no_model(content: bytes) -> None:
    with pytest.raises(ValueError, match=REFUSAL):
        _core.Model(content, 0)
