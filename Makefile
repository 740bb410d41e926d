# Needs Python >= 3.11, git and make. Uses uv where it is on the PATH (seconds), else venv + pip (a few minutes).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Empty is as good as unset. Otherwise each process that a test starts compiles torch, which takes seconds.
test test-slow test-gpu: export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: $(STAMP)  ## Create .venv with the trainer and its tools, at pinned versions

# The stamp keeps a second `make` from asking pip again; it is remade when what to install has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"cifar-sweeps needs Python 3.11 or newer and {sys.executable} is {v[0]}.{v[1]}: try `make PYTHON=python3.12 $(MAKECMDGOALS)`")'
ifneq ($(UV),)
	@test -x $(BIN)/python || uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	uv pip install --quiet --python $(BIN)/python --constraints constraints.txt --editable '.[dev]'
else
	@echo "pip: installing PyTorch and the rest into $(VENV), up to 6 GB. It takes minutes and prints nothing until it is done."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@echo "pip: installed. The first start of trainer takes longer than the next ones: Python compiles what pip has installed."
endif
	@touch $(STAMP)

.PHONY: demo
demo: install  ## Train a narrow FastResNet9 on the embedded images, with no network
	@$(BIN)/trainer train --recipe demo --offline

.PHONY: test
test: install  ## Run the tests, except slow ones and those that need a GPU; PRECISION=float32 or bfloat16 forces one
	@$(if $(PRECISION),TRAINER_AUTO_PRECISION=$(PRECISION) )$(BIN)/python -m pytest --numprocesses auto --dist worksteal --durations 20

.PHONY: test-slow
test-slow: install  ## Run the slow tests: many kills, trained networks
	@$(BIN)/python -m pytest -m "slow and not gpu"

# Without tests/conftest.py, whose packages a GPU machine may lack: docs/contributing.md has the command for such a one.
.PHONY: test-gpu
test-gpu: install  ## Run the tests that need a GPU, in four processes; TRAINER_GPU_TESTS_ON=cpu tries them without one
	@$(BIN)/python -m pytest -m gpu --confcutdir tests/gpu --numprocesses 4 --dist worksteal --durations 10 tests/gpu

.PHONY: test-browser
test-browser: install  ## Run the tests in Chromium, which Debian's package `chromium` brings
	@$(BIN)/python -m pytest -m browser tests/trainer/report/live  # the rest has none, and takes long to collect

.PHONY: check
check: install  ## Check style, types and import directions
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-cache

.PHONY: format
format: install  ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: docs
docs: install  ## Write the pages and the figures of docs/ that are made from the code, or from measurements
	@$(BIN)/python docs/make_pages.py
	@$(BIN)/python docs/make_records.py
	@$(BIN)/python docs/draw_architecture.py

.PHONY: results
results: install  ## Write the pages of docs/results/ from the archives of runs in docs/results/runs/
	@$(BIN)/python docs/make_results.py

.PHONY: live-pictures
live-pictures: install  ## Photograph a served page during a sweep: docs/pictures/live-*.png (minutes, needs Chromium)
	@$(BIN)/python docs/draw_live.py

.PHONY: site
site: install  ## Build the docs as a site with search: site/index.html
	@$(BIN)/python docs/make_site.py

.PHONY: constraints
constraints:  ## Update constraints.txt to the newest versions (needs uv)
	@{ head -n 2 constraints.txt; uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url; } > .constraints.new && mv .constraints.new constraints.txt

.PHONY: clean
clean:  ## Remove .venv, site/ and caches, but not runs/ and data/
	rm -rf $(VENV) site .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find trainer models tests -name __pycache__ -prune -exec rm -rf {} +
