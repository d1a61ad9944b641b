# Everything a developer types. Needs Python 3.11 to 3.14 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check golden docs help-texts bench soak compose-test secrets lock clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(RUNTIME) ## build .venv, and in it the command github-banners

demo: $(RUNTIME) ## try it: a built-in GitHub, invented users, a database of its own
	@LOG_FORMAT=$${LOG_FORMAT:-text} exec $(BIN)/github-banners serve --demo

serve: $(RUNTIME) ## serve real users: GITHUB_TOKENS=... make serve
	@exec $(BIN)/github-banners serve

test: check ## format, lint, types, tests, and the benchmarks in a short form
	@$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)
	@$(if $(PYTEST_ARGS),,BENCH=short $(BENCHMARKS) --quiet)

check: $(DEVELOPMENT) ## format, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

golden: $(DEVELOPMENT) ## draw the golden pictures anew
	@GOLDEN=rewrite $(BIN)/pytest -q tests/golden/test_golden.py

docs: $(DEVELOPMENT) ## draw docs/gallery.md and its pictures anew
	@GALLERY=rewrite $(BIN)/pytest -q tests/golden/test_gallery.py

help-texts: $(DEVELOPMENT) ## write the help texts in README anew
	@HELP_TEXTS=rewrite $(BIN)/pytest -q tests/unit/test_help_texts.py

BENCHMARKS := $(BIN)/pytest -m benchmark -p no:xdist tests/benchmarks

# BENCH_ARGS="-k preview" measures a part, BENCH=medium less of all; as root BENCH_REALTIME=1 gives
# what is measured priority over whatever else the machine does.
bench: $(DEVELOPMENT) ## measure, each figure beside a reference of the same run; writes docs/performance.md
	@BENCH_REPORT=docs/performance.md $(BENCHMARKS) --quiet --capture=no $(BENCH_ARGS)

soak: $(DEVELOPMENT) ## change 5,000 banners while services and brokers are killed; some ten minutes
	@SOAK=long $(BIN)/pytest -q -s -p no:xdist tests/acceptance/test_soak.py

compose-test: $(DEVELOPMENT) ## try docker-compose.yaml on a real Docker engine; some ten minutes
	@$(BIN)/pytest -q -s -m docker -p no:xdist tests/acceptance/test_compose.py

secrets: ## write .env and api/.env for docker-compose.yaml, with secrets of their own
	@./deploy/make-secrets

# The extras stay in the names: without them pip looks for newer versions, and finds some without a hash.
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-strip-extras --extra sandbox

lock: ## pin the packages anew; needs uv
	@$(LOCK) --extra embedded --group build -o requirements.txt
	@$(LOCK) --extra embedded --group dev -c requirements.txt -o requirements-dev.txt
	@$(LOCK) --group build -c requirements.txt -o requirements-image.txt

clean: ## remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

# The packages are pinned by their hashes; the project itself is built without fetching anything.
$(RUNTIME): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
		{ echo "Python 3.11, 3.12, 3.13 or 3.14 is needed: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "Making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing packages (some 60 MB, once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@echo "Installing the tools of development"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
