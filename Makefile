# Every target first installs what it needs into .venv, once; `make help` lists them.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/installed
BENCH := $(VENV)/installed-bench
DEV := $(VENV)/installed-dev
COLLECTION := $(VENV)/installed-collection

STUDIES := $(if $(SWEEP_STORAGE)$(SWEEP_SERVER)$(findstring --storage,$(ARGS))$(findstring --server,$(ARGS)),,studies/sweeps.db)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install sweep best status compare report dashboard serve test lint bench collection clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo 'Options pass through: make sweep ARGS="--trials 20"; another Python: make install PYTHON=python3.12'

install: $(RUNTIME) ## install sweep and its pinned dependencies into .venv
	@echo 'sweep is installed in $(VENV); next: make sweep'

sweep: $(RUNTIME) ## run or continue the study studies/ionosphere.toml
	@$(BIN)/sweep run $(ARGS)

best: $(RUNTIME) $(STUDIES) ## show the best candidates
	@$(BIN)/sweep best $(ARGS)

status: $(RUNTIME) $(STUDIES) ## show how far the study is
	@$(BIN)/sweep status $(ARGS)

compare: $(RUNTIME) $(STUDIES) ## show the verdict: is the best schedule really better?
	@$(BIN)/sweep compare $(ARGS)

report: $(RUNTIME) $(STUDIES) ## write the verdict with its figures as one HTML page
	@$(BIN)/sweep report $(ARGS)

dashboard: $(RUNTIME) $(STUDIES) ## open optuna-dashboard on the study
	@$(BIN)/sweep dashboard $(ARGS)

serve: $(RUNTIME) ## serve studies over HTTP for a team
	@$(BIN)/sweep serve $(ARGS)

# A fresh clone has no study to ask: the first question runs the default one. A named storage is left alone.
studies/sweeps.db:
	@echo 'there is no study yet: running the default one first'
	@$(BIN)/sweep run

test: $(DEV) ## run the tests
	@$(BIN)/pytest --numprocesses auto --dist worksteal $(ARGS)

lint: $(DEV) ## check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy sweep tests

bench: $(BENCH) ## measure the speed against other ways to train
	@$(BIN)/python -m tests.bench $(ARGS)

collection: $(COLLECTION) ## make the tables of data/collection anew, from scikit-learn and Debian's packages
	@$(BIN)/python studies/collection/bring.py

clean: ## remove .venv, caches and builds, never a study
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	@find sweep tests -type d -name __pycache__ -prune -exec rm -rf {} +

# What is installed stands in .venv as a stamp, newer than the two files it depends on. An interrupted pip
# may leave half a package that it later takes for a whole one: .venv/unfinished tells, and .venv is made anew.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

$(BENCH): EXTRA := [bench]
$(DEV): EXTRA := [dev]
$(COLLECTION): EXTRA := [collection]

$(RUNTIME) $(BENCH) $(DEV) $(COLLECTION): pyproject.toml constraints.txt $(BIN)/python
	@set -e; trap 'exit 130' INT; \
	make_anew() { \
		if ! $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null; then \
			found=$$(command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1 || echo 'not found'); \
			echo "error: sweep needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$found (choose with PYTHON=python3.12)" >&2; \
			exit 1; \
		fi; \
		$(PYTHON) -m venv --clear $(VENV); \
	}; \
	if [ -e $(VENV)/unfinished ] || ! $(BIN)/python -c 'import pip; $(SUPPORTED)' 2>/dev/null; then make_anew; fi; \
	echo 'installing sweep$(EXTRA) into $(VENV) (about a minute, once)'; \
	touch $(VENV)/unfinished; \
	if ! $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.$(EXTRA)'; then \
		rm $(VENV)/unfinished; \
		exit 1; \
	fi; \
	rm $(VENV)/unfinished; \
	touch $(RUNTIME) $@

$(BIN)/python:
