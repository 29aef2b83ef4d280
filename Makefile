# `make` alone lists the targets. Everything is installed into .venv, versions from constraints.txt.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Warnings off: setuptools warns about every editable installation.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# make pipeline
CRAWL ?= sample
RECIPE ?= default
ENGINE ?= local
OUT ?=
WORKERS ?=
LIMIT ?=
LIMIT_DOCS ?=
ROOT ?=
# make test
SLOW ?=
TEST_WORKERS ?= 2
ARGS ?=
# make bench
NAME ?= dedup tokenizers language_id url_filter rules sample
# make lock
UPGRADE ?=

# Extras that tests need, beside the group `dev`.
TEST_EXTRAS := datasketch,lz4,ray,s3,spark,tokenizers,torch

comma := ,

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev pipeline test peers bench lint format docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make pipeline takes CRAWL=sample|CC-MAIN-...|path|glob RECIPE=default OUT= ENGINE=local|ray|spark|ray+spark WORKERS= LIMIT= LIMIT_DOCS= ROOT=; make test takes SLOW=1 ARGS=; make bench takes NAME="

setup: $(VENV)/.installed ## Make .venv with what a run on one machine needs

setup-dev: $(VENV)/.installed-dev ## The same, with the development tools and the extras that tests need

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "make needs Python 3.11 or newer, got no $(PYTHON). Install it, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the development tools and extras into $(VENV) ..."
	@$(PIP) pip
	@$(PIP) --editable '.[$(TEST_EXTRAS)]' --group dev
	@touch $@

$(VENV)/.installed-engine-%: $(VENV)/.installed
	@echo "Installing what the engine $* needs into $(VENV) ..."
	@$(PIP) --editable '.[$(subst +,$(comma),$*)]'
	@touch $@

pipeline: $(if $(filter ray spark ray+spark,$(ENGINE)),$(VENV)/.installed-engine-$(ENGINE),setup) ## Run a crawl through to tokens: make pipeline CRAWL=sample
	$(strip $(BIN)/dataproc run --crawl '$(CRAWL)' --recipe '$(RECIPE)' --engine '$(ENGINE)' \
		$(if $(OUT),--out '$(OUT)') $(if $(WORKERS),--workers $(WORKERS)) $(if $(LIMIT),--limit $(LIMIT)) \
		$(if $(LIMIT_DOCS),--limit-docs $(LIMIT_DOCS)) $(if $(ROOT),--root '$(ROOT)'))

test: setup-dev ## Run the tests; SLOW=1 includes the slow ones
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(if $(SLOW),-m "slow or not slow") $(ARGS)

peers: $(VENV)-peers/.installed ## Make .venv-peers with what benchmarks are measured against

$(VENV)-peers/.installed: benchmarks/peers.txt
	@$(PYTHON) -m venv $(VENV)-peers
	@$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet -r benchmarks/peers.txt
	@touch $@

bench: setup-dev $(if $(filter rules dedup,$(NAME)),peers) ## Measure speed beside the peers': make bench NAME=tokenizers; without NAME all
	$(foreach name,$(NAME),PEERS=$(VENV)-peers $(BIN)/python -m benchmarks.$(name) &&) true

lint: setup-dev ## Check format, lint rules and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: setup-dev ## Format the code and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: setup-dev ## Write docs/stages.md and docs/commands.md anew from the code
	$(BIN)/python -m docs.generate

lock: setup-dev ## Write constraints.txt anew after a change of pyproject.toml; UPGRADE=1 takes the newest versions
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal $(if $(UPGRADE),--upgrade) \
		--no-annotate --no-emit-index-url --custom-compile-command 'make lock' --quiet --output-file constraints.txt

clean: ## Remove .venv, caches and build leftovers; runs/ stays
	rm -rf $(VENV) $(VENV)-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find dataproc stages classifiers jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
