"""Made data for each task, all of it from the same 192 sentences: what a network of two small layers learns in seconds.

A sentence tells of an animal or a tool, and where it is: "is cat near house ?". Its words are those of `tiny_encoder`,
and they are few, because an unrolled network takes an exporter its time by the word.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

NOUNS = {
    **dict.fromkeys(("cat", "dog", "bird", "horse", "frog", "cow"), "animal"),
    **dict.fromkeys(("hammer", "saw", "drill", "wrench", "ladder", "nail"), "tool"),
}
PLACES = ("in garden", "near house", "on table", "by river")
FRAMES = ("the {} {}", "i {} {}", "a {} {}", "is {} {} ?")
REPEATED = 4  # train: so an epoch is long enough to learn in, and dev need not be looked at so often
SPLITS = {"train": (0, 128), "dev": (128, 160), "test": (160, 192)}


class Sentence(NamedTuple):
    """What a sentence is made of, and so what is right in each task."""

    frame: str
    noun: str
    place: str

    @property
    def text(self) -> str:
        """As it is asked."""
        return self.frame.format(self.noun, self.place)

    @property
    def kind(self) -> str:
        """What its noun is."""
        return NOUNS[self.noun]

    @property
    def question(self) -> bool:
        """Whether it asks something."""
        return self.frame.endswith("?")

    @property
    def tags(self) -> list[str]:
        """A BIO tag for each word."""
        near, thing = self.place.split()
        tags = {self.noun: f"B-{self.kind}", near: "B-place", thing: "I-place"}
        return [tags.get(word, "O") for word in self.text.split()]


def sentences() -> list[Sentence]:
    """All of them, shuffled."""
    made = [Sentence(frame, noun, place) for frame in FRAMES for noun in NOUNS for place in PLACES]
    random.Random(7).shuffle(made)
    return made


def _tagged(sentence: Sentence) -> dict[str, Any]:
    return {"tokens": sentence.text.split(), "tags": sentence.tags}


def _regression(sentence: Sentence) -> dict[str, Any]:
    return {"text": sentence.text, "score": 2.5 * (sentence.kind == "tool") + 1.0 * sentence.question + 0.25}


def _multi_label(sentence: Sentence) -> dict[str, Any]:
    held = {"animal": sentence.kind == "animal", "question": sentence.question, "river": "river" in sentence.text}
    return {"text": sentence.text, "labels": [label for label, has in held.items() if has]}


def _asked(sentence: Sentence) -> dict[str, Any]:
    """A question of the noun, or of the place."""
    place = sentence.noun in ("cat", "bird", "frog", "hammer", "drill", "ladder")
    answer = sentence.place if place else sentence.noun
    start = sentence.text.index(answer)
    question = "near ?" if place else "a cat ?"
    return {"question": question, "context": sentence.text, "answers": [{"text": answer, "start": start}]}


ROWS: dict[str, Callable[[Sentence], dict[str, Any]]] = {
    "classification": lambda sentence: {"text": sentence.text, "label": sentence.kind},
    "regression": _regression,
    "multi-label": _multi_label,
    "token-classification": _tagged,
    "intent-slots": lambda sentence: {**_tagged(sentence), "intent": "ask" if sentence.question else "tell"},
    "question-answering": _asked,
    "embedding": lambda sentence: {"text": sentence.text},
    "masked-lm": lambda sentence: {"text": sentence.text},
}


def _pairs(some: list[Sentence]) -> list[dict[str, Any]]:
    """Neighbours as pairs, with the share of their words that both have."""
    rows = []
    for first, second in zip(some, [*some[1:], some[0]], strict=True):
        ours, theirs = set(first.text.split()), set(second.text.split())
        rows.append({"text_a": first.text, "text_b": second.text, "score": len(ours & theirs) / len(ours | theirs)})
    return rows


def write_data(task: str, folder: Path) -> Path:
    """A folder with train, dev and test for `task`."""
    made = sentences()
    for split, (start, end) in SPLITS.items():
        some = made[start:end]
        some = some * REPEATED if split == "train" else some
        rows = _pairs(some) if task == "embedding" and split != "train" else [ROWS[task](each) for each in some]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder
