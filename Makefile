# Everything here works on a bare machine: Linux, CPython 3.11 or newer with venv, and make.
# `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that is new enough and can make virtual environments; or name one: PYTHON=…
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
FUZZ_SECONDS ?= 60
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt lint types imports fast soak load bench bench-quick fuzz clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "make: no CPython 3.11 or newer with the venv module found." >&2; \
		echo "      Debian, Ubuntu: apt install python3-venv; or name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@echo "making a virtual environment in $(VENV) with $(PYTHON)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/dev.stamp: pyproject.toml $(BIN)/python
	@echo "installing fc-runtime and its tools into $(VENV)" >&2
	@$(PIP) install -e '.[dev]'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	@$(PIP) install -e '.[bench]'
	@touch $@

demo: $(VENV)/dev.stamp ## run the three example handlers and show what happens
	@$(BIN)/python examples/demo.py

# These start processes by the thousand, as fast as they can: not beside others.
ALONE := tests/isolation
# The others wait for most of their time: four at once keep two CPUs busy.

test: $(VENV)/dev.stamp ## the whole test suite, a quarter of an hour
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest -n 4 $(ALONE:%=--ignore=%)

check: fmt lint types imports fast ## what must be green before a commit

fmt: $(VENV)/dev.stamp
	$(BIN)/ruff format --check

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check

types: $(VENV)/dev.stamp
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/types/api.py

imports: $(VENV)/dev.stamp
	$(BIN)/lint-imports

fast: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q tests/unit

soak: $(VENV)/dev.stamp ## random kills, then SOAK_SECONDS (600) of handlers that misbehave; minutes
	$(BIN)/python -m pytest -m soak -s -o faulthandler_timeout=0 tests/soak tests/tasks

load: $(VENV)/dev.stamp ## 10,000 requests on a daemon, every tenth misbehaving, or LOAD_REQUESTS=…
	LOAD_REQUESTS=$${LOAD_REQUESTS:-10000} $(BIN)/python -m pytest -s -q -o faulthandler_timeout=0 tests/service/load

fuzz: $(VENV)/dev.stamp ## what a worker may say, guided by coverage; a minute, or FUZZ_SECONDS=…
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { \
		echo "make: atheris has no wheel for this interpreter or platform." >&2; exit 1; }
	@mkdir -p .fuzz
	$(BIN)/python tests/fuzz/decoder_target.py .fuzz/corpus -max_total_time=$(FUZZ_SECONDS) \
		-rss_limit_mb=512 -print_final_stats=1 -artifact_prefix=.fuzz/

bench: $(VENV)/bench.stamp ## figures beside floors and rivals, docs/performance.md; 25 minutes
	@$(BIN)/python -c 'import ray' 2>/dev/null || $(PIP) install -e '.[bench-ray]' || \
		echo "make: Ray cannot be installed here; the page will say that it was not measured." >&2
	$(BIN)/python benchmarks/run.py --publish

bench-quick: $(VENV)/bench.stamp ## the main ratios beside the committed ones, in two minutes
	$(BIN)/python benchmarks/run.py --quick

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .fuzz benchmarks/out
