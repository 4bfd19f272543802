"""What a Hugging Face folder with a head of its own was trained for, as its config.json says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgebert.tasks.heads import Head


class Ready(NamedTuple):
    """A task that a stored model has learned already.

    Attributes:
        heads: one, which `Teacher(encoder, heads, own=True)` names the model's own answer by.
        labels: head name to the names of its columns; none where they have no names.
        auto: the class of `transformers` that loads the model with its head (see `teacher.load_encoder`).
        settings: as `Task.settings` would give them.
    """

    task: str
    heads: tuple[Head, ...]
    labels: dict[str, tuple[str, ...]]
    auto: str
    settings: Mapping[str, Any] = {}


def _sequence(config: Mapping[str, Any]) -> Ready:
    auto, names = "AutoModelForSequenceClassification", _names(config)
    if config.get("problem_type") == "multi_label_classification":
        return Ready("multi-label", (Head("logits", len(names), "flags"),), {"logits": names}, auto)
    if len(names) == 1:
        return Ready("regression", (Head("score", 1, "number"),), {}, auto)
    return Ready("classification", (Head("logits", len(names), "classes"),), {"logits": names}, auto)


def _tokens(config: Mapping[str, Any]) -> Ready:
    names = _names(config)
    head = Head("logits", len(names), "classes", per_token=True)
    scheme = "bio" if any(name.startswith(("B-", "I-")) for name in names) else "plain"
    auto = "AutoModelForTokenClassification"
    return Ready("token-classification", (head,), {"logits": names}, auto, {"scheme": scheme})


def _answers(config: Mapping[str, Any]) -> Ready:
    head = Head("logits", 2, "positions", per_token=True)
    return Ready("question-answering", (head,), {}, "AutoModelForQuestionAnswering")


def _words(config: Mapping[str, Any]) -> Ready:
    words = int(config["vocab_size"])
    head = Head("logits", words, "classes", per_token=True, tied=True)
    return Ready("masked-lm", (head,), {}, "AutoModelForMaskedLM", {"vocabulary": words})


# How the name of a model's class ends -> what it answers.
READY: dict[str, Callable[[Mapping[str, Any]], Ready]] = {
    "ForSequenceClassification": _sequence,
    "ForTokenClassification": _tokens,
    "ForQuestionAnswering": _answers,
    "ForMaskedLM": _words,
}


def hugging_face_task(config: Mapping[str, Any]) -> Ready | None:
    """What the model with this config.json has learned; None for a bare encoder.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the config is damaged.
    """
    (name, *_) = config.get("architectures") or [""]
    for suffix, make in READY.items():
        if str(name).endswith(suffix):
            return make(config)
    return None


def _names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the columns, in their order. Two without names of their own are not written down."""
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return tuple(str(names[key]) for key in sorted(names, key=int))
