"""How tags are written: plain ones (parts of speech), and the ways to spell spans, which all become BIO2.

BIO2 (IOB2)     B-X begins a span, I-X goes on
IOB1            I-X begins a span too; B-X only where a span of the same type stands right before it
BILOU           L-X ends a span of several words, U-X is one word
BIOES           the same with E-X and S-X
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from edgebert.data.readers import Row, Words
from edgebert_runtime.errors import DataError

PREFIXES = ("B-", "I-", "L-", "U-", "E-", "S-")
_LAST = {"L": "U", "E": "S"}  # ends a span -> is one alone


def words(row: Row) -> Words:
    """The words of a row; none where it has no gold."""
    return row.gold if isinstance(row.gold, Words) else Words((), ())


def scheme_of(rows: Iterable[Row]) -> str:
    """What the tags of rows that `unified` gave are: "bio" or "plain"."""
    return "bio" if any(tag[:2] in PREFIXES for row in rows for tag in words(row).tags) else "plain"


def tag_labels(rows: Sequence[Row]) -> tuple[str, ...]:
    """The tags of rows that `unified` gave, sorted, "O" first; of BIO tags, B- and I- of each type.

    A word of several units ("U.S.") has an I- where the data has none.
    """
    found = {tag for row in rows for tag in words(row).tags}
    if any(tag[:2] in PREFIXES for tag in found):
        found = {"O", *(prefix + tag[2:] for tag in found if tag != "O" for prefix in ("B-", "I-"))}
    return tuple(sorted(found, key=lambda tag: (tag != "O", tag)))


def inside(tag: str) -> str:
    """The tag of what follows in the same word."""
    return "I-" + tag[2:] if tag[:2] == "B-" else tag


def unified(rows: Sequence[Row]) -> list[Row]:
    """The rows with BIO2 tags where the tags spell spans; as they are where the tags are plain.

    The scheme is told by all rows together: give a whole split.

    Raises:
        DataError: a tag names no type, or does not fit the scheme, or only some have a prefix.
    """
    first: dict[str, Row] = {}
    for row in rows:
        for tag in words(row).tags:
            first.setdefault(tag, row)
    prefixed = [tag for tag in first if tag[:2] in PREFIXES]
    if not prefixed:
        return list(rows)
    for tag, row in first.items():
        _check_tag(tag, row, prefixed[0], first[prefixed[0]])
    if any(tag[:2] not in ("O", "B-", "I-") for tag in first):
        return [_rewritten(row, _from_bilou) for row in rows]
    stray = next((row for row in rows if _stray(words(row).tags) is not None), None)
    if stray is None:
        return list(rows)
    if not all(_only_after_its_type(words(row).tags) for row in rows):
        raise _begins_with_i(stray, words(stray).tags, _stray(words(stray).tags) or 0)
    return [_rewritten(row, lambda row, tags: _from_iob1(tags)) for row in rows]


def _check_tag(tag: str, row: Row, other: str, other_row: Row) -> None:
    if tag == "O" or (tag[:2] in PREFIXES and len(tag) > 2):
        return
    if tag[:2] in PREFIXES or f"{tag}-" in PREFIXES:
        place = words(row).tags.index(tag)
        raise DataError(f"{row.source}: token {place + 1} has the tag {tag!r}, which names no type. Write B-TYPE or O.")
    raise DataError(
        f"{row.source}: the tag {tag} has no prefix, and {other} ({other_row.source}) has one. "
        "Use BIO tags everywhere, or plain ones."
    )


def _stray(tags: Sequence[str]) -> int | None:
    """The first I- that begins a span."""
    before = "O"
    for place, tag in enumerate(tags):
        if tag[:2] == "I-" and before[2:] != tag[2:]:
            return place
        before = tag
    return None


def _only_after_its_type(tags: Sequence[str]) -> bool:
    """Whether each B- stands right after a tag of its type, as in IOB1."""
    return all(tag[:2] != "B-" or before[2:] == tag[2:] for before, tag in zip(("O", *tags), tags, strict=False))


def _rewritten(row: Row, change: Callable[[Row, Sequence[str]], tuple[str, ...]]) -> Row:
    return replace(row, gold=replace(words(row), tags=change(row, words(row).tags))) if row.gold is not None else row


def _from_iob1(tags: Sequence[str]) -> tuple[str, ...]:
    before = ("O", *tags)
    return tuple(
        "B-" + tag[2:] if tag[:2] == "I-" and last[2:] != tag[2:] else tag
        for last, tag in zip(before, tags, strict=False)
    )


def _from_bilou(row: Row, tags: Sequence[str]) -> tuple[str, ...]:
    found, opened = [], ""  # the type of the span that goes on
    for place, tag in enumerate(tags):
        prefix, kind = tag[:1], tag[2:]
        begins = prefix in ("B", "U", "S")
        if not begins and tag != "O" and kind != opened:
            raise _begins_with_i(row, tags, place) if prefix == "I" else _ends_nothing(row, tag, place)
        found.append("O" if tag == "O" else ("B-" if begins else "I-") + kind)
        opened = kind if prefix in ("B", "I") else ""
    return tuple(found)


def _begins_with_i(row: Row, tags: Sequence[str], place: int) -> DataError:
    start, end = words(row).spans[place]
    after = f"after {tags[place - 1]}" if place else "at the start"
    return DataError(
        f"{row.source}: token {place + 1} ({row.text[start:end]!r}) has the tag {tags[place]} {after}; "
        f"a span begins with B-. Write B-{tags[place][2:]}."
    )


def _ends_nothing(row: Row, tag: str, place: int) -> DataError:
    begin, alone = f"B-{tag[2:]}", f"{_LAST[tag[0]]}-{tag[2:]}"
    return DataError(
        f"{row.source}: token {place + 1} has the tag {tag} with no {begin} before it. "
        f"Begin the span with {begin}, or write {alone}."
    )
