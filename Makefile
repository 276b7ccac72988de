# Each target installs what it needs, once: a lock file that changes is installed again, nothing else is.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= demo
SEED ?= 0
BUNDLE ?= runs/demo/bundle
# Files of tests are dealt to two processes, see tests/conftest.py.
WORKERS := --numprocesses 2

.PHONY: help demo paper-demo serve images test test-slow test-long test-containers policy sbom lint format locks clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/.train $(VENV)/.pipeline  ## The whole method on a phantom cohort, in runs/demo
	$(BIN)/covidctnet demo --profile $(PROFILE) --seed $(SEED) --output runs/demo

paper-demo: $(VENV)/.train $(VENV)/.pipeline  ## All experiments on phantoms and their report, in runs/experiments
	test -f $(BUNDLE)/manifest.json || $(BIN)/covidctnet demo --output $(patsubst %/,%,$(dir $(BUNDLE)))
	for name in ablation localisation patches clinical crossval scanners; do \
		$(BIN)/covidctnet experiment $$name || exit 1; done
	test -f runs/readers-set/readers.csv || $(BIN)/covidctnet experiment reader-example runs/readers-set
	$(BIN)/covidctnet experiment readers --readers runs/readers-set/readers.csv --bundle $(BUNDLE)
	$(BIN)/covidctnet experiment report --bundle $(BUNDLE)

serve: $(VENV)/.serve  ## The demo's bundle, or another BUNDLE, on port 8080 of this machine alone
	$(BIN)/covidctnet serve --bundle $(BUNDLE) --port 8080 --no-auth

test: $(VENV)/.dev  ## Tests with coverage of covidctnet/
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -m "not slow" $(WORKERS) --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/coverage report --fail-under=90

test-slow: $(VENV)/.dev  ## The tests that take minutes
	$(BIN)/python -m pytest -m "slow and not long and not containers" $(WORKERS) $(PYTEST_ARGS)

test-long: $(VENV)/.dev  ## Kills of every step, the local stack, every failure of a roll-out, the paper profile
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

images:  ## The five images, by podman or docker; TARGETS, ACCELERATOR=gpu
	sh infra/docker/build.sh $(TARGETS)

test-containers: $(VENV)/.dev  ## The images, hardened, on real series
	$(BIN)/python -m pytest -m containers $(PYTEST_ARGS)

policy: $(VENV)/.dev .policy/.made  ## Manifests and Dockerfile against checkov's policies
	sh infra/policy.sh $(BIN)/kubectl .policy/bin/checkov

sbom: $(VENV)/.dev .policy/.made  ## A CycloneDX bill of materials of each image, in sbom/
	$(BIN)/python -m infra.sbom .policy/bin/cyclonedx-py sbom

lint: $(VENV)/.dev  ## Format, lint, types, import rules and workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/actionlint

format: $(VENV)/.dev  ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locks: $(VENV)/.dev  ## Compile requirements/*.lock again from pyproject.toml
	sh requirements/compile.sh $(BIN)/uv

clean:  ## Remove what the targets made
	rm -rf $(VENV) .policy sbom runs .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "Python 3.11 is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

.policy/.made: requirements/policy.lock
	$(PYTHON) -m venv .policy
	.policy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/policy.lock
	touch $@

# dev holds every role at the same versions, so it also satisfies the others.
$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	$(call install,dev)
	touch $(VENV)/.train $@

$(VENV)/.%: requirements/%.lock pyproject.toml | $(VENV)/bin/python
	$(call install,$*)
	touch $@

define install
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).lock
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endef
