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
# The build's own tools first: were they newer than the C files they made, everything would be built a second time.
	$(BIN)/pip install -q 'setuptools>=77' 'cython>=3.1'
	$(BIN)/pip install -q --no-build-isolation -e '.[test]'
	@touch $@

clean:
	rm -rf build dist *.egg-info
	find pyralog -name '*.so' -delete -o -name '*.c' -delete -o -name '*.html' -delete
