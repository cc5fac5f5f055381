# Two commands do everything: `make demo` and `make test`. Each makes its own environment.
PYTHON ?= python3
BIN := .venv/bin

demo: setup  ## train a model, pack it, run it, ask it, stop it; prints a time for each phase
	$(BIN)/python examples/demo.py

setup: .venv/.ready  ## make .venv from the committed lock

.venv/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

fmt: setup  ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

check: setup  ## formatting, lint, types, floors
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

test: setup  ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

docs: setup  ## write the pages that are made from the code
	$(BIN)/python docs/generate.py

bench: setup  ## tiffin beside its peers, in one run; prints tables
	$(BIN)/python -m benchmarks

ci: check test demo  ## what .ci/run calls

lock:  ## resolve requirements/dev.txt anew; it holds hashes and no index address
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/python requirements/lock_server.py

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

.PHONY: demo setup fmt check test docs bench ci lock help
