"""Every build of the core: what the files hold and need, and that all of them give the same bits."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from core_builds import CORE, HEADER, Builds, need, run, seeds

from edgebert_runtime.archive import write_archive

ABIS = {"arm64-v8a": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
JAVA = Path(__file__).parent / "java" / "com" / "edgebert" / "runtime"
QEMU = ["qemu-aarch64", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the cat is here isn't in old house one long string of un ##believ ##able clichés cliche ##s run ##ning".split()
VOCABULARY = [
    *SPECIAL,
    *"abcdefghijklmnopqrstuvwxyz.,!?'é中",
    *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
    *WORDS,
]
TEXT = "One long \U0001f600 string of unbelievable clichés, isn't it 中国?"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vocab.txt, texts.txt, pairs.txt, and models of every shape: 0.ebnn, 1.ebnn, ..."""
    folder = tmp_path_factory.mktemp("vectors")
    draw = random.Random(11)
    tiny = seeds()
    words = [word.removeprefix("##") for word in VOCABULARY[5:]]
    texts = [TEXT, "", "\t", "İstanbul ﬁne 한국어 \u200b\ufffd x\u0301"]
    texts += [" ".join(draw.choices(words, k=draw.randrange(1, 60))) for _ in range(150)]
    texts += ["".join(chr(draw.choice((64, 255, 0x2FFF, 0x1F000)) + draw.randrange(1, 60)) for _ in range(40))]
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    (folder / "texts.txt").write_bytes("\n".join(texts).encode() + b"\nbroken \xff\xe4\xb8 \xed\xa0\x80 \xc3")
    pairs = [f"{a}\t{b}" for a, b in itertools.pairwise(texts[4:])]
    (folder / "pairs.txt").write_text("\n".join(pairs), encoding="utf-8")
    for number, shape in enumerate(tiny.SHAPES):
        (folder / f"{number}.ebnn").write_bytes(tiny.model_file(shape, texts[:40], seed=number))
    (folder / "ngrams.bin").write_bytes(tiny.ngrams_file(tiny.SHAPES[0].channels, texts[:40])[0])
    write_archive(folder / "b.edgebert", {"manifest.json": b"{}", "x/model.ebnn": b"abc" * 1000, "vocab.txt": b""})
    return folder


def declared() -> set[str]:
    """The functions of the API."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"\b(eb_\w+)\(", text))


def natives() -> set[str]:
    source = (JAVA / "Core.java").read_text(encoding="utf-8")
    return {f"Java_com_edgebert_runtime_Core_{name}" for name in re.findall(r"native \w+ (\w+)\(", source)}


def exported(library: Path) -> set[str]:
    """Defined dynamic symbols; an undefined one fails the test."""
    found = set()
    for line in run("readelf", "--wide", "--dyn-syms", library).splitlines():
        columns = line.split()
        if len(columns) < 8 or not columns[0].rstrip(":").isdigit() or columns[0] == "0:":
            continue
        assert columns[6] != "UND", f"{library} needs {columns[7]}"
        found.add(columns[7])
    return found


def assert_self_contained(library: Path) -> None:
    dynamic = run("readelf", "--wide", "-d", library)
    assert "(NEEDED)" not in dynamic and "TEXTREL" not in dynamic
    assert "libedgebert.so" in dynamic
    assert exported(library) == declared() | natives()
    stack = [line for line in run("readelf", "--wide", "-l", library).splitlines() if "GNU_STACK" in line]
    assert stack and "E" not in stack[0].split()[6]


@pytest.mark.parametrize("abi", ABIS)
def test_android_library(builds: Builds, abi: str) -> None:
    need("readelf")
    library = builds.android(abi)
    assert_self_contained(library)
    assert ABIS[abi] in run("readelf", "-h", library)
    loads = re.findall(r"^ +LOAD .* (0x[0-9a-f]+)$", run("readelf", "--wide", "-l", library), flags=re.MULTILINE)
    assert loads and set(loads) == {"0x4000"}  # phones with pages of 16 KiB
    assert library.stat().st_size < 200_000


def test_host_library(builds: Builds) -> None:
    need("readelf")
    assert_self_contained(builds.library)


def test_wasm_exports_the_api_and_imports_nothing(builds: Builds) -> None:
    need("node")
    code = (
        "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[1]));"
        "const names = (list) => list.map((it) => it.name);"
        "console.log(JSON.stringify([names(WebAssembly.Module.exports(m)), names(WebAssembly.Module.imports(m))]))"
    )
    exports, imports = json.loads(run("node", "-e", code, builds.wasm))
    assert imports == []
    assert set(exports) == declared() | {"memory", "__heap_base"}


def test_bytes_do_not_depend_on_place_and_time(builds: Builds, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "core"
    shutil.copytree(CORE, other, ignore=shutil.ignore_patterns("build", "__pycache__"))
    for file in other.rglob("*.c"):
        os.utime(file, (0, 0))
    again = Builds(tmp_path / "built")
    for target, made in {"host": "linux-*/*", "android": "android/*/*", "wasm": "wasm/*"}.items():
        first, second = builds.make(target), again.make(target, other)
        names = [file.relative_to(first) for file in first.glob(made)]
        assert names and all((first / name).read_bytes() == (second / name).read_bytes() for name in names), target


# ---- the same bits everywhere -----------------------------------------------------------------------------------


def same_bits(builds: Builds, *arguments: str | Path) -> set[str]:
    """Names of the arms that agreed."""
    need("qemu-aarch64", "node")
    out = run(
        *(sys.executable, CORE / "tools" / "same_bits.py", "--native", builds.bench),
        *("--aarch64", builds.aarch64_bench, "--wasm", builds.wasm, *arguments),
    )
    assert out.splitlines()[-1] == "all the same"
    return {" ".join(line.split()[1:-3]) for line in out.splitlines()[:-1]}


@pytest.mark.parametrize("shape", range(5))
def test_model_gives_the_same_bits_everywhere(builds: Builds, files: Path, shape: int) -> None:
    pairs = seeds().SHAPES[shape].pairs
    arms = same_bits(builds, "--model", files / f"{shape}.ebnn", files / ("pairs.txt" if pairs else "texts.txt"))
    assert arms >= {"native scalar", "cortex-a53 neon", "cortex-a76 dotprod", "max auto", "wasm"}
    flags = Path("/proc/cpuinfo").read_text()
    assert ("native avx2" in arms) == (" avx2 " in flags)
    assert ("native avx512" in arms) == (" avx512_vnni " in flags and " avx512vl " in flags)


def test_wordpiece_gives_the_same_bits_everywhere(builds: Builds, files: Path) -> None:
    arms = same_bits(builds, "--vocabulary", files / "vocab.txt", files / "texts.txt")
    assert arms == {"native -", "cortex-a53 -", "cortex-a76 -", "max -", "wasm"}


@pytest.mark.parametrize("abi", ["host", *ABIS])
def test_shared_library_gives_the_same_bits(builds: Builds, files: Path, tmp_path: Path, abi: str) -> None:
    """edgebert-bench linked to the very file that is shipped: Android's needs nothing of Android."""
    arm = abi == "arm64-v8a"
    compiler, start = ("aarch64-linux-gnu-gcc", QEMU) if arm else ("cc", [])
    need(compiler, *start[:1])
    library = builds.library if abi == "host" else builds.android(abi)
    sources = [CORE / "tools" / "bench.c", CORE / "jni" / "system_features.c"]
    flags = ["-std=c11", "-O1", "-D_GNU_SOURCE", f"-I{CORE / 'include'}", f"-I{CORE / 'jni'}"]
    bench = tmp_path / "bench"
    run(compiler, *flags, *sources, library, f"-Wl,-rpath,{library.parent}", "-o", bench)
    for *options, file in (["0.ebnn"], ["2.ebnn"], ["--wordpiece", "vocab.txt"]):
        arguments = [*options, files / file, files / "texts.txt", "--json", "--rounds", "1"]
        found, expected = (json.loads(run(*command, *arguments)) for command in ([*start, bench], [builds.bench]))
        assert found["checksum"] == expected["checksum"]


@pytest.mark.parametrize(("processor", "kernels"), [("cortex-a53", "neon"), ("cortex-a76", "dotprod")])
def test_dot_product_is_found_out(builds: Builds, files: Path, processor: str, kernels: str) -> None:
    need("qemu-aarch64")
    command = ["qemu-aarch64", "-cpu", processor, builds.aarch64_bench, files / "0.ebnn", files / "texts.txt"]
    assert json.loads(run(*command, "--json", "--rounds", "1"))["features"] == kernels
    refused = subprocess.run([*command, "--features", "avx2"], capture_output=True, text=True)
    assert (refused.returncode, "no avx2" in refused.stderr) == (1, True)


# ---- edgebert-bench ---------------------------------------------------------------------------------------------


def test_bench_reports(builds: Builds, files: Path) -> None:
    found = json.loads(run(builds.bench, files / "0.ebnn", files / "texts.txt", "--json", "--rounds", "2"))
    lines = (files / "texts.txt").read_bytes().count(b"\n") + 1
    assert (found["texts"], found["mode"], found["rounds"]) == (lines, "model", 2)
    assert 0 < found["p50_us"] <= found["p90_us"] <= found["p99_us"]
    assert found["ns_per_sentence"] == pytest.approx(1e9 / found["sentences_per_second"], rel=0.01)
    assert found["checksum"] in run(builds.bench, files / "0.ebnn", files / "texts.txt", "--rounds", "1")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "give a model"),
        (["0.ebnn", "texts.txt", "more"], 2, "too many files"),
        (["0.ebnn", "texts.txt", "--fast"], 2, "unknown option --fast"),
        (["0.ebnn", "texts.txt", "--rounds"], 2, "--rounds needs a value"),
        (["0.ebnn", "texts.txt", "--rounds", "0"], 2, "not a number from 1"),
        (["0.ebnn", "texts.txt", "--features", "sse"], 2, "not one of auto"),
        (["0.ebnn", "texts.txt", "--cased"], 2, "--cased goes with --wordpiece"),
        (["no.ebnn", "texts.txt"], 1, "cannot read no.ebnn: No such file"),
        (["vocab.txt", "texts.txt"], 1, "not an EdgeBERT model"),
        (["0.ebnn", "."], 1, "not a regular file"),
        (["0.ebnn", os.devnull], 1, "not a regular file"),
        (["3.ebnn", "texts.txt"], 1, "has no TAB"),
        (["--wordpiece", "texts.txt", "texts.txt"], 1, "vocabulary"),
    ],
)
def test_bench_refuses(builds: Builds, files: Path, arguments: list[str], status: int, said: str) -> None:
    done = subprocess.run([builds.bench, *arguments], cwd=files, capture_output=True, text=True)
    assert (done.returncode, said in done.stderr, done.stdout) == (status, True, ""), done.stderr


# ---- JNI --------------------------------------------------------------------------------------------------------


class Reference:
    """The host library through ctypes: what Java must see as well."""

    def __init__(self, library: Path, files: Path) -> None:
        self.api = ctypes.CDLL(str(library))
        for name in ("eb_wordpiece_size", "eb_model_size", "eb_model_scratch", "eb_ngrams_size"):
            getattr(self.api, name).restype = ctypes.c_size_t
        for name in ("eb_wordpiece_tokens", "eb_wordpiece_ids", "eb_ngrams_ids", "eb_ngrams_words"):
            getattr(self.api, name).restype = ctypes.c_int64
        self.files, self.text, self.kept = files, TEXT.encode(), []

    def memory(self, size: int, content: bytes = b"") -> ctypes.c_void_p:
        raw = ctypes.create_string_buffer(size + 64)
        self.kept.append(raw)
        at = ctypes.addressof(raw) + -ctypes.addressof(raw) % 64
        ctypes.memmove(at, content, len(content))
        return ctypes.c_void_p(at)

    def open(self, kind: str, name: str, *options: int) -> ctypes.c_void_p:
        data = (self.files / name).read_bytes()
        file, handle = self.memory(len(data), data), ctypes.c_void_p()
        sized = getattr(self.api, f"eb_{kind}_size")
        size = sized(file, ctypes.c_size_t(len(data))) if kind == "wordpiece" else sized()
        make = self.api.eb_wordpiece_make if kind == "wordpiece" else getattr(self.api, f"eb_{kind}_open")
        given = [ctypes.c_uint32(option) for option in options]
        sizes = ctypes.c_size_t(size), file, ctypes.c_size_t(len(data))
        assert make(self.memory(size), *sizes, *given, ctypes.byref(handle)) == 0
        return handle

    def ids(self, pair: bool) -> list[int]:
        ids, scratch, size = (ctypes.c_int32 * 64)(), self.memory(16 * 64), ctypes.c_size_t(len(self.text))
        wordpiece = self.open("wordpiece", "vocab.txt", 3)
        second = (self.text, size) if pair else (None, ctypes.c_size_t(0))
        count = self.api.eb_wordpiece_ids(wordpiece, self.text, size, *second, ctypes.c_size_t(64), ids, None, scratch)
        return list(ids[:count])

    def tokens(self) -> list[int]:
        words, size = (ctypes.c_int32 * 400)(), ctypes.c_size_t(len(self.text))
        wordpiece = self.open("wordpiece", "vocab.txt", 3)
        count = self.api.eb_wordpiece_tokens(wordpiece, self.text, size, words, ctypes.c_size_t(100), 0)
        self.api.eb_offsets_convert(self.text, size, words, ctypes.c_size_t(count), 2)
        return list(words[: 4 * count])

    def logits(self) -> list[int]:
        model = self.open("model", "0.ebnn", 0)
        bits = (ctypes.c_int32 * self.api.eb_model_classes(model))()
        scratch = ctypes.c_size_t(self.api.eb_model_scratch(model))
        size, none = ctypes.c_size_t(len(self.text)), (None, ctypes.c_size_t(0))
        assert self.api.eb_model_logits(model, self.text, size, *none, bits, self.memory(scratch.value), scratch) == 0
        return list(bits)

    def rows(self, channel: int) -> list[int]:
        ngrams, ids = self.open("ngrams", "ngrams.bin"), (ctypes.c_int32 * 1000)()
        size = ctypes.c_size_t(len(self.text))
        return list(ids[: self.api.eb_ngrams_ids(ngrams, channel, self.text, size, ids, ctypes.c_size_t(1000))])

    def words(self) -> list[int]:
        ngrams, out, size = (
            self.open("ngrams", "ngrams.bin"),
            (ctypes.c_int32 * 1600)(),
            ctypes.c_size_t(len(self.text)),
        )
        count = self.api.eb_ngrams_words(ngrams, 0, 2, self.text, size, out, ctypes.c_size_t(100))
        self.api.eb_words_convert(self.text, size, out, ctypes.c_size_t(count), 2)
        return list(out[: 16 * count])


def test_java_sees_what_c_sees(builds: Builds, files: Path, tmp_path: Path) -> None:
    """Every JNI function, with HotSpot's own checks on; Smoke.java also tries what must be refused."""
    need("javac", "java")
    folder = os.environ.get("JAVA_HOME")
    javac, java = (Path(folder, "bin", name) if folder else name for name in ("javac", "java"))
    run(javac, "-Xlint:all", "-Werror", "-d", tmp_path, JAVA / "Core.java", JAVA / "Smoke.java")
    inputs = [files / name for name in ("vocab.txt", "0.ebnn", "ngrams.bin", "b.edgebert")]
    flags = ["-Xcheck:jni", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-Dfile.encoding=UTF-8"]
    flags += ["-Dsun.jnu.encoding=UTF-8", "-cp", str(tmp_path)]
    out = run(java, *flags, "com.edgebert.runtime.Smoke", builds.library, *inputs, "x/model.ebnn", TEXT)
    assert "WARNING" not in out and "FATAL" not in out
    lines = dict(re.findall(r"^([a-z ]+?)(?: \d+)* (\[.*\])$", out, flags=re.MULTILINE))
    rows = [json.loads(found) for found in re.findall(r"^rows \d+ (\[.*\])$", out, flags=re.MULTILINE)]
    reference = Reference(builds.library, files)
    assert out.splitlines()[0].startswith("core 2 ") and out.splitlines()[-1] == "done"
    assert json.loads(lines["ids"]) == reference.ids(pair=False)
    assert json.loads(lines["pair ids"]) == reference.ids(pair=True)
    assert json.loads(lines["tokens"]) == reference.tokens()
    assert json.loads(lines["logits"]) == reference.logits()
    assert rows == [reference.rows(channel) for channel in range(3)] and all(rows)
    assert json.loads(lines["words"]) == reference.words() and any(reference.words()[2::16])
    assert json.loads(lines["place"])[1] == 3000
    assert struct.unpack("<f", struct.pack("<i", reference.logits()[0]))[0] != 0
