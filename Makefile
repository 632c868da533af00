# Everything here is also in the README as plain commands.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Spinning OpenMP threads starve their neighbours, and nothing of ours phones home.
export OMP_WAIT_POLICY := passive
export BENTOML_DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup demo serve mlflow test test-slow check format house benchmark-core benchmark-volume benchmark-staffing benchmark-churn benchmark-experiments lock clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(READY) ## Make .venv with the locked dependencies

$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "Ebbflow needs Python 3.11 or newer: none was found" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $(READY)

demo: $(READY) ## Simulate a centre, train, serve on 127.0.0.1:3000 (CHECK=1: check the answers, then stop)
	$(BIN)/python examples/demo.py $(if $(CHECK),--check)

serve: $(READY) ## Serve what is published under EBBFLOW_HOME (.ebbflow)
	$(BIN)/python -m serving run

mlflow: $(READY) ## Open MLflow's pages on 127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --workers 1 --host 127.0.0.1 --port 5000 \
		--backend-store-uri sqlite:///$(CURDIR)/mlruns/mlflow.db \
		--artifacts-destination $(CURDIR)/mlruns/artifacts

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-slow: $(READY) ## Run the tests and list the slowest twenty
	$(BIN)/python -m pytest -n 2 --dist loadgroup --durations=20 --durations-min=0

house: $(READY) ## Show the structure in figures: sizes, circles, what a change touches, start-up
	$(BIN)/python -m benchmarks.house

check: $(READY) ## Format, lint, types and tests, without changing a file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: $(READY) ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark-core: $(READY) ## Measure speed and size; figures go to benchmarks/results/
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.simulate
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.live

benchmark-volume: $(READY) ## Measure the volume forecasts beside others; figures and pictures go to benchmarks/results/
	$(BIN)/python -m benchmarks.volume
	$(BIN)/python -m benchmarks.volume_scale

benchmark-staffing: $(READY) ## Measure staffing from the distribution, its speed, and the service level foreseen
	$(BIN)/python -m benchmarks.staffing
	$(BIN)/python -m benchmarks.service

benchmark-experiments: $(READY) ## Measure on simulated truth whether intervals hold and ranking by effect pays
	$(BIN)/python -m benchmarks.experiments

benchmark-churn: $(READY) ## Measure the churn scores beside simpler models; figures and pictures go to benchmarks/results/
	$(BIN)/python -m benchmarks.churn

lock: ## Pin every dependency again (needs uv)
	uv pip compile pyproject.toml --extra train --extra dev --universal --generate-hashes \
		--python-version 3.11 -o requirements.lock

clean: ## Remove the environment, caches, builds and the demo's data; your own data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	if [ -e .ebbflow/DEMO ]; then rm -rf .ebbflow; fi
	find features serving training tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
