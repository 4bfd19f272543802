"""What an utterance wants (its intent), and the words that say with what (its slots)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import Columns, match
from edgebert.data.readers import Reader, Row
from edgebert.data.words import words_reader
from edgebert.evaluation.calibration import ece, fit_temperature
from edgebert.evaluation.metrics import softmax
from edgebert.evaluation.spans import span_scores
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.tags import scheme_of, unified, words
from edgebert.tasks.token_classification import (
    TokenClassification,
    gold_tags,
    holds_tags,
    note_unknown,
    tag_targets,
    tag_words,
    train_tags,
    unknown_tags,
)
from edgebert_runtime.decode import temperature_of
from edgebert_runtime.errors import DataError
from edgebert_runtime.outputs import Outputs


class IntentSlots(TokenClassification):
    """One intent for a text, and BIO tags for its words."""

    name = "intent-slots"
    needs = frozenset({"text", "tokens"})

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("exact_match", "intent_accuracy", "slot_f1")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`."""
        found = any(holds_tags(record, columns) and match(("intent",), list(record)) for record in records)
        return "the rows hold tokens, tags and an intent" if found else ""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`."""
        return words_reader(where, found, columns, labelled, intent=True)

    def keys(self, row: Row) -> tuple[str, str]:
        """See `Task.keys`: each intent gives its share."""
        return super().keys(row)[0], words(row).intent or ""

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`.

        Raises:
            DataError: there are no rows, one intent only, or tags that are not BIO.
        """
        rows = unified(list(rows))
        slots = train_tags(rows)
        if scheme_of(rows) == "plain":
            tag, row = next((tag, row) for row in rows for tag in words(row).tags if tag != "O")
            raise DataError(
                f"{row.source}: the tag {tag} has no prefix, and slots are spans. Write B-{tag} and I-{tag}."
            )
        intents = tuple(sorted({words(row).intent or "" for row in rows}))
        if len(intents) < 2:
            raise DataError(
                f"{rows[0].source}: the train data holds one intent only ({intents[0]!r}). "
                "Add rows of another one, or use --task token-classification."
            )
        return {"intent": intents, "slots": slots}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`: counts and prints tags and intents that train does not have.

        Raises:
            DataError: the tags fit no scheme.
        """
        intents = {words(row).intent for row in rows} - set(labels["intent"])
        note_unknown(split, {"tag": unknown_tags(unified(rows), labels["slots"]), "intent": len(intents)})

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (
            Head("intent", len(labels["intent"]), "classes"),
            Head("slots", len(labels["slots"]), "classes", per_token=True),
        )

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`."""
        gold, slots = self._intents(reading), tag_targets(reading, "slots")
        return [{"intent": np.asarray(intent), "slots": tags} for intent, tags in zip(gold, slots, strict=True)]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`; "ece" is that of the intents."""
        intents = self._intent_logits(outputs, reading)
        gold, tags = self._intents(reading), tag_words(outputs, reading, "slots").tags
        scores = span_scores(tags, gold_tags(reading))
        right = self.decisions(outputs, reading).right
        assert right is not None
        return {
            "n": len(reading.rows),
            "exact_match": float(right.mean()),
            "intent_accuracy": float((intents.argmax(axis=1) == gold).mean()),
            "slot_f1": scores.f1,
            "slot_precision": scores.precision,
            "slot_recall": scores.recall,
            "ece": ece(softmax(intents, temperature_of(reading.asked.settings, "intent")), gold),
        }

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`: a temperature for each output; the error before and after is that of the intents."""
        intents, gold = self._intent_logits(outputs, reading), self._intents(reading)
        slots = tag_words(outputs, reading, "slots")
        temperature = fit_temperature(intents, gold)
        return {
            **reading.asked.settings,
            "temperature": {"intent": temperature, "slots": fit_temperature(slots.logits, slots.known)},
            "calibration": {
                "texts": len(gold),
                "ece_before": ece(softmax(intents), gold),
                "ece_after": ece(softmax(intents, temperature), gold),
            },
        }

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: the intent and the tags of all words of a row are one answer."""
        names = reading.asked.labels["intent"]
        intents = [names[index] for index in self._intent_logits(outputs, reading).argmax(axis=1).tolist()]
        tags = tag_words(outputs, reading, "slots").tags
        answers = [(intent, *found) for intent, found in zip(intents, tags, strict=True)]
        gold = [(words(row).intent, *words(row).tags) for row in reading.rows]
        return Decisions(answers, np.asarray([a == b for a, b in zip(answers, gold, strict=True)], bool))

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: the share of intents and words on which both agree."""
        both = [
            np.concatenate(
                (self._intent_logits(outputs, reading).argmax(axis=1), tag_words(outputs, reading, "slots").predicted)
            )
            for outputs in (ours, theirs)
        ]
        return float((both[0] == both[1]).mean()) if len(both[0]) else 1.0

    def _intents(self, reading: Reading) -> np.ndarray:
        """The intent of each row as a column, int64 [rows]; -1 where train does not have it."""
        index = {name: column for column, name in enumerate(reading.asked.labels["intent"])}
        return np.asarray([index.get(words(row).intent or "", -1) for row in reading.rows], np.int64)

    def _intent_logits(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """Logits of the intents, [rows, intents], checked."""
        logits = np.asarray(outputs["intent"])
        expected = (len(reading.rows), len(reading.asked.labels["intent"]))
        if logits.shape != expected:
            raise ValueError(f"intents of shape {logits.shape} do not fit {expected[0]} rows and {expected[1]} labels")
        if not np.isfinite(logits).all():
            raise ValueError("the intents hold values that are not finite numbers")
        return logits


INTENT_SLOTS = IntentSlots()
