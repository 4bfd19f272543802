"""`edgebert inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edgebert.cli.base import Command, print_json
from edgebert.cli.options import PATH, public_key_option

# What a recipe said, dozens of lines: left to --json.
LONG = ("job.student.", "job.training.", "job.objectives.")


@click.command("inspect", cls=Command, short_help="What a bundle is: labels, sizes, numbers, where it came from.")
@click.argument("bundle", type=PATH)
@public_key_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(bundle: Path, public_key: Path | None, as_json: bool) -> None:
    """Check a bundle completely and describe it.

    \b
    Example:
      edgebert inspect trec6.edgebert
    """
    import edgebert

    found = edgebert.inspect(bundle, public_key=public_key)
    if as_json:
        print_json(found)
    else:
        click.echo(describe(found))


def describe(found: Mapping[str, Any]) -> str:
    """The table that is printed, of what `edgebert.inspect` found."""
    from edgebert.console import table
    from edgebert.sizes import show_size

    shapes, origin = found["shapes"], _flat(found["provenance"])
    lengths = "any" if shapes["lengths"] is None else ", ".join(map(str, shapes["lengths"]))
    rows = [
        ("name", found["name"]),
        ("task", found["task"]),
        ("student", found["student"]),
        ("format", f"{found['format']}, {found['precision']}"),
        ("size", show_size(found["size"])),
        *((f"  {part}", show_size(size)) for part, size in found["parts"].items() if size),
        ("inputs", ", ".join(f"{item['name']} {item['dtype']}" for item in found["inputs"])),
        *((f"output {item['name']}", _output(item)) for item in found["outputs"]),
        ("lengths", f"{lengths} (from {shapes['min_length']} to {shapes['max_length']})"),
        ("batch", "any" if shapes["batch"] is None else str(shapes["batch"])),
        ("featurizer", str(found["featurizer"]["type"])),
        ("test vectors", str(found["golden"])),
        ("needs", _needs(found["requires"])),
        ("created", found["created"]),
        *((f"settings {name}", value) for name, value in _flat(found["settings"])),
        *((f"metrics {name}", value) for name, value in _flat(found["metrics"])),
        *((f"from {name}", value) for name, value in origin if not name.startswith(LONG)),
    ]
    if any(name.startswith(LONG) for name, _ in origin):
        rows.append(("settings of the training", "with --json"))
    return table((name, value if isinstance(value, str) else _short(value)) for name, value in rows)


def _output(item: Mapping[str, Any]) -> str:
    """The shape of an output and the names of its columns."""
    labels = item["labels"]
    shown = ", ".join(labels[:12]) + (f", … ({len(labels)} in all)" if len(labels) > 12 else "")
    return "×".join(map(str, item["shape"])) + (f", {len(labels)} labels: {shown}" if labels else "")


def _needs(requires: Mapping[str, Any]) -> str:
    """The engine, the oldest version that will do, and what made the file."""
    if "package" not in requires:
        return "nothing more"
    oldest = f" {requires['minimum']} or newer" if "minimum" in requires else ""
    made = ", ".join(f"{name} {version}" for name, version in requires.get("made_with", {}).items())
    return f"{requires['package']}{oldest}" + (f" (made with {made})" if made else "")


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested keys as one line each: {"student": {"accuracy": 0.9}} -> ("student.accuracy", 0.9)."""
    lines: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            lines += _flat(item, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", item))
    return lines


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
