PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: build run test lint bench compat fuzz clean

build: $(BIN)/.ready
	$(BIN)/python setup.py -q build_ext --inplace

run: build
	$(BIN)/python -m pyralog.cli.daemon

test: build
	$(BIN)/python -m pytest -q

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.stubtest

bench: build
	$(BIN)/python -m tests.benchmarks.run

compat: build
	$(BIN)/python -m compat.run

fuzz: build
	$(BIN)/python -m tests.fuzz.run

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
# Without extensions: pip would build them apart, and `build` builds them here.
	PYRALOG_EXT=none $(BIN)/pip install -q -e '.[test]'
	@touch $@

clean:
	rm -rf build dist *.egg-info
	find pyralog -name '*.so' -delete -o -name '*.c' -delete -o -name '*.html' -delete
