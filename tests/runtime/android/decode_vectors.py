"""What the JVM tests of decoders read: outputs of a network that is played, and what Python makes of them.

The tokens are those of a vocabulary of letters, so that most words have several.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_runtime.decode import Asked, ask, check_task, get_decoder
from edgebert_runtime.features import Text, WordPiece
from edgebert_runtime.ngrams import Channel, build_table, ngram_hashes
from edgebert_runtime.outputs import OutputSpec
from edgebert_runtime.words import WordsFeaturizer

LETTERS = [*string.ascii_lowercase, *string.digits, *"éß中国👋.,'?!"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "in", "london", "##ing", "##s", *LETTERS]
VOCABULARY += [f"##{letter}" for letter in LETTERS]
WORDS = [
    "the",
    "in",
    "London",
    "Istanbul",
    "don't",
    "3.14",
    "中国",
    "👋🏽",
    "naïve",
    "e\u0301te\u0301",
    "x" * 120,
    "U.S.",
]
WORDS += [
    "running",
    "\u200b",
    "\x00",
    "ﬁne",
    "İstanbul",
    "straße",
    "\u226e",
    "한국",
    "\u1fee",
    "going\u3000home",
    "\x85",
]
STRANGE = ["", " \t", "\u0301", "👋", "👩\u200d👩\u200d👧 hi", "the\u2028in", "a" * 300]
TAGS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
INTENTS = ("go", "stay", "eat")


def texts(seed: int, count: int, most: int) -> list[str]:
    """Texts of up to so many words."""
    draw = random.Random(seed)
    blanks = [" ", " ", " ", "  ", "", "\n"]
    made = [
        "".join(draw.choice(WORDS) + draw.choice(blanks) for _ in range(draw.randrange(1, most))) for _ in range(count)
    ]
    return [*STRANGE, *made]


def pairs(seed: int, count: int, most: int) -> list[Text]:
    """Pairs of such texts, the second one longer."""
    return list(zip(texts(seed, count, 12), texts(seed + 1, count, most), strict=True))


def cases() -> Iterator[tuple[str, list[OutputSpec], dict[str, Any], Sequence[Text], int]]:
    """Task, outputs, settings, texts and the longest text in tokens."""
    logits = OutputSpec("logits", 3, labels=INTENTS)
    tags = OutputSpec("logits", len(TAGS), True, TAGS)
    plain = OutputSpec("logits", 3, True, ("NOUN", "O", "VERB"))
    hot = {"temperature": {"logits": 1.7}, "threshold": 0.6}
    yield "classification", [logits], {}, texts(1, 5, 6), 32
    yield "classification", [logits], hot, pairs(2, 5, 6), 32
    yield "multi-label", [logits], {}, texts(3, 5, 6), 32
    yield "multi-label", [logits], {"thresholds": [0.2, 0.5, 1], "temperature": {"logits": 0.3}}, texts(4, 5, 6), 32
    yield "multi-label", [logits], {"thresholds": [0.2, 0.5, 0.9], "threshold": 0.0}, texts(5, 2, 6), 32
    yield "regression", [OutputSpec("score", 1)], {"scale": 1.25, "shift": 3.5}, pairs(6, 5, 6), 32
    yield "embedding", [OutputSpec("vector", 7)], {}, texts(7, 5, 6), 32
    yield "token-classification", [tags], {"scheme": "bio"}, texts(8, 12, 20), 64
    yield "token-classification", [tags], hot, texts(9, 12, 60), 12
    yield "token-classification", [plain], {"scheme": "plain"}, texts(10, 8, 60), 9
    yield "token-classification", [tags], {}, texts(11, 4, 12), 4
    slots = [OutputSpec("intent", 3, labels=INTENTS), OutputSpec("slots", len(TAGS), True, TAGS)]
    yield "intent-slots", slots, {"temperature": {"intent": 2, "slots": 0.5}, "threshold": 0.5}, texts(12, 8, 30), 24
    answers = [OutputSpec("logits", 2, True)]
    words = [OutputSpec("logits", len(VOCABULARY) + 3, True)]
    masked = [text.replace("the", "[MASK]").replace("in", " [MASK]x") for text in texts(16, 10, 40)]
    yield "masked-lm", words, {}, masked, 32
    yield "masked-lm", words, {}, masked, 10
    yield "question-answering", answers, {}, pairs(13, 8, 60), 24
    yield "question-answering", answers, {"no_answer": 0.5} | hot, pairs(14, 12, 90), 40
    yield "question-answering", answers, {"no_answer": -1.0}, pairs(15, 3, 200), 384


def decode_vectors(folder: Path) -> list[dict[str, Any]]:
    """Each case with all its texts: the pieces, the numbers, and the answers."""
    return [_case(folder, number, *case) for number, case in enumerate(cases())]


def _case(
    folder: Path,
    number: int,
    task: str,
    specs: list[OutputSpec],
    settings: dict[str, Any],
    asked: Sequence[Text],
    most: int,
) -> dict[str, Any]:
    check_task(task, specs, settings)
    featurizer = WordPiece(VOCABULARY, True, most, pair=isinstance(asked[0], tuple))
    (folder / "letters.txt").write_bytes(featurizer.files()["tokenizer/vocab.txt"])
    labels = {spec.name: spec.labels for spec in specs if spec.labels}
    wanted = ask(get_decoder(task), asked, featurizer, labels, settings)
    draw = np.random.default_rng(number)
    outputs: dict[str, Any] = {}
    for spec in specs:
        rows = [(len(item["input_ids"]),) * spec.per_token for item in featurizer(wanted.read)]
        made = [draw.normal(scale=3, size=(*row, spec.width)).round(2).astype(np.float32) for row in rows]
        outputs[spec.name] = made if spec.per_token else np.stack(made)
    found = get_decoder(task).decode(outputs, wanted)
    return {
        "task": task,
        "outputs": [spec._asdict() for spec in specs],
        "settings": settings,
        "featurizer": featurizer.spec() | {"vocab": "letters.txt"},
        "texts": [
            {
                "text": text,
                "pieces": _pieces(wanted, owner),
                "numbers": _numbers(outputs, wanted, owner),
                "answer": answer.to_json(),
                "summary": answer.summary(),
                "sure": getattr(answer, "sure", True),
            }
            for owner, (text, answer) in enumerate(zip(asked, found, strict=True))
        ],
    }


def _owned(asked: Asked, owner: int) -> list[int]:
    if asked.pieces is None:
        return [owner]
    return [index for index, piece in enumerate(asked.pieces) if piece.owner == owner]


def _pieces(asked: Asked, owner: int) -> list[dict[str, Any]]:
    starts = [0 if asked.pieces is None else asked.pieces[index].start for index in _owned(asked, owner)]
    read = [asked.read[index] for index in _owned(asked, owner)]
    return [{"text": text, "start": start} for text, start in zip(read, starts, strict=True)]


def _numbers(outputs: dict[str, Any], asked: Asked, owner: int) -> list[dict[str, Any]]:
    return [
        {
            name: {"shape": list(rows[index].shape), "values": rows[index].ravel().tolist()}
            for name, rows in outputs.items()
        }
        for index in _owned(asked, owner)
    ]


def words_vectors(folder: Path) -> dict[str, Any]:
    """What the words featurizer makes of texts."""
    asked = texts(24, 30, 40)
    channels = (Channel("word_ids", "word", (1, 1), 1000, 4), Channel("char_ids", "char", (3, 5), 1000, 4))
    kept = [np.unique(ngram_hashes(channel, asked, 64)[0])[::2] for channel in channels]
    featurizer = WordsFeaturizer(channels, build_table(channels, kept, 16), 16)
    (folder / "words.bin").write_bytes(featurizer.table)
    return {
        "featurizer": featurizer.spec() | {"table": "words.bin"},
        "inputs": [[spec.name, spec.per_length, spec.rows] for spec in featurizer.inputs],
        "texts": asked,
        "ids": [{name: ids.tolist() for name, ids in item.items()} for item in featurizer(asked)],
        "spans": [featurizer.spans(text).tolist() for text in asked],
        "uncut": [featurizer.spans(text, cut=False).tolist() for text in asked],
    }


def span_vectors(folder: Path) -> list[dict[str, Any]]:
    """Texts and pairs with the spans of their tokens, in code points."""
    found = []
    for most, asked in (
        (5, texts(20, 10, 8)),
        (64, texts(21, 30, 30)),
        (12, pairs(22, 10, 8)),
        (80, pairs(23, 20, 30)),
    ):
        pair = isinstance(asked[0], tuple)
        for lowercase in (True, False):
            featurizer = WordPiece(VOCABULARY, lowercase, most, pair)
            found.append(
                {
                    "featurizer": featurizer.spec() | {"vocab": "letters.txt"},
                    "texts": asked,
                    "spans": [featurizer.spans(text).tolist() for text in asked],
                    "uncut": [featurizer.spans(text, cut=False).tolist() for text in asked],
                }
            )
    return found
