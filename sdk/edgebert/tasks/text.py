"""What most tasks have in common: a row asks one text (or pair), and what is right stands in one field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from edgebert.data.columns import Columns
from edgebert.data.readers import Row
from edgebert.evaluation.loyalty import label_loyalty
from edgebert.tasks.base import Decisions, Labels, Lessons, Reading, Settings
from edgebert_runtime.decode import ask, get_decoder
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs


class TextTask:
    """Defaults for the methods of `Task`; a task overrides what differs."""

    name: str
    needs: frozenset[str] = frozenset({"text"})
    max_length: int | None = None
    labelled: bool = True

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`."""
        return ""

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        return {**text_record(row.text), "label": row.gold}

    def keys(self, row: Row) -> tuple[str, str]:
        """See `Task.keys`: equal texts stay together, and each label gives its share."""
        return json.dumps(row.text), row.gold if isinstance(row.gold, str) else ""

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`."""

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`."""
        return {}

    def texts(self, rows: Sequence[Row]) -> list[Text]:
        """See `Task.texts`."""
        return [row.text for row in rows]

    def read(self, rows: Sequence[Row], featurizer: Featurizer, labels: Labels, settings: Settings) -> Reading:
        """See `Task.read`."""
        asked = ask(get_decoder(self.name), self.texts(rows), featurizer, labels, settings)
        return Reading(tuple(rows), asked)

    def lessons(self, rows: Sequence[Row], featurizer: Featurizer, whole_words: bool) -> Lessons | None:
        """See `Task.lessons`."""
        return None

    def keep(self, outputs: Outputs, reading: Reading) -> Outputs:
        """See `Task.keep`: all."""
        return outputs

    def taught(self, rows: Sequence[Row], answer: Callable[[Sequence[Row]], Outputs]) -> tuple[Row, ...]:
        """See `Task.taught`: what is right stands in the rows."""
        return tuple(rows)

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`."""
        return reading.asked.settings

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`."""
        return Decisions()

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: the share of equal answers; a task whose answers are numbers says its own."""
        first, second = self.decisions(ours, reading).answers, self.decisions(theirs, reading).answers
        assert first is not None and second is not None
        return label_loyalty(first, second)

    def shortened(self, dev: Sequence[Row]) -> Sequence[Row]:
        """See `Task.shortened`."""
        return dev


def text_record(text: Text) -> dict[str, object]:
    """The fields of a text or a pair in a JSON record."""
    return {"text_a": text[0], "text_b": text[1]} if isinstance(text, tuple) else {"text": text}
