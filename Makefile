# Daybreak: `make help` is the menu.
.DEFAULT_GOAL := help
.PHONY: help env lock up down status demo test test-e2e test-cluster test-storage lint format bench doctor clean
SHELL := /bin/bash

PYTHON ?= python3
PYTEST_ARGS ?=
DAYBREAK := .venvs/services/bin/python -m pipelines.cli

help: ## This menu
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

env: ## Build the three environments in .venvs/ from requirements/; again when a lock changed
	@$(PYTHON) infra/environments.py build --python "$(if $(filter-out python3,$(PYTHON)),$(PYTHON))"

lock: ## Compile pyproject.toml into requirements/*.txt (UPGRADE=1 takes newer versions)
	@$(PYTHON) infra/environments.py lock $(if $(UPGRADE),--upgrade)

up: env ## Start PostgreSQL, Airflow, MLflow and the warm worker; prints URLs and credentials
	@$(DAYBREAK) up

down: ## Stop them; data and credentials stay
	@if [ -x .venvs/services/bin/python ]; then $(DAYBREAK) down; else echo "nothing is built, so nothing runs"; fi

status: ## Say whether each service works
	@$(DAYBREAK) status

demo: env ## A shop that retrains on its own traffic: one rollout promoted, one rolled back; the services stay up
	@$(DAYBREAK) demo

STORAGE_TESTS := $(addprefix tests/,pipelines/test_storage.py pipelines/test_artifact_store.py pipelines/test_node_storage.py components/contract/test_storage.py)

# One suite per environment: Airflow and TensorFlow cannot share one. Exit code 5 of pytest: nothing to run.
SUITES := orchestrator:tests/dags services:tests/infra,tests/cli,tests/e2e ml:tests/pipelines,tests/components
define run_suites
failed=0; summary=(); \
for suite in $(SUITES); do \
  environment=$${suite%%:*}; folders=$$(ls -d $$(echo "$${suite#*:}" | tr ',' ' ') 2>/dev/null | xargs); \
  echo "== $$environment: $$folders"; started=$$SECONDS; code=0; \
  .venvs/$$environment/bin/python -m pytest -q $$folders $(1) $(PYTEST_ARGS) || code=$$?; \
  case $$code in 0) word=passed;; 5) word="nothing to run";; *) word="FAILED ($$code)"; failed=1;; esac; \
  summary+=("$$environment: $$word in $$((SECONDS - started)) s"); \
done; \
echo "== summary"; printf '%s\n' "$${summary[@]}"; exit $$failed
endef

test: env ## All tests that need no running services; a summary line for each environment
	@$(call run_suites,)

test-e2e: env ## End to end: whole installations, killed services, real retrains (minutes)
	@$(call run_suites,-m e2e)

test-cluster: env ## Flink and Spark started, used, killed and stopped (minutes; CLUSTER=flink for one; needs a JDK and Maven)
	@.venvs/services/bin/python -m pytest -q -rs -m "e2e or not e2e" tests/infra/cluster $(if $(CLUSTER),-k $(CLUSTER)) $(PYTEST_ARGS)

test-storage: env ## A real S3 server on loopback: fetched with Maven, pinned, started and stopped (needs a JDK of version 17)
	@.venvs/ml/bin/python -m tests.s3
	@.venvs/ml/bin/python -m pytest -q -rs $(STORAGE_TESTS) $(PYTEST_ARGS)
	@.venvs/services/bin/python -m pytest -q -rs -m e2e tests/e2e/test_storage.py $(PYTEST_ARGS)

lint: env ## ruff, mypy and the layer contracts
	@failed=0; bin=.venvs/services/bin; \
	for step in "ruff check ." "ruff format --check ." "mypy" "lint-imports --no-logo"; do \
	  echo "== $$step"; $$bin/$$step || failed=1; \
	done; exit $$failed

format: env ## Format, and mend what ruff can mend
	@.venvs/services/bin/ruff format . && .venvs/services/bin/ruff check --fix .

bench: env ## Measure, for more than an hour; writes docs/benchmarks/*.json and docs/capacity.md
	@.venvs/ml/bin/python -m tests.benchmarks.chain
	@.venvs/ml/bin/python -m tests.benchmarks.data_plane
	@.venvs/ml/bin/python -m tests.benchmarks.gates
	@.venvs/ml/bin/python -m tests.benchmarks.serving_peers
	@.venvs/ml/bin/python -m tests.benchmarks.capacity

doctor: ## Say what this machine lacks, and how to mend it
	@$(PYTHON) infra/doctor.py

clean: down ## Remove environments and everything Daybreak wrote (FORCE=1: without asking)
	@if [ -z "$(FORCE)" ]; then read -r -p "Remove .venvs and .daybreak (models, runs, databases)? [y/N] " answer; [ "$$answer" = y ]; fi
	@for kind in flink spark; do [ ! -d .daybreak/cluster/$$kind ] || $(DAYBREAK) cluster down $$kind; done
	@rm -rf .venvs .daybreak *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
