# Two commands do everything: `make demo` and `make test`. Each makes its own environment.
PYTHON ?= python3
BIN := .venv/bin
MODELS := .venv-models/bin
CLIENTS := .venv-clients/bin
MLSERVER := .venv-mlserver/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
# What a test starts may race with itself on a busy machine: in CI three tests of a run may try again, and are named.
PYTEST := python -m pytest $(if $(CI),--reruns 1 --max-suite-reruns 3)
PIP := python -m pip install --quiet --disable-pip-version-check

demo: setup  ## train a model, pack it, run it, ask it, stop it; prints a time for each phase
	$(BIN)/python examples/demo.py

setup: .venv/.ready  ## make .venv from the committed lock

.venv/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/$(PIP) --require-hashes -r requirements/dev.txt
	$(BIN)/$(PIP) --no-deps --editable .
	touch $@

.venv-models/.ready: requirements/models.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv .venv-models
	$(MODELS)/$(PIP) --no-deps --require-hashes -r requirements/models.txt
	$(MODELS)/$(PIP) --no-deps --only-binary :all: -r requirements/torch.txt || cat requirements/torch.txt
	$(MODELS)/$(PIP) --no-deps --editable .
	touch $@

.venv-clients/.ready: requirements/clients.txt requirements/mlserver.txt pyproject.toml
	$(PYTHON) -m venv .venv-clients
	$(CLIENTS)/$(PIP) --no-deps --require-hashes -r requirements/clients.txt
	$(CLIENTS)/$(PIP) --no-deps --editable .
	$(PYTHON) -m venv .venv-mlserver
	$(MLSERVER)/$(PIP) --no-deps --require-hashes -r requirements/mlserver.txt
	touch $@

fmt: setup  ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

check: setup  ## formatting, lint, types, floors
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

test: setup  ## every test
	$(BIN)/$(PYTEST) -n 2 --dist loadfile

test-models: .venv-models/.ready  ## the tests of torch, TensorFlow, transformers and MLflow, in an environment of their own
	$(MODELS)/$(PYTEST) -n 2 --durations 15 -m models tests/models tests/unit/models/test_ordinary_models.py

test-clients: .venv-clients/.ready  ## clients of other servers, unmodified, in environments of their own
	$(CLIENTS)/$(PYTEST) --durations 5 -m clients tests/clients

test-gpu: setup  ## a computation on an NVIDIA GPU through PyTorch in a container; skipped where there is none
	$(BIN)/$(PYTEST) -m gpu tests/gpu

test-cluster: setup  ## the tests of clusters against the real one that KUBECONFIG or ~/.kube/config names
	TIFFIN_TEST_CLUSTER=1 $(BIN)/$(PYTEST) -m cluster tests/kubernetes

test-faults: setup  ## kill every kind of process at three hundred moments; takes twenty minutes
	$(BIN)/$(PYTEST) -n 2 -m "faults or not faults" tests/faults

test-fuzz: setup  ## a million bad requests to fronts and a hundred thousand wrong frames from workers, and what schemathesis makes of the server's document; takes fifteen minutes
	$(BIN)/$(PYTEST) -s -m fuzz tests/fuzz

test-chaos: setup  ## a hundred thousand requests while replicas, fronts, holders and supervisors die and revisions change; takes fifteen minutes
	$(BIN)/$(PYTEST) -s -m chaos tests/chaos

docs: setup  ## write the pages that are made from the code
	$(BIN)/python docs/generate.py

bench: setup  ## tiffin beside its peers, in one run; prints tables
	$(BIN)/python -m benchmarks

bench-serve: setup  ## tiffin's server beside other model servers, in one run; prints tables
	$(BIN)/python -m benchmarks.serving --containers

bench-scale: setup  ## services of this machine: two replicas beside one, replacing, waking, resting; prints tables
	$(BIN)/python -m benchmarks.scaling.live

bench-pipelines: setup  ## pipelines beside DVC, Kubeflow's local runner, Metaflow and Snakemake; prints tables
	$(BIN)/python -m benchmarks.pipelines

ci: check test test-models test-clients demo  ## what .ci/run calls

lock:  ## resolve requirements/*.txt anew; they hold hashes and no index address
	$(COMPILE) --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --group models pyproject.toml --excludes requirements/cuda.in --no-emit-package torch -o requirements/models.txt
	$(COMPILE) --group clients pyproject.toml -o requirements/clients.txt
	$(COMPILE) --group mlserver pyproject.toml -o requirements/mlserver.txt
	$(BIN)/python requirements/lock_server.py
	$(BIN)/uv run --quiet --no-project --with 'grpcio-tools==1.85.1' requirements/messages.py

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

.PHONY: demo setup fmt check test test-models test-clients test-gpu test-cluster test-faults test-fuzz test-chaos docs bench bench-serve bench-scale bench-pipelines ci lock help
