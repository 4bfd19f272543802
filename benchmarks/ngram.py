"""How fast the n-gram student is: sentences a second, tokenization included, against what else classifies text.

    python benchmarks/students.py --tasks sst2 --out runs/benchmark      (makes the teacher and the student)
    python benchmarks/ngram.py --runs runs/benchmark/sst2 [--json FILE]

One process, one thread, arms in turn, medians; SST-2 dev and IMDB test texts, one a call and 32 a call. fastText,
model2vec and TF-IDF are trained here on SST-2's labels (see peers.py); BERT-base and RoBERTa-large have random weights
and run in torch in fp32, on ids of the core's WordPiece. Slow arms read fewer texts. fastText gets its texts tokenized
beforehand, so its time is flattering.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from peers import Split, fasttext, model2vec, tfidf
from students import machine

import edgebert
from edgebert.console import note, table
from edgebert.provenance import versions
from edgebert_runtime import EdgeModel
from edgebert_runtime.features import WordPiece

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EDGEBERT_SHARED") or HERE.parents[1] / "shared")
ROUNDS, SECONDS = 5, 0.4  # each arm reads as many texts a round as take about this long
MOST = 50_000  # calls a round
CORPORA = {"sst2": ("sst2/dev.jsonl.gz", 872), "imdb": ("imdb/test.jsonl.gz", 500)}
SHAPES = {
    "BERT-base, torch fp32": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "RoBERTa-large, torch fp32": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
}
BASELINES = ("fastText", "model2vec + LR", "RoBERTa-large, torch fp32")


@dataclass(frozen=True)
class Arm:
    """One classifier: a batch of texts in, anything out; `accuracy` on SST-2 test where it was trained for it.

    `prepare` is done to each text beforehand and not timed.
    """

    name: str
    answer: Callable[[list[str]], Any]
    accuracy: float | None = None
    prepare: Callable[[str], str] = str


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder with teacher/ and ngram/ of SST-2")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arms = make_arms(arguments.runs)
    facts: dict[str, Any] = {"machine": machine(), "versions": versions(), "rows": []}
    for corpus, (path, count) in CORPORA.items():
        texts = read(path, count)
        for size in (1, 32):
            times = measure(arms, texts, size)
            facts["rows"] += [{"corpus": corpus, "batch": size, "arm": n, "us": t * 1e6} for n, t in times.items()]
            print(f"\n{corpus}, {size} text(s) a call, {sum(map(len, texts)) // len(texts)} characters a text")
            print(
                table(lines(arms, times), ("arm", "SST-2 test", "us a text", "texts/s", *(f"x {b}" for b in BASELINES)))
            )
    print(f"\n{facts['machine']}; " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=1))


def lines(arms: Sequence[Arm], times: dict[str, float]) -> list[list[str]]:
    """The table of one measurement."""
    rows = []
    for arm in arms:
        value = times[arm.name]
        accuracy = "" if arm.accuracy is None else f"{arm.accuracy:.4f}"
        ratios = [f"{times[base] / value:.1f}" for base in BASELINES]
        rows.append([arm.name, accuracy, f"{value * 1e6:.2f}", f"{1 / value:,.0f}", *ratios])
    return rows


def read(path: str, count: int) -> list[str]:
    """The first `count` texts of a shared dataset."""
    with gzip.open(SHARED / "data" / path, "rt", encoding="utf-8") as source:
        return [str(json.loads(line)["text"]) for line, _ in zip(source, range(count), strict=False)]


def split(name: str) -> Split:
    """A split of SST-2."""
    with gzip.open(SHARED / "data" / "sst2" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as source:
        rows = [json.loads(line) for line in source]
    return Split([str(row["text"]) for row in rows], [str(row["label"]) for row in rows])


def make_arms(runs: Path) -> list[Arm]:
    """Every classifier of the comparison."""
    arms = []
    for name, run, format, precision in (
        ("EdgeBERT n-gram, native int8", "ngram", "native", "int8"),
        ("teacher, ONNX Runtime fp32", "teacher", "onnx", "fp32"),
        ("teacher, ONNX Runtime int8", "teacher", "onnx", "int8"),
    ):
        path = runs / f"{run}-{format}-{precision}.edgebert"
        if not path.is_file():
            edgebert.export(runs / run, target="linux", format=format, precision=precision, max_drop=0.05, out=path)
        accuracy = float(edgebert.evaluate(path, data=SHARED / "data" / "sst2")["accuracy"])
        model = EdgeModel.load(path)
        if run == "ngram":
            arms.append(Arm(name + ", labels", model.predict, accuracy))
            name += ", logits"
        arms.append(Arm(name, model.logits, accuracy))
    train, dev, test = split("train"), split("dev"), split("test")
    for peer in (fasttext(train, dev), model2vec(train, dev, runs / "teacher"), tfidf(train, dev)):
        note(f"{peer.name}: {peer.setting}, {peer.size / 1e6:.1f} MB")
        arms.append(Arm(peer.name, peer.predict, peer.accuracy(test), peer.prepare))
    return [*arms, *(Arm(name, shape(**sizes)) for name, sizes in SHAPES.items())]


def shape(**sizes: int) -> Callable[[list[str]], Any]:
    """A BERT of these sizes with random weights, in torch."""
    from transformers import BertConfig, BertForSequenceClassification

    from edgebert.models.teacher import load_tokenizer

    vocabulary = load_tokenizer("minilm").get_vocab()
    words = WordPiece(sorted(vocabulary, key=vocabulary.__getitem__), lowercase=True, max_length=256)
    torch.manual_seed(0)
    network = BertForSequenceClassification(BertConfig(intermediate_size=4 * sizes["hidden_size"], **sizes)).eval()

    def answer(batch: list[str]) -> Any:
        ids = [torch.from_numpy(item["input_ids"].copy()).long() for item in words(batch)]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        with torch.inference_mode():
            return network(input_ids=padded, attention_mask=(padded > 0).long()).logits

    return answer


def measure(arms: Sequence[Arm], texts: Sequence[str], size: int) -> dict[str, float]:
    """Median seconds of one text for each arm, arms in turn."""
    batches = {}
    for arm in arms:
        ready = [arm.prepare(text) for text in texts]
        every = [ready[start : start + size] for start in range(0, len(ready) - size + 1, size)]
        arm.answer(every[0])  # warm-up
        start = time.perf_counter()
        arm.answer(every[0])
        once = time.perf_counter() - start
        # Fast arms read the texts several times over: after a slow arm, the caches hold nothing of theirs.
        batches[arm.name] = list(islice(cycle(every), max(1, min(MOST, round(SECONDS / once)))))
    times: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for _ in range(ROUNDS):
        for arm in arms:
            chosen = batches[arm.name]
            start = time.perf_counter()
            for batch in chosen:
                arm.answer(batch)
            times[arm.name].append((time.perf_counter() - start) / sum(map(len, chosen)))
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
