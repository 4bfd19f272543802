"""MobileBERT in int8 in the three formats against BERT-base in float: size and latency, in one run.

    python benchmarks/mobilebert_latency.py [--preset mobilebert] [--files DIR] [--json FILE]

Both networks have random weights (latency does not depend on them): BERT-base as Hugging Face's default configuration
makes it, MobileBERT from our preset, scaled so that its logits have a standard deviation of 3. BERT-base runs in ONNX
Runtime in fp32. Every arm takes a batch of 1, 128 tokens, one thread, and goes through the runtime's own engine; the
arms take turns, and the median counts. Processor time is compared as well as wall time: on a busy machine the second
measures the neighbours. Exporting 24 layers takes 5 to 15 minutes; `--files` keeps the exported files for another run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgebert.models.mobilebert import PRESETS, MobileBert
from edgebert.tasks.heads import Head
from edgebert_converters.base import Artifact, ExportableModel, Precision, converter
from edgebert_converters.packager import write_bundle
from edgebert_converters.verify import engine_for, reference, verify
from edgebert_runtime.features import WordPiece
from edgebert_runtime.outputs import Outputs, OutputSpec, flat

LENGTH = 128
FORMATS = ("onnx", "tflite", "executorch")
SIZE_AIM, RATIO_AIM = 30_000_000, 12.0


@dataclass(frozen=True)
class Arm:
    """One row of the table; times in milliseconds, `size` of the model file in bytes."""

    name: str
    size: int
    wall: float
    processor: float
    note: str = ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def featurizer() -> WordPiece:
    """BERT's vocabulary in size, with words of our own; the network cannot tell."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *(f"word{number}" for number in range(30522 - len(special)))]
    return WordPiece(words, lowercase=True, max_length=LENGTH, min_length=3)


def texts(count: int) -> tuple[str, ...]:
    """Texts that fill the length."""
    rng = np.random.default_rng(0)
    return tuple(" ".join(f"word{number}" for number in rng.integers(0, 30000, LENGTH)) for _ in range(count))


def exportable(name: str, module: nn.Module) -> ExportableModel:
    return ExportableModel(
        name=name,
        task="classification",
        outputs=(OutputSpec("logits", 2, labels=("no", "yes")),),
        student=name,
        module=module.eval(),
        featurizer=featurizer(),
        buckets=(LENGTH,),
        asked=texts(16),
        pieces=texts(16),
        score=lambda outputs: float(np.isfinite(flat(outputs)).all()),
        agree=same_labels,
        settings=lambda outputs: {},
        metric="finite",
    )


def same_labels(ours: Outputs, theirs: Outputs) -> float:
    """Share of texts with the same best label."""
    first, second = (np.asarray(outputs["logits"]).argmax(axis=1) for outputs in (ours, theirs))
    return float((first == second).mean())


def mobilebert(preset: str, layers: int | None) -> ExportableModel:
    """Random weights: each linear keeps the size of what goes through it, and the logits get a deviation of 3."""
    torch.manual_seed(0)
    config = PRESETS[preset] if layers is None else replace(PRESETS[preset], layers=layers)
    module = MobileBert(config, (Head("logits", 2, "classes"),)).eval()
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            elif isinstance(layer, nn.Embedding):
                nn.init.normal_(layer.weight, std=1.0)
            elif hasattr(layer, "dense") and hasattr(layer, "norm"):
                layer.norm.weight.fill_(0.7)  # a residual sum would otherwise double in every layer
        model = exportable(preset, module)
        deviation = float(np.asarray(reference(model).answers["logits"]).std())
        module.get_submodule("heads.logits").weight.mul_(3.0 / deviation)
    return model


class Bert(nn.Module):
    """Hugging Face's BERT with the interface of our students."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(0)
        self.bert = BertForSequenceClassification(BertConfig(num_labels=2, attn_implementation="eager"))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        bias = (1.0 - attention_mask.to(torch.float32))[:, None, None, :] * -1e4
        return {"logits": self.bert(input_ids=input_ids, attention_mask=bias).logits}


def export(model: ExportableModel, format: str, precision: Precision, folder: Path) -> Artifact:
    """Convert, or take the file of an earlier run."""
    tool = converter(format)
    target = folder / f"{model.name}-{format}-{precision}"
    target.mkdir(parents=True, exist_ok=True)
    path, notes = target / f"model{tool.suffix}", target / "artifact.json"
    if notes.exists():
        found = json.loads(notes.read_text())
        return Artifact(path, format, precision, found["shapes"], path.stat().st_size, found["requires"], ())
    say(f"exporting {model.name} to {format}, {precision}")
    start = time.perf_counter()
    artifact = tool.convert(model, precision, target)
    say(f"  {artifact.size / 1e6:.1f} MB in {time.perf_counter() - start:.0f} s")
    notes.write_text(json.dumps({"shapes": artifact.shapes, "requires": artifact.requires}))
    return artifact


def measure(artifacts: dict[str, Artifact], model: ExportableModel, rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor milliseconds of each arm, in turns."""
    ids = model.featurizer(texts(1))[0]
    batch = {name: values[None] for name, values in ids.items()}
    assert all(values.shape == (1, LENGTH) for values in batch.values())
    engines = {name: engine_for(artifact, model) for name, artifact in artifacts.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in artifacts}
    for turn in range(rounds + 2):
        for name, engine in engines.items():
            wall, processor = time.perf_counter(), time.process_time()
            engine.run(batch)
            taken = (time.perf_counter() - wall, time.process_time() - processor)
            if turn >= 2:  # warm-up
                times[name].append(taken)
    for engine in engines.values():
        engine.close()
    return {
        name: (1000 * statistics.median(t[0] for t in taken), 1000 * statistics.median(t[1] for t in taken))
        for name, taken in times.items()
    }


def table(arms: list[Arm]) -> str:
    base = arms[0]
    lines = [f"{'model':<34} {'MB':>7} {'wall ms':>9} {'cpu ms':>9} {'x wall':>7} {'x cpu':>7}  against torch fp32"]
    for arm in arms:
        lines.append(
            f"{arm.name:<34} {arm.size / 1e6:>7.1f} {arm.wall:>9.2f} {arm.processor:>9.2f} "
            f"{base.wall / arm.wall:>7.2f} {base.processor / arm.processor:>7.2f}  {arm.note}"
        )
    return "\n".join(lines)


def machine() -> dict[str, str]:
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    packages = ("torch", "transformers", "onnxruntime", "ai-edge-litert", "litert-torch", "executorch")
    return {
        "cpu": names[0] if names else platform.processor(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--preset", default="mobilebert", choices=sorted(PRESETS))
    parser.add_argument("--layers", type=int, help="fewer layers, for a quick try (no BERT-base ratio means much then)")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--files", type=Path, help="folder for the exported files; those there are used again")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.files or Path(scratch)
        student = mobilebert(options.preset, options.layers)
        count = sum(parameter.numel() for parameter in student.module.parameters())
        known = reference(student)
        artifacts = {"BERT-base, onnx fp32": export(exportable("bert-base", Bert()), "onnx", Precision.FP32, folder)}
        notes, bundles = {}, {}
        for format in FORMATS:
            artifact = export(student, format, Precision.INT8, folder)
            found = verify(artifact, student, known)
            name = f"{options.preset}, {format} int8"
            artifacts[name] = artifact
            notes[name] = f"logits differ by {found.max_difference:.2f} at most, agreement {found.agreement:.3f}"
            bundle = write_bundle(artifact, found, student, Path(scratch) / f"{format}.edgebert")
            bundles[format] = bundle.stat().st_size
        times = measure(artifacts, student, options.rounds)
    arms = [Arm(name, artifacts[name].size, *times[name], notes.get(name, "")) for name in artifacts]
    print(
        f"{options.preset}: {count / 1e6:.1f} M parameters; batch 1, length {LENGTH}, one thread, "
        f"{options.rounds} turns"
    )
    print(table(arms))
    best = min(arms[1:], key=lambda arm: arm.processor)
    print(f"best: {best.name}, {arms[0].processor / best.processor:.1f} times BERT-base (aim {RATIO_AIM:.0f})")
    print("bundles: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in bundles.items()))
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    if options.json:
        found_arms = [vars(arm) for arm in arms]
        options.json.write_text(json.dumps({"machine": machine(), "arms": found_arms, "bundles": bundles}, indent=2))
    return 0 if max(arm.size for arm in arms[1:]) <= SIZE_AIM else 1


if __name__ == "__main__":
    sys.exit(main())
