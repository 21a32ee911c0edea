# netsculpt: every target does its own set-up (virtual environment, torch, build) and repeats cheaply.

# PYTHON (3.10 or later) makes the environment; TORCH is any pip requirement, each with an environment of its own;
# ARGS is passed on, for instance: make test ARGS="-k coupled_gram -x"
PYTHON ?= python3
TORCH ?= torch==2.13.0
ARGS ?=

TORCH_KEY := $(shell printf '%s' '$(TORCH)' | tr -cs 'A-Za-z0-9.' '-')
VENV := .venv$(if $(filter-out torch==2.13.0,$(TORCH)),-$(TORCH_KEY))
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(TORCH_KEY)
BUILT := build/built-$(TORCH_KEY)$(NETSCULPT_CUDA)
SOURCES := setup.py pyproject.toml tools/cuda_toolkit.py $(shell find csrc -type f)
CPP = $(shell find csrc tests/csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

.PHONY: help demo test build lint format tsan nvcc bench gpu clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: TORCH="$(TORCH)" PYTHON=$(PYTHON) ARGS="..." NETSCULPT_CUDA=auto|0|1'

demo: $(BUILT) ## train a small network, split its neurons, prune it back; writes a report
	$(BIN)/python -m netsculpt demo $(ARGS)

test: $(BUILT) ## the whole test-suite
	$(BIN)/python -m pytest $(ARGS)

build: $(INSTALLED) ## compile what changed, without waiting to be needed
	@rm -f $(BUILT)
	@$(MAKE) --no-print-directory $(BUILT)

lint: $(BUILT) ## style, types and arrows; `make format` mends the style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo clang-format
	@$(BIN)/clang-format --dry-run -Werror $(CPP)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(BUILT) ## rewrite Python and C++ in the project's style
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

tsan: $(BUILT) ## every kernel body on real threads under ThreadSanitizer
	$(BIN)/python -m pytest tests/csrc/test_tsan.py $(ARGS)

nvcc: $(BUILT) ## compile all CUDA code without a GPU; no kernel may spill registers
	$(BIN)/python -m tools.nvcc_check $(ARGS)

bench: $(BUILT) ## one table of times, bandwidths and ratios; ARGS="--op NAME"
	$(BIN)/python -m bench $(ARGS)

gpu: ## on a machine with a GPU, with the torch that PYTHON has: build, test, sanitize, bench
	PYTHON=$(PYTHON) bench/on_gpu.sh $(ARGS)

clean: ## remove what was built; environments stay (rm -rf .venv*)
	rm -rf build dist *.egg-info netsculpt/*.so netsculpt/_build_info.json
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(INSTALLED):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install '$(TORCH)' numpy 'setuptools>=77' wheel ninja
	@touch $@

# The library is built in place, so one stamp holds at a time: another TORCH builds again.
$(BUILT): $(INSTALLED) $(SOURCES)
	@echo "Building netsculpt: minutes the first time, seconds afterwards."
	$(BIN)/python -m pip install --no-build-isolation --editable '.[demo,dev]'
	@rm -f build/built-*
	@touch $@
