"""Which tokens of a text are hidden: in ids for training, in the text itself for evaluation.

BERT's way (Devlin et al. 2019, arXiv 1810.04805, section 3.1): 15 % of the tokens are to be guessed; of these 80 % are
[MASK] for the network, 10 % another word, and 10 % stay as they are.
"""

from __future__ import annotations

import hashlib

import numpy as np

from edgebert_runtime.decode.masked_lm import MASK
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Features, Featurizer, WordPiece

SHARE = 0.15
AS_MASK, AS_OTHER = 0.8, 0.1
SEED = 0  # of what is hidden in evaluation

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", MASK)


def word_pieces(featurizer: Featurizer) -> WordPiece:
    """The featurizer, if it can hide words.

    Raises:
        UsageError: it cannot.
    """
    if not isinstance(featurizer, WordPiece) or MASK not in featurizer.vocabulary:
        raise UsageError(f"this tokenizer has no {MASK} token, which masked-lm needs; take another encoder.")
    return featurizer


class Masking:
    """Hides tokens of one vocabulary.

    Args:
        whole_words: all pieces of a word or none of them.
    """

    def __init__(self, vocabulary: list[str], whole_words: bool) -> None:
        self.mask, self.whole_words = vocabulary.index(MASK), whole_words
        self.ordinary = np.asarray([word not in _SPECIAL for word in vocabulary])
        self.begins = np.asarray([not word.startswith("##") for word in vocabulary])
        self.others = np.flatnonzero(self.ordinary)

    def hide(self, features: Features, random: np.random.Generator) -> tuple[Features, np.ndarray]:
        """The features with some tokens hidden, and what stood there: int64 [tokens], -1 elsewhere."""
        ids = features["input_ids"]
        tokens = np.flatnonzero(self.ordinary[ids])
        words = np.cumsum(self.begins[ids])[tokens] if self.whole_words else tokens
        tokens = tokens[chosen(words, random)]
        gold = np.full(len(ids), -1, np.int64)
        gold[tokens] = ids[tokens]
        fate = random.random(len(tokens))
        hidden = ids.copy()
        hidden[tokens[fate < AS_MASK]] = self.mask
        other = tokens[fate >= 1 - AS_OTHER]
        hidden[other] = random.choice(self.others, len(other))
        return {**features, "input_ids": hidden}, gold

    def hide_words(self, text: str, featurizer: Featurizer) -> str:
        """The text with [MASK] in place of some of its words, one for each piece; always the same ones of a text.

        Whole words, since only these can be written so. What lies behind the featurizer's length is left out. A text
        without a word that can be hidden stays as it is.
        """
        seed = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
        random = np.random.default_rng((SEED, int.from_bytes(seed)))
        spans, ids = featurizer.spans(text), featurizer([text])[0]["input_ids"]
        tokens = np.flatnonzero(self.ordinary[ids])
        tokens = tokens[chosen(spans[tokens, 1], random)]
        parts, at = [], 0
        for pieces in np.split(tokens, np.flatnonzero(np.diff(spans[tokens, 1])) + 1):
            if len(pieces):
                parts += [text[at : spans[pieces[0], 2]], MASK * len(pieces)]
                at = int(spans[pieces, 3].max())
        end = int(spans[:, 3].max()) if len(spans) == featurizer.max_length else len(text)
        hidden = "".join((*parts, text[at:end]))
        wanted = ids.copy()
        wanted[tokens] = self.mask
        # Not so where a word shares a character with another one: a sign that is taken apart.
        return hidden if np.array_equal(featurizer([hidden])[0]["input_ids"], wanted) else text


def chosen(words: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Bool [n]: about 15 % of n tokens, at least one; `words` numbers from 0 the word of each, which stays whole."""
    if not len(words):
        return np.zeros(0, bool)
    draws = random.random(int(words.max()) + 1)[words]
    count = max(1, round(SHARE * len(words)))
    return np.asarray(draws <= np.partition(draws, count - 1)[count - 1])
