"""EdgeModel: text in, answer out. `EdgeModel.load(path).predict(texts)` is all that most programs need."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from edgebert_runtime.bundle import PART, Bundle, Manifest, open_bundle
from edgebert_runtime.decode import DECODERS, Asked, ask, check_threshold, get_decoder, temperature_of
from edgebert_runtime.engines import ENGINES, REFUSED_TFLITE, Engine, TextEngine, load_engine
from edgebert_runtime.errors import BundleError, DataError, EdgeBertError, UsageError, choose
from edgebert_runtime.features import Features, Featurizer, Text, all_str, load_featurizer, split_texts
from edgebert_runtime.golden import compare, vector
from edgebert_runtime.inference import infer
from edgebert_runtime.outputs import Outputs, outputs_of

TOLERANCE = 1e-4
TINY = 1e-30  # in place of a probability of 0
EMBEDDING = "embedding"


@dataclass(frozen=True)
class SelfTest:
    """What replaying the golden vectors found. `failures` says, a sentence each, what differed."""

    passed: bool
    checked: int
    max_difference: float
    failures: tuple[str, ...] = ()


class EdgeModel:
    """A bundle ready to answer. Safe from several threads; `close` it, or use it in a `with` block."""

    def __init__(self, bundle: Bundle, featurizer: Featurizer, engine: Engine, first: EdgeModel | None = None) -> None:
        """Use `EdgeModel.load`. The model owns all of these and closes them.

        Args:
            first: of a cascade: the model that is asked before this one.
        """
        manifest = bundle.manifest
        self._bundle = bundle
        self._featurizer = featurizer
        self._engine = engine
        self._first = first
        self._reader: TextEngine | None = engine if isinstance(engine, TextEngine) else None
        self._reads_text = first is not None or self._reader is not None
        self._decoder = get_decoder(manifest.task)
        # Made once: an n-gram student answers in a microsecond.
        self._check_text = self._decoder.check_text
        self._graph = manifest.graph
        self._name = self._graph.outputs[0].name
        self._single = len(self._graph.outputs) == 1 and not self._graph.outputs[0].per_token
        self._labels = {spec.name: spec.labels for spec in self._graph.outputs if spec.labels}
        self._settings = manifest.settings
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
            return cls._from_bundle(bundle, engine, threads)
        except BundleError as error:
            bundle.close()
            raise BundleError(f"{bundle.path}: {str(error).removeprefix(f'{bundle.path}: ')}") from error
        except BaseException:
            bundle.close()
            raise

    @classmethod
    def _from_bundle(cls, bundle: Bundle, engine: str, threads: int) -> Self:
        manifest = bundle.manifest
        name = _engine_name(engine, manifest)
        if manifest.task not in DECODERS:
            raise BundleError(f"its task {manifest.task!r} is unknown to this EdgeBERT; upgrade EdgeBERT")
        _check_minimum(manifest)
        first = None if manifest.cascade is None else cls._from_bundle(bundle.part(), "auto", threads)
        return cls(bundle, _load_featurizer(bundle), _load_engine(name, bundle, threads), first)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self._bundle.manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the first output that has some, in the order of its columns; () where none has."""
        return self.manifest.labels

    @property
    def bundle(self) -> Bundle:
        """The open bundle."""
        return self._bundle

    def predict(self, texts: Text | Sequence[Text], batch_size: int = 32, threshold: float | None = None) -> list[Any]:
        """One answer a text, in order, as the bundle's task gives it: a `Prediction` for classification.

        Args:
            texts: a single text (or a pair, as a tuple) gives a list of one.
            threshold: the probability below which the model is not sure; None takes the bundle's.

        Raises:
            DataError: something that is not a text, a pair where the model takes one text (or the reverse), or a text
                that the task cannot answer.
            UsageError: a batch size below 1, or a threshold that is no probability or that the task has no use for.
            EdgeBertError: the model is closed.
        """
        asked = self.ask(texts)
        if self._check_text is not None:
            for number, text in enumerate(asked.texts, start=1):
                self._check_text(text, number)
        if threshold is not None:
            check_threshold(self.manifest.task, threshold)
            asked = asked._replace(settings={**self._settings, "threshold": float(threshold)})
        features = () if self._reads_text else self.featurize(asked)
        return self._decoder.decode(self.infer(asked, features, batch_size), asked)

    def outputs(self, texts: Text | Sequence[Text], batch_size: int = 32) -> Outputs:
        """What the graph answers: by name, float32 [n, width], or n arrays [tokens, width]; raises as `predict`.

        n is the number of texts, or of the pieces that the task reads of them. See `infer` for what `batch_size` can
        change.
        """
        asked = self.ask(texts)
        return self.infer(asked, () if self._reads_text else self.featurize(asked), batch_size)

    def logits(self, texts: Text | Sequence[Text], batch_size: int = 32) -> np.ndarray:
        """The one output of a model that has one with a row a text, float32 [texts, width]; raises as `predict`.

        Raises:
            UsageError: the model has more outputs, or one with a row for each token: call `outputs`.
        """
        if not self._single:
            raise UsageError(f"a {self.manifest.task} model has more than one row of logits a text: call `outputs`")
        rows = self.outputs(texts, batch_size)[self._name]
        assert isinstance(rows, np.ndarray)
        return rows

    def embed(self, texts: Text | Sequence[Text]) -> np.ndarray:
        """The vector of each text, float32 [texts, width], of length 1; raises as `predict`.

        Raises:
            UsageError: the model is of another task.
        """
        if self.manifest.task != EMBEDDING:
            raise UsageError(f"this model does {self.manifest.task}, not {EMBEDDING}: call `predict`")
        vectors = [answer.vector for answer in self.predict(texts)]
        return np.stack(vectors) if vectors else np.zeros((0, self._graph.outputs[0].width), np.float32)

    @property
    def reads_text(self) -> bool:
        """Whether text becomes outputs in one pass, so that `infer` needs no features."""
        return self._reads_text

    def ask(self, texts: Text | Sequence[Text]) -> Asked:
        """First stage of `predict`: the texts, cut into the pieces that the network reads where the task has such."""
        if self._closed:
            raise EdgeBertError(f"the model {self._bundle.path} is closed; load it again")
        wanted = _as_list(texts)
        if self._decoder.cut is None:
            return Asked(wanted, None, self._featurizer, self._labels, self._settings)
        try:
            split_texts(wanted, self._featurizer.pair)  # refuses what the task would cut wrongly
            return ask(self._decoder, wanted, self._featurizer, self._labels, self._settings)
        except ValueError as error:
            raise DataError(str(error)) from error

    def featurize(self, asked: Asked) -> list[Features]:
        """Second stage: the ids of each piece; raises as `predict`."""
        try:
            return self._featurizer(asked.read)
        except ValueError as error:
            raise DataError(str(error)) from error

    def infer(self, asked: Asked, features: Sequence[Features], batch_size: int = 32) -> Outputs:
        """Third stage: ids to outputs. Ids are checked before the engine sees them.

        Args:
            features: of each piece; not looked at by a model that reads text (`reads_text`), and may then be empty.
        """
        if type(batch_size) is not int or batch_size < 1:
            _refuse_batch_size(batch_size)
        if self._first is not None:
            return {self._name: self._ask_both(self._first, asked, features, batch_size)}
        if self._reader is None:
            return infer(self._engine, features, self._graph, batch_size)
        try:
            return {self._name: self._reader.read(asked.texts if asked.pieces is None else asked.read)}
        except ValueError as error:
            raise DataError(str(error)) from error

    def _ask_both(self, first: EdgeModel, asked: Asked, features: Sequence[Features], batch_size: int) -> np.ndarray:
        """Logits of a cascade: where the first model is sure its own, as if they were this one's."""
        assert self.manifest.cascade is not None
        threshold, labels = self.manifest.cascade["threshold"], self.labels
        answers = first.predict(list(asked.texts), batch_size)
        chances = np.array([[answer.probabilities[label] for label in labels] for answer in answers], np.float64)
        logits = np.log(np.maximum(chances, TINY)) * temperature_of(self._settings, self._name)
        again = [place for place, answer in enumerate(answers) if answer.probability < threshold]
        if again:
            part = asked._replace(texts=[asked.texts[place] for place in again])
            if self._reader is not None:
                rows = self._reader.read(part.texts)
            else:
                ids = [features[place] for place in again] if features else self.featurize(part)
                rows = infer(self._engine, ids, self._graph, batch_size)[self._name]  # type: ignore[assignment]
            logits[again] = rows
        return logits.reshape(len(answers), len(labels)).astype(np.float32)

    def decode(self, asked: Asked, outputs: Outputs) -> list[Any]:
        """Fourth stage: outputs to one answer a text."""
        return self._decoder.decode(outputs, asked)

    def self_test(self, tolerance: float = TOLERANCE) -> SelfTest:
        """Replay the bundle's golden vectors on this machine, one text at a time, as they were recorded.

        Ids must be equal, and the outputs and the answer as close as `edgebert_runtime.golden.compare` says. The
        default is for the engine and processor family that recorded them; another processor may round int8
        activations differently, for which 0.05 is a sensible tolerance.
        """
        failures: list[str] = []
        largest = 0.0
        golden = self._bundle.golden()
        for number, known in enumerate(golden, start=1):
            asked = self.ask([known["text"]])
            features = self.featurize(asked)
            outputs = self.infer(asked, features, batch_size=1)
            items = [(item, outputs_of(outputs, index)) for index, item in enumerate(features)]
            difference, wrong = compare(known, items, self.decode(asked, outputs)[0], tolerance, asked.settings)
            largest = max(largest, difference)
            failures += [f"vector {number}: {sentence}" for sentence in wrong]
        if self._first is not None:
            inner = self._first.self_test(tolerance)
            failures += [f"{PART}/: {sentence}" for sentence in inner.failures]
            largest = max(largest, inner.max_difference)
        return SelfTest(not failures, len(golden), largest, tuple(failures))

    def record(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Test vectors of these texts (see `edgebert_runtime.golden`), each text asked for itself."""
        found = []
        for text in texts:
            asked = self.ask([text])
            features = self.featurize(asked)
            outputs = self.infer(asked, features, batch_size=1)
            items = [(item, outputs_of(outputs, index)) for index, item in enumerate(features)]
            (answer,), (margin,) = self.decode(asked, outputs), self._decoder.margins(outputs, asked)
            found.append(vector(text, items, answer, margin, self._graph.inputs))
        return found

    def close(self) -> None:
        """Free the graph and close the file. Closing twice is fine; what other threads are running may finish."""
        self._closed = True
        if self._first is not None:
            self._first.close()
        self._engine.close()
        self._bundle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


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
        return load_engine(name, bundle.read(bundle.model_name), manifest.graph, threads)
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


def _refuse_batch_size(batch_size: object) -> NoReturn:
    raise UsageError(f"batch_size must be a whole number from 1, not {batch_size!r}")
