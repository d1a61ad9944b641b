# The commands of development. They need Python 3.11 to 3.14 with venv, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.installed-dev
DOCUMENTATION := $(VENV)/.installed-docs
RELEASE := $(VENV)/.installed-release
CHECKS := $(VENV)/.installed-checks

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-fast coverage-floors check workflows-check kubernetes-check golden docs docs-site help-texts bench bench-scale soak compose-test secrets release-check prometheus-check lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(RUNTIME) ## build .venv with the command github-banners

demo: $(RUNTIME) ## run the service with a fake GitHub, generated users and its own database
	@LOG_FORMAT=$${LOG_FORMAT:-text} exec $(BIN)/github-banners serve --demo

serve: $(RUNTIME) ## run the service for real users: GITHUB_TOKENS=... make serve
	@exec $(BIN)/github-banners serve

# Modules without I/O that unit tests cover completely. Their floor is 100 %, that of all is 90 %.
PURE_MODULES := backoff.py cache.py circuit_breaker.py errors.py log_throttle.py logins.py models.py options/*.py

comma := ,
empty :=
space := $(empty) $(empty)
PURE_PATHS := $(subst $(space),$(comma),$(PURE_MODULES:%=src/github_banners/%))

# Most of the time tests wait for processes and timers, so three workers keep two cores busy.
test: check ## run the checks, all tests with coverage, and the benchmarks in their short form
	@$(BIN)/pytest -n 3 --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)
	@$(if $(PYTEST_ARGS),,$(MAKE) --no-print-directory coverage-floors)
	@$(if $(PYTEST_ARGS),,BENCH=short $(BENCHMARKS) --quiet)

# Two plain processes: for many short tests pytest-xdist takes half as long again, and the plugin of
# Schemathesis 0.7 s to load.
FAST := $(BIN)/pytest -q -p no:schemathesis --hypothesis-profile fast
FIRST_HALF := $(addprefix tests/unit/,api drawing github github_sandbox)

test-fast: $(DEVELOPMENT) ## run the unit tests and the architecture tests only
	@output=$$(mktemp); $(FAST) $(FIRST_HALF) >"$$output" 2>&1 & \
	$(FAST) tests/unit tests/architecture $(FIRST_HALF:%=--ignore=%); status=$$?; \
	wait $$! || status=1; cat "$$output"; rm "$$output"; exit $$status

# A part of the tests covers a part of the code, so only `make test` without arguments checks this.
coverage-floors:
	@$(BIN)/coverage report --format=total --fail-under=90 >/dev/null || \
		{ echo "less than 90 % of the code is covered" >&2; exit 2; }
	@$(BIN)/coverage report --include='$(PURE_PATHS)' --fail-under=100

check: $(DEVELOPMENT) ## format, lint, spelling, types, rules of the architecture
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell $(SPELLED)
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy
	@$(BIN)/pytest -q -p no:xdist tests/architecture

workflows-check: $(CHECKS) $(BIN)/actionlint ## check the GitHub workflows and the action; needs Go
	@$(BIN)/actionlint
	@$(BIN)/zizmor --offline --no-progress .

# The oldest version that has all used fields, and the newest one that kubernetes-validate knows.
kubernetes-check: $(CHECKS) $(BIN)/kustomize ## build and validate deploy/kubernetes; needs Go
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; set -e; \
	cp -r deploy/kubernetes/secrets "$$folder"; \
	cp deploy/kubernetes/secrets/secrets.env.example "$$folder/secrets/secrets.env"; \
	for source in deploy/kubernetes/base deploy/kubernetes/overlays/production "$$folder/secrets"; do \
		$(BIN)/kustomize build "$$source" >"$$folder/built.yaml"; \
		for version in 1.30 1.37; do \
			$(BIN)/kubernetes-validate --strict --quiet -k $$version "$$folder/built.yaml"; \
		done; \
		echo "$$source: $$(grep -c '^kind:' "$$folder/built.yaml") resources are valid"; \
	done

SPELLED := $$(git ls-files '*.py' '*.md' '*.sql' '*.yaml' '*.yml' Makefile pyproject.toml)

golden: $(DEVELOPMENT) ## regenerate the golden pictures
	@GOLDEN=rewrite $(BIN)/pytest -q tests/golden/test_golden.py

docs: $(DEVELOPMENT) ## regenerate docs/gallery.md and its pictures
	@GALLERY=rewrite $(BIN)/pytest -q tests/golden/test_gallery.py

SITE := build/site

docs-site: $(DOCUMENTATION) ## build docs/ as a site in build/site; a broken link fails
	@rm -rf $(SITE)
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky docs $(SITE)
	@cp -R docs/gallery $(SITE)/gallery
	@echo "$(SITE)/index.html"

help-texts: $(DEVELOPMENT) ## regenerate the help texts in docs/cli.md
	@HELP_TEXTS=rewrite $(BIN)/pytest -q tests/unit/test_help_texts.py

BENCHMARKS := $(BIN)/pytest -m benchmark -p no:xdist tests/benchmarks

# BENCH_ARGS="-k preview" selects benchmarks, BENCH=medium shortens them. BENCH_REALTIME=1 needs root
# and gives the measured processes real-time priority on a machine that runs other things, too.
bench: $(DEVELOPMENT) ## run the benchmarks and write docs/performance.md
	@BENCH_REPORT=docs/performance.md $(BENCHMARKS) --quiet --capture=no $(BENCH_ARGS)

# BENCH=medium, BENCH=short and PROCESSES=1 shorten it; with SCALING_PAGE= it prints the figures only.
SCALING_PAGE ?= docs/scaling.md

bench-scale: $(DEVELOPMENT) ## measure 1, 2 and 4 renderers, storages and apis, and write docs/scaling.md
	@SCALING_PAGE=$(SCALING_PAGE) $(BIN)/pytest -m scaling -p no:xdist --quiet --capture=no \
		tests/benchmarks/test_scale_out.py $(BENCH_ARGS)

soak: $(DEVELOPMENT) ## change 5,000 banners while services and brokers are killed, and test all hostile and random inputs, pictures and character widths; about 15 minutes
	@SOAK=long $(BIN)/pytest -q -s -p no:xdist tests/acceptance/test_soak.py
	@SOAK=long $(BIN)/pytest -q -p no:xdist tests/acceptance/test_advances.py \
		tests/acceptance/test_pictures.py tests/field
	@SOAK=long $(BIN)/pytest -q -n 2 -m hypothesis tests/unit

compose-test: $(DEVELOPMENT) ## test docker-compose.yaml on a Docker engine; about 10 minutes
	@$(BIN)/pytest -q -s -m docker -p no:xdist tests/acceptance/test_compose.py

# Packages from the index, in the newest versions: as a user who installs the wheel gets them.
release-check: $(RELEASE) ## build wheel and sdist, and try them on each Python of this machine
	@$(BIN)/python scripts/check_release.py

secrets: ## write .env and api/.env for docker-compose.yaml, with new secrets
	@./deploy/make-secrets

# Extras stay in the package names: without them pip resolves newer versions that have no hash here.
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-strip-extras --extra sandbox

lock: ## update the pinned packages; needs uv
	@$(LOCK) --extra embedded --group build -o requirements.txt
	@$(LOCK) --extra embedded --extra otel --group build -c requirements.txt -o requirements-otel.txt
	@$(LOCK) --extra embedded --extra otel --group dev -c requirements-otel.txt -o requirements-dev.txt
	@$(LOCK) --extra embedded --group docs -c requirements-dev.txt -o requirements-docs.txt
	@$(LOCK) --extra embedded --group release -c requirements-docs.txt -o requirements-release.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group checks -c requirements-dev.txt -o requirements-checks.txt

# promtool is in Debian's package `prometheus`.
prometheus-check: ## test the alerts in deploy/prometheus; needs promtool
	@promtool check rules deploy/prometheus/rules.yml
	@promtool test rules deploy/prometheus/rules.test.yml

clean: ## remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

# All packages are pinned by hash; the project itself is built without downloads. An interrupted or failed
# `python -m venv` leaves a folder with Python but without pip, which comes last.
$(RUNTIME): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
		{ echo "Python 3.11, 3.12, 3.13 or 3.14 is required: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/pip || { echo "Creating $(VENV)"; $(PYTHON) -m venv --clear $(VENV); } || \
		{ echo "Creating $(VENV) failed. On Debian and Ubuntu it needs a package: apt install python3-venv" >&2; exit 2; }
	@echo "Installing packages (about 60 MB, once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@echo "Installing development tools"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(DOCUMENTATION): requirements-docs.txt $(RUNTIME)
	@echo "Installing Sphinx"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.txt
	@touch $@

$(RELEASE): requirements-release.txt $(RUNTIME)
	@echo "Installing build and twine"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-release.txt
	@touch $@

$(CHECKS): requirements-checks.txt $(RUNTIME)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-checks.txt
	@touch $@

# Versions are pinned; Go verifies modules by its checksum database.
$(BIN)/actionlint: | $(RUNTIME)
	@GOBIN=$(abspath $(BIN)) go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

$(BIN)/kustomize: | $(RUNTIME)
	@GOBIN=$(abspath $(BIN)) go install sigs.k8s.io/kustomize/kustomize/v5@v5.6.0
