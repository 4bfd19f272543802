"""The stretch of a context that answers a question; a context may have no answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import Columns, match
from edgebert.data.questions import questions_reader, questions_record
from edgebert.data.readers import Answers, Reader, Row
from edgebert.evaluation.calibration import ece, fit_confidence
from edgebert.evaluation.squad import answer_scores, best_no_answer, squad_scores
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.text import TextTask
from edgebert_runtime.decode import Piece
from edgebert_runtime.decode.question_answering import Found, FoundAnswer, answer, decode, find, options
from edgebert_runtime.errors import DataError
from edgebert_runtime.features import Featurizer
from edgebert_runtime.outputs import Outputs


class QuestionAnswering(TextTask):
    """Extractive answers, as SQuAD asks for them. A long context is read in windows."""

    name = "question-answering"
    max_length = 384  # most contexts in one window; Rajpurkar et al. 2016 and those after them
    needs = frozenset({"tokens", "pairs"})

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("f1", "exact")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`."""
        found = any(_holds_answers(record, columns) for record in records)
        return "the rows hold questions, contexts and answers" if found else ""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`."""
        return questions_reader(where, found, columns, labelled)

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        return questions_record(row)

    def keys(self, row: Row) -> tuple[str, str]:
        """See `Task.keys`: the questions of one context stay together."""
        return row.text[1], ""

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`: start and end need no names.

        Raises:
            DataError: there are no rows, a row has no answers, or no question has an answer.
        """
        rows = list(rows)
        if not rows:
            raise DataError("there are no rows to learn answers from. Give a train file that holds rows.")
        found = [answers(row).found for row in rows]
        if not any(found):
            raise DataError(
                f"{rows[0].source}: no question in the train data has an answer, so there is nothing to learn. "
                "Add questions that have one."
            )
        return {}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`.

        Raises:
            DataError: a row has no answers.
        """
        for row in rows:
            answers(row)

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`: a model that never saw a question without an answer always answers."""
        return {} if all(answers(row).found for row in train) else {"no_answer": 0.0}

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`: the columns are start and end."""
        return (Head("logits", 2, "positions", per_token=True),)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: the first and last token of the answer, the first token of all where there is none."""
        assert reading.asked.pieces is not None
        return [_target(reading.rows[piece.owner], piece, reading.asked.featurizer) for piece in reading.asked.pieces]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: as SQuAD counts, 0..1; "ece" is of the probability that an answer is exactly right."""
        _check(outputs)
        given = decode(outputs, reading.asked)
        scores = squad_scores([found.text for found in given], [_texts(row) for row in reading.rows])
        ordered = {name: scores[name] for name in ("f1", *(name for name in scores if name != "f1"))}
        return {"n": len(given), **ordered, "ece": _error(given, reading.rows)}

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`: the temperature and, if dev has unanswerable questions, the score of no answer."""
        _check(outputs)
        rows, found = reading.rows, find(outputs, reading.asked)
        # A threshold takes answers back; what is fitted here is what they are worth.
        settings = {name: value for name, value in reading.asked.settings.items() if name != "threshold"}
        if not all(answers(row).found for row in rows):
            settings["no_answer"] = _no_answer(found, rows)
        settings["temperature"] = {"logits": 1.0}
        before = _answers(found, rows, settings)
        scores = [_given_first(each, settings) for each in found]
        settings["temperature"] = {"logits": fit_confidence(scores, _right(before, rows))}
        settings["calibration"] = {
            "texts": len(rows),
            "ece_before": _error(before, rows),
            "ece_after": _error(_answers(found, rows, settings), rows),
        }
        return {**reading.asked.settings, **settings}

    def shortened(self, dev: Sequence[Row]) -> Sequence[Row]:
        """See `Task.shortened`: at most 1,000 questions, evenly spread: they are long."""
        step = -(-len(dev) // 1000)
        return dev[:: max(step, 1)]

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: the texts of the answers, right where they are exactly one of the gold ones."""
        _check(outputs)
        given = decode(outputs, reading.asked)
        return Decisions([each.text for each in given], _right(given, reading.rows))


def answers(row: Row) -> Answers:
    """What answers the row's question.

    Raises:
        DataError: the row does not say.
    """
    if not isinstance(row.gold, Answers):
        raise DataError(f"{row.source}: the row has no answers. Name their column with --label-column.")
    return row.gold


def _texts(row: Row) -> list[str]:
    return [text for _, text in answers(row).found]


def _target(row: Row, piece: Piece, featurizer: Featurizer) -> Target:
    """The tokens of the first answer that lies in the window whole; those of no answer where none does."""
    if not isinstance(row.gold, Answers):
        return {}
    spans = featurizer.spans(piece.text)
    inside = np.flatnonzero(spans[:, 0] == 1)
    begins, ends = spans[inside, 2], np.maximum.accumulate(spans[inside, 3])
    for place, text in row.gold.found:
        start, end = place - piece.start, place - piece.start + len(text)
        if start >= 0 and end <= len(piece.text[1]):
            first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(begins, end)) - 1
            if first <= last:
                return {"logits": inside[[first, last]].astype(np.int64)}
    return {"logits": np.zeros(2, np.int64)}


def _check(outputs: Outputs) -> None:
    """Raise ValueError unless all numbers are finite."""
    if not all(np.isfinite(rows).all() for rows in outputs["logits"]):
        raise ValueError("the logits hold values that are not finite numbers")


def _answers(found: Sequence[Found], rows: Sequence[Row], settings: Settings) -> list[FoundAnswer]:
    return [answer(row.text[1], each, settings) for row, each in zip(rows, found, strict=True)]


def _right(given: Sequence[FoundAnswer], rows: Sequence[Row]) -> np.ndarray:
    """Whether each answer is exactly a gold one, bool [rows]."""
    pairs = zip(given, rows, strict=True)
    return np.asarray([answer_scores(each.text, _texts(row)).exact == 1 for each, row in pairs], bool)


def _error(given: Sequence[FoundAnswer], rows: Sequence[Row]) -> float:
    """The calibration error of the probabilities of the answers."""
    sure = np.asarray([each.probability for each in given])
    return ece(sure[:, None], np.where(_right(given, rows), 0, -1))


def _given_first(found: Found, settings: Settings) -> np.ndarray:
    """The scores of all answers that there are, the one that is given before the others."""
    chosen, scores = options(found, settings)
    return np.roll(scores, 1) if chosen < 0 else scores


def _no_answer(found: Sequence[Found], rows: Sequence[Row]) -> float:
    """The bar at which F1 is best; see `best_no_answer`. Where nothing was found, it decides nothing."""
    differences = [each.null - each.scores[0] if each.texts else 0.0 for each in found]
    best = [(each.texts or ("",))[0] for each in found]
    answered = [answer_scores(text, _texts(row)).f1 for text, row in zip(best, rows, strict=True)]
    return best_no_answer(differences, answered, [answer_scores("", _texts(row)).f1 for row in rows])


def _holds_answers(record: Mapping[str, object], columns: Columns) -> bool:
    """Whether a record has a question, a context and answers that are a list or an object of lists."""
    wanted = ((columns.text, "question"), (columns.text_pair, "context"), (columns.label, "answers"))
    names = [match((known,), list(record)) if named is None else named for named, known in wanted]
    question, context, found = (None if name is None else record.get(name) for name in names)
    return isinstance(question, str) and isinstance(context, str) and isinstance(found, (list, dict))


QUESTION_ANSWERING = QuestionAnswering()
