# make repro: set up everything and run the default experiment.  make test: the same, and the tests.
# make faults: more malformed inputs and faults of the disk than the tests try (docs/faults.md).
# make bench: an environment with the peers, and the benchmarks; TORCH= says what pip installs of PyTorch.
# make docs: the site, docs/_build/html/index.html.
# make lock: requirements.lock anew, by uv.

PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
BENCHMARKS := training growth experiment startup offsets out_of_core
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test faults lint ui bench docs lock clean

repro: $(BIN)/.installed
	dvc repro

test: $(BIN)/.installed lint
	pytest -n auto --dist loadfile --no-loadscope-reorder

faults: $(BIN)/.installed
	FAULT_EXAMPLES=2000 pytest tests/faults

lint: $(BIN)/.installed
	ruff check .
	ruff format --check .
	mypy

ui: $(BIN)/.installed
	offset-autoencoder ui

bench: $(BENCH)/.installed
	$(if $(TORCH),$(BENCH)/python -m pip install --quiet $(TORCH))
	set -e; for name in $(BENCHMARKS); do \
		test ! -e benchmarks/$$name.py || $(BENCH)/python -m benchmarks.$$name; done

docs: $(BIN)/.installed
	sphinx-build -W --write-all --keep-going --quiet --builder html docs docs/_build/html

# uv resolves for every platform, and takes what the lock has where it may.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --extra dev --output-file requirements.lock pyproject.toml

# pip is quiet, as it would print a thousand lines.
%/bin/.installed: requirements.lock pyproject.toml
	@echo "setup, once: a Python environment in $*, of its own; remove the folder to undo it"
	$(PYTHON) -m venv $*
	@echo "setup: the packages of requirements.lock, 4.2 GB in the end, 1.9 of them TensorFlow:"
	@echo "setup: this takes four minutes or more, without a line"
	$*/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$*/bin/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@
	@echo "setup: done"
