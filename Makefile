# The two commands of a fresh checkout are `make demo` and `make test`; both make .venv first.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# What neurocompile keeps for its user: here the environment that `neurocompile lava setup` makes.
export NEUROCOMPILE_HOME ?= $(abspath $(VENV))/home

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types fuzz golden record-lava bench docs clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The stamps hold when the package was last installed: again only after pyproject.toml changed.
$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# lava-nc needs Python 3.10 and gets an environment of its own.
LAVA := $(VENV)/.installed-lava
$(LAVA): backends/neurocompile_backends/lava/environment.py | $(VENV)/.installed-dev
	$(BIN)/neurocompile lava setup
	@touch $@

# Tests against tools of the machine: an older Yosys, Icarus, and what reads bitstreams. The stamp
# says that all are there; where they cannot be had the tests that need them are skipped, and the
# next run tries again.
DEBIAN := $(VENV)/.installed-debian
DEBIAN_TOOLS := yosys iverilog icebox_vlog
$(DEBIAN): | $(VENV)/.installed-dev
	@missing() { for tool in $(DEBIAN_TOOLS); do \
		command -v $$tool > /dev/null || printf ' %s' $$tool; done; }; \
	if [ -n "$$(missing)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y yosys iverilog fpga-icestorm; } || true; \
	fi; \
	if [ -z "$$(missing)" ]; then touch $@; \
	else echo "not installed:$$(missing). What needs them in tests/differential/test_rtl_levels.py" \
		"and test_rtl_tools.py is skipped (apt-get install yosys iverilog fpga-icestorm)"; fi

demo: $(VENV)/.installed  ## compile, verify and evaluate an embedded trained network
	$(BIN)/neurocompile demo

test: $(VENV)/.installed-dev $(LAVA) $(DEBIAN)  ## run the tests
	$(PYTEST) -n $(WORKERS) --dist loadscope $(ARGS)

check: lint types test  ## every gate: ruff, mypy --strict, pyright, tests

lint: $(VENV)/.installed-dev  ## ruff
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev  ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

fuzz: $(VENV)/.installed-dev $(LAVA)  ## the property tests with many more examples
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) tests/property \
		tests/differential/test_random_networks.py tests/differential/test_rtl_random.py \
		tests/differential/test_lava.py \
		-n $(WORKERS) $(ARGS)

golden: $(VENV)/.installed-dev $(LAVA)  ## rewrite the golden files, then read the diff
	$(PYTEST) -n $(WORKERS) --dist loadscope --update-golden $(ARGS)
	git diff --stat

record-lava: $(VENV)/.installed-dev $(LAVA)  ## run Lava again on what its archive holds; nothing may change
	$(BIN)/python tests/record_lava.py $(ARGS)
	git diff --stat

bench: $(VENV)/.installed-dev $(LAVA)  ## run the benchmark drivers
	@set -e; for driver in benchmarks/[!_]*.py; do \
		[ -e "$$driver" ] || continue; echo "$$driver"; $(BIN)/python "$$driver"; done

docs: $(VENV)/.installed-dev  ## rewrite the generated parts of the documentation
	$(BIN)/python docs/generate.py

clean:  ## remove .venv and everything that tools left
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
