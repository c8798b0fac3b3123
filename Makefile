# make demo   colours examples/ into out/
# make test   passes the tests
# Both make .venv first if it is not there. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
T ?=

.DEFAULT_GOAL := help
.PHONY: help setup compile demo test check fix docs generate examples pictures bench wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: ## .venv with what the program needs
	@$(PYTHON) tools/setup.py run

compile: ## the compiled merge anew, after a change of strip.c
	@$(PYTHON) tools/setup.py test
	$(BIN)/python hatch_build.py

demo: setup ## colour examples/ into out/
	$(BIN)/python -m recolor_cli colorize examples -o out

test: ## the tests; T="-k colour -x" passes words on to pytest
	@$(PYTHON) tools/setup.py test
	$(BIN)/python -m pytest $(T)

check: ## everything but the tests: ruff, formatting, types, generated pages
	@$(PYTHON) tools/setup.py test
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/python tools/generate.py --check

fix: ## put right what a machine can: ruff, formatting, generated pages
	@$(PYTHON) tools/setup.py test
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format
	$(BIN)/python tools/generate.py

generate: ## pages that are made from the code
	@$(PYTHON) tools/setup.py test
	$(BIN)/python tools/generate.py

docs: ## the documentation as a site in site/; warnings are errors
	@$(PYTHON) tools/setup.py docs
	$(BIN)/python tools/generate.py --check
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs site
	@echo "open site/index.html"

examples: ## examples/ anew, from scikit-image's sample photographs
	@$(PYTHON) tools/setup.py run
	$(BIN)/python tools/make_examples.py

pictures: ## the picture that README opens with, by the default weights
	@$(PYTHON) tools/setup.py run
	$(BIN)/python tools/make_pictures.py

bench: ## recolor colorize beside what decoding, encoding and the network alone would take
	@$(PYTHON) tools/setup.py test
	$(BIN)/python benchmarks/colorize.py

wheel: ## dist/*.whl
	@$(PYTHON) tools/setup.py test
	$(BIN)/python -m hatchling build -t wheel

clean: ## remove what can be made again, .venv excepted
	rm -rf out site build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
