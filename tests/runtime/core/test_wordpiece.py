"""WordPiece of the core against Hugging Face's: ids, words and offsets. benchmarks/wordpiece_parity.py goes further."""

from __future__ import annotations

import ctypes
import gzip
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode puts no folder of tests on the path

import wordpiece_cases as cases
import wordpiece_library as core

pytest.importorskip("tokenizers")
if core.compiler() is None:
    pytest.skip("no C compiler", allow_module_level=True)

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
REAL = {name: f"bert-base-{name}-vocab.txt" for name in ("uncased", "cased")}


def write(path: Path, tokens: list[str]) -> Path:
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary in which every letter is a piece."""
    path = tmp_path_factory.mktemp("letters") / "vocab.txt"
    path.write_bytes(cases.letters_vocabulary())
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of a few words and pieces."""
    pieces = [
        "un",
        "##aff",
        "##able",
        "##ing",
        "the",
        "cat",
        "cats",
        "a",
        "##a",
        "##b",
        "e",
        "##e",
        "i",
        "##i",
        "10",
        "##1",
    ]
    return write(
        tmp_path_factory.mktemp("small") / "vocab.txt", [*SPECIALS, *pieces, "!", "[", "]", "日", "本", "x" * 12]
    )


def make(tokens: list[str], flags: int = core.LOWERCASE | core.STRIP_ACCENTS) -> core.WordPiece:
    return core.WordPiece("\n".join(tokens).encode(), flags)


def compare(vocab: Path, mode: str, texts: list[str]) -> None:
    cases.assert_equal(cases.core(vocab, mode), cases.oracle(vocab, mode), texts)


def words_of(vocab: Path) -> list[str]:
    return vocab.read_text("utf-8").split("\n")[:-1]


# ---- the oracle ----------------------------------------------------------------------------------------------------


def test_the_tables_are_what_the_oracle_does() -> None:
    script = core.CORE / "tools" / "make_unicode.py"
    result = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_python_of_another_unicode_version_keeps_the_frozen_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(core.CORE / "tools"))
    import make_unicode

    here = make_unicode.python_columns()
    monkeypatch.setattr(make_unicode, "FROZEN", "0.0.0")
    assert make_unicode.python_columns() == here


def test_the_pipeline_is_what_bert_tokenizer_fast_wraps(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    letters = tmp_path / "vocab.txt"
    letters.write_bytes(cases.letters_vocabulary(0x1200))
    texts = cases.RandomTexts(1, ["cat", "Straße", "don't", "##ing", "10"])(300)
    for mode, (lowercase, strip) in cases.MODES.items():
        wrapped = transformers.BertTokenizerFast(vocab=str(letters), do_lower_case=lowercase, strip_accents=strip)
        pipeline, ours = cases.oracle(letters, mode), cases.core(letters, mode)
        for text in texts:
            found = wrapped(text, return_offsets_mapping=True, add_special_tokens=False)
            encoding = pipeline.encode(text, add_special_tokens=False)
            expected = found["input_ids"], found.word_ids(), found["offset_mapping"]
            assert (encoding.ids, encoding.word_ids, encoding.offsets) == expected
            assert ours.tokens(text) == expected


# ---- equality ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", cases.MODES)
def test_every_pair_of_snippets(letters: Path, mode: str) -> None:
    compare(letters, mode, [a + join + b for join in ("", " ") for a in cases.SNIPPETS for b in cases.SNIPPETS][::2])


def lines_of_points() -> list[str]:
    """Code points in four contexts, sixteen to a text; of the ranges where all are alike, one in 37."""
    alike = ((0x3400, 0x4DA0), (0x4E80, 0x9F00), (0xAD00, 0xD700), (0xE000, 0xF800), (0x17000, 0x18700),
             (0x20000, 0x2F700), (0x30000, 0x31300), (0x32400, 0xDFF00), (0xE0200, 0x10FF00))  # fmt: skip
    points = [p for p in cases.POINTS if p % 37 == 0 or not any(low <= p < high for low, high in alike)]
    contexts = [f"{c}\na{c}b\n {c} \n{c}\u0301x" for c in map(chr, points)]
    return ["\n".join(contexts[start : start + 16]) for start in range(0, len(contexts), 16)]


@pytest.mark.parametrize("mode", ["uncased", "cased"])
def test_code_points(letters: Path, mode: str) -> None:
    compare(letters, mode, lines_of_points())


@pytest.mark.parametrize("mode", ["uncased", "cased"])
def test_code_points_with_a_real_vocabulary(shared_data: Path, mode: str) -> None:
    compare(shared_data / "vocab" / REAL[mode], mode, lines_of_points()[::4])


@pytest.mark.parametrize("mode", cases.MODES)
def test_random_texts(letters: Path, mode: str) -> None:
    compare(letters, mode, cases.RandomTexts(2, ["cat", "Straße", "don't", "##ing", "10"])(2500))


@pytest.mark.parametrize(("name", "mode"), [("uncased", "uncased"), ("cased", "cased"), ("uncased", "lower")])
def test_texts_of_the_datasets_as_they_are_and_mutated(shared_data: Path, name: str, mode: str) -> None:
    vocab, texts = shared_data / "vocab" / REAL[name], []
    for part in ("sst2/dev", "laroseda/test", "uner_zh/test", "uner_sr/test", "xquad/de", "olid_offensive/test"):
        with gzip.open(shared_data / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for _, line in zip(range(150), lines, strict=False)]
        texts += [row.get("text") or row.get("context") or " ".join(row["tokens"]) for row in rows]
    compare(vocab, mode, texts + cases.RandomTexts(3, words_of(vocab), texts)(3400))


def test_a_large_vocabulary(tmp_path: Path) -> None:
    draw, signs = random.Random(4), "abcdeéßжщ日本ก"
    tokens = ["".join(draw.choices(signs, k=draw.randrange(1, 10))) for _ in range(120_000)]
    vocab = write(tmp_path / "vocab.txt", [*SPECIALS, *(draw.choice(("", "##")) + token for token in tokens), *signs])
    texts = ["".join(draw.choices(signs + " ", k=draw.randrange(60))) for _ in range(2000)]
    compare(vocab, "cased", texts)
    compare(vocab, "uncased", texts[:500])


# ---- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["a", "A", "é", "İ", "日", "e\u0301", "\u0ddd", "가", "\U0001d15f", "\u302e"])
@pytest.mark.parametrize("mode", cases.MODES)
def test_words_near_the_longest(letters: Path, mode: str, letter: str) -> None:
    texts = [around.format(letter * n) for n in (*range(20), 33, 34, 49, 50, 51, 99, 100, 101, 102, 500)
             for around in ("{}", "x {} y", "b{}", "é{}!")]  # fmt: skip
    compare(letters, mode, texts)


def test_runs_of_marks_take_linear_time(letters: Path) -> None:
    ours, theirs = cases.core(letters, "uncased"), cases.oracle(letters, "uncased")
    run = (
        "e"
        + "\u0301" * 3000
        + "\u302e\u0f73\u093c\U00016ff0\u1ac1" * 10
        + "\u0323" * 3000
        + "\U0001d160\u302e\u0301\u0334"
    )
    cases.assert_equal(ours, theirs, [run, run * 3, run[1:], "x " + "\u302e\u0301" * 2000, "\u0301" * 100 + " " + run])

    def seconds(count: int) -> float:
        text = ("e" + "\u0301\u302e\u1ac1" * count).encode()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            ours.raw(text, core.BYTES)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(400_000) < 40 * seconds(40_000)


def test_pieces_that_promise_more_than_they_keep() -> None:
    """The longest piece is looked for again and again, and each time it ends after one letter."""
    ours = make([*SPECIALS, "a", "##a", "##" + "a" * 99 + "b"])
    ids, words, offsets = ours.tokens(("a" * 100 + " ") * 3)
    assert ids == ([5] + [6] * 99) * 3 and words == [w for w in range(3) for _ in range(100)]
    assert offsets[:2] == [(0, 1), (1, 2)] and offsets[-1] == (301, 302)


@pytest.mark.parametrize("capacity", range(9))
def test_capacity_and_stop(small: Path, capacity: int) -> None:
    ours, text = cases.core(small, "uncased"), "the unaffable cats! [SEP] unaffáble xyz".encode()
    everything = ours.raw(text, core.BYTES)
    assert everything["id"].tolist()[:6] == [9, 5, 6, 7, 11, 21]
    for stop in (False, True):
        count, tokens = ours.count(text, capacity, stop)
        assert count == (min(capacity, len(everything)) if stop else len(everything))
        kept = min(capacity, len(everything))
        assert tokens[:kept].tolist() == everything[:kept].tolist()
        assert (tokens[kept:]["id"] == -1).all()


# ---- bytes and units -----------------------------------------------------------------------------------------------


def test_broken_utf8_reads_as_replacement_characters(letters: Path) -> None:
    ours, draw = cases.core(letters, "uncased"), random.Random(5)
    whole = "the cat é 日本 😀 Straße [SEP]!".encode()
    broken = [whole[:cut] for cut in range(len(whole))] + [whole[cut:] for cut in range(len(whole))]
    for _ in range(2000):
        text = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            text[draw.randrange(len(text))] = draw.randrange(256)
        broken.append(bytes(text))
    for text in broken:
        assert ours.raw(text).tolist() == ours.raw(text.decode("utf-8", "replace").encode()).tolist()


def test_offsets_in_bytes_and_utf16(letters: Path) -> None:
    ours = cases.core(letters, "lower")
    for text in cases.RandomTexts(6, ["cat", "😀"])(300):
        points, utf8, utf16 = (ours.raw(text.encode(), unit) for unit in (core.CODE_POINTS, core.BYTES, core.UTF16))
        for field in ("start", "end"):
            places = points[field].tolist()
            assert utf8[field].tolist() == [len(text[:place].encode()) for place in places]
            assert utf16[field].tolist() == [len(text[:place].encode("utf-16-le")) // 2 for place in places]


# ---- ids -----------------------------------------------------------------------------------------------------------


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each half of a pair stay, as Hugging Face's "longest_first" has it."""
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (short, room - short) if first <= second else (room - short, short)


@pytest.mark.parametrize("max_length", [4, 5, 6, 7, 8, 9, 16, 17])
def test_pairs_are_cut_as_the_reference_cuts_them(small: Path, max_length: int) -> None:
    ours = cases.core(small, "uncased")
    first, second = [" ".join(["the"] * n) for n in range(12)], [" ".join(["cat"] * n) for n in range(12)]
    pairs = [(a, b) for a in range(12) for b in range(12)]
    found = ours.ids([first[a] for a, _ in pairs], [second[b] for _, b in pairs], max_length)
    for (a, b), (ids, types) in zip(pairs, found, strict=True):
        a, b = longest_first(a, b, max_length - 3)
        assert ids == [2, *[9] * a, 3, *[10] * b, 3]
        assert types == [0] * (a + 2) + [1] * (b + 1)


@pytest.mark.parametrize("max_length", [4, 5, 12, 64])
def test_ids_are_those_of_transformers(small: Path, max_length: int) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizerFast(vocab=str(small))
    ours, texts = cases.core(small, "uncased"), cases.RandomTexts(7, ["the", "cats", "unaffable", "10"])(400)
    for pairs in (None, texts[::-1]):
        expected: Any = theirs(texts, pairs, truncation=True, max_length=max_length)
        found = ours.ids(texts, pairs, max_length)
        assert [ids for ids, _ in found] == expected["input_ids"]
        assert [types for _, types in found] == expected["token_type_ids"]


def test_lengths_without_room_for_a_token_are_refused(small: Path) -> None:
    with pytest.raises(ValueError, match=str(core.BAD_ARGUMENT)):
        cases.core(small, "uncased").ids(["the cat"], None, 3)


# ---- the vocabulary ------------------------------------------------------------------------------------------------

FILES = {
    "windows line ends": b"\r\n".join(t.encode() for t in [*SPECIALS, "cat", "##s", "dog"]) + b"\r\n",
    "no last line end": "\n".join([*SPECIALS, "cat", "##s", "dog"]).encode(),
    "empty lines": "\n".join([*SPECIALS, "", "cat", "", "##s", "\u00a0", "dog", "", ""]).encode(),
    "duplicates": "\n".join([*SPECIALS, "cat", "dog", "cat", "##s", "[SEP]", "cat", "##s", ""]).encode(),
    "white space at line ends": "\n".join([*SPECIALS, "cat \t", "dog\u3000\u0085", "##s\x0b", "b\x1c"]).encode(),
    "special tokens in disorder": b"cat\n##s\n[SEP]\n[CLS]\n[UNK]\ndog\n[PAD]\n",
    "no mask": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\ncat\n##s\ndog\n",
    "unreachable tokens": "\n".join(
        [*SPECIALS, "##", "cat", "a b", "#", "##s", "d\x00g", "dog", "C", "É", "\ufffd"]
    ).encode(),
}


@pytest.mark.parametrize("file", FILES)
def test_vocabulary_files_read_as_the_oracle_reads_them(tmp_path: Path, file: str) -> None:
    vocab = tmp_path / "vocab.txt"
    vocab.write_bytes(FILES[file])
    texts = ["cat cats dog dogs", "[MASK] [SEP]cat[CLS] [UNK] [PAD]", "a b # ##s ## C É cat\u00a0s b\x1c d\x00g \ufffd"]
    for mode in cases.MODES:
        compare(vocab, mode, texts)


@pytest.mark.parametrize("missing", SPECIALS[:4])
def test_a_vocabulary_lacks_a_special_token(missing: str) -> None:
    vocab = "\n".join(token for token in [*SPECIALS, "cat"] if token != missing).encode()
    assert core.library().eb_wordpiece_size(vocab, len(vocab)) == 0
    assert status_of(vocab) == core.BAD_VOCABULARY


@pytest.mark.parametrize("vocab", [b"", b"\n", "\n".join(SPECIALS).encode() + b"\n\xff\n", b"\xed\xa0\x80"])
def test_files_that_are_no_vocabulary(vocab: bytes) -> None:
    assert core.library().eb_wordpiece_size(vocab, len(vocab)) == 0
    assert status_of(vocab) == core.BAD_VOCABULARY


def status_of(vocab: bytes, flags: int = 0, size: int = 1 << 16, shift: int = 0) -> int:
    memory, handle = core.aligned(size, shift), ctypes.c_void_p()
    status: int = core.library().eb_wordpiece_make(
        memory.ctypes.data, size, vocab, len(vocab), flags, ctypes.byref(handle)
    )
    assert (status == 0) == bool(handle.value)
    return status


def test_memory_and_flags_are_checked(small: Path) -> None:
    vocab = small.read_bytes()
    size = core.library().eb_wordpiece_size(vocab, len(vocab))
    assert status_of(vocab, size=size) == 0
    assert status_of(vocab, size=size - 1) == core.SMALL_MEMORY
    assert status_of(vocab, size=size + 64, shift=8) == core.SMALL_MEMORY
    assert status_of(vocab, flags=4) == core.BAD_ARGUMENT


def test_a_handle_writes_nothing_outside_its_memory(small: Path) -> None:
    vocab = small.read_bytes()
    size = core.library().eb_wordpiece_size(vocab, len(vocab))
    memory, handle = core.aligned(size + 64), ctypes.c_void_p()
    assert core.library().eb_wordpiece_make(memory.ctypes.data, size, vocab, len(vocab), 0, ctypes.byref(handle)) == 0
    assert (memory[size:] == 0xAA).all() and np.uint64(handle.value) == memory.ctypes.data
