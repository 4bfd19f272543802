"""MODEL_CARD.md: what a person wants to know before shipping a bundle, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgebert_converters.base import Artifact, ExportableModel
from edgebert_runtime.outputs import OutputSpec

UNSTATED = "not stated: fill this in before you ship the model"
LABELS = 20  # of one output that are named


def model_card(
    model: ExportableModel,
    artifact: Artifact,
    exported: Mapping[str, Any],
    sizes: Mapping[str, int],
    created: str,
) -> str:
    """The card, in Markdown.

    Args:
        exported: the manifest's numbers about the exported file.
        sizes: bytes of each file of the bundle.
    """
    card = {key: str(value) for key, value in model.card.items()}
    sections = [
        f"# {model.name}",
        card.get("description", f"A {model.student} student for {model.task}, made with EdgeBERT."),
        _what(model, artifact, created),
        "## Data\n\n" + card.get("data", UNSTATED[:1].upper() + UNSTATED[1:] + "."),
        _metrics(model, exported),
        _sizes(sizes),
        _limits(model, artifact, card.get("limits")),
        _licence(card),
    ]
    return "\n\n".join(sections) + "\n"


def _what(model: ExportableModel, artifact: Artifact, created: str) -> str:
    shapes = artifact.shapes
    lengths = ", ".join(map(str, shapes["lengths"])) if shapes["lengths"] else f"any up to {shapes['max_length']}"
    rows = [
        ("task", model.task),
        *((f"output {spec.name}", _output(spec)) for spec in model.outputs),
        ("student", model.student),
        ("format", artifact.format),
        ("precision", str(artifact.precision)),
        ("kept in float", ", ".join(artifact.kept) if artifact.kept else "nothing"),
        ("lengths", lengths),
        ("made with", ", ".join(f"{key} {value}" for key, value in artifact.requires["made_with"].items())),
        ("created", created),
    ]
    return "## What it is\n\n" + _table(("", ""), rows)


def _output(spec: OutputSpec) -> str:
    """What an output holds; of many labels the first."""
    numbers = f"{spec.width} number{'s' * (spec.width > 1)} a {'token' if spec.per_token else 'text'}"
    shown = ", ".join(spec.labels[:LABELS])
    more = f" and {len(spec.labels) - LABELS} more" if len(spec.labels) > LABELS else ""
    return f"{numbers}: {shown}{more}" if spec.labels else numbers


def _metrics(model: ExportableModel, exported: Mapping[str, Any]) -> str:
    calibration = {"calibration": exported.get("calibration", {})}
    rows = [
        (f"{model.metric} of this file on {len(model.asked)} dev texts", f"{exported[model.metric]:.4f}"),
        (f"{model.metric} of the student before export", f"{exported[f'float_{model.metric}']:.4f}"),
        ("same answer as before export", f"{exported['agreement']:.4f}"),
        ("largest difference of a number of an output", f"{exported['max_difference']:.4g}"),
        *sorted(_flat(calibration).items()),
        *sorted(_flat(model.metrics).items()),
    ]
    return "## Metrics\n\n" + _table(("measured", "value"), rows)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Numbers of a nested mapping, with their path as the name."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key} ")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[f"{prefix}{key}"] = f"{value:.4f}" if isinstance(value, float) else str(value)
    return found


def _sizes(sizes: Mapping[str, int]) -> str:
    rows = [(name, f"{size:,}") for name, size in sorted(sizes.items(), key=lambda item: -item[1])]
    return "## Sizes\n\n" + _table(("file", "bytes"), rows)


def _limits(model: ExportableModel, artifact: Artifact, stated: str | None) -> str:
    limits = [stated] if stated else []
    limits.append(f"Texts longer than {model.featurizer.max_length} units of the featurizer are cut there.")
    limits.append("It answers every text, also one that is like nothing it was trained on.")
    limits.append(f"The numbers above were measured with {artifact.requires.get('package')} on the exporting machine.")
    limits.append("golden.jsonl holds texts of the dev set: do not ship the bundle if those are secret.")
    return "## Limits\n\n" + "\n".join(f"- {item}" for item in limits)


def _licence(card: Mapping[str, str]) -> str:
    rows = [
        ("licence of the model", card.get("license", UNSTATED)),
        ("licence of the data", card.get("data_license", UNSTATED)),
        ("author", card.get("author", UNSTATED)),
        ("contact", card.get("contact", UNSTATED)),
    ]
    return "## Licence\n\n" + _table(("", ""), rows)


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    def cell(text: str) -> str:
        return " ".join(text.split()).replace("|", "\\|")

    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {cell(left)} | {cell(right)} |" for left, right in rows)])
