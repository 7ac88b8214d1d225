# Everything here works from a clean checkout: what a target needs is installed into $(VENV) first.
# `make help` lists the targets, from the `##` comments below.

VENV ?= .venv
# The first Python that runs and is supported. Say `make PYTHON=... test` to choose.
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c '$(IS_SUPPORTED)' >/dev/null 2>&1 && echo "$$python" && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# The pinned versions, so that what is installed is what was tested.
INSTALL := $(PIP) install --constraint constraints.txt --editable
# What make test-services runs the destination's contract suite on, and the part of the suite that depends on it.
# Tests marked `dealt` have many cases that do not depend on the catalog (which type becomes which, how a partition's
# value is reckoned; merges that were killed and commits whose answers were lost on those that show all snapshots):
# each case runs on one of these. LAKES=rest-minio runs all on one.
LAKES ?= sql-postgres rest-files rest-minio nessie-minio
SERVED_CONTRACT := $(addprefix tests/contract/destination/test_,loads.py merges.py layout.py schema.py state.py \
	concurrency.py lost_answers.py crashes.py)
# The tests are spread over the cores; `make WORKERS=0 test` runs them in one process, as a debugger needs it.
WORKERS ?= auto
SPREAD := -n $(WORKERS) --dist loadscope
# `make bench BENCH_SCALE=small` sees in minutes that each benchmark works. Its report, and that of a part which ARGS
# picks, goes into build/.
BENCH_SCALE ?= full
BENCH := BENCH_SCALE=$(BENCH_SCALE) $(BIN)/python -m pytest --benchmark-only --timeout=1800
BENCH_PART := $(filter-out full,$(BENCH_SCALE))$(ARGS)
BENCH_COMMAND := make bench$(if $(filter full,$(BENCH_SCALE)),, BENCH_SCALE=$(BENCH_SCALE))$(if $(ARGS), ARGS=...)
BENCH_REPORT := --command '$(BENCH_COMMAND)' --scale $(BENCH_SCALE) \
	$(if $(BENCH_PART),--into build/bench-report,--readme README.md)
# `make unit ARGS="-k partition -x"` reaches pytest.
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z-]*:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: quickstart
quickstart: $(VENV)/.installed-sql ## Load a bookshop's API, database and files into Iceberg tables, and query them
	@$(BIN)/python examples/quickstart/quickstart.py

##@ Check

.PHONY: test
test: lint ## Run everything that a change has to pass: lint, then all tests but test-services
	$(BIN)/python -m pytest $(SPREAD) --ignore=tests/services $(ARGS)

.PHONY: test-services
test-services: $(VENV)/.installed-dev ## Run what needs real servers, which are fetched and started; result in build/services.md
	PYTHONPATH=scripts $(BIN)/python -m services fetch
	$(BIN)/python -m pytest $(SPREAD) tests/services $(SERVED_CONTRACT) $(addprefix --lake=,$(LAKES)) \
		--services-summary build/services.md $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.installed-dev ## Load while servers, networks and loaders break; half an hour, result in build/chaos.md
	PYTHONPATH=tests:scripts $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: unit
unit: $(VENV)/.installed-dev ## Run the unit tests alone
	$(BIN)/python -m pytest tests/unit $(ARGS)

.PHONY: docs-test
docs-test: $(VENV)/.installed-dev ## Check that documentation and code agree, and run the docstrings' examples
	$(BIN)/python -m pytest tests/docs $(ARGS)
	$(BIN)/python -m pytest --doctest-modules --import-mode=prepend hookspecs/floe_ingest_hookspecs floe_ingest floe_ingest_sources

.PHONY: docs
docs: $(VENV)/.installed-dev ## Build the documentation as a site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check style, format, types, security and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=examples/quickstart $(BIN)/mypy examples/quickstart
	$(BIN)/mypy examples/dagster
	$(BIN)/bandit -q -c pyproject.toml -r floe_ingest floe_ingest_sources hookspecs
	$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/.installed-dev ## Run the benchmarks beside other tools, and write benchmarks/report and the README's figures
	@mkdir -p build
	@rm -f build/bench.json
	@PYTHONPATH=scripts $(BIN)/python -m bench peers
	@failed=; $(BENCH) benchmarks/ --benchmark-json=build/bench.json $(ARGS) || failed=--failed; \
	PYTHONPATH=scripts $(BIN)/python -m bench report build/bench.json $$failed $(BENCH_REPORT) && test -z "$$failed"

.PHONY: bench-check
bench-check: $(VENV)/.installed-dev ## Run some benchmarks, and compare their ratios with the committed report
	@mkdir -p build
	@PYTHONPATH=scripts $(BIN)/python -m bench committed --scale $(BENCH_SCALE)
	$(BENCH) benchmarks/ -m quick --benchmark-json=build/bench-check.json $(ARGS)
	PYTHONPATH=scripts $(BIN)/python -m bench check build/bench-check.json --scale $(BENCH_SCALE)

##@ Real servers

.PHONY: services-up
services-up: $(VENV)/.installed-dev ## Start catalogs, object stores and databases on the loopback
	@PYTHONPATH=scripts $(BIN)/python -m services up

.PHONY: services-down
services-down: $(VENV)/.installed-dev ## Stop what services-up started, and nothing else
	@PYTHONPATH=scripts $(BIN)/python -m services down

.PHONY: services-status
services-status: $(VENV)/.installed-dev ## Say which of them run, and where their addresses are
	@PYTHONPATH=scripts $(BIN)/python -m services status

##@ Change

.PHONY: format
format: $(VENV)/.installed-dev ## Format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: constraints
constraints: ## Write constraints.txt anew, with the newest versions that pyproject.toml allows
	@$(MAKE) --no-print-directory venv VENV=build/constraints-venv
	build/constraints-venv/bin/python -m pip --quiet --disable-pip-version-check install uv
	{ sed -n '/^#/p' constraints.txt; build/constraints-venv/bin/uv --quiet pip compile --extra dev \
	  --python-version 3.11 --no-header --no-annotate --no-emit-index-url pyproject.toml; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints-venv

##@ Package

.PHONY: venv
venv: $(BIN)/python ## Make the virtual environment in .venv, with nothing installed

.PHONY: wheel
wheel: $(VENV)/.installed-dev ## Build the source distribution and the wheel into dist/
	$(BIN)/python -m build

.PHONY: clean
clean: ## Delete everything that the targets made
	rm -rf $(VENV) build dist .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf .coverage coverage.xml examples/quickstart/.out benchmarks/data
	cd examples/dagster && rm -rf data warehouse .floe-ingest top_rated.csv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An installation is a file that is newer than what it was made from.

$(BIN)/python:
	@test -n '$(PYTHON)' || { \
		echo 'Python 3.11, 3.12 or 3.13 is needed, and none was found. On Debian: apt-get install python3.11 python3.11-venv' >&2; \
		exit 1; }
	@'$(PYTHON)' -c '$(IS_SUPPORTED)' || { \
		echo 'Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is not one. Say which: make PYTHON=python3.11 ...' >&2; \
		exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv. On Debian: apt-get install python$$('$(PYTHON)' -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" >&2; \
		exit 1; }
	@'$(PYTHON)' -m venv $(VENV)

$(VENV)/.installed-sql: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing floe-ingest into $(VENV)'
	@$(INSTALL) '.[sql]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing floe-ingest and its development tools into $(VENV)'
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.installed-sql
