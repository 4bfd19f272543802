"""What an utterance wants, and the words that say with what: an intent and the slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edgebert_runtime.decode import Asked, Decoder, check_confidence, classification, need_labels, temperature_of
from edgebert_runtime.decode.classification import Prediction
from edgebert_runtime.decode.token_classification import Tagging, tag, tag_margins
from edgebert_runtime.outputs import Outputs


class Understanding(NamedTuple):
    """The answer to one text. Whether the model is sure of it is whether it is sure of the intent."""

    intent: Prediction
    slots: Tagging

    @property
    def sure(self) -> bool:
        """Whether the intent's probability reaches the threshold that was asked for."""
        return self.intent.sure

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return {"intent": self.intent.to_json(), "slots": self.slots.to_json()}

    def summary(self) -> str:
        """The intent, its probability and the slots, with tabs between."""
        return f"{self.intent.summary()}\t{self.slots.summary()}"


def decode(outputs: Outputs, asked: Asked) -> list[Understanding]:
    """The intent and the slots of each text."""
    intents = classification.decode(*_intent(outputs, asked))
    slots = tag(outputs["slots"], asked, "slots", asked.settings.get("threshold") or 0.0)
    return [Understanding(*answer) for answer in zip(intents, slots, strict=True)]


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """The lesser of the intent's margin and the slots'."""
    slots = tag_margins(outputs["slots"], asked, "slots").tolist()
    intents = classification.margins(*_intent(outputs, asked))
    return [min(*pair) for pair in zip(slots, intents, strict=True)]


def _intent(outputs: Outputs, asked: Asked) -> tuple[Outputs, Asked]:
    """The intent as the one output of a classification."""
    settings = {**asked.settings, "temperature": {"logits": temperature_of(asked.settings, "intent")}}
    alone = asked._replace(labels={"logits": asked.labels["intent"]}, settings=settings)
    return {"logits": outputs["intent"]}, alone


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder.check`."""
    need_labels(labels, "intent", "slots")
    check_confidence(settings, "intent", "slots")


DECODER = Decoder({"intent": False, "slots": True}, decode, margins, takes_threshold=True, check=check)
