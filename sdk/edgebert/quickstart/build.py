"""Turn the authored utterances in `source/` into the three files of `data/`.

Each file of `source/` is one intent. A line is one utterance with its slots in brackets, `wake me at [time:six]`;
empty lines and lines that start with `#` are not utterances. Run `python sdk/edgebert/quickstart/build.py` after an
edit, or with `--check` to see whether the files in the repository are what the source gives (a test does that).
This is a script beside data, not a module to import: `edgebert.quickstart` is the function of that name.

The result depends on nothing but the source: an utterance goes to the split that the hash of its text says, so an
added utterance does not move the others. Utterances that are nearly the same form a cluster, and a cluster goes to
one split.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert_runtime.errors import DataError, EdgeBertError
from edgebert_runtime.files import atomic_write

HERE = Path(__file__).resolve().parent
SPLITS = (("train", 0.70), ("dev", 0.85), ("test", 1.0))  # name, upper end of the hash range
# Of the salts 1 to 399 the one that splits each intent nearest to 70/15/15. Counts chose it; no model was asked.
SALT = "edgebert quickstart 223"
SLOT = re.compile(r"\[([a-z_]+):([^\[\]]+)\]")
# Words that change nothing in what is asked: two utterances that differ by these only are nearly the same.
FILLERS = frozenset(
    ("a", "an", "and", "can", "could", "hey", "i", "is", "it", "me", "my", "of", "ok", "okay", "on", "please", "the")
) | {"to", "would", "you"}


@dataclass(frozen=True)
class Utterance:
    """One labelled sentence.

    Attributes:
        text: as authored, without brackets.
        label: the intent, which is the name of the source file.
        tokens: the words and the punctuation marks, in order; joined without spaces they are `text` without spaces.
        tags: one BIO2 tag for each token.
    """

    text: str
    label: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]

    def to_json(self) -> str:
        """Return the line of the data file, without its line end."""
        row = {"text": self.text, "label": self.label, "tokens": self.tokens, "tags": self.tags}
        return json.dumps(row, ensure_ascii=False)


def normalise(text: str) -> str:
    """Return `text` in lower case, without punctuation, with single spaces: what makes two utterances the same."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower().replace("'", "")).split())


def tokenize(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) of each token: split at whitespace, then punctuation at either end split off.

    What stands inside a word stays: `o'clock`, `7:30`, `19.5` are one token.
    """
    spans: list[tuple[int, int]] = []
    for word in re.finditer(r"\S+", text):
        first, last = word.span()
        start, end = first, last
        while start < end and not text[start].isalnum():
            start += 1
        while end > start and not text[end - 1].isalnum():
            end -= 1
        spans += [(i, i + 1) for i in range(first, start)]
        if start < end:
            spans.append((start, end))
        spans += [(i, i + 1) for i in range(end, last)]
    return spans


def parse(line: str, label: str) -> Utterance:
    """Read one authored line.

    Raises:
        ValueError: a stray bracket, an empty slot, or a slot that begins or ends inside a token.
    """
    text, slots, position = "", [], 0
    for match in SLOT.finditer(line):
        text += line[position : match.start()]
        slots.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        position = match.end()
    text += line[position:]
    if "[" in text or "]" in text:
        raise ValueError("a bracket that is not part of [slot:value]")
    if text != " ".join(text.split()):
        raise ValueError(f"two spaces, or a space at an end: {text!r}")
    spans = tokenize(text)
    tags = ["O"] * len(spans)
    for start, end, name in slots:
        inside = [i for i, span in enumerate(spans) if start <= span[0] and span[1] <= end]
        if not inside or spans[inside[0]][0] != start or spans[inside[-1]][1] != end:
            raise ValueError(f"slot {name!r} does not begin and end where tokens do: {text[start:end]!r}")
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{name}"
    return Utterance(text, label, tuple(text[a:b] for a, b in spans), tuple(tags))


def read_source(folder: Path) -> list[Utterance]:
    """Read every intent file of `folder`, in the order of their names.

    Raises:
        DataError: no files, a line that cannot be read, or one utterance twice; with the file and the line.
    """
    utterances: list[Utterance] = []
    seen: dict[str, str] = {}
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            where = f"{path.name}:{number}"
            try:
                utterance = parse(line, path.stem)
            except ValueError as error:
                raise DataError(f"{where}: {error}.") from error
            other = seen.setdefault(normalise(utterance.text), where)
            if other != where:
                raise DataError(f"{where}: the same utterance as {other}: {utterance.text!r}. Delete one.")
            utterances.append(utterance)
    if not utterances:
        raise DataError(f"{folder}: no intent files (*.txt). They are in the repository, not in the installed package.")
    return utterances


def content(text: str) -> frozenset[str]:
    """Return the words of `text` that carry its meaning (all of them where there are only fillers)."""
    words = frozenset(normalise(text).split())
    return words - FILLERS or words


def near(a: frozenset[str], b: frozenset[str]) -> bool:
    """Return whether two sets of content words belong to nearly the same utterance.

    That is: the same words, or one word changed, or one word in four of a longer sentence changed.
    """
    shared = len(a & b)
    changed = max(len(a), len(b)) - shared
    return changed == 0 or (changed == 1 and shared >= 2) or changed <= shared // 3


def near_pairs(words: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Yield each pair i < j of positions whose word sets are near, without comparing all pairs.

    `near` allows a set to miss at most k = max(1, a third) of its words in the other, so of its k + 1 rarest words the
    other has at least one: only sets that hold one of those are compared.
    """
    holders: dict[str, list[int]] = {}
    for i, one in enumerate(words):
        for word in one:
            holders.setdefault(word, []).append(i)
    for i, one in enumerate(words):
        rarest = sorted(one, key=lambda word: len(holders[word]))[: max(1, len(one) // 3) + 1]
        for j in {j for word in rarest for j in holders[word] if j != i}:
            if near(one, words[j]):
                yield min(i, j), max(i, j)


def clusters(texts: Sequence[str]) -> list[list[int]]:
    """Group the positions of `texts` so that near duplicates, also by way of a third, are in one group."""
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j in near_pairs([content(text) for text in texts]):
        parent[root(j)] = root(i)
    groups: dict[int, list[int]] = {}
    for i in range(len(texts)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def order(text: str) -> float:
    """Return a number in [0, 1) that depends on the normalised text only."""
    digest = hashlib.sha256(f"{SALT}\n{normalise(text)}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Give each cluster to a split by the hash of its first text, and shuffle each split by the hash of each text."""
    result: dict[str, list[Utterance]] = {name: [] for name, _ in SPLITS}
    for cluster in clusters([u.text for u in utterances]):
        place = order(min(utterances[i].text for i in cluster))
        name = next(name for name, end in SPLITS if place < end)
        result[name] += [utterances[i] for i in cluster]
    return {name: sorted(rows, key=lambda u: order(u.text)) for name, rows in result.items()}


def render(rows: Iterable[Utterance]) -> bytes:
    """Return the content of a data file: one JSON object on each line, UTF-8."""
    return "".join(row.to_json() + "\n" for row in rows).encode("utf-8")


def build(source: Path = HERE / "source") -> dict[str, bytes]:
    """Return the files of the dataset: name to content.

    Raises:
        DataError: as `read_source`.
    """
    return {f"{name}.jsonl": render(rows) for name, rows in split(read_source(source)).items()}


def same(path: Path, content: bytes) -> bool:
    """Return whether the file at `path` exists and holds `content`."""
    return path.is_file() and path.read_bytes() == content


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` compare them; return the exit status."""
    try:
        files = build()
        if "--check" in arguments:
            stale = [name for name, content in files.items() if not same(HERE / "data" / name, content)]
            if stale:
                raise DataError(f"{', '.join(stale)}: not what source/ gives. Run {Path(__file__).name} and commit.")
            return 0
        for name, content in files.items():
            with atomic_write(HERE / "data" / name) as handle:
                handle.write(content)
    except EdgeBertError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
