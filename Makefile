# The four commands: demo, test, lint, bench. Each sets up what it needs; nothing has to be installed by hand
# beside Rust, Node.js 20 and Python 3.10 or newer (and, for the browser tests, root on Debian or a Chromium).

# Outside the clone, so that a fresh clone on the same machine starts warm.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/runlane/target
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Tests must never meet the user's own settings, keys or servers.
PYTHON ?= python3
VENV := .venv
PEER := .venv-wandb
TORCH := .venv-torch
FRAMEWORKS := .venv-frameworks
PY := $(VENV)/bin/python
WANDB_VERSION := 0.31.0
RUST_SOURCES := $(shell find core proto -name '*.rs' -o -name '*.proto' -o -name '*.sql' -o -name 'Cargo.toml') Cargo.toml Cargo.lock
PYTHON_SOURCES := $(shell find python -name '*.py' -o -name '*.pyi' -o -name 'py.typed' -o -path '*/_alias*' -type f) pyproject.toml
WEB_SOURCES := $(shell find web/src web/public -type f) $(wildcard web/*.json web/*.ts web/*.html)

.PHONY: help setup demo test test-rust test-python test-web test-faults clear-fault-table test-frameworks lint bench proto fmt clean

help:
	@echo "make demo    train three small models and look at them in the web app"
	@echo "make test    set up everything and run all tests; prints the table of the fault tests"
	@echo "make test-faults  the fault tests alone, as often as reliability.md asks (about an hour)"
	@echo "make test-frameworks  large frameworks (torch and what builds on it, 6 GB) with their own wandb integrations; prints a table"
	@echo "make lint    formats, lints and types of Rust, Python and TypeScript"
	@echo "make bench   runlane and wandb $(WANDB_VERSION) side by side, as ratios"
	@echo "make proto   generate core/proto/src/gen from proto/"

# --- setting up ---------------------------------------------------------------------------------------------------

$(VENV)/.tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q 'pip>=25.1' 'maturin>=1.16,<2'
	$(PY) -m pip install -q --group test --group lint click grpcio numpy 'protobuf<8' psutil pynvml PyYAML rich
	touch $@

# The wheel that the tests use is built like any other, but with the dev profile, which shares its crates with
# `cargo test`.
$(VENV)/.wheel: $(VENV)/.tools $(RUST_SOURCES) $(PYTHON_SOURCES) $(WEB_SOURCES)
	rm -rf $(VENV)/wheel
	PATH="$(abspath $(VENV))/bin:$$PATH" RUNLANE_BUILD_PROFILE=dev $(PY) -m pip wheel -q --no-deps --no-build-isolation -w $(VENV)/wheel .
	$(PY) -m pip install -q --no-deps --force-reinstall $(VENV)/wheel/*.whl
	touch $@

$(PEER)/.done: Makefile
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install -q 'wandb[media]==$(WANDB_VERSION)' matplotlib numpy pandas pyarrow scikit-learn tensorboard tensorboardX
	touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error

setup: $(VENV)/.wheel $(PEER)/.done web/node_modules/.package-lock.json
	tools/ensure-chromium.sh
	tools/ensure-postgres.sh
	tools/ensure-torch.sh $(TORCH) $(PY) $(WANDB_VERSION)

# --- the commands -------------------------------------------------------------------------------------------------

demo: $(VENV)/.wheel
	$(PY) tools/demo/demo.py

# Each fault test leaves a line there: fault, bound, worst measured, trials.
FAULT_TABLE := $(abspath .cache/fault-table)

test: export RUNLANE_FAULT_TABLE = $(FAULT_TABLE)
# The web tests wait for a browser while Rust compiles.
test: clear-fault-table
	+$(MAKE) --no-print-directory -j2 --output-sync=target test-rust test-web
	+$(MAKE) --no-print-directory test-python
	tools/fault_table.py $(FAULT_TABLE)

clear-fault-table:
	rm -rf $(FAULT_TABLE)

test-faults: export RUNLANE_FAULT_TABLE = $(FAULT_TABLE)
test-faults: export RUNLANE_FAULT_TRIALS = full
test-faults: clear-fault-table setup
	cargo test -q --locked -p runlane-translog -p runlane-daemon -p runlane-client
	RUNLANE_TEST_WANDB=$(abspath $(PEER)/bin/python) $(PY) -m pytest -n 2 --dist worksteal --timeout 3600 tests/faults tests/core
	tools/fault_table.py $(FAULT_TABLE)

# Each framework leaves a line there, which becomes .cache/frameworks-table.md.
FRAMEWORKS_TABLE := $(abspath .cache/frameworks-table)

test-frameworks: export RUNLANE_FRAMEWORKS_TABLE = $(FRAMEWORKS_TABLE)
test-frameworks: export RUNLANE_TEST_FRAMEWORKS = $(abspath $(FRAMEWORKS)/bin/python)
test-frameworks: $(VENV)/.wheel
	tools/ensure-frameworks.sh $(FRAMEWORKS) $(PY) $(WANDB_VERSION)
	rm -rf $(FRAMEWORKS_TABLE) && mkdir -p $(FRAMEWORKS_TABLE)
	status=0; $(PY) -m pytest -n 2 --dist worksteal tests/frameworks || status=$$?; tools/frameworks_table.py $(FRAMEWORKS_TABLE); exit $$status

test-rust:
	tools/ensure-postgres.sh
	$(PYTHON) tools/check_arrows.py
	MAKEFLAGS= nice -n 5 cargo run -q --locked -p xtask -- proto --check
	MAKEFLAGS= nice -n 5 cargo test -q --locked --workspace --no-run
	MAKEFLAGS= tests/postgres.py cargo test -q --locked --workspace
	MAKEFLAGS= RUNLANE_TEST_STORE=postgres tests/postgres.py cargo test -q --locked -p runlane-server --test it

test-web: web/node_modules/.package-lock.json
	tools/ensure-chromium.sh
	cd web && npm run --silent test && npm run --silent build && npm run --silent test:browser

# tests/sdk replaces the native part by an in-memory one, so it has a process of its own.
test-python: setup
	$(PY) -m pytest -n 2 --dist worksteal tests/sdk
	RUNLANE_TEST_WANDB=$(abspath $(PEER)/bin/python) $(PY) -m pytest -n 2 --dist worksteal --ignore tests/sdk tests

lint: $(VENV)/.wheel web/node_modules/.package-lock.json
	cargo fmt --all --check
	cargo clippy -q --locked --workspace --all-targets -- -D warnings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest runlane._core --ignore-missing-stub
	cd web && npm run --silent typecheck && npm run --silent lint

bench: $(PEER)/.done
	tools/ensure-postgres.sh
	tools/bench.sh $(PEER)/bin/python

proto:
	cargo run -q --locked -p xtask -- proto

fmt:
	cargo fmt --all
	$(VENV)/bin/ruff check --fix-only -q . && $(VENV)/bin/ruff format -q .

clean:
	rm -rf $(VENV) $(PEER) $(TORCH) $(FRAMEWORKS) web/dist web/node_modules python/runlane/_bin python/runlane/_web
