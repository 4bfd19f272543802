"""Text to ids: what stands between a string and a graph.

A featurizer turns texts into ragged id lists, one per graph input; `pad` makes a rectangular batch of them.
The C core reads the texts; what is here gives its ids their names and lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np

from edgebert_runtime import _core
from edgebert_runtime.errors import BundleError, resolve

LOWERCASE, STRIP_ACCENTS = 1, 2  # flags of the core's WordPiece

Text: TypeAlias = "str | tuple[str, str]"
Features: TypeAlias = dict[str, np.ndarray]
# One input's ids of many texts, one after the other: int32 [m], and where each text's begin, int64 [texts + 1].
Flat: TypeAlias = tuple[np.ndarray, np.ndarray]

FEATURIZERS: dict[str, str] = {
    "wordpiece": "edgebert_runtime.features:WordPiece",
    "ngram": "edgebert_runtime.ngrams:NgramFeaturizer",
    "words": "edgebert_runtime.words:WordsFeaturizer",
}


@dataclass(frozen=True)
class InputSpec:
    """One graph input: ids of shape [batch, per_length * length], each in [0, rows); 0 is the padding id."""

    name: str
    per_length: int
    rows: int


class Featurizer(Protocol):
    """Texts in, one `Features` a text out; described by `spec` and `files`, so that a bundle can hold it."""

    inputs: tuple[InputSpec, ...]
    max_length: int
    min_length: int
    pair: bool

    def spec(self) -> dict[str, Any]:
        """JSON for the manifest; `type` names the featurizer."""
        ...

    def files(self) -> dict[str, bytes]:
        """Bundle path to content."""
        ...

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """Int32 ids [n] per input name, truncated to `per_length * max_length`, without padding."""
        ...

    def spans(self, text: Text, cut: bool = True) -> np.ndarray:
        """Int32 [tokens, 4]: half, word, start and end of each token that `__call__` gives.

        The half is 0 or 1, the words are counted in each, and start and end are code points of it; [CLS] and [SEP],
        which stand for none, have (-1, -1, 0, 0). With `cut=False` also the tokens that do not fit `max_length`.
        A featurizer without tokens gives [0, 4]. Where words begin: `edgebert_runtime.units`.
        """
        ...


def length_of(features: Features, inputs: Sequence[InputSpec]) -> int:
    """The smallest `length` whose padded inputs hold these features (at least 1)."""
    return max(1, *(-(-len(features[spec.name]) // spec.per_length) for spec in inputs))


def pad(features: Sequence[Features], inputs: Sequence[InputSpec], length: int) -> dict[str, np.ndarray]:
    """Zero-padded int32 batch: input name to [batch, per_length * length].

    Raises:
        ValueError: a text does not fit `length`.
    """
    batch = {}
    for spec in inputs:
        ids = np.zeros((len(features), spec.per_length * length), dtype=np.int32)
        for row, item in enumerate(features):
            ids[row, : len(item[spec.name])] = item[spec.name]
        batch[spec.name] = ids
    return batch


def load_featurizer(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> Featurizer:
    """Build the featurizer that `spec` (from a manifest or a run folder) describes.

    Args:
        spec: what `Featurizer.spec` returned.
        read: gives the bytes of a path of `Featurizer.files`.
    Raises:
        BundleError: an unknown type, a missing or wrong field, a damaged table.
    """
    kind = spec.get("type")
    if not isinstance(kind, str) or kind not in FEATURIZERS:
        raise BundleError(f"featurizer type {kind!r} is unknown; known: {', '.join(FEATURIZERS)}")
    try:
        featurizer: Featurizer = resolve(FEATURIZERS[kind]).from_spec(spec, read)  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        detail = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise BundleError(f"the {kind} featurizer cannot be read: {detail}") from error
    return featurizer


def check_lengths(min_length: int, max_length: int, least: int = 1) -> None:
    """Refuse lengths that no featurizer can have.

    Raises:
        ValueError: not `1 <= min_length <= max_length <= 1,000,000`, or a maximum under `least`.
    """
    if not 1 <= min_length <= max_length <= 1_000_000 or max_length < least:
        raise ValueError(f"min_length {min_length} and max_length {max_length} are impossible (the least is {least})")


def all_str(texts: Sequence[object]) -> bool:
    """Whether each is a `str` and no subclass; in C, since the n-gram student answers in a microsecond."""
    return set(map(type, texts)) <= {str}


def split_pair(text: Text, pair: bool) -> tuple[str, str | None]:
    """(first, second) of a text, where second is None unless the model takes pairs.

    Raises:
        ValueError: a pair for a single-text model, or the reverse.
    """
    if pair != isinstance(text, tuple):
        raise ValueError(
            "this model takes pairs of texts: give (text_a, text_b)"
            if pair
            else "this model takes one text, not a pair"
        )
    return text if isinstance(text, tuple) else (text, None)


def split_texts(texts: Sequence[Text], pair: bool) -> tuple[Sequence[str], list[str] | None]:
    """The first texts and, of pairs, the second ones: `split_pair` of all.

    Raises:
        ValueError: a pair for a single-text model, or the reverse.
    """
    if not pair and all_str(texts):
        return texts, None  # type: ignore[return-value]
    halves = [split_pair(text, pair) for text in texts]
    return [half[0] for half in halves], [half[1] or "" for half in halves]


def split_flat(flat: Mapping[str, Flat], count: int) -> list[Features]:
    """The features of each of `count` texts, as views into the flat arrays."""
    features: list[Features] = [{} for _ in range(count)]
    for name, (ids, offsets) in flat.items():
        for item, (start, end) in zip(features, pairwise(offsets.tolist()), strict=True):
            item[name] = ids[start:end]
    return features


class WordPiece:
    """BERT's tokenizer: inputs `input_ids`, `attention_mask` and, for pair models, `token_type_ids`.

    Args:
        vocabulary: the lines of a vocab.txt; a token's id is its line number.
        lowercase: lower-case and strip accents (an "uncased" model).
        max_length: ids a text may take, [CLS] and [SEP] included; longer texts are truncated, the longer
            half of a pair first.
        min_length: the shortest input that the network takes.
    Raises:
        ValueError: a special token is missing, [PAD] is not the first entry, or a length makes no sense.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool,
        max_length: int,
        pair: bool = False,
        min_length: int = 1,
        strip_accents: bool | None = None,
    ) -> None:
        for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"):
            if token not in vocabulary:
                raise ValueError(f"the vocabulary has no {token} entry")
        if vocabulary[0] != "[PAD]":
            raise ValueError("the first vocabulary entry must be [PAD]")
        check_lengths(min_length, max_length, least=4)  # a token besides [CLS] and the two [SEP] of a pair
        self.vocabulary = list(vocabulary)
        self.lowercase, self.strip_accents, self.pair = lowercase, strip_accents, pair
        self.max_length, self.min_length = max_length, min_length
        rows = {"input_ids": len(vocabulary), "attention_mask": 2}
        if pair:
            rows["token_type_ids"] = 2
        self.inputs = tuple(InputSpec(name, 1, count) for name, count in rows.items())
        accents = lowercase if strip_accents is None else strip_accents
        flags = LOWERCASE * lowercase | STRIP_ACCENTS * accents
        self._ones = np.ones(max_length, np.int32)
        self._tokenizer = _core.WordPiece(self.files()["tokenizer/vocab.txt"], flags)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], read: Callable[[str], bytes]) -> WordPiece:
        """See `load_featurizer`."""
        lines = read(str(spec["vocab"])).decode("utf-8").split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return cls(
            lines,
            lowercase=bool(spec["lowercase"]),
            max_length=int(spec["max_length"]),
            pair=bool(spec["pair"]),
            min_length=int(spec["min_length"]),
            strip_accents=spec["strip_accents"],
        )

    def spec(self) -> dict[str, Any]:
        """See `Featurizer.spec`."""
        return {
            "type": "wordpiece",
            "vocab": "tokenizer/vocab.txt",
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "max_length": self.max_length,
            "min_length": self.min_length,
            "pair": self.pair,
        }

    def files(self) -> dict[str, bytes]:
        """See `Featurizer.files`."""
        return {"tokenizer/vocab.txt": ("\n".join(self.vocabulary) + "\n").encode("utf-8")}

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """See `Featurizer.__call__`."""
        return split_flat(self.flat(texts), len(texts))

    def flat(self, texts: Sequence[Text]) -> dict[str, Flat]:
        """See `Flat`; one for each input."""
        found = self._tokenizer.ids(*split_texts(texts, self.pair), self.max_length)
        ids, offsets = np.frombuffer(found[0], np.int32), np.frombuffer(found[2], np.int64)
        flat = {"input_ids": (ids, offsets), "attention_mask": (self._ones_like(ids), offsets)}
        if self.pair:
            flat["token_type_ids"] = (np.frombuffer(found[1], np.int32), offsets)
        return flat

    def spans(self, text: Text, cut: bool = True) -> np.ndarray:
        """See `Featurizer.spans`."""
        first, second = split_pair(text, self.pair)
        halves = [first] if second is None else [first, second]
        found = [np.frombuffer(self._tokenizer.tokens(half), np.int32).reshape(-1, 4) for half in halves]
        room = self.max_length - 1 - len(found)
        if cut and sum(map(len, found)) > room:
            kept = self._kept(first, second) if second is not None else (room,)
            found = [tokens[:count] for tokens, count in zip(found, kept, strict=True)]
        spans = np.zeros((sum(map(len, found)) + 1 + len(found), 4), np.int32)
        spans[:, :2] = -1
        at = 1
        for half, tokens in enumerate(found):
            spans[at : at + len(tokens), 0] = half
            spans[at : at + len(tokens), 1:] = tokens[:, 1:]
            at += len(tokens) + 1
        return spans

    def _kept(self, first: str, second: str) -> tuple[int, int]:
        """How many tokens of each half of a pair `__call__` keeps, which the core alone decides."""
        types = np.frombuffer(self._tokenizer.ids([first], [second], self.max_length)[1], np.int32)
        behind = int(np.count_nonzero(types))
        return len(types) - behind - 2, behind - 1

    def _ones_like(self, ids: np.ndarray) -> np.ndarray:
        """A view of a stored array while that is long enough: for one short text, making one takes longest of all."""
        return self._ones[: len(ids)] if len(ids) <= len(self._ones) else np.ones_like(ids)
