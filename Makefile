# Needs only Python 3.11 or newer, git and make. Every task does its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BOOT := .bootstrap
VENV := .venv
BIN := $(VENV)/bin
UV = VIRTUAL_ENV=$(VENV) $(BOOT)/bin/uv
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PACKAGES := mlops_assets resources sensors bentos deploy ui
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/$(VENV)/chromium:$(CURDIR)/$(VENV)/prometheus:$(PATH)

.PHONY: help setup console screenshots demo story up down status data test lint type fmt bench bench-serve bench-train bench-data bench-orchestration \
	bench-console bench-overload bench-receipts bench-profile bench-scoring bench-backends bench-gate bench-drift bench-scale soak drills lock images images-test manifests deploy-check audit sbom dist chromium prometheus dashboards clean

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-19s %s\n", $$1, $$2}'

$(BOOT)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"needs Python 3.11 or newer, and $(PYTHON) is {sys.version.split()[0]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(BOOT)
	awk '/^uv==/ {p = 1} p {print} p && !/\\$$/ {exit}' requirements-dev.lock > $(BOOT)/uv.txt
	$(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r $(BOOT)/uv.txt

$(VENV)/bin/python: | $(BOOT)/bin/uv
	test -x $@ || $(BOOT)/bin/uv venv --quiet --python $(BOOT)/bin/python $(VENV)

# `install` and not `sync`: the tools for development may be there already, and stay.
$(STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	$(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	$(UV) pip install --quiet --no-deps -e .
	touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements-dev.lock
	$(UV) pip install --quiet --no-deps -e .
	touch $(STAMP) $@

setup: $(DEV) ## Create .venv with the locked packages

console: $(DEV) ## Check and build the console's pages; takes Node from a package where there is none
	$(BIN)/python -m ui.bundle openapi
	deploy/node.sh ui/web npm ci --no-audit --no-fund
	deploy/node.sh ui/web npm run types
	deploy/node.sh ui/web npm run check
	deploy/node.sh ui/web npm run build
	deploy/node.sh ui/web npm run budget
	$(BIN)/python -m ui.bundle

screenshots: $(DEV) chromium ## Pictures of every page of the running console, into docs/screenshots
	$(BIN)/python -m tests.screenshots

story: $(STAMP) ## On a running demo: drift, repair by the platform alone, then a bad model
	@MLOPS_PROFILE=demo $(BIN)/mlops story

# Without a network, or where it is slow, the demo goes on without alarms, and says so.
demo: $(STAMP) ## Raw images to a served, monitored model; leaves the platform running
	@RETRIES=0 timeout 10 deploy/prometheus.sh $(VENV)/prometheus 2> /dev/null || true
	@MLOPS_PROFILE=demo $(BIN)/mlops demo

up: $(STAMP) ## Start the one-machine platform
	@$(BIN)/mlops up

down: $(STAMP) ## Stop it
	@$(BIN)/mlops down

status: $(STAMP) ## Show its programs and whether they are ready
	@$(BIN)/mlops status

data: $(STAMP) ## Fetch Fashion-MNIST, or check that it is there
	@$(BIN)/mlops data fetch --dataset FashionMNIST

test: $(DEV) data chromium prometheus ## The whole test suite
	$(BIN)/python -m pytest

lint: $(DEV) ## Style, import laws, security
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/bandit -c pyproject.toml -q -r $(PACKAGES)

type: $(DEV) ## Static types
	$(BIN)/mypy

fmt: $(DEV) ## Mend what the linter can mend
	$(BIN)/ruff check --fix

bench: bench-serve bench-overload bench-console bench-receipts bench-train bench-data bench-scoring bench-orchestration bench-backends bench-gate bench-drift bench-scale ## Every benchmark

bench-serve: $(DEV) ## The service against its peers, which install in environments of their own
	$(BIN)/python -m benchmarks.serving

bench-overload: $(DEV) ## What four times the capacity does to the answers that are accepted
	$(BIN)/python -m benchmarks.serving.overload

bench-receipts: $(DEV) ## What receipts and deterministic answers cost
	$(BIN)/python -m benchmarks.receipts
	$(BIN)/python -m benchmarks.determinism

bench-console: $(DEV) chromium ## How soon the console's pages stand still
	$(BIN)/python -m benchmarks.console

bench-scale: $(DEV) ## How partitions, events and the journal grow
	$(BIN)/python -m benchmarks.scale

bench-profile: $(DEV) ## Where the service's CPU time goes; needs Linux's perf
	$(BIN)/python -m benchmarks.serving.profile

bench-scoring: $(DEV) ## Folders scored by `batch_predictions`, against its own limit
	$(BIN)/python -m benchmarks.scoring

drills: $(DEV) data ## The story again and again while programs are killed
	$(BIN)/python -m benchmarks.drills

soak: $(DEV) ## An hour of mixed traffic on the service, watched for growth
	$(BIN)/python -m benchmarks.soak

bench-train: $(STAMP) ## Training speed
	$(BIN)/python -m benchmarks.train

bench-data: data ## Data reading speed, memory at many rows, odd images beside CleanVision
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.issues
	$(BIN)/python -m benchmarks.rows

bench-orchestration: $(STAMP) ## What Dagster costs a step
	$(BIN)/python -m benchmarks.orchestration

bench-backends: $(DEV) ## Backends that run one exported model
	$(BIN)/python -m benchmarks.backends

bench-gate: data ## How often the gate lets planted candidates pass
	$(BIN)/python -m benchmarks.gate

bench-drift: $(DEV) data ## False alarms of the drift trigger in 500 years, and what it finds beside peers
	$(BIN)/python -m benchmarks.drift.null
	$(BIN)/python -m benchmarks.drift --source fashion
	$(BIN)/python -m benchmarks.drift --source textures
	$(BIN)/python -m benchmarks.drift.libraries
	$(BIN)/python -m benchmarks.drift.report
	$(BIN)/python -m benchmarks.drift.accuracy

COMPILE = $(BOOT)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url -p 3.11
lock: $(BOOT)/bin/uv ## Resolve the dependencies anew: the platform's, each image's, each checking tool's
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --extra dev --extra openvino --extra ray -c requirements.lock pyproject.toml -o requirements-dev.lock
	for name in console service; do \
		$(COMPILE) --group pyproject.toml:$$name -c requirements.lock -o deploy/requirements/$$name.lock; done
	cat deploy/requirements/torch.lock >> deploy/requirements/platform.lock
	$(COMPILE) -c requirements.lock pyproject.toml -o deploy/requirements/platform.lock
	$(PYTHON) -m deploy.torch_lock deploy/requirements/platform.lock deploy/requirements/torch.lock
	for tools in deploy/checks/*.in; do $(COMPILE) $$tools -o $${tools%.in}.lock; done

images: $(STAMP) ## Build the images; ENGINE=, BASE= and FLAGS= go to docker, podman or buildah, TARGETS= names some
	$(BIN)/python -m deploy.images $(TARGETS)

images-test: $(DEV) ## Run each built image read-only and without capabilities, and ask it
	$(BIN)/python -m tests.images $(TARGETS)

deploy-check: $(DEV) ## Check the Dockerfile, compose's file, Kubernetes' manifests and the workflows
	$(BIN)/python -m pytest tests/unit -k 'manifests or containers or workflows'

AUDIT = $$($(BIN)/python -m deploy.tools audit)
audit: $(STAMP) ## Look up known weaknesses of every locked package
	for lock in requirements.lock requirements-dev.lock deploy/requirements/*.lock deploy/checks/*.lock; do \
		"$(AUDIT)/pip-audit" --strict --progress-spinner off --disable-pip --require-hashes -r $$lock; done

sbom: $(STAMP) ## A bill of materials of each image (CycloneDX), into dist/
	mkdir -p dist
	cat deploy/requirements/platform.lock deploy/requirements/torch.lock > dist/platform.txt
	cp deploy/requirements/console.lock dist/console.txt
	cp deploy/requirements/service.lock dist/service.txt
	for image in platform console service; do \
		PYTHONWARNINGS=ignore "$(AUDIT)/cyclonedx-py" requirements dist/$$image.txt --pyproject pyproject.toml \
			--output-reproducible --of JSON -o dist/$$image.cdx.json; \
		rm dist/$$image.txt; done

dist: $(STAMP) sbom ## The package, and bills of materials, into dist/
	$(UV) build --quiet --build-constraints requirements.lock --require-hashes --out-dir dist

chromium: $(VENV)/bin/python ## A browser for the tests of pages
	@deploy/chromium.sh $(VENV)/chromium

prometheus: $(VENV)/bin/python ## Prometheus and Alertmanager, for the alarms and their tests
	@deploy/prometheus.sh $(VENV)/prometheus

dashboards: $(STAMP) ## Grafana's dashboards as JSON, into dashboards/
	$(BIN)/python -m deploy.monitoring.dashboards --out dashboards

manifests: $(STAMP) ## The generated parts of the Kubernetes manifests, written anew
	$(BIN)/python -m deploy.cluster.render

clean: ## Stop the platform and remove what was made, except data and the platform's home
	@test ! -x $(BIN)/mlops || $(BIN)/mlops down
	rm -rf $(VENV) $(BOOT) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
