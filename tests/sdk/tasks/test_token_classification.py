"""Token classification and intents with slots: what is learnt, what is counted, and what train does not have."""

from __future__ import annotations

import numpy as np
import pytest

from edgebert.data.columns import Columns
from edgebert.data.readers import Row, Words
from edgebert.tasks import TASKS, guess_task
from edgebert.tasks.base import Reading
from edgebert.tasks.intent_slots import INTENT_SLOTS
from edgebert.tasks.tags import words
from edgebert.tasks.token_classification import TOKEN_CLASSIFICATION
from edgebert_runtime.errors import DataError
from edgebert_runtime.features import WordPiece

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "new", "york", "u", "s", ".", "bay", "##er", "x"]
FEATURIZER = WordPiece(VOCABULARY, True, 16)


def row(tokens: str, tags: str, intent: str | None = None, source: str = "f:1") -> Row:
    record = {"tokens": tokens.split(), "tags": tags.split()} | ({} if intent is None else {"intent": intent})
    task = TOKEN_CLASSIFICATION if intent is None else INTENT_SLOTS
    return task.reader("f", list(record), Columns(), True)(record, source)


ROWS = [row("x New York u.s.", "O B-LOC I-LOC B-LOC"), row("bayer \u0301 x", "B-ORG O O")]


def read(rows: list[Row], featurizer: WordPiece = FEATURIZER, train: list[Row] | None = None) -> Reading:
    labels = TOKEN_CLASSIFICATION.labels_from(train or rows)
    return TOKEN_CLASSIFICATION.read(rows, featurizer, labels, TOKEN_CLASSIFICATION.settings(rows, featurizer))


def spelt(reading: Reading) -> list[list[str]]:
    """The gold tags of the tokens, "-" where nothing is learnt."""
    names = (*reading.asked.labels["logits"], "-")
    return [[names[column] for column in target["logits"]] for target in TOKEN_CLASSIFICATION.targets(reading)]


def test_the_units_behind_the_first_one_of_a_word_go_on_in_it() -> None:
    assert spelt(read(ROWS)) == [
        ["-", "O", "B-LOC", "I-LOC", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "-"],
        ["-", "B-ORG", "-", "O", "-"],
    ]
    assert spelt(read([row("u.s. x", "PROPN X")])) == [["-", *["PROPN"] * 4, "X", "-"]]


def test_a_word_that_is_cut_begins_once() -> None:
    """Windows of four words: the first ends and the last one begins within "u.s."."""
    reading = read([row("x x x u.s. x", "O O O B-LOC O")], WordPiece(VOCABULARY, True, 6))
    assert reading.texts == ["x x x u", "u.s. ", ". x"]
    found = [[tag for tag in piece if tag != "-"] for piece in spelt(reading)]
    assert found == [["O", "O", "O", "B-LOC"], ["B-LOC", "I-LOC", "I-LOC", "I-LOC"], ["I-LOC", "O"]]


def test_a_tag_that_train_does_not_have_is_not_learnt() -> None:
    assert spelt(read([row("x bay", "B-NEW O")], train=ROWS)) == [["-", "-", "O", "-"]]


def logits(reading: Reading, *tags: list[str]) -> dict[str, list[np.ndarray]]:
    """A row for each token of each piece; the tag that is named first."""
    labels = reading.asked.labels["logits"]
    return {"logits": [np.eye(len(labels), dtype=np.float32)[[labels.index(t) for t in row]] * 5 for row in tags]}


FIRST = ["O", "O", "B-LOC", "I-LOC", "O", "B-ORG", "B-ORG", "B-ORG", "O"]
SECOND = ["O", "I-ORG", "B-LOC", "O", "O"]


def test_metrics_are_counted_at_the_words_of_the_data() -> None:
    """ "U.S." is missed, whatever the units behind its first one say; an I- alone is a span; an unread word is "O"."""
    reading = read(ROWS)
    outputs = logits(reading, FIRST, SECOND)
    found = TOKEN_CLASSIFICATION.metrics(outputs, reading)
    assert (found["n"], found["span_precision"], found["span_recall"]) == (2, 1.0, pytest.approx(2 / 3))
    assert found["span_f1"] == pytest.approx(0.8) and found["accuracy"] == pytest.approx(5 / 7)
    decisions = TOKEN_CLASSIFICATION.decisions(outputs, reading)
    assert decisions.answers == [("O", "B-LOC", "I-LOC", "O"), ("I-ORG", "O", "O")]
    assert decisions.right is not None and decisions.right.tolist() == [False, False]


def test_metrics_are_seqevals_and_sklearns() -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    rng = np.random.default_rng(3)
    rows = []
    for number in range(30):
        tags, last = [], "O"
        for _ in range(int(rng.integers(1, 9))):
            last = str(rng.choice(["O", "B-A", "B-B", "I-" + last[2:] if last != "O" else "O"]))
            tags.append(last)
        rows.append(row(" ".join(["x"] * len(tags)), " ".join(tags), source=f"f:{number}"))
    reading = read(rows)
    width = len(reading.asked.labels["logits"])
    outputs = {"logits": [rng.normal(size=(len(FEATURIZER.spans(text)), width)) for text in reading.texts]}
    found = TOKEN_CLASSIFICATION.metrics(outputs, reading)
    answers = [list(answer) for answer in TOKEN_CLASSIFICATION.decisions(outputs, reading).answers or ()]
    gold = [list(words(item).tags) for item in rows]
    for name, oracle in (
        ("span_f1", "f1_score"),
        ("span_precision", "precision_score"),
        ("span_recall", "recall_score"),
    ):
        assert found[name] == pytest.approx(getattr(seqeval, oracle)(gold, answers))
    assert found["accuracy"] == pytest.approx(seqeval.accuracy_score(gold, answers))


def test_plain_tags_are_counted_by_accuracy() -> None:
    rows = [row("x bay", "DET NOUN")]
    reading = read([*rows, row("new", "ADJ")], train=[*rows, row("x", "VERB")])
    assert TOKEN_CLASSIFICATION.metric_names(reading.asked.settings) == ("accuracy", "macro_f1")
    found = TOKEN_CLASSIFICATION.metrics(logits(reading, ["DET", "DET", "NOUN", "DET"], ["DET", "DET", "DET"]), reading)
    assert found["accuracy"] == pytest.approx(2 / 3) and "span_f1" not in found
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_other_schemes_are_read_as_bio2() -> None:
    rows = [row("new york x", "B-LOC L-LOC U-LOC")]
    reading = read(rows)
    assert reading.asked.labels["logits"] == ("O", "B-LOC", "I-LOC")
    assert words(reading.rows[0]).tags == ("B-LOC", "I-LOC", "B-LOC")
    assert TOKEN_CLASSIFICATION.settings(rows, FEATURIZER) == {"scheme": "bio"}
    with pytest.raises(DataError, match="no B-LOC before it"):
        TOKEN_CLASSIFICATION.check([row("x", "L-LOC")], reading.asked.labels, "dev")


def test_what_train_does_not_have_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    labels = TOKEN_CLASSIFICATION.labels_from(ROWS)
    TOKEN_CLASSIFICATION.check(ROWS, labels, "dev")
    assert capsys.readouterr().err == ""
    TOKEN_CLASSIFICATION.check([row("x bay x", "B-NEW I-NEW B-LOC")], labels, "test")
    assert capsys.readouterr().err == "test: 2 tags are not in train; they count as wrong.\n"
    utterances = [row("x", "O", "go"), row("bay", "B-LOC", "stay")]
    INTENT_SLOTS.check([row("bay", "B-NEW", "run")], INTENT_SLOTS.labels_from(utterances), "test")
    assert capsys.readouterr().err == "test: 1 tag and 1 intent are not in train; they count as wrong.\n"


def test_calibration_finds_the_temperature() -> None:
    rng = np.random.default_rng(5)
    rows = [row("x " * 10, " ".join(rng.choice(["O", "B-A"], 10).tolist()), source=f"f:{n}") for n in range(60)]
    reading = read(rows)
    index = {tag: column for column, tag in enumerate(reading.asked.labels["logits"])}
    numbers = []
    for item in rows:  # right three times in four, and surer than that
        right = [index[tag] for tag in words(item).tags]
        said = [column if rng.random() < 0.75 else 1 - column for column in right]
        numbers.append(np.eye(3)[[0, *said, 0]] * 6)
    settings = TOKEN_CLASSIFICATION.calibrate({"logits": numbers}, reading)
    assert settings["scheme"] == "bio" and 2 < settings["temperature"]["logits"] < 12
    assert settings["calibration"]["texts"] == 60
    assert settings["calibration"]["ece_after"] < 0.05 < settings["calibration"]["ece_before"]


def test_agreement_counts_words() -> None:
    reading = read(ROWS)
    ours, theirs = logits(reading, FIRST, SECOND), logits(reading, FIRST, ["O", "B-ORG", "B-LOC", "O", "O"])
    assert TOKEN_CLASSIFICATION.agreement(ours, theirs, reading) == pytest.approx(6 / 7)
    assert TOKEN_CLASSIFICATION.agreement(ours, ours, reading) == 1.0


def test_outputs_that_do_not_fit_are_refused() -> None:
    reading = read(ROWS)
    right = logits(reading, FIRST, SECOND)["logits"]
    for wrong in (
        right[:1],
        [right[0], right[1][:-1]],
        [rows[:, :-1] for rows in right],
        [right[0] * np.nan, right[1]],
    ):
        with pytest.raises(ValueError):
            TOKEN_CLASSIFICATION.metrics({"logits": wrong}, reading)


def test_unlabelled_rows_are_read() -> None:
    rows = [Row("new york", None, "f:1")]
    labels = TOKEN_CLASSIFICATION.labels_from(ROWS)
    reading = TOKEN_CLASSIFICATION.read(rows, FEATURIZER, labels, {"scheme": "bio"})
    assert spelt(reading) == [["-"] * 4]


UTTERANCES = [row("new york x", "B-LOC I-LOC O", "go"), row("x bay", "O B-LOC", "stay"), row("x u.s.", "O O", "go")]


def test_intents_with_slots() -> None:
    labels = INTENT_SLOTS.labels_from(UTTERANCES)
    assert labels == {"intent": ("go", "stay"), "slots": ("O", "B-LOC", "I-LOC")}
    unknown = row("x", "O", "fly")
    reading = INTENT_SLOTS.read([*UTTERANCES, unknown], FEATURIZER, labels, {"scheme": "bio"})
    targets = INTENT_SLOTS.targets(reading)
    assert [int(target["intent"]) for target in targets] == [0, 1, 0, -1]
    assert targets[0]["slots"].tolist() == [-1, 1, 2, 0, -1]
    outputs = {
        "intent": np.asarray([[2, 0], [2, 0], [2, 0], [2, 0]], np.float32),
        "slots": [np.eye(3)[np.maximum(target["slots"], 0)] for target in targets],
    }
    found = INTENT_SLOTS.metrics(outputs, reading)
    assert (found["n"], found["exact_match"], found["intent_accuracy"], found["slot_f1"]) == (4, 0.5, 0.5, 1.0)
    outputs["slots"][2] = np.eye(3)[[0, 0, 1, 0, 0, 0, 0]]
    found = INTENT_SLOTS.metrics(outputs, reading)
    assert (found["exact_match"], found["slot_precision"], found["slot_recall"]) == (0.25, pytest.approx(2 / 3), 1.0)
    decisions = INTENT_SLOTS.decisions(outputs, reading)
    assert decisions.answers is not None and decisions.answers[1] == ("go", "O", "B-LOC")
    assert decisions.right is not None and decisions.right.tolist() == [True, False, False, False]
    settings = INTENT_SLOTS.calibrate(outputs, reading)
    assert set(settings["temperature"]) == {"intent", "slots"} and settings["calibration"]["texts"] == 4
    other = {**outputs, "intent": outputs["intent"][:, ::-1]}
    assert INTENT_SLOTS.agreement(outputs, other, reading) == pytest.approx(8 / 12)
    assert [(head.name, head.width, head.per_token) for head in INTENT_SLOTS.heads(labels, settings)] == [
        ("intent", 2, False),
        ("slots", 3, True),
    ]
    assert INTENT_SLOTS.keys(unknown)[1] == "fly"


@pytest.mark.parametrize("task", [TOKEN_CLASSIFICATION, INTENT_SLOTS])
def test_a_record_comes_back(task) -> None:
    intent = "go" if task is INTENT_SLOTS else None
    one = Row("1\u00a0000 x!", Words(((0, 5), (6, 7)), ("B-A", "O"), intent), "f:1")
    record = task.record(one)
    assert task.reader("f", list(record), Columns(), True)(record, "f:1") == one


def test_tasks_are_recognised_by_their_columns() -> None:
    tagged: dict[str, object] = {"tokens": ["x"], "ner_tags": ["O"]}
    assert TOKEN_CLASSIFICATION.recognises([tagged], Columns()) == "the rows hold tokens and tags"
    assert INTENT_SLOTS.recognises([tagged], Columns()) == ""
    assert (
        INTENT_SLOTS.recognises([{**tagged, "intent": "go"}], Columns()) == "the rows hold tokens, tags and an intent"
    )
    for other in ({"text": "x", "label": "O"}, {"tokens": "x", "tags": "O"}, {"tokens": ["x"]}):
        assert TOKEN_CLASSIFICATION.recognises([other], Columns()) == ""
    assert TOKEN_CLASSIFICATION.recognises([{"t": ["x"], "g": ["O"]}], Columns(text="t", label="g"))
    assert TOKEN_CLASSIFICATION.recognises([], Columns()) == ""
    both = {**tagged, "text": "to Rome", "label": "travel"}
    assert guess_task([both], Columns())[0].name == "classification"
    assert guess_task([both], Columns(text="tokens", label="ner_tags"))[0] is TOKEN_CLASSIFICATION
    assert guess_task([{**tagged, "text": "to Rome"}], Columns())[0] is TOKEN_CLASSIFICATION
    order = list(TASKS)
    assert order.index("intent-slots") < order.index("token-classification") < order.index("classification")


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (TOKEN_CLASSIFICATION, [], "there are no rows to take tags from. Give a train file that holds rows."),
        (
            TOKEN_CLASSIFICATION,
            [row("x", "O")],
            "f:1: the train data holds one tag only ('O'), so there is nothing to learn. Add rows with other tags.",
        ),
        (
            INTENT_SLOTS,
            [row("x bay", "O city", "go"), row("x", "O", "stay")],
            "f:1: the tag city has no prefix, and slots are spans. Write B-city and I-city.",
        ),
        (
            INTENT_SLOTS,
            [row("x bay", "O B-city", "go")],
            "f:1: the train data holds one intent only ('go'). Add rows of another one, "
            "or use --task token-classification.",
        ),
    ],
)
def test_train_data_of_which_nothing_can_be_learnt(task, rows: list[Row], message: str) -> None:
    with pytest.raises(DataError) as caught:
        task.labels_from(rows)
    assert str(caught.value) == message
