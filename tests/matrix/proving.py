"""A run for each task and student, a bundle for each cell, and what must be true of a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from cells import BUNDLES, Cell
from matrix_data import write_data

import edgebert
from edgebert.commands.export import exportable
from edgebert.models.ngram import NgramNet
from edgebert.run import Run, load_run, read_description
from edgebert_converters.ladder import export_model
from edgebert_runtime.bundle import Bundle, write_bundle_file
from edgebert_runtime.model import EdgeModel
from edgebert_runtime.profile import measure

# As small as they learn, because an exporter takes its time by the node; `max_length` is the only length bucket.
STUDENTS: dict[str, dict[str, Any]] = {
    "ngram": {
        "channels": [
            {"name": "word_ids", "rows": 200, "width": 32},
            {"name": "char_ids", "kind": "char", "orders": [3, 4], "rows": 500, "width": 32},
        ],
        "min_count": 1,
        "hidden": 16,
    },
    "bilstm": {"words": 200, "characters": 300, "word_width": 32, "character_width": 16, "hidden": 16, "min_count": 1},
    "bert-3": {"layers": 1, "embedding": 16},
    "mobilebert-mini": {
        "hidden": 32,
        "bottleneck": 16,
        "embedding": 16,
        "feedforward": 32,
        "feedforwards": 1,
        "heads": 2,
        "layers": 1,
    },
}
TRAINING: dict[str, dict[str, Any]] = {
    "ngram": {"learning_rate": 5e-3, "max_length": 8},
    "bilstm": {"learning_rate": 1e-2, "max_length": 4},
    "bert-3": {"learning_rate": 5e-3, "max_length": 8},
    "mobilebert-mini": {"learning_rate": 1e-2, "max_length": 8},
}
OBJECTIVES = {"logits": {"weight": 0.7, "temperature": 2.0}, "hard_labels": {"weight": 0.3}}
LENGTHS = {"question-answering": 12}  # of a question and a sentence
# Well above what guessing gives (0.5 of two labels, 0 of a correlation), or equal answers would mean nothing.
LEARNED = {
    "classification": 0.9,
    "regression": 0.8,
    "multi-label": 0.8,
    "embedding": 0.3,
    "token-classification": 0.8,
    "intent-slots": 0.8,
    "question-answering": 0.8,
    "masked-lm": 0.3,
}
MAX_DROP = 0.01  # of the metric, as `edgebert export` has it by default
MOST_CHANGES = 24  # of an answer, each to be detected


@dataclass(frozen=True)
class Learned:
    """A run, and what it was made from."""

    run: Path
    data: Path
    metric: str
    score: float


@dataclass
class Workshop:
    """Makes each run and each bundle once, when it is first asked for."""

    folder: Path
    encoder: Path
    _data: dict[str, Path] = field(default_factory=dict)
    _teachers: dict[str, Path] = field(default_factory=dict)
    _runs: dict[tuple[str, str], Learned] = field(default_factory=dict)
    _bundles: dict[Cell, Path] = field(default_factory=dict)

    def data(self, task: str) -> Path:
        """A folder with the made data of a task."""
        if task not in self._data:
            folder = self.folder / task
            folder.mkdir()
            self._data[task] = write_data(task, folder)
        return self._data[task]

    def teacher(self, task: str) -> Path:
        """A run of the tiny encoder with a head for the task; for embedding the encoder itself."""
        if task == "embedding":
            return self.encoder
        if task not in self._teachers:
            self._teachers[task] = edgebert.finetune(
                self.encoder,
                self.folder / f"{task}-teacher",
                data=self.data(task),
                task=task,
                epochs=5,
                batch_size=16,
                learning_rate=5e-3,
                max_length=LENGTHS.get(task, 8),
                precision="fp32",
            )
        return self._teachers[task]

    def run(self, task: str, student: str) -> Learned:
        """A student that has learned the task."""
        if (task, student) not in self._runs:
            recipe = {
                "teacher": str(self.teacher(task)),
                "task": task,
                "student": {"name": student, **STUDENTS[student]},
                "data": {"path": str(self.data(task))},
                "objectives": OBJECTIVES,
                "training": {
                    "epochs": 3,
                    "batch_size": 16,
                    "precision": "fp32",
                    **TRAINING[student],
                    **({"max_length": LENGTHS[task]} if task in LENGTHS else {}),
                },
                "out": str(self.folder / f"{task}-{student}"),
            }
            path = self.folder / f"{task}-{student}.yaml"
            path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
            run = edgebert.distill(path)
            described = read_description(run)
            score = described.metrics["test"][described.metric]
            self._runs[task, student] = Learned(run, self.data(task), described.metric, score)
        return self._runs[task, student]

    def bundle(self, cell: Cell) -> Path:
        """The bundle of a cell, in `BUNDLES`; exporting it checks it against torch on dev."""
        if cell not in self._bundles:
            out = BUNDLES / f"{cell}.edgebert"
            out.unlink(missing_ok=True)  # none of an earlier day may pass for this one
            run = self.run(cell.task, cell.student).run
            made = edgebert.export(
                run, target="linux", format=cell.format, precision=cell.precision, max_drop=MAX_DROP, out=out
            )
            assert made == [out]
            self._bundles[cell] = out
        return self._bundles[cell]

    def prove(self, cell: Cell) -> None:
        """Raise AssertionError unless all holds that a person relies on when the matrix has this cell."""
        learned = self.run(cell.task, cell.student)
        assert learned.score >= LEARNED[cell.task], f"{learned.metric} {learned.score}: it has learned too little"
        path = self.bundle(cell)
        with EdgeModel.load(path) as model:
            manifest = model.manifest
            assert Cell(manifest.task, manifest.student, manifest.format, manifest.precision) == cell, manifest
            replayed = model.self_test()
            assert replayed.passed and replayed.checked > 16, replayed
            changed = changed_vectors(model.bundle.golden())
            altered = with_golden(model.bundle, changed, self.folder / "altered.edgebert")
        kept = {*range(1, len(changed) + 1)} - refused(altered)
        assert not kept, f"a changed answer passes: {[changed[number - 1]['answer'] for number in kept]}"
        found = edgebert.evaluate(path, data=learned.data)
        lost = learned.score - found[learned.metric]
        assert found["n"] == 32 and lost <= MAX_DROP, f"{learned.metric} {learned.score}, and exported {found}"
        measured = measure(path, runs=2, warmup=0)
        assert measured.bundle["format"] == cell.format and measured.stages["total"].p50 > 0, measured

    def swap(self, cell: Cell) -> None:
        """Raise AssertionError unless old test vectors refuse a model two columns of whose heads have changed places,
        and old answers refuse it even where they stand beside its own outputs."""
        folder = self.run(cell.task, cell.student).run
        with EdgeModel.load(self.bundle(cell)) as model:
            known = model.bundle.golden()
        for head in read_description(folder).heads:
            run = load_run(folder)
            swap_columns(run, head.name, [values for vector in known for values in stored(vector, head.name)])
            out = self.folder / "swapped.edgebert"
            export_model(exportable(run), "linux", cell.format, cell.precision, max_drop=2.0, out=out)
            with EdgeModel.load(out) as model:
                assert model.self_test().passed, f"{head}: its own test vectors"
                both = zip(model.bundle.golden(), known, strict=True)
                answers = [{**new, "answer": old["answer"], "margin": old["margin"]} for new, old in both]
                whole = with_golden(model.bundle, known, self.folder / "whole.edgebert")
                mixed = with_golden(model.bundle, answers, self.folder / "mixed.edgebert")
            assert len(refused(whole)) > len(known) / 2, f"{head}: old test vectors pass on another model"
            assert refused(mixed), f"{head}: old answers pass beside the outputs of another model"


@torch.no_grad()
def swap_columns(run: Run, head: str, outputs: Sequence[np.ndarray]) -> None:
    """Let the columns of a head that answer most and least change places; of a head of one column, two of its weights.

    Args:
        outputs: what it answered, [..., width] each.
    """
    width = outputs[0].shape[-1]
    columns = np.concatenate([values.reshape(-1, width) for values in outputs]).mean(axis=0)
    for layer in head_layers(run.module, head):
        if width > 1:
            both = [int(columns.argmax()), int(columns.argmin())]
            layer.weight[both] = layer.weight[both[::-1]]
            if layer.bias is not None:
                layer.bias[both] = layer.bias[both[::-1]]
        else:
            both = [int(layer.weight[0].argmax()), int(layer.weight[0].argmin())]
            layer.weight[:, both] = layer.weight[:, both[::-1]]


def head_layers(module: Any, head: str) -> list[Any]:
    """The layers whose rows are the columns of a head; an n-gram network adds up two."""
    if isinstance(module, NgramNet):
        return [module.linear, module.output]
    layer = module.heads[head]
    return [getattr(layer, "words", layer)]  # of a tied head


def stored(vector: Mapping[str, Any], output: str) -> list[np.ndarray]:
    """An output in a test vector, of each piece."""
    found = [piece["outputs"][output] for piece in vector["pieces"]]
    return [np.asarray(each["values"]).reshape(each["shape"]) for each in found]


def with_golden(bundle: Bundle, vectors: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """A copy of a bundle with other test vectors."""
    entries: dict[str, bytes | Path] = {name: bundle.read(name) for name in bundle.names if name != "manifest.json"}
    entries["golden.jsonl"] = "".join(json.dumps(vector) + "\n" for vector in vectors).encode()
    write_bundle_file(path, bundle.manifest, entries)
    return path


def refused(path: Path) -> set[int]:
    """The numbers of the test vectors that a bundle's self-test refuses, from 1."""
    with EdgeModel.load(path) as model:
        return {int(sentence.split()[1].rstrip(":")) for sentence in model.self_test().failures}


def changed_vectors(vectors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The vector whose answer is the surest, again and again, each time with one change in its answer.

    A margin of null has no decision in it that could be undecided.
    """

    def rank(vector: Mapping[str, Any]) -> tuple[bool, float]:
        margin = vector["margin"]
        return bool(list(changes(vector["answer"]))), float("inf") if margin is None else margin

    surest = max(vectors, key=rank)
    found = list(changes(surest["answer"]))
    assert found
    step = -(-len(found) // MOST_CHANGES)
    return [{**surest, "answer": answer} for answer in found[::step]]


def changes(answer: Any) -> Iterator[Any]:
    """Copies of a JSON value, each with one thing in it that is different."""
    if isinstance(answer, dict):
        yield from ({**answer, key: other} for key, value in answer.items() for other in changes(value))
    elif isinstance(answer, list):
        yield from (
            [*answer[:i], other, *answer[i + 1 :]] for i, value in enumerate(answer) for other in changes(value)
        )
        yield from ([*answer, answer[-1]] for _ in answer[:1])
    elif isinstance(answer, bool):
        yield not answer
    elif isinstance(answer, str):
        yield f"{answer}x"
    elif isinstance(answer, int):
        yield answer + 1
    elif isinstance(answer, float):
        yield answer + 0.1 * max(1.0, abs(answer))
