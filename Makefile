# Every target makes .venv by itself: on a fresh machine only python3, make, git and a package index are needed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

STAMP := .venv/.stamp
BIN := .venv/bin
LOCKS := requirements/dev.txt requirements/bootstrap.txt
# Two workers: more only wait for each other on a small machine.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadgroup --durations=15 --durations-min=5
CORE := model strategies risk ledger portfolio
CORE_FILES := $(foreach part,$(CORE),src/eternal_engine/$(part)/*)

empty :=
comma := ,
space := $(empty) $(empty)
MODE := paper
LOG_FILE := eternal_engine.log
BACKTEST_ARGS := $(if $(DATA),--data "$(DATA)") $(foreach engine,$(ENGINES),--engine $(engine)) $(ARGS)
RUN_ARGS := $(foreach engine,$(ENGINES),--engine $(engine)) $(ARGS)

.PHONY: help setup test test-fast test-crash test-faults check format format-check lint types imports security \
	secrets secrets-baseline deps spelling docstrings dead-code bench backtest backtest-3y backtest-5y backtest-8y \
	backtest-multi backtest-report data-import run-paper run-demo run-live status logs docs rules lock hooks clean

help: ## Show this list
	@printf 'The Eternal Engine. Variables: DATA=DIR (market data), ENGINES="core_hodl trend", ARGS="more options".\n\n'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Make .venv from the locked requirements (every target does this by itself)
	@echo '.venv is ready; the command is .venv/bin/eternal'

$(STAMP): $(LOCKS) requirements/pip.txt pyproject.toml scripts/bootstrap.sh
	@scripts/bootstrap.sh

# One pass, the slow tests first (tests/conftest.py): both workers end at the same time, and nothing is made twice.
test: $(STAMP) ## Run all tests, slow ones too, with the coverage gates
	$(PYTEST) --cov --cov-report= tests
	$(BIN)/coverage report --include="$(subst $(space),$(comma),$(CORE_FILES))" --fail-under=95 --skip-covered
	$(BIN)/coverage report --fail-under=85 --skip-covered --sort=cover

test-fast: $(STAMP) ## Run the tests that take seconds
	$(PYTEST) -m "not slow" tests

test-crash: $(STAMP) ## Kill the daemon at every write of every scenario, long; ARGS="--scenario trend_stop --stride 9"
	@PYTHONPATH=src:tests $(BIN)/python tests/crash_forks.py $(ARGS)

test-faults: $(STAMP) ## Strike every fault of the exchange at every call, long; ARGS="--match transfer --stride 9"
	@PYTHONPATH=src:tests $(BIN)/python tests/fault_runs.py $(ARGS)

# The checks that run no test, two at a time; their output stays together where this make can do so.
STATIC := types format-check lint imports security secrets deps spelling docstrings dead-code
TOGETHER := -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

check: ## Run what CI runs
	@$(MAKE) --no-print-directory -s $(STAMP)
	@$(MAKE) --no-print-directory $(TOGETHER) $(STATIC)
	@$(MAKE) --no-print-directory test

format: $(STAMP) ## Format the code
	$(BIN)/ruff format src tests scripts
	$(BIN)/ruff check --fix src tests scripts

format-check: $(STAMP)
	$(BIN)/ruff format --check src tests scripts

lint: $(STAMP) ## Look for mistakes and bad style
	$(BIN)/ruff check src tests scripts

types: $(STAMP) ## Check the types, strictly
	$(BIN)/mypy

imports: $(STAMP) ## Check who imports whom
	$(BIN)/lint-imports

security: $(STAMP) ## Look for dangerous calls
	$(BIN)/bandit -q -c pyproject.toml -r src scripts

secrets: $(STAMP) ## Look for secrets in the tree and in the whole history
	$(BIN)/python scripts/scan_secrets.py

secrets-baseline: $(STAMP) ## Accept the present findings as no secrets (look at the difference first)
	$(BIN)/python scripts/scan_secrets.py --accept

deps: $(STAMP) ## Check that what is imported is declared, and the other way round
	$(BIN)/deptry src

spelling: $(STAMP) ## Look for misspelt words
	$(BIN)/codespell

docstrings: $(STAMP) ## Check that everything public is documented
	$(BIN)/interrogate -q src

dead-code: $(STAMP) ## Look for code nobody uses
	$(BIN)/vulture

bench: $(STAMP) ## Measure the speed goals; JSON lines
	@$(BIN)/eternal bench $(if $(DATA),--data "$(DATA)") $(ARGS)

backtest: $(STAMP) ## Backtest all history there is; without DATA the synthetic market
	@$(BIN)/eternal backtest run $(BACKTEST_ARGS)

backtest-3y: $(STAMP) ## Backtest the last 3 years
	@$(BIN)/eternal backtest run --years 3 $(BACKTEST_ARGS)

backtest-5y: $(STAMP) ## Backtest the last 5 years
	@$(BIN)/eternal backtest run --years 5 $(BACKTEST_ARGS)

backtest-8y: $(STAMP) ## Backtest the last 8 years
	@$(BIN)/eternal backtest run --years 8 $(BACKTEST_ARGS)

backtest-multi: $(STAMP) ## Backtest several periods side by side
	@$(BIN)/eternal backtest multi $(BACKTEST_ARGS)

backtest-report: $(STAMP) ## Backtest and write the HTML and Markdown report
	@$(BIN)/eternal backtest report $(BACKTEST_ARGS)

data-import: $(STAMP) ## Import a folder of market data: make data-import DATA=DIR
	@test -n "$(DATA)" || { echo 'error: no folder named' >&2; echo 'mend:  make data-import DATA=DIR' >&2; exit 2; }
	@$(BIN)/eternal data import "$(DATA)" $(ARGS)

run-paper: $(STAMP) ## Trade with play money on the embedded exchange, without keys; ARGS="--market synthetic"
	@$(BIN)/eternal run --mode paper $(RUN_ARGS)

run-demo: $(STAMP) ## Trade with play money on Bybit's demo; needs demo keys in .env.local
	@$(BIN)/eternal run --mode demo $(RUN_ARGS)

run-live: $(STAMP) ## Trade with REAL MONEY; needs live keys and `eternal arm`, and asks for the word LIVE
	@$(BIN)/eternal run --mode live $(RUN_ARGS)

status: $(STAMP) ## Show what the daemon does and why: make status MODE=paper|demo|live ARGS=--watch
	@$(BIN)/eternal status --mode $(MODE) $(ARGS)

logs: $(STAMP) ## Follow the daemon's log until Ctrl-C: make logs MODE=paper|demo|live
	@tail -n 50 -F "$$($(BIN)/python -c 'from eternal_engine.config import load; print(load("$(MODE)").paths.log_dir)')/$(LOG_FILE)"

docs: rules $(STAMP) ## Generate the documents and the schema that are made from the code
	$(BIN)/eternal config schema > config/schema.json
	$(BIN)/eternal config document > docs/configuration.md

rules: $(STAMP) ## Generate docs/rules.md from the rule registries
	$(BIN)/eternal rules --write docs/rules.md

lock: $(STAMP) ## Lock the requirements anew (hashes, no addresses)
	scripts/lock.sh

hooks: $(STAMP) ## Install the pre-commit hooks
	$(BIN)/pre-commit install

clean: ## Remove everything that can be made again (not data, state, logs or reports)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* \
		htmlcov mutants src/*.egg-info
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
