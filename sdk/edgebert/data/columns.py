"""Which columns of a file hold the text, the second text of a pair, and the label; for tagging, tokens and tags.

Named columns are taken as they are. Where none is named, the first match in these lists is taken, the pairs
before the single ones, upper and lower case alike:

    pair    text_a + text_b, sentence1 + sentence2, premise + hypothesis, question1 + question2, text1 + text2,
            question + sentence, question + context
    text    text, sentence, utterance, query, question, review, content
    label   label, labels, intent, class, category, target
    tokens  tokens, words
    tags    tags, ner_tags, pos_tags, upos
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from edgebert_runtime.errors import DataError, UsageError

PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("question", "context"),
)
TEXTS = ("text", "sentence", "utterance", "query", "question", "review", "content")
TEXTS_OR_FIRST = TEXTS + tuple(first for first, _ in PAIRS)
LABELS = ("label", "labels", "intent", "class", "category", "target")
TOKENS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "pos_tags", "upos")


@dataclass(frozen=True)
class Columns:
    """The columns a person named; None means: find it by its name.

    Raises:
        UsageError: one column is named twice.
    """

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        named = [name for name in (self.text, self.text_pair, self.label) if name is not None]
        for name in named:
            if named.count(name) > 1:
                raise UsageError(f"the column {name!r} is named for two purposes. Name a different column for each.")


@dataclass(frozen=True)
class Fields:
    """The columns of one file, found: `text_pair` is None for single sentences, `label` for unlabelled text."""

    text: str
    text_pair: str | None
    label: str | None


def find_fields(where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Fields:
    """Say which of the columns `found` in the file `where` hold what.

    Raises:
        DataError: a needed column is not there; the message lists those that are, and the closest match.
    """
    for option, name in (("text", columns.text), ("text-pair", columns.text_pair)):
        if name is not None:
            find_column(where, found, name, (), option, option)
    label = None
    if labelled:
        if columns == Columns() and len(found) > 1 and match(TEXTS_OR_FIRST + LABELS, found) is None:
            raise _missing(where, "text column and no label column", TEXTS + LABELS, found, found, "text", "label")
        taken = (columns.text, columns.text_pair)
        label = find_column(where, found, columns.label, LABELS, "label", "label", taken)
    free = [name for name in found if name not in (columns.text_pair, label)]
    if columns.text is not None:
        return Fields(columns.text, columns.text_pair, label)
    if columns.text_pair is None:
        for first, second in PAIRS:
            a, b = match((first,), free), match((second,), free)
            if a and b:
                return Fields(a, b, label)
    text = match(TEXTS_OR_FIRST if columns.text_pair else TEXTS, free)
    if text is None:
        raise _missing(where, "text column", TEXTS, found, free, "text")
    return Fields(text, columns.text_pair, label)


def find_column(
    where: str,
    found: Sequence[str],
    named: str | None,
    names: Sequence[str],
    what: str,
    option: str,
    taken: Sequence[str | None] = (),
) -> str:
    """The column `named` by --OPTION-column; where none is named, the first of `names` in `found` that is not `taken`.

    Raises:
        DataError: it is not there; the message calls it the `what` column.
    """
    if named is not None:
        if named not in found:
            raise _missing(where, f"column {named!r} (--{option}-column)", (named,), found, found, option)
        return named
    free = [name for name in found if name not in taken]
    column = match(names, free)
    if column is None:
        raise _missing(where, f"{what} column", names, found, free, option)
    return column


def match(wanted: Sequence[str], found: Sequence[str]) -> str | None:
    """The column of `found` that matches the earliest of `wanted`; the exact spelling wins over another case."""
    folded: dict[str, str] = {}
    for name in found:
        folded.setdefault(name.strip().casefold(), name)
    for name in wanted:
        if name in found:
            return name
        if name in folded:
            return folded[name]
    return None


def _missing(
    where: str, what: str, wanted: Sequence[str], found: Sequence[str], free: Sequence[str], *options: str
) -> DataError:
    """`free`: the columns of `found` that it could be."""
    close = [match for name in wanted for match in difflib.get_close_matches(name, free, n=1, cutoff=0.7)]
    hint = f" Did you mean {close[0]!r}?" if close else ""
    separators = [name for mark, name in ((";", "';'"), ("\t", "tabs"), (",", "commas")) if mark in "".join(found)]
    if len(found) == 1 and separators:
        hint = f" They seem to be separated by {separators[0]}: a .csv wants commas, a .tsv tabs."
    listed = ", ".join(repr(name) for name in found[:20]) + (", ..." if len(found) > 20 else "")
    how = f"{'it' if len(options) == 1 else 'them'} with " + " and ".join(f"--{option}-column" for option in options)
    if options[0] == "text" and len(free) > len(options):
        how += " (for pairs also --text-pair-column)"
    return DataError(f"{where}: there is no {what}. Columns found: {listed or 'none'}.{hint} Name {how}.")
