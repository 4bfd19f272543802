"""What the n-gram student is compared with: fastText, model2vec, and TF-IDF with logistic regression.

    pip install fasttext==0.9.3 model2vec==0.10.0 skeletoken==0.6.1    (scikit-learn comes with edgebert[dev])

Each is trained on the labelled texts alone and chooses its one setting on dev.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Words with inner apostrophes and single punctuation marks: what every arm reads, so that none is short of a "!".
TOKEN = r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]"
FASTTEXT_SETTINGS = ({"epoch": 5, "lr": 0.5}, {"epoch": 10, "lr": 0.5}, {"epoch": 25, "lr": 0.3})
STRENGTHS = (1.0, 4.0, 16.0)


@dataclass(frozen=True)
class Split:
    """Texts and labels."""

    texts: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class Peer:
    """A trained classifier: a batch of prepared texts in, labels out. `size` in bytes of what it needs to run."""

    name: str
    predict: Callable[[Sequence[str]], list[str]]
    size: int
    setting: str
    prepare: Callable[[str], str] = str

    def accuracy(self, split: Split) -> float:
        """Share of right labels."""
        found = self.predict([self.prepare(text) for text in split.texts])
        return float(np.mean([a == b for a, b in zip(found, split.labels, strict=True)]))


def fasttext(train: Split, dev: Split, orders: int = 3) -> Peer:
    """fastText: word n-grams up to `orders`, characters 3 to 5, 100 wide."""
    import fasttext as library

    library.FastText.eprint = lambda *_: None
    labels = sorted(set(train.labels))
    codes = {f"__label__{index}": label for index, label in enumerate(labels)}
    code = {label: name for name, label in codes.items()}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "train.txt"
        lines = [f"{code[label]} {spaced(text)}" for text, label in zip(train.texts, train.labels, strict=True)]
        source.write_text("\n".join(lines) + "\n", "utf-8")

        def trained(setting: dict[str, Any]) -> Peer:
            model = library.train_supervised(
                str(source), wordNgrams=orders, minn=3, maxn=5, dim=100, bucket=500_000, thread=1, verbose=0, **setting
            )
            target = Path(folder) / "model.bin"
            model.save_model(str(target))

            def predict(texts: Sequence[str]) -> list[str]:
                # Its own predict() fails with numpy 2; this is what it calls.
                return [codes[model.f.predict(text, 1, 0.0, "strict")[0][1]] for text in texts]

            # Tokens with spaces between are what it reads; a real caller pays for them, here its time does without.
            return Peer("fastText", predict, target.stat().st_size, str(setting), lambda text: f"{spaced(text)}\n")

        return max((trained(setting) for setting in FASTTEXT_SETTINGS), key=lambda peer: peer.accuracy(dev))


def spaced(text: str) -> str:
    """Lower-cased tokens with a space between."""
    return " ".join(re.findall(TOKEN, text.lower()))


def tfidf(train: Split, dev: Split) -> Peer:
    """TF-IDF of word 1- and 2-grams, and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(token_pattern=TOKEN, ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    features = vectorizer.fit_transform(train.texts)

    def trained(strength: float) -> Peer:
        model = LogisticRegression(C=strength, max_iter=1000).fit(features, list(train.labels))
        size = model.coef_.nbytes + sum(len(word) + 8 for word in vectorizer.vocabulary_)
        return Peer(
            "TF-IDF + LR", lambda texts: list(model.predict(vectorizer.transform(texts))), size, f"C={strength}"
        )

    return max((trained(strength) for strength in STRENGTHS), key=lambda peer: peer.accuracy(dev))


def model2vec(train: Split, dev: Split, teacher: Path) -> Peer:
    """model2vec: static vectors distilled out of the teacher's encoder, and logistic regression on their mean."""
    from model2vec.distill import distill_from_model
    from sklearn.linear_model import LogisticRegression

    from edgebert.models.teacher import load_tokenizer
    from edgebert.run import load_run

    encoder: Any = load_run(teacher).module.encoder
    static = distill_from_model(encoder, load_tokenizer(str(teacher / "encoder")), pca_dims=256)
    features = static.encode(list(train.texts))

    def trained(strength: float) -> Peer:
        model = LogisticRegression(C=strength, max_iter=2000).fit(features, list(train.labels))
        return Peer(
            "model2vec + LR",
            lambda texts: list(model.predict(static.encode(list(texts)))),
            static.embedding.nbytes,
            f"C={strength}",
        )

    return max((trained(strength) for strength in STRENGTHS), key=lambda peer: peer.accuracy(dev))
