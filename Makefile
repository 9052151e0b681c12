# `make demo` and `make test` each work alone on a fresh clone: they make .venv and install what they need,
# with uv where it is installed, else with pip. The locks under requirements/ hold exact versions and hashes.

PYTHON ?= python3
SECONDS ?= 60
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
CREATE = $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
else
CREATE = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

# a process a core; tests/conftest.py says which tests stay together
PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope

.PHONY: help setup demo demo-elastic demo-splunk demo-soar demo-learn test test-all check bench bench-elastic bench-models bench-splunk fuzz lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(VENV)/.dev  ## Install everything that development needs into .venv

demo: $(VENV)/.runtime  ## Replay the bundled intrusion through the real daemon and show what it finds
	$(BIN)/triaged demo

demo-elastic: $(VENV)/.runtime  ## The same through a real OpenSearch, enriched at ingest; needs mvn and a JDK 21
	$(BIN)/python -m tests.demo.elastic

demo-splunk: $(VENV)/.dev  ## The same through a stand-in of Splunk, with the app's search command
	$(BIN)/python -m tests.demo.splunk

demo-soar: $(VENV)/.dev  ## The same with a real Node-RED that runs the playbooks; needs npm
	$(BIN)/python -m tests.demo.soar

demo-learn: $(VENV)/.dev  ## A bundle is shown 30 closed alerts of a benign tool, passes the gate, and is promoted
	$(BIN)/python -m tests.demo.learn

test: check  ## Static checks and the test suite
	$(PYTEST) -m "not full"

test-all: check  ## The same, with the long forms of the suites
	$(PYTEST)

check: $(VENV)/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Speed as ratios against transformers.pipeline, in one run
	$(BIN)/python -m tests.bench

bench-elastic: $(VENV)/.dev  ## What the pipeline costs a server, and what a server costs the daemon; needs mvn and a JDK 21
	$(BIN)/python -m tests.bench.elastic

bench-models: $(VENV)/.dev  ## Models by size (ROWS=DIR, a built dataset), and what a challenger in shadow costs
	$(BIN)/triaged evaluate --variants --rows $(ROWS)
	$(BIN)/python -m tests.bench.shadow

bench-splunk: $(VENV)/.dev  ## What the API costs beside the scorer, and the search command beside the API and the interpreter
	$(BIN)/python -m tests.bench.api
	$(BIN)/python -m tests.bench.splunk

fuzz: $(VENV)/.fuzz  ## Fuzz every parser and normaliser, SECONDS=60 in all
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

lock:  ## Renew the locks from pyproject.toml (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements/runtime.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' --extra dev pyproject.toml -o requirements/dev.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' --constraints requirements/dev.txt --extra fuzz pyproject.toml \
	  -o requirements/fuzz.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' tests/splunk_app/tools.in -o tests/splunk_app/tools.txt

clean:  ## Remove what the other targets made
	rm -rf $(VENV) triaged-data dist build .fuzz

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml
	$(CREATE)
	test -e $(VENV)/.dev || $(INSTALL) --require-hashes -r requirements/runtime.txt
	test -e $(VENV)/.dev || $(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	$(CREATE)
	$(INSTALL) --require-hashes -r requirements/dev.txt
	$(INSTALL) --no-deps -e .
	@touch $@ $(VENV)/.runtime

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(INSTALL) --require-hashes -r requirements/fuzz.txt
	@touch $@
