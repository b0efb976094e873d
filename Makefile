# The front door: everything that people and CI do starts here. Only Python 3.11 to 3.13 and make are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV_FILE := .env
UV := $(BIN)/uv
RELEASE_CHECKS := lint test
# Where some tests are named, what they cover says nothing.
COVERAGE := $(if $(findstring tests/,$(PYTEST_FLAGS)),,--cov)

.DEFAULT_GOAL := help
.PHONY: help run up down setup setup-dev test unit lint format hooks bench bench-serving lock update release wheel env image image-lock test-compose clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: setup ## Start the stack and run the pipeline once
	@$(BIN)/trackyard up
	@$(BIN)/trackyard run
	@$(BIN)/trackyard credentials

up: setup ## Start the stack
	@$(BIN)/trackyard up

down: setup ## Stop the stack; its data stays
	@$(BIN)/trackyard down

setup: $(VENV)/.runtime ## Make .venv from requirements.lock

setup-dev: $(VENV)/.dev

test: setup-dev ## Run every test (unit, contracts, integration, faults, e2e)
	@$(BIN)/python -m pytest --numprocesses 2 --dist load --maxschedchunk 1 $(COVERAGE) $(PYTEST_FLAGS)

unit: setup-dev ## Run the tests that need no whole stack: some start its stores
	@$(BIN)/python -m pytest tests/unit tests/contracts

lint: setup-dev ## Check style, types, the direction of imports, what is declared, and the links of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ml serving infra tools
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/zensical build --strict

.PHONY: docs pictures reference mutants
mutants: setup-dev ## Change the gate, the registry and the reading of values at one place each, and list the changes that no test notices
	@$(BIN)/mutmut run && $(BIN)/mutmut results

docs: setup-dev ## Build the documentation into build/site
	$(BIN)/zensical build --clean --strict
	@echo "open build/site/index.html"

pictures: setup-dev ## Take the documentation's pictures of the pages anew, on a stack of its own
	@SCREENSHOTS=build/pictures $(BIN)/python -m pytest tests/e2e/test_pages.py
	@for each in docs/images/*.png; do cp build/pictures/$${each##*/} $$each; done

reference: setup-dev ## Write the pages of docs/reference/ from the code
	@$(BIN)/python tools/reference.py

format: setup-dev ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: setup-dev ## Let git run 'make lint' before each commit
	@$(BIN)/pre-commit install

BASE ?= 678f028
bench: setup-dev build/base-$(BASE) ## Measure the runs, the stack's start and what it takes, beside an earlier build (BASE=COMMIT)
	@$(MAKE) --no-print-directory -C build/base-$(BASE) setup
	@$(BIN)/python -m benchmarks.builds build/base-$(BASE)

build/base-%:
	@git clone --quiet --no-checkout . $@ && git -C $@ checkout --quiet $*

bench-serving: setup-dev ## Measure the service beside others, and whether its answers wait for each other
	@$(BIN)/python -m benchmarks.serving
	@$(BIN)/python -m benchmarks.waiting

lock: setup ## Resolve the dependencies again
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		$(LOCK_FLAGS) --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		$(LOCK_FLAGS) --custom-compile-command "make lock" -c requirements.lock --group dev -o requirements-dev.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		$(LOCK_FLAGS) --custom-compile-command "make lock" --group image -o infra/image/requirements-build.lock

update: setup ## Update the dependencies and show what changed
	@$(BIN)/python tools/update.py

release: setup-dev ## Cut a release from main: make release VERSION=1.2.0
	@$(BIN)/python tools/release.py "$(VERSION)" $(RELEASE_CHECKS)

wheel: setup ## Build what 'pip install' takes, into dist
	@$(BIN)/python -m pip --quiet wheel --no-deps --no-build-isolation --wheel-dir dist .

env: ## Write .env, the secrets of 'docker compose up'
	@$(PYTHON) -m infra.deploy.init_env $(ENV_FILE)

image: ## Build the image of docker-compose.yaml (IMAGE_BASE, PIP_INDEX_URL, IMAGE_CA)
	@$(PYTHON) infra/image/build.py

image-lock: setup ## Look up the digests of the images' tags, for infra/compose/images.lock.yaml
	@$(BIN)/python -m tools.image_lock

test-compose: setup-dev ## Bring docker-compose.yaml up on a Docker engine and use it
	@$(BIN)/python -m pytest tests/compose $(PYTEST_FLAGS)

clean: ## Stop the stack and delete the environment; the state in .trackyard stays
	@if [ -x $(BIN)/trackyard ]; then $(BIN)/trackyard down; fi
	rm -rf $(VENV) build dist mutants .cache .coverage* *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11 to 3.13 is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.runtime: requirements.lock pyproject.toml | $(UV)
	@echo "installing what requirements.lock names into $(VENV)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q ml serving infra
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.lock
	@touch $@
