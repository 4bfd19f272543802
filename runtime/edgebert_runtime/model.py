"""EdgeModel: text in, prediction out. `EdgeModel.load(path).predict(texts)` is all that most programs need."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from edgebert_runtime.bundle import Bundle, Manifest, open_bundle
from edgebert_runtime.decode import DECODERS, Prediction
from edgebert_runtime.engines import ENGINES, REFUSED_TFLITE, Engine, TextEngine, load_engine
from edgebert_runtime.errors import BundleError, DataError, EdgeBertError, UsageError, choose
from edgebert_runtime.features import Features, Featurizer, Text, all_str, load_featurizer
from edgebert_runtime.inference import infer

TOLERANCE = 1e-4


@dataclass(frozen=True)
class SelfTest:
    """What replaying the golden vectors found. `failures` says, a sentence each, what differed."""

    passed: bool
    checked: int
    max_difference: float
    failures: tuple[str, ...] = ()


class EdgeModel:
    """A bundle ready to answer. Safe from several threads; `close` it, or use it in a `with` block."""

    def __init__(self, bundle: Bundle, featurizer: Featurizer, engine: Engine) -> None:
        """Use `EdgeModel.load`. The model owns all three and closes them."""
        self._bundle = bundle
        self._featurizer = featurizer
        self._engine = engine
        self._shapes = bundle.manifest.shapes.to_json()
        self._reader: TextEngine | None = engine if isinstance(engine, TextEngine) else None
        self._closed = False

    @classmethod
    def load(
        cls, path: str | Path, engine: str = "auto", threads: int = 1, public_key: str | Path | None = None
    ) -> Self:
        """Open and verify a bundle and load its graph.

        Args:
            engine: "auto" takes the one for the bundle's format.
            threads: used inside one run (for ExecuTorch by the whole process).
            public_key: see `open_bundle`.

        Raises:
            BundleError: missing, damaged, unsafe, wrongly signed, or made for another runtime.
            UsageError: an engine that does not run this bundle, a wrong number of threads, no usable key.
            MissingExtraError: the engine is not installed; the message holds the command.
        """
        bundle = open_bundle(path, public_key)
        try:
            manifest = bundle.manifest
            name = _engine_name(engine, manifest)
            if manifest.task not in DECODERS:
                raise BundleError(f"its task {manifest.task!r} is unknown to this EdgeBERT; upgrade EdgeBERT")
            _check_minimum(manifest)
            featurizer = _load_featurizer(bundle)
            loaded = _load_engine(name, bundle, threads)
        except BundleError as error:
            bundle.close()
            raise BundleError(f"{bundle.path}: {str(error).removeprefix(f'{bundle.path}: ')}") from error
        except BaseException:
            bundle.close()
            raise
        return cls(bundle, featurizer, loaded)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self._bundle.manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return self.manifest.labels

    @property
    def bundle(self) -> Bundle:
        """The open bundle."""
        return self._bundle

    def predict(self, texts: Text | Sequence[Text], batch_size: int = 32) -> list[Prediction]:
        """One prediction a text, in order. A single text (or a pair, as a tuple) gives a list of one.

        Raises:
            DataError: something that is not a text, or a pair where the model takes one text (or the reverse).
            UsageError: a batch size below 1.
            EdgeBertError: the model is closed.
        """
        return self.decode(self.logits(texts, batch_size))

    def logits(self, texts: Text | Sequence[Text], batch_size: int = 32) -> np.ndarray:
        """Logits, float32 [texts, labels]; raises as `predict`. See `infer` for what `batch_size` can change."""
        if self._reader is None:
            return self.infer(self.featurize(texts), batch_size)
        self._check_open()
        _check_batch_size(batch_size)
        try:
            return self._checked(self._reader.read(_as_list(texts)))
        except ValueError as error:
            raise DataError(str(error)) from error

    @property
    def reads_text(self) -> bool:
        """Whether text becomes logits in one pass, so that `infer` has nothing to do."""
        return self._reader is not None

    def featurize(self, texts: Text | Sequence[Text]) -> list[Features]:
        """First stage of `predict`: texts to ids; raises as `predict`."""
        self._check_open()
        wanted = _as_list(texts)
        try:
            return self._featurizer(wanted)
        except ValueError as error:
            raise DataError(str(error)) from error

    def infer(self, features: Sequence[Features], batch_size: int = 32) -> np.ndarray:
        """Second stage: ids to logits, float32 [texts, labels]. Ids are checked before the engine sees them."""
        self._check_open()
        _check_batch_size(batch_size)
        if self._reader is not None:
            raise UsageError(
                f"a {self.manifest.format} bundle reads text in one pass: call `logits` instead of `infer`"
            )
        if not features:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return self._checked(infer(self._engine, features, self._featurizer.inputs, self._shapes, batch_size))

    def decode(self, logits: np.ndarray) -> list[Prediction]:
        """Third stage: logits [texts, labels] to predictions."""
        return DECODERS[self.manifest.task](logits, self.labels)

    def self_test(self, tolerance: float = TOLERANCE) -> SelfTest:
        """Replay the bundle's golden vectors on this machine, one text at a time, as they were recorded.

        Ids must be equal. Logits may differ by `tolerance` times the scale (the largest golden logit, at least 1).
        The default is for the engine and processor family that recorded them; another processor may round int8
        activations differently, for which 0.05 is a sensible tolerance. Labels must be equal, unless the two best
        golden logits lie closer together than twice that difference (a tie).
        """
        failures: list[str] = []
        largest = 0.0
        golden = self._bundle.golden()
        for number, vector in enumerate(golden, start=1):
            features = self.featurize([vector["text"]])
            for name, ids in vector["ids"].items():
                if features[0][name].tolist() != ids:
                    failures.append(f"vector {number}: other ids for {name!r}")
            logits = self.logits([vector["text"]], batch_size=1)
            expected = np.asarray(vector["logits"], dtype=np.float64)
            difference = float(np.abs(logits[0] - expected).max())
            largest = max(largest, difference)
            allowed = tolerance * max(1.0, float(np.abs(expected).max()))
            if difference > allowed:
                failures.append(f"vector {number}: logits differ by {difference:.3g}, allowed {allowed:.3g}")
            label = self.decode(logits)[0].label
            if label != vector["label"] and not _tie(expected, 2 * allowed):
                failures.append(f"vector {number}: the label is {label!r}, not {vector['label']!r}")
        return SelfTest(not failures, len(golden), largest, tuple(failures))

    def close(self) -> None:
        """Free the graph and close the file. Closing twice is fine; what other threads are running may finish."""
        self._closed = True
        self._engine.close()
        self._bundle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _checked(self, logits: np.ndarray) -> np.ndarray:
        """These logits, if there is one for each label."""
        if logits.shape[1] != len(self.labels):
            raise BundleError(
                f"{self._bundle.path}: the graph gives {logits.shape[1]} logits for {len(self.labels)} labels"
            )
        return logits

    def _check_open(self) -> None:
        if self._closed:
            raise EdgeBertError(f"the model {self._bundle.path} is closed; load it again")


def _engine_name(engine: str, manifest: Manifest) -> str:
    """The engine that runs this bundle."""
    if engine.replace("_", "-") == "tflite-runtime":
        raise UsageError(REFUSED_TFLITE)
    if engine != "auto":
        choose("engine", engine, ["auto", *ENGINES])
        if engine != manifest.format:
            raise UsageError(
                f"the {engine} engine cannot run a bundle of format {manifest.format}; leave the engine at 'auto'"
            )
    if manifest.format not in ENGINES:
        raise BundleError(f"its format {manifest.format!r} is unknown to this EdgeBERT; upgrade EdgeBERT")
    return manifest.format


def _load_engine(name: str, bundle: Bundle, threads: int) -> Engine:
    manifest = bundle.manifest
    try:
        return load_engine(
            name, bundle.read(bundle.model_name), manifest.input_specs, manifest.shapes.to_json(), threads
        )
    except BundleError as error:
        package = manifest.requires.get("package")
        made_with, installed = manifest.requires.get("made_with", {}).get(package), _installed(package)
        if made_with is None or installed in (None, made_with):
            raise
        raise BundleError(f"{error} (made with {package} {made_with}, installed is {installed})") from error


def _check_minimum(manifest: Manifest) -> None:
    """A graph made for a newer engine fails with hex codes; say it in words before that."""
    package, minimum = manifest.requires.get("package"), manifest.requires.get("minimum")
    installed = _installed(package)
    if minimum is not None and installed is not None and _version(installed) < _version(minimum):
        raise BundleError(
            f"it needs {package} {minimum} or newer, installed is {installed}; "
            f"upgrade with: pip install --upgrade {package}"
        )


def _installed(package: str | None) -> str | None:
    try:
        return importlib.metadata.version(package) if package else None
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in re.findall(r"\d+", text)[:3])


def _load_featurizer(bundle: Bundle) -> Featurizer:
    """The featurizer, which must be about the same ids as the graph."""
    manifest = bundle.manifest
    try:
        featurizer = load_featurizer(manifest.featurizer, bundle.read)
    except EdgeBertError:
        raise
    except Exception as error:  # whatever a spec from outside can provoke in a tokenizer library
        raise BundleError(f"the featurizer cannot be read: {error}") from error
    described = [(spec.name, spec.per_length, spec.rows) for spec in manifest.input_specs]
    made = [(spec.name, spec.per_length, spec.rows) for spec in featurizer.inputs]
    if described != made:
        raise BundleError(f"the featurizer makes the inputs {made}, but the graph takes {described}")
    if featurizer.max_length != manifest.max_length:
        raise BundleError(
            f"the featurizer cuts texts at {featurizer.max_length}, but the graph takes {manifest.max_length}"
        )
    return featurizer


def _as_list(texts: Any) -> list[Text]:
    """A list of texts or pairs, every one checked.

    Raises:
        DataError: naming the first that is neither.
    """
    if isinstance(texts, list) and all_str(texts):
        return list(texts)
    if isinstance(texts, tuple) and not _is_pair(texts):
        raise DataError("a tuple is one pair of texts; give several texts as a list")
    if isinstance(texts, (str, tuple)):
        texts = [texts]
    if isinstance(texts, (bytes, dict)) or not hasattr(texts, "__iter__"):
        raise DataError(f"give a text, a pair of texts, or a list of them, not {type(texts).__name__}")
    found = list(texts)
    for number, text in enumerate(found, start=1):
        if not isinstance(text, str) and not _is_pair(text):
            raise DataError(f"text {number} must be a text or a pair of texts, not {type(text).__name__}")
    return found


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(half, str) for half in value)


def _check_batch_size(batch_size: object) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError(f"batch_size must be a whole number from 1, not {batch_size!r}")


def _tie(logits: np.ndarray, difference: float) -> bool:
    """Whether the two largest logits are closer together than `difference`."""
    best = np.sort(logits)[::-1]
    return len(best) > 1 and float(best[0] - best[1]) <= difference
