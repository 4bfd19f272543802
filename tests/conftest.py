"""What all tests share: where the large datasets lie, no network, and the rule about skipping.

`EDGEBERT_SHARED` names the folder that holds `data/`; without it `../shared` beside the checkout is tried.
`EDGEBERT_NO_SKIP=1` (CI sets it) turns each skip into a failure, unless its reason is one of `MAY_SKIP`.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any test imports a library that would ask the network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_DATASETS_CACHE", str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "datasets"))

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time: a busy machine must not fail one. CI draws the same examples each time, so that it judges a
# change and not its luck; everywhere else they are new ones.
settings.register_profile(
    "edgebert",
    deadline=None,
    derandomize="EDGEBERT_NO_SKIP" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edgebert")

ROOT = Path(__file__).resolve().parent.parent
# pytest itself finds the packages by `pythonpath` in pyproject.toml; the processes that tests start find them by this.
os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / folder) for folder in ("sdk", "converters", "runtime"))

# Reasons that are right even in CI, as patterns. Each needs a line that says why.
MAY_SKIP: tuple[str, ...] = (
    r"^needs a GPU",  # no CI machine has one
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-proved`, for `make matrix`."""
    parser.addoption("--write-proved", action="store_true", help="write what passed to sdk/edgebert/proved.json")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the large datasets (`trec6/`, `sst2/`, ...); a test that asks for it is skipped where it is not."""
    folder = Path(os.environ.get("EDGEBERT_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared datasets at {folder}: set EDGEBERT_SHARED to the folder that holds data/")
    return folder


@pytest.fixture
def full_disk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a process of its own whose disk is full: `full_disk(code, cwd, limit=65536)`.

    No file can grow past `limit` bytes there: writing fails half-way, with EFBIG. (RLIMIT_FSIZE stands in for a
    small file system, which only root may mount.)
    """

    def run(code: str, cwd: Path, limit: int = 65536) -> subprocess.CompletedProcess[str]:
        prelude = (
            "import resource, signal\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"  # without this the kernel ends the process
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        )
        return subprocess.run([sys.executable, "-c", prelude + code], cwd=cwd, capture_output=True, text=True)

    return run


ANIMALS = ("cat", "dog", "bird", "horse", "frog", "cow")
TOOLS = ("hammer", "saw", "drill", "wrench", "ladder", "nail")
DETAILS = ("in the garden", "near the old house", "this morning", "on a table", "by the river", "again !")
FRAMES = ("the {} is here {}", "i saw a {} {}", "a {} , not a lamp , {}", "is there no {} {} ?")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, dev and test: sentences about an animal or a tool, which one word decides."""
    sentences = [
        (frame.format(word, detail), label)
        for frame in FRAMES
        for label, words in (("animal", ANIMALS), ("tool", TOOLS))
        for word in words
        for detail in DETAILS
    ]
    random.Random(7).shuffle(sentences)
    folder = tmp_path_factory.mktemp("tiny_data")
    for name, start, end in (("train", 0, 200), ("dev", 200, 240), ("test", 240, 280)):
        rows = [json.dumps({"text": text, "label": label}) for text, label in sentences[start:end]]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face's layout: BERT, 2 layers x 32, 2 heads, lower-case WordPiece, random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    words = {word for text in (*FRAMES, *DETAILS, *ANIMALS, *TOOLS) for word in text.replace("{}", "").split()}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["ing", "ed", "er", "est", "ly", "tion", "un", "re", "th", "st", "an", "en", "on", "in", "at", "or"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *"!?.,;:'\"-()", *sorted(words - set(letters))]
    tokens += [f"##{piece}" for piece in (*letters, *pieces)]
    tokens += [f"word{i}" for i in range(300 - len(tokens))]
    folder = tmp_path_factory.mktemp("tiny_encoder")
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(tokens)) + "\n", encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast.from_pretrained(str(folder), do_lower_case=True, model_max_length=64)
    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,  # wide enough that layers and words can be told apart
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("EDGEBERT_NO_SKIP") != "1" or not report.skipped:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
    reason = str(reason).removeprefix("Skipped: ")
    if not any(re.search(pattern, reason) for pattern in MAY_SKIP):
        report.outcome = "failed"
        report.longrepr = f"skipped, and EDGEBERT_NO_SKIP=1 allows no skip with this reason: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
