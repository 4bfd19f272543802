"""MODEL_CARD.md: what a person wants to know before shipping a bundle, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgebert_converters.base import Artifact, ExportableModel
from edgebert_converters.verify import Verification

UNSTATED = "not stated: fill this in before you ship the model"


def model_card(
    model: ExportableModel,
    artifact: Artifact,
    verification: Verification,
    sizes: Mapping[str, int],
    created: str,
) -> str:
    """The card, in Markdown.

    Args:
        sizes: bytes of each file of the bundle.
    """
    card = {key: str(value) for key, value in model.card.items()}
    sections = [
        f"# {model.name}",
        card.get("description", f"A {model.student} student for {model.task}, made with EdgeBERT."),
        _what(model, artifact, created),
        "## Data\n\n" + card.get("data", UNSTATED[:1].upper() + UNSTATED[1:] + "."),
        _metrics(model, verification),
        _sizes(sizes),
        _limits(model, artifact, card.get("limits")),
        _licence(card),
    ]
    return "\n\n".join(sections) + "\n"


def _what(model: ExportableModel, artifact: Artifact, created: str) -> str:
    shapes = artifact.shapes
    lengths = ", ".join(map(str, shapes["lengths"])) if shapes["lengths"] else f"any up to {shapes['max_length']}"
    shown = ", ".join(model.labels[:20]) + (f" and {len(model.labels) - 20} more" if len(model.labels) > 20 else "")
    rows = [
        ("task", model.task),
        ("labels", f"{len(model.labels)}: {shown}"),
        ("student", model.student),
        ("format", artifact.format),
        ("precision", str(artifact.precision)),
        ("kept in float", ", ".join(artifact.kept) if artifact.kept else "nothing"),
        ("lengths", lengths),
        ("made with", ", ".join(f"{key} {value}" for key, value in artifact.requires["made_with"].items())),
        ("created", created),
    ]
    return "## What it is\n\n" + _table(("", ""), rows)


def _metrics(model: ExportableModel, verification: Verification) -> str:
    rows = [
        (f"{model.metric} of this file on {len(model.dev_texts)} dev texts", f"{verification.metric:.4f}"),
        (f"{model.metric} of the student before export", f"{verification.float_metric:.4f}"),
        ("same answer as before export", f"{verification.agreement:.4f}"),
        ("largest difference of a logit", f"{verification.max_difference:.4g}"),
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
    limits.append("It always answers with one of its labels, also for texts that belong to none of them.")
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
