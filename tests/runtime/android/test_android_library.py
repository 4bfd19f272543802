"""The Android library for real: its JVM tests, and its answers beside Python's on whole test sets and on 64-bit Arm."""

from __future__ import annotations

import gzip
import json
import re
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).resolve().parents[2] / "matrix"))

import reference_model
import runtime_graphs as graphs
from android_library import ANDROID, BUILD, ROOT, ask, make, need, reports
from cells import read_jvm, write_jvm

from edgebert_runtime.features import WordPiece
from edgebert_runtime.manifest import Manifest
from edgebert_runtime.model import EdgeModel
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table, ngram_hashes
from edgebert_runtime.profile import Profile

PACKED = ("core", "library", "engines/onnxruntime", "engines/tflite", "engines/executorch")
DATASETS = {"sst2": 1821, "trec6": 500}  # texts of the test set


@pytest.fixture(scope="module")
def tested() -> None:
    """The library, built and tested by `make test`."""
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    make("test")


def test_the_jvm_tests(tested: None) -> None:
    """Maven fails on a failing test; what is counted here is that none was left out."""
    suites = reports()
    ran = sum(int(suite.get("tests", 0)) for suite in suites)
    bad = sum(int(suite.get(kind, 0)) for suite in suites for kind in ("failures", "errors", "skipped"))
    assert len(suites) >= 9 and ran >= 44 and bad == 0


def test_the_matrix_in_the_jvm(tested: None, request: pytest.FixtureRequest) -> None:
    """MatrixTest has replayed the cells; by its engine or decoded alone, as `edgebert formats` says."""
    written = ANDROID / "engines" / "onnxruntime" / "target" / "matrix.json"
    replayed: dict[str, str] = json.loads(written.read_text("utf-8"))
    if request.config.getoption("--write-proved"):
        write_jvm(replayed)
    listed = {str(cell): jvm for cell, jvm in read_jvm().items()}
    assert "" not in listed.values() and replayed.items() <= listed.items(), "run make matrix and commit proved.json"


def texts_of(shared_data: Path, name: str) -> list[str]:
    with gzip.open(shared_data / name / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def ngram_bundle(folder: Path, texts: list[str]) -> Path:
    """A native student that knows most n-grams of these texts. Its weights are random, so the labels are mixed."""
    channels = (Channel("word_ids", "word", (1, 1), 20000, 32), Channel("char_ids", "char", (3, 4), 60000, 64))
    kept = [np.unique(ngram_hashes(channel, texts, 64)[0])[::2] for channel in channels]
    featurizer = NgramFeaturizer(channels, build_table(channels, kept, 64), 64)
    sizes = reference_model.Sizes(3, 32, (32, 64), 0, 8, fold=1)
    content = reference_model.write(sizes, reference_model.random_sections(sizes, featurizer.table, seed=9))
    known = reference_model.Model(content)
    golden = [graphs.golden_vector(featurizer, text, known.logits(text, None)) for text in texts[:20]]
    made: Manifest = graphs.manifest("native", featurizer, graphs.Shapes(None, None, 1, 64), "int8")
    made = replace(
        made,
        max_length=64,
        featurizer={**featurizer.spec(), "table": "model.ebnn"},
    )
    return graphs.bundled(folder, made, {"model.ebnn": content}, golden)


def wordpiece_bundle(folder: Path, shared_data: Path, texts: list[str]) -> Path:
    """An ONNX graph over BERT's own vocabulary."""
    lines = (shared_data / "vocab" / "bert-base-uncased-vocab.txt").read_text("utf-8").splitlines()
    return graphs.write_bundle(folder, "onnx", WordPiece(lines, True, graphs.MAX_LENGTH), texts=texts[:20])


@pytest.mark.parametrize("engine", ["native", "onnx"])
@pytest.mark.parametrize("name", DATASETS)
def test_labels_of_a_whole_test_set(tested: None, shared_data: Path, tmp_path: Path, name: str, engine: str) -> None:
    texts = texts_of(shared_data, name)
    assert len(texts) == DATASETS[name]
    bundle = ngram_bundle(tmp_path, texts) if engine == "native" else wordpiece_bundle(tmp_path, shared_data, texts)
    with EdgeModel.load(bundle) as model:
        expected = model.logits(texts, batch_size=1)
        labels = [prediction.label for prediction in model.predict(texts, batch_size=1)]
    assert min(labels.count(label) for label in set(labels)) > 10 and len(set(labels)) > 1
    found = ask(bundle, texts, tmp_path)
    assert found["labels"] == labels and found["self_test"][0] is True, found["failures"]
    difference = np.abs(np.array(found["logits"]) - expected).max()
    assert difference == 0 if engine == "native" else difference <= 1e-4


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 64-bit Arm JVM, unpacked from Debian's packages (200 MB, kept beside the build)."""
    need("qemu-aarch64", "ld.lld", "clang")
    folder = BUILD / "arm64-jvm"
    done = subprocess.run([Path(__file__).parent / "arm64_jvm.sh", folder], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


# A plain cortex-a53 has no dot product; "max" has all that qemu knows.
@pytest.mark.parametrize(("processor", "dot_product"), [("cortex-a53", 0), ("max", 8)])
def test_the_phone_library_in_an_arm64_jvm(
    tested: None, arm64: Path, tmp_path: Path, processor: str, dot_product: int
) -> None:
    """The very .so that the AAR holds, on the same texts: the same bits as Python on this machine."""
    vectors = json.loads((BUILD / "vectors" / "vectors.json").read_text("utf-8"))["bundles"]
    root = arm64 / "root"
    libraries = ":".join(str(root / part / "aarch64-linux-gnu") for part in ("lib", "usr/lib"))
    java = ["qemu-aarch64", "-cpu", processor, "-L", str(root), "-E", f"LD_LIBRARY_PATH={libraries}"]
    java += [str(root / "usr/lib/jvm/java-17-openjdk-arm64/bin/java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    java += ["-Xshare:off", "-Xmx512m", f"-Djava.library.path={BUILD / 'core' / 'android' / 'arm64-v8a'}"]
    for name in ("native", "native-pair"):
        known = vectors[name]
        found = ask(Path(known["file"]), known["texts"], tmp_path, java)
        assert found["features"] & 4 and found["features"] & 8 == dot_product
        assert found["logits"] == known["logits"] and found["labels"] == known["labels"]
        assert found["self_test"][0] is True, found["failures"]


def test_python_reads_a_profile_of_the_library(tested: None) -> None:
    """The same JSON as the workstation's, and one more field."""
    written = ANDROID / "core" / "target" / "profile.json"
    value = json.loads(written.read_text("utf-8"))
    device: dict[str, Any] = value.pop("device")
    profile = Profile.from_json(value)
    assert profile.schema == 1 and profile.engine == "native" and profile.runs == 60
    assert set(device) == {"thermal", "throttled", "sustained", "cores", "memory_mib", "p95", "samples_ms"}
    totals = device["samples_ms"]["total"]
    assert profile.stages["total"].p90 == pytest.approx(np.percentile(totals, 90))
    assert profile.sentences_per_second == pytest.approx(1000 / np.mean(totals))


def test_the_aar(tested: None, tmp_path: Path) -> None:
    """Everything an app needs is in it, its libraries are fit for 16 KiB pages, and it is the same twice."""
    done = pack(tmp_path / "before.aar", BUILD / "core" / "android")  # of the classes that `make test` has compiled
    assert done.returncode == 0, done.stderr
    make("aar")
    aar = BUILD / "edgebert-runtime.aar"
    assert aar.read_bytes() == (tmp_path / "before.aar").read_bytes()
    with zipfile.ZipFile(aar) as archive:
        metadata = "META-INF/com/android/build/gradle/aar-metadata.properties"
        libraries = [f"jni/{abi}/libedgebert.so" for abi in ("arm64-v8a", "x86_64")]
        assert archive.namelist() == sorted(
            ["AndroidManifest.xml", metadata, "R.txt", "classes.jar", "proguard.txt", *libraries]
        )
        assert 'package="com.edgebert.runtime"' in archive.read("AndroidManifest.xml").decode()
        assert archive.read("proguard.txt") == (ANDROID / "library/consumer-rules.pro").read_bytes()
        for name, machine in zip(libraries, (183, 62), strict=True):
            assert struct.unpack_from("<H", archive.read(name), 18)[0] == machine
        (tmp_path / "classes.jar").write_bytes(archive.read("classes.jar"))
    with zipfile.ZipFile(tmp_path / "classes.jar") as jar:
        names = {name.removeprefix("com/edgebert/runtime/") for name in jar.namelist()}
        assert {"EdgeBert.class", "Core.class", "AndroidLoad.class"} <= names
        assert {f"engines/{name}Engine.class" for name in ("OnnxRuntime", "Tflite", "ExecuTorch")} <= names
        assert not any(name.startswith(("ai/", "org/")) for name in jar.namelist())  # the app adds those
        for name in jar.namelist():
            if name.endswith(".class"):
                assert struct.unpack_from(">H", jar.read(name), 6)[0] == 52, name  # Java 8: what D8 of any age reads


def test_shrinking_keeps_what_the_core_points_into(tested: None, tmp_path: Path) -> None:
    """R8 takes a field away that is only written; then a model is unmapped while the core still reads it."""
    kept: dict[str, list[str]] = {}
    for line in shrunk(tmp_path).splitlines():
        if line.endswith(":"):
            fields = kept.setdefault(line.split(" -> ")[0].removeprefix("com.edgebert.runtime."), [])
        elif found := re.match(r"    java\.nio\.ByteBuffer (\w+) -> ", line):
            fields.append(found[1])
    assert sorted(kept["NativeEngine$Opened"]) == ["file", "memory"]
    assert sorted(kept["NgramTable"]) == ["memory", "table"] and kept["WordPiece"] == ["memory"]


def shrunk(folder: Path) -> str:
    """R8's map of what it leaves of the core's classes, with the rules that an app gets."""
    demo = ROOT / "android-demo"
    subprocess.run(["make", "-s", "-C", str(demo), "build/tools/done"], check=True, timeout=600)  # it has R8
    jar, rules = folder / "classes.jar", folder / "app.pro"
    rules.write_text("-dontwarn **\n-keep class com.edgebert.runtime.EdgeBert** { public *; }\n", "utf-8")
    classes = ANDROID / "core/target/classes"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in classes.rglob("*.class"):
            archive.write(path, path.relative_to(classes))
    java = subprocess.run(["java", "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True)
    home = next(line.split("=")[1].strip() for line in java.stderr.splitlines() if " java.home =" in line)
    command = ["java", "-Xmx1g", "-cp", demo / "build/tools/r8.jar", "com.android.tools.r8.R8", "--release"]
    command += ["--classfile", "--lib", home, "--pg-map-output", folder / "map", "--output", folder / "out.jar"]
    command += ["--pg-conf", ANDROID / "library/consumer-rules.pro", "--pg-conf", rules, jar]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return (folder / "map").read_text("utf-8")


def test_a_library_with_small_pages_is_refused(tested: None, tmp_path: Path) -> None:
    native = tmp_path / "native"
    for abi in ("arm64-v8a", "x86_64"):
        content = bytearray((BUILD / "core" / "android" / abi / "libedgebert.so").read_bytes())
        (table,) = struct.unpack_from("<Q", content, 32)
        struct.pack_into("<Q", content, table + 56 * first_load(content, table) + 48, 4096)
        (native / abi).mkdir(parents=True)
        (native / abi / "libedgebert.so").write_bytes(content)
    done = pack(tmp_path / "out.aar", native)
    assert done.returncode != 0 and "aligned to 4096 bytes; phones with 16 KiB pages refuse it" in done.stderr
    assert not (tmp_path / "out.aar").exists()


def first_load(content: bytes, table: int) -> int:
    return next(index for index in range(20) if struct.unpack_from("<I", content, table + 56 * index)[0] == 1)


def pack(out: Path, native: Path) -> subprocess.CompletedProcess[str]:
    """The library as it is compiled now, with the libraries of `native`."""
    command = [sys.executable, str(ANDROID / "tools" / "pack_aar.py"), str(out), "--native", str(native), "--classes"]
    command += [str(ANDROID / module / "target" / "classes") for module in PACKED]
    command += ["--rules", str(ANDROID / "library" / "consumer-rules.pro")]
    return subprocess.run(command, capture_output=True, text=True)
