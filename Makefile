# Everything here sets up .venv by itself; nothing but Python 3.11 (or newer) and make is needed.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
BENCH_READY := .venv/.ready-bench
TEST_READY := .venv/.ready-test
CONSTRAINTS := scripts/constraints.txt
CODE := wrapper scripts tests

# The tests start a hundred processes: what they import is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test soak check bench bench-quick spec spec-diff regen generate format setup clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Show the main job against the emulator (LIVE=1: against the real API, which costs credits)
	@$(BIN)/python scripts/demo.py $(if $(LIVE),--live)

# The tests wait more than they compute: more workers than cores.
test: $(TEST_READY) ## Run the tests of the library with coverage (about four minutes)
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 4
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered

soak: $(TEST_READY) ## Run the slow proofs: 20,000 lossy creates, batches killed 40 times, regeneration (six minutes)
	$(BIN)/python -m pytest -m slow --numprocesses 2

bench: $(BENCH_READY) ## Measure this library beside its peers (ten minutes); .bench has the report
	@PYTHONPATH=scripts $(BIN)/python -m bench --out .bench $(ROWS)

bench-quick: $(BENCH_READY) ## The same in a minute: fewer rounds, and fewer peers (ROWS=... for some rows)
	@PYTHONPATH=scripts $(BIN)/python -m bench --quick $(ROWS)

check: $(READY) ## Format, lint, types, layers, and drift of the generated code
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_generated.py

spec: $(READY) ## Read the provider's pages into openapi.yaml (FROM=folder-or-files: offline)
	@$(BIN)/python scripts/sync_spec.py $(if $(ALLOW_VANISHED),--allow-vanished) $(FROM)

spec-diff: $(READY) ## What the change of the API since BASE (a git ref, default HEAD) does to callers
	@$(BIN)/python scripts/spec_diff.py $(BASE) $(if $(CHANGELOG),--changelog)

regen: $(READY) ## All of it when the API has changed: read, generate, check, report (FROM=...)
	@$(BIN)/python scripts/regen.py $(if $(ALLOW_VANISHED),--allow-vanished) $(FROM)

generate: $(READY) ## Make generated/ from openapi.yaml and scripts/overlay.yaml
	$(BIN)/python scripts/generate.py

format: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

setup: $(READY) ## Set up .venv with everything the other targets need

clean: ## Remove .venv and every cache
	rm -rf .venv .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) generated -name __pycache__ -prune -exec rm -rf {} +

# PIP_CONSTRAINT holds the build's own environment to the pins as well.
$(READY): pyproject.toml $(CONSTRAINTS)
	@echo "setting up .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@PIP_CONSTRAINT=$(CONSTRAINTS) $(BIN)/python -m pip install \
		--quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

# Else each of the workers would rewrite the asserts of all tests.
$(TEST_READY): $(READY) $(wildcard tests/*.py tests/*/*.py)
	-@$(BIN)/python -m pytest --collect-only -qq > /dev/null
	@touch $@

$(BENCH_READY): $(READY)
	@echo "installing what the benchmarks compare with"
	@PIP_CONSTRAINT=$(CONSTRAINTS) $(BIN)/python -m pip install \
		--quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $(BENCH_READY)
