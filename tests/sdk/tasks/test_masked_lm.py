"""Masked-lm as a task: what is hidden, in ids and in text, and how guesses are counted."""

from __future__ import annotations

import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from edgebert.data import Columns, Row, read_rows
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert.tasks.masked_lm import pieces
from edgebert.tasks.masking import SHARE, Masking
from edgebert_runtime.errors import DataError, UsageError
from edgebert_runtime.features import Features, WordPiece
from edgebert_runtime.outputs import join

sys.path.insert(0, str(Path(__file__).parents[2] / "runtime"))
from span_texts import AWKWARD, TEXT, vocabulary

TASK: Any = get_task("masked-lm")
ANY = Columns()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(40)]
READER = WordPiece([*SPECIAL, *WORDS, "##a", "##b", "##c"], True, 64)
SETTINGS = {"vocabulary": len(READER.vocabulary)}
MASK = 4


def rows(*texts: str) -> list[Row]:
    return [Row(text, None, f"a.txt:{number}") for number, text in enumerate(texts, start=1)]


def reading(*texts: str, reader: WordPiece = READER) -> Reading:
    made: Reading = TASK.read(rows(*texts), reader, {}, SETTINGS)
    return made


def read(path: Path, content: str, columns: Columns = ANY) -> list[Row]:
    path.write_text(content, encoding="utf-8")
    return list(read_rows(path, partial(TASK.reader, columns=columns, labelled=False), labelled=False))


def long_text(seed: int, count: int = 60) -> str:
    return " ".join(np.random.default_rng(seed).choice([*WORDS, "w1ab", "w2c", "w3abc"], count))


# ---- rows


def test_any_file_of_text(tmp_path: Path) -> None:
    assert [row.text for row in read(tmp_path / "a.txt", "one\n\ntwo\n")] == ["one", "two"]
    assert [row.text for row in read(tmp_path / "a.csv", "text,label\none,x\ntwo,y\n")] == ["one", "two"]
    assert [row.text for row in read(tmp_path / "a.jsonl", '{"tokens": ["one", "two"], "tags": ["O", "O"]}\n')] == [
        "one two"
    ]
    found = read(tmp_path / "b.csv", "text_a,text_b\none,two\n", Columns(text="text_b"))
    assert [row.text for row in found] == ["two"]


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        (
            "a.csv",
            "text_a,text_b\none,two\n",
            Columns(),
            "a.csv:2: this row is a pair of texts, and masked-lm reads one",
        ),
        ("a.csv", "text,label\none,\n ,x\n", Columns(), "a.csv:3: the text in 'text' is empty"),
        ("a.csv", "words\n1\n", Columns(text="text"), "there is no column 'text' (--text-column)"),
        ("a.jsonl", '{"text": 3}\n', Columns(), "a.jsonl:1: the text in 'text' is a number, not a string"),
        ("a.txt", "\n\n", Columns(), "a.txt: the file is empty"),
    ],
)
def test_a_bad_row_is_refused(tmp_path: Path, name: str, content: str, columns: Columns, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, content, columns)
    assert message in str(caught.value)


def test_labels_are_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --label-column"):
        read(tmp_path / "a.csv", "text,label\none,x\n", Columns(label="label"))
    assert guess_task([{"text": "x"}], Columns())[0].name == "classification"


def test_a_row_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    (row,) = rows("one “two”\t3")
    (found,) = read(tmp_path / "dev.jsonl", json.dumps(TASK.record(row)) + "\n")
    assert found.text == row.text


@pytest.mark.parametrize("reader", [WordPiece([*SPECIAL[:4], *WORDS], True, 64), object()])
def test_a_tokenizer_without_the_token_is_refused(reader: Any) -> None:
    message = r"^this tokenizer has no \[MASK\] token, which masked-lm needs; take another encoder\.$"
    for call in (
        lambda: TASK.settings(rows("x"), reader),
        lambda: TASK.read(rows("x"), reader, {}, SETTINGS),
        lambda: TASK.lessons(rows("x"), reader, False),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_the_head_is_as_wide_as_the_vocabulary() -> None:
    assert TASK.settings((), READER) == SETTINGS
    (head,) = TASK.heads({}, SETTINGS)
    assert (head.name, head.width, head.kind, head.per_token, head.tied) == ("logits", 48, "classes", True, True)


# ---- what is hidden in training


def drawn(
    text: str, seed: int, whole_words: bool = False, reader: WordPiece = READER
) -> tuple[Features, Features, np.ndarray]:
    """A text's features before and after, and what is to be guessed."""
    lessons = TASK.lessons(rows(text), reader, whole_words)
    (features,) = reader(list(lessons.texts))
    hidden, target = lessons.change(features, np.random.default_rng(seed))
    return features, hidden, target["logits"]


def test_shares_are_those_of_bert() -> None:
    (features,) = READER([long_text(1, 62)])
    masking = Masking(READER.vocabulary, whole_words=False)
    fates = {"mask": 0, "same": 0, "other": 0}
    hidden_tokens = tokens = 0
    before = features["input_ids"].copy()
    places = np.zeros(len(before))
    for seed in range(2000):
        hidden, gold = masking.hide(features, np.random.default_rng(seed))
        at = np.flatnonzero(gold >= 0)
        places[at] += 1
        assert (gold[at] == before[at]).all()
        untouched = gold < 0
        assert (hidden["input_ids"][untouched] == before[untouched]).all()
        after = hidden["input_ids"][at]
        fates["mask"] += int((after == MASK).sum())
        fates["same"] += int((after == before[at]).sum())
        fates["other"] += int(((after != MASK) & (after != before[at])).sum())
        hidden_tokens, tokens = hidden_tokens + len(at), tokens + len(before) - 2
        assert after.min() >= MASK and after.max() < len(READER.vocabulary)
    assert hidden_tokens / tokens == pytest.approx(SHARE, abs=0.01)
    shares = {name: count / hidden_tokens for name, count in fates.items()}
    assert shares["mask"] == pytest.approx(0.8, abs=0.01)
    assert shares["other"] == pytest.approx(0.1 * 42 / 43, abs=0.01)  # one of 43 words is the same again
    assert (features["input_ids"] == before).all()  # the set itself stays as it is
    assert places[0] == places[-1] == 0 and places[1:-1].min() > 200 and places[1:-1].max() < 420


def test_special_tokens_are_never_hidden() -> None:
    for seed in range(50):
        features, hidden, gold = drawn("??? [SEP] w1 [MASK]", seed)
        assert np.flatnonzero(gold >= 0).tolist() == [5]
        assert hidden["attention_mask"] is features["attention_mask"]
    features, hidden, gold = drawn("???", 0)
    assert (gold == -1).all() and (hidden["input_ids"] == features["input_ids"]).all()


def test_whole_words_stay_together() -> None:
    """By pieces, a word is often hidden in part; as a whole never, nor are words taken because they are long."""
    text = long_text(2, 30)
    begins = np.asarray([not word.startswith("##") for word in READER.vocabulary])

    def parted(whole_words: bool) -> int:
        count = 0
        for seed in range(200):
            features, _, gold = drawn(text, seed, whole_words)
            words = np.cumsum(begins[features["input_ids"]])
            found = {(int(word), bool(hidden)) for word, hidden in zip(words, gold >= 0, strict=True)}
            count += len(found) - len(set(words.tolist()))
        return count

    assert parted(whole_words=True) == 0 < parted(whole_words=False)


def test_long_texts_are_cut_at_words_and_nothing_is_lost() -> None:
    reader = WordPiece(READER.vocabulary, True, 12)
    text = long_text(3, 100)
    found = list(pieces(text, reader))
    assert "".join(found) == text and len(found) > 10
    whole = WordPiece(READER.vocabulary, True, 1000)([text])[0]["input_ids"][1:-1]
    parts = [item["input_ids"] for item in reader(found)]
    assert np.concatenate([ids[1:-1] for ids in parts]).tolist() == whole.tolist()
    assert max(map(len, parts)) <= 12 and np.mean([len(ids) for ids in parts]) > 10
    assert not any(reader.vocabulary[ids[1]].startswith("##") for ids in parts)
    assert list(pieces("", reader)) == [""]


def test_lessons_are_a_stream() -> None:
    """Not a text is read before the network's ids are wanted, and then one after the other."""
    seen: list[str] = []

    class Watched(list[Row]):
        def __iter__(self) -> Any:
            for row in super().__iter__():
                seen.append(str(row.text))
                yield row

    lessons = TASK.lessons(Watched(rows("w1", "w2", "w3")), READER, False)
    assert seen == []
    texts = iter(lessons.texts)
    assert next(texts) == "w1" and seen == ["w1"]
    assert list(texts) == ["w2", "w3"]


# ---- what is hidden in evaluation


def hidden_in(text: str, reader: WordPiece) -> tuple[str, np.ndarray, np.ndarray]:
    asked = TASK.read(rows(text), reader, {}, SETTINGS).texts[0]
    return asked, reader([asked])[0]["input_ids"], reader([text])[0]["input_ids"]


@pytest.fixture(scope="module")
def real() -> WordPiece:
    return WordPiece(vocabulary().read_text(encoding="utf-8").split("\n")[:-1], True, 64)


@pytest.fixture(scope="module")
def cased(real: WordPiece) -> WordPiece:
    return WordPiece(real.vocabulary, False, 16)


@settings(max_examples=150)
@given(TEXT)
def test_nothing_but_whole_words_changes(text: str) -> None:
    """Whatever the text: its ids are the same but for [MASK] in place of ordinary tokens."""
    for reader in (_CACHE["real"], _CACHE["cased"]):
        _, ids, before = hidden_in(text, reader)
        changed = ids != before if len(ids) == len(before) else None
        assert changed is not None and (ids[changed] == reader.vocabulary.index("[MASK]")).all()


_CACHE: dict[str, WordPiece] = {}


@pytest.fixture(scope="module", autouse=True)
def _readers(real: WordPiece, cased: WordPiece) -> None:
    _CACHE.update(real=real, cased=cased)


def test_awkward_texts_have_something_hidden(real: WordPiece) -> None:
    """The text as it is is the last resort; it is not taken where there are words."""
    found = {text: hidden_in(text, real)[0] for text in AWKWARD}
    same = [text for text, asked in found.items() if text == asked]
    unknown = real.vocabulary.index("[UNK]")
    assert all(set(real([text])[0]["input_ids"][1:-1].tolist()) <= {unknown} for text in same), same
    assert sum(text != asked for text, asked in found.items()) >= 5


def test_about_15_percent_is_hidden_and_always_the_same(real: WordPiece) -> None:
    texts = [" ".join(["the quick brown fox jumps over an unaffable dog"] * 5) + f" {number}" for number in range(30)]
    first = TASK.read(rows(*texts), real, {}, SETTINGS)
    again = TASK.read(rows(*reversed(texts)), real, {}, SETTINGS)
    assert list(first.texts) == list(reversed(again.texts)) and len(set(first.texts)) == 30
    ids = np.concatenate([item["input_ids"] for item in real(first.texts)])
    share = (ids == real.vocabulary.index("[MASK]")).mean()
    assert 0.12 < share < 0.2
    assert len({text.replace(str(n), "") for n, text in enumerate(first.texts)}) > 25  # others in each text


def test_a_long_text_is_judged_by_its_beginning() -> None:
    text = long_text(5, 500)
    made = reading(text)
    assert len(READER(made.texts)[0]["input_ids"]) == READER.max_length
    assert len(WordPiece(READER.vocabulary, True, 1000)(made.texts)[0]["input_ids"]) == READER.max_length


# ---- what is counted


def test_metrics_are_those_computed_by_hand() -> None:
    """Cross-entropy and accuracy over the gaps, in plain Python."""
    texts = [long_text(seed, 20 + seed) for seed in range(6)]
    made = reading(*texts)
    random = np.random.default_rng(0)
    asked = [item["input_ids"] for item in READER(made.texts)]
    whole = [item["input_ids"] for item in READER(texts)]
    logits = [random.normal(0, 3, (len(ids), SETTINGS["vocabulary"])).astype(np.float32) for ids in asked]
    for ids, row in zip(whole, logits, strict=True):
        row[np.arange(0, len(ids), 2), ids[::2]] += 9  # right at every other token
    losses, right = [], []
    for ids, gold, row in zip(asked, whole, logits, strict=True):
        for token, id_ in enumerate(ids.tolist()):
            if id_ == MASK:
                numbers = [float(x) for x in row[token]]
                total = math.fsum(math.exp(x) for x in numbers)
                losses.append(math.log(total) - numbers[int(gold[token])])
                right.append(max(range(len(numbers)), key=numbers.__getitem__) == gold[token])
    found = TASK.metrics({"logits": logits}, made)
    assert list(found) == ["n", "masked_accuracy", "perplexity"] and found["n"] == 6
    assert found["masked_accuracy"] == pytest.approx(sum(right) / len(right)) and 0.2 < found["masked_accuracy"] < 0.8
    assert found["perplexity"] == pytest.approx(math.exp(math.fsum(losses) / len(losses)))
    assert TASK.metric_names({}) == ("masked_accuracy",)
    # In parts, and what is kept of them, is the same.
    parts = [reading(text) for text in texts]
    kept = [TASK.keep({"logits": [row]}, part) for row, part in zip(logits, parts, strict=True)]
    assert TASK.metrics(join(kept), made) == found
    assert sum(row.size for part in kept for row in part["gaps"]) == 3 * len(right)
    decided = TASK.decisions(join(kept), made)
    assert len(decided.answers) == 6 == len(decided.right)
    assert decided.right.tolist() == [
        all(a == b for a, b in zip(gaps[:, 0], gaps[:, 1], strict=True)) for gaps in join(kept)["gaps"]
    ]


def test_agreement_is_of_single_guesses() -> None:
    made = reading(long_text(1, 62))
    (ids,) = (item["input_ids"] for item in READER(made.texts))
    first = np.zeros((len(ids), SETTINGS["vocabulary"]), np.float32)
    first[:, 7] = 1
    gaps = np.flatnonzero(ids == MASK)
    other = first.copy()
    other[gaps[:2], 9] = 2
    assert len(gaps) > 4
    assert TASK.agreement({"logits": [first]}, {"logits": [other]}, made) == pytest.approx(1 - 2 / len(gaps))


def test_gold_is_what_the_text_hides() -> None:
    made = reading(long_text(1, 40), "w1")
    for target, asked, row in zip(TASK.targets(made), READER(made.texts), made.rows, strict=True):
        (whole,) = READER([row.text])
        expected = np.where(asked["input_ids"] == MASK, whole["input_ids"], -1)
        assert target["logits"].tolist() == expected.tolist() and (expected >= 0).any()


def test_a_loss_without_bounds_is_still_a_number() -> None:
    made = reading("w1")
    rows_ = np.zeros((3, SETTINGS["vocabulary"]), np.float32)
    rows_[1, 9] = 1e5
    found = TASK.metrics({"logits": [rows_]}, made)
    assert found["masked_accuracy"] == 0 and math.isfinite(found["perplexity"])


def test_texts_with_nothing_to_hide_are_refused() -> None:
    made = reading("?", "? ?")
    logits = [np.zeros((len(item["input_ids"]), SETTINGS["vocabulary"]), np.float32) for item in READER(made.texts)]
    with pytest.raises(DataError, match=r"^a\.txt:1: none of the texts holds a word of the vocabulary"):
        TASK.metrics({"logits": logits}, made)


@pytest.mark.parametrize("shape", [(2, 48), (4, 48), (48,)])
def test_outputs_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        TASK.metrics({"logits": [np.zeros(shape)]}, reading("w1"))


def test_outputs_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        TASK.metrics({"logits": [np.full((3, 48), np.nan)]}, reading("w1"))


def test_an_export_is_checked_on_a_few_short_texts() -> None:
    short = TASK.shortened(rows(*(long_text(seed, 200) for seed in range(80)), "w1", "x" * 300))
    assert len(short) == 64 and all(len(row.text) <= 100 and row.text.split()[-1][0] == "w" for row in short)
    assert [row.text for row in TASK.shortened(rows("w1 w2", "y" * 300))] == ["w1 w2", "y" * 100]
