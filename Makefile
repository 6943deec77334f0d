# make repro: set up everything and run the default experiment.  make test: the same, and the tests.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test lint ui lock clean

repro: $(BIN)/.installed
	dvc repro

test: $(BIN)/.installed lint
	pytest -n auto --dist loadfile

lint: $(BIN)/.installed
	ruff check .
	ruff format --check .
	mypy

ui: $(BIN)/.installed
	offset-autoencoder-ui

$(BIN)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@
