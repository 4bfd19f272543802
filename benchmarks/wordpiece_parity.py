"""WordPiece of the core against Hugging Face's: counts the texts whose ids, words or offsets differ.

    python benchmarks/wordpiece_parity.py [--count 1000000] [--only points random datasets transformers] [--seed 0]

points: every code point alone and in three contexts. random: `--count` random and mutated texts. datasets: every text
of the shared datasets. transformers: 20,000 texts with BertTokenizerFast itself; the rest is compared with the
`tokenizers` pipeline that it wraps. Cased and uncased, with the vocabularies in the shared data (EDGEBERT_SHARED, or
../shared beside the checkout); random texts also with a vocabulary in which every letter is a piece. The exit code is 1
when a text differs.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EDGEBERT_SHARED") or HERE.parents[1] / "shared") / "data"
sys.path.append(str(HERE.parent / "tests" / "runtime" / "core"))

import wordpiece_cases as cases  # noqa: E402 - the tests hold the oracle and the random texts

CONTEXTS = {"alone": "{}", "a_b": "a{}b", "between spaces": " {} ", "before a mark": "{}\u0301x"}
FIELDS = ("text", "text_a", "text_b", "question", "context", "title", "prediction")


def strings(row: dict[str, Any]) -> Iterator[str]:
    """All texts of one row of a dataset; words as they are, and joined."""
    yield from (row[field] for field in FIELDS if isinstance(row.get(field), str))
    if "tokens" in row:
        yield " ".join(row["tokens"])
        yield from row["tokens"]
    yield from (answer["text"] for answer in row.get("answers") or () if isinstance(answer, dict))


def dataset_texts(folder: Path) -> Iterator[str]:
    """Every text of every dataset, one of equal ones in a file."""
    for path in sorted(folder.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from dict.fromkeys(text for line in lines for text in strings(json.loads(line)))


class Count:
    """Compares, counts and reports."""

    def __init__(self) -> None:
        self.texts = self.different = 0

    def __call__(self, label: str, vocab: Path, mode: str, texts: Iterable[str]) -> None:
        ours, theirs = cases.core(vocab, mode), cases.oracle(vocab, mode)
        start, seen, different = time.monotonic(), 0, 0
        rest = iter(texts)
        while part := list(itertools.islice(rest, 2000)):
            seen += len(part)
            for line in cases.differences(ours, theirs, part):
                different += 1
                if different <= 5:
                    print(f"  {line[:400]}")
        print(f"{label}, {mode}: {seen:,} texts, {different} differ ({time.monotonic() - start:.0f} s)", flush=True)
        self.texts, self.different = self.texts + seen, self.different + different


def check_transformers(count: Count, vocab: Path, mode: str, texts: list[str]) -> None:
    """The same with BertTokenizerFast."""
    import transformers

    tokenizer = transformers.BertTokenizerFast(vocab=str(vocab), do_lower_case=mode == "uncased")
    ours = cases.core(vocab, mode)
    encoded = tokenizer(texts, return_offsets_mapping=True, add_special_tokens=False)
    different = 0
    for i, text in enumerate(texts):
        expected = encoded["input_ids"][i], encoded.word_ids(i), encoded["offset_mapping"][i]
        different += ours.tokens(text) != expected
    for pairs in (None, texts[::-1]):
        cut: Any = tokenizer(texts, pairs, truncation=True, max_length=33)
        wanted = list(zip(cut["input_ids"], cut["token_type_ids"], strict=True))
        different += sum(map(lambda a, b: a != b, ours.ids(texts, pairs, 33), wanted))
    print(f"BertTokenizerFast, {mode}: {len(texts):,} texts, {different} differ", flush=True)
    count.texts, count.different = count.texts + len(texts), count.different + different


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="random texts in all")
    parser.add_argument("--seed", type=int, default=0)
    names = ("points", "random", "datasets", "transformers")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    count = Count()
    real = {mode: SHARED / "vocab" / f"bert-base-{mode}-vocab.txt" for mode in ("uncased", "cased")}
    with tempfile.TemporaryDirectory() as folder:
        letters = Path(folder) / "vocab.txt"
        letters.write_bytes(cases.letters_vocabulary())
        if "points" in arguments.only:
            for (mode, vocab), (name, context) in itertools.product(real.items(), CONTEXTS.items()):
                count(f"code points {name}", vocab, mode, (context.format(chr(point)) for point in cases.POINTS))
        if "random" in arguments.only:
            words = real["cased"].read_text("utf-8").split("\n")[:-1]
            texts = list(itertools.islice(dataset_texts(SHARED), 0, 3_000_000, 60))
            arms = [(real["uncased"], "uncased"), (real["cased"], "cased")]
            arms += [(letters, mode) for mode in cases.MODES]
            for arm, (vocab, mode) in enumerate(arms):
                source = cases.RandomTexts(1000 * arguments.seed + arm, words, texts)
                parts = (source(1)[0] for _ in range(-(-arguments.count // len(arms))))
                count(f"random, {'letters' if vocab == letters else 'BERT'}", vocab, mode, parts)
        if "datasets" in arguments.only:
            for mode, vocab in real.items():
                count("datasets", vocab, mode, dataset_texts(SHARED))
        if "transformers" in arguments.only:
            for mode, vocab in real.items():
                words = vocab.read_text("utf-8").split("\n")[:-1]
                check_transformers(count, vocab, mode, cases.RandomTexts(arguments.seed, words)(20_000))
    print(f"{count.different} of {count.texts:,} texts differ")
    return 1 if count.different else 0


if __name__ == "__main__":
    sys.exit(main())
