"""Tiny real graphs in three formats, and bundles around them, made as design notes on the toolchain say.

One network for all: embedding, masked mean, linear; on demand a second output, with a row for each token. Its weights
come from a seed, so the golden numbers, which torch computes, are those that every engine must give. And a native
n-gram student, whose golden logits are the reference's.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import reference_model
from scipy.special import softmax

from edgebert_runtime import Prediction, golden
from edgebert_runtime.bundle import Manifest, Shapes, input_tensors, output_tensors, write_bundle_file
from edgebert_runtime.features import Featurizer, Text, WordPiece, pad
from edgebert_runtime.manifest import to_bytes
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table, ngram_hashes
from edgebert_runtime.outputs import OutputSpec

LABELS = ("lights", "music", "weather")
LOGITS = OutputSpec("logits", len(LABELS), False, LABELS)
TAGS = OutputSpec("tags", 2, True)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "turn", "on", "off", "the", "light", "lights", "play"]
VOCABULARY += ["some", "music", "what", "is", "weather", "like", "now", "please", "##s", "##ing", "!", "?", "'", "un"]
TEXTS = ("turn on the lights", "play music", "", "what is the weather like now ?", "héllo 👋 wörld", "the " * 40)
MAX_LENGTH = 32
BUCKETS = (8, 16, 32)


def wordpiece() -> WordPiece:
    return WordPiece(VOCABULARY, lowercase=True, max_length=MAX_LENGTH)


def ngrams(words: tuple[int, int] = (1, 2)) -> NgramFeaturizer:
    channels = (Channel("word_ids", "word", words, 200, 8), Channel("char_ids", "char", (3, 3), 200, 8))
    kept = [np.unique(ngram_hashes(channel, TEXTS, MAX_LENGTH)[0])[: channel.rows] for channel in channels]
    return NgramFeaturizer(channels, build_table(channels, kept, MAX_LENGTH), MAX_LENGTH)


def network(featurizer: Featurizer, int8_rows: bool = False, tags: bool = False) -> Any:
    """Embeds the first input; masks by the second (WordPiece) or by id 0 and adds the others (n-grams).

    With `tags`, also two numbers for each token, of its row and of the mean.
    """
    import torch

    class Table(torch.nn.Module):
        def __init__(self, rows: int) -> None:
            super().__init__()
            weight = torch.randn(rows, 8)
            scale = weight.abs().amax(dim=1) / 127
            self.float_rows = torch.nn.Embedding.from_pretrained(weight)
            self.register_buffer("rows", torch.round(weight / scale[:, None]).to(torch.int8))
            self.register_buffer("scale", scale)

        def forward(self, ids: Any) -> Any:
            if not int8_rows:
                return self.float_rows(ids)
            return torch.ops.quantized_decomposed.embedding_byte.default(self.rows, self.scale, None, -128, 127, ids)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(7)
            masked = featurizer.inputs[-1].name == "attention_mask"
            tables = featurizer.inputs[:1] if masked else featurizer.inputs
            self.masked = masked
            self.tables = torch.nn.ModuleList(Table(spec.rows) for spec in tables)
            self.head = torch.nn.Linear(8, len(LABELS))
            self.tags = torch.nn.Linear(8, TAGS.width) if tags else None
            with torch.no_grad():
                self.head.weight.mul_(6.0)

        def forward(self, first: Any, second: Any) -> dict[str, Any]:
            masks = [second] if self.masked else [(first != 0), (second != 0)]
            total = 0.0
            for table, ids, mask in zip(self.tables, (first, second), masks, strict=False):
                weights = mask.to(torch.float32).unsqueeze(-1)
                total = total + (table(ids) * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
            if self.tags is None:
                return {"logits": self.head(total)}
            return {"logits": self.head(total), "tags": self.tags(self.tables[0](first) + total.unsqueeze(1))}

    return Network().eval()


def example(featurizer: Featurizer, batch: int, length: int, dtype: Any) -> tuple[Any, ...]:
    import torch

    shapes = [(batch, spec.per_length * length) for spec in featurizer.inputs]
    return tuple(torch.ones(shape, dtype=dtype) for shape in shapes)


def torch_outputs(module: Any, featurizer: Featurizer, text: str) -> dict[str, np.ndarray]:
    import torch

    from edgebert_runtime.features import length_of

    features = featurizer([text])
    batch = pad(features, featurizer.inputs, length_of(features[0], featurizer.inputs))
    with torch.no_grad():
        tensors = [torch.from_numpy(batch[spec.name].astype(np.int64)) for spec in featurizer.inputs]
        return {name: np.asarray(values[0].numpy()) for name, values in module(*tensors).items()}


def write_onnx(module: Any, featurizer: Featurizer, path: Path) -> Shapes:
    import torch
    from torch.export import Dim

    batch, length = Dim("batch"), Dim("length", max=MAX_LENGTH)
    dynamic = tuple({0: batch, 1: length * spec.per_length} for spec in featurizer.inputs)
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            module,
            example(featurizer, 2, 5, torch.int64),
            path,
            input_names=[spec.name for spec in featurizer.inputs],
            output_names=["logits", "tags"] if module.tags is not None else ["logits"],
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
        )
    return Shapes(None, None, 1, MAX_LENGTH)


def write_tflite(module: Any, featurizer: Featurizer, path: Path) -> Shapes:
    import litert_torch
    import torch

    class Named(torch.nn.Module):
        """litert_torch names inputs after forward's arguments."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            return self.inner(input_ids, attention_mask)  # type: ignore[no-any-return]

    named = Named().eval()
    names = [spec.name for spec in featurizer.inputs]
    converter: Any = litert_torch
    with contextlib.redirect_stdout(io.StringIO()):
        for length in BUCKETS:
            inputs = dict(zip(names, example(featurizer, 1, length, torch.int32), strict=True))
            converter = converter.signature(f"seq{length}", named, sample_kwargs=inputs)
        converter.convert().export(str(path))
    return Shapes(1, BUCKETS, 1, MAX_LENGTH)


def write_executorch(module: Any, featurizer: Featurizer, path: Path) -> Shapes:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export import Dim

    length = Dim("length", min=2, max=MAX_LENGTH)
    dynamic = tuple({1: length} for _ in featurizer.inputs)
    program = torch.export.export(module, example(featurizer, 1, 5, torch.int64), dynamic_shapes=dynamic)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)
    return Shapes(1, None, 2, MAX_LENGTH)


WRITERS: dict[str, Callable[[Any, Featurizer, Path], Shapes]] = {
    "onnx": write_onnx,
    "tflite": write_tflite,
    "executorch": write_executorch,
}
SUFFIXES = {"onnx": "onnx", "tflite": "tflite", "executorch": "pte", "native": "ebnn"}
PACKAGES = {"onnx": "onnxruntime", "tflite": "ai-edge-litert", "executorch": "executorch", "native": "edgebert"}


def write_bundle(
    folder: Path,
    format: str,
    featurizer: Featurizer,
    int8_rows: bool = False,
    texts: Sequence[str] = TEXTS,
    tags: bool = False,
) -> Path:
    """A complete bundle whose golden numbers come from torch."""
    module = network(featurizer, int8_rows, tags)
    graph = folder / f"model.{SUFFIXES[format]}"
    shapes = WRITERS[format](module, featurizer, graph)
    vectors = [golden_vector(featurizer, text, **torch_outputs(module, featurizer, text)) for text in texts]
    made = manifest(format, featurizer, shapes, "int8" if int8_rows else "fp32", (LOGITS, TAGS) if tags else (LOGITS,))
    return bundled(folder, made, {graph.name: graph, **featurizer.files()}, vectors)


def write_native(folder: Path, pair: bool = False) -> Path:
    """A bundle of an n-gram student for the core, its numbers random, its table inside the model."""
    single = ngrams((1, 1))
    featurizer = NgramFeaturizer(single.channels, single.table, MAX_LENGTH, pair)
    sizes = reference_model.Sizes(len(LABELS), 32, (32, 64), reference_model.PAIRS * pair, 8, fold=1)
    content = reference_model.write(sizes, reference_model.random_sections(sizes, single.table, seed=4))
    spec = {**featurizer.spec(), "table": "model.ebnn"}
    known, vectors = reference_model.Model(content), []
    for text, other in zip(TEXTS, reversed(TEXTS), strict=True):
        logits = known.logits(text, other if pair else None)
        vectors.append(golden_vector(featurizer, (text, other) if pair else text, logits))
    made = replace(manifest("native", featurizer, Shapes(None, None, 1, MAX_LENGTH), "int8"), featurizer=spec)
    return bundled(folder, made, {"model.ebnn": content}, vectors)


def manifest(
    format: str,
    featurizer: Featurizer,
    shapes: Shapes,
    precision: str,
    outputs: Sequence[OutputSpec] = (LOGITS,),
) -> Manifest:
    integers = "int64" if format in ("onnx", "executorch") else "int32"
    return Manifest(
        name=f"tiny-{format}",
        task="classification",
        max_length=MAX_LENGTH,
        student="tiny",
        format=format,
        precision=precision,
        inputs=input_tensors(featurizer.inputs, integers, shapes.batch),
        outputs=output_tensors(outputs, shapes.batch),
        shapes=shapes,
        featurizer=featurizer.spec(),
        created="2026-01-02T03:04:05+00:00",
        requires={"package": PACKAGES[format]},
    )


def bundled(folder: Path, made: Manifest, files: dict[str, bytes | Path], vectors: Sequence[dict[str, Any]]) -> Path:
    path = folder / f"{made.name}.edgebert"
    write_bundle_file(path, made, {"golden.jsonl": b"".join(map(to_line, vectors)), **files})
    return path


def golden_vector(featurizer: Featurizer, text: Text, logits: np.ndarray, **more: np.ndarray) -> dict[str, Any]:
    """What `logits` mean, worked out here; `more` outputs mean nothing to a classification."""
    probabilities = softmax(logits.astype(np.float64))
    best = int(probabilities.argmax())
    found = dict(zip(LABELS, probabilities.tolist(), strict=True))
    answer = Prediction(LABELS[best], found[LABELS[best]], found)
    second, first = np.sort(logits)[-2:]
    items = [(featurizer([text])[0], {"logits": logits, **more})]
    return golden.vector(text, items, answer, float(first - second) / 2, featurizer.inputs)


def to_line(value: dict[str, Any]) -> bytes:
    return to_bytes(value).replace(b"\n", b" ").strip() + b"\n"
