# Bare `make` prints this help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# numeric libraries bring their own threads; the jobs set how many they use
export OPENBLAS_NUM_THREADS := 1
export GX_ANALYTICS_ENABLED := False

help: ## Print what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.done java .pinlake/jars/.done .pinlake/connector/.done ## Virtual environment, Java 17, Delta's jars: once, a few minutes

$(VENV)/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pinlake needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 setup"; exit 4; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv failed: on Debian, apt-get install python3-venv"; exit 4; }
	@echo "Installing $$(grep -c '^[a-z0-9].*==' requirements.lock) pinned packages into $(VENV) (2 to 4 minutes, 1.9 GB) …"
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: java
java:
	@bash .ci/java.sh

.pinlake/jars/.done: $(VENV)/.done jobs/spark/jars.py jobs/spark/class_archive.py
	@mkdir -p .pinlake/jars
	@$(BIN)/python -m jobs.spark.jars .pinlake/jars
	@echo "Keeping the JVM's loaded classes for faster starts (half a minute, 200 MB) …"
	@$(BIN)/python -m jobs.spark.class_archive .pinlake 2>.pinlake/classes.log \
		|| echo "They could not be kept (.pinlake/classes.log says why): sessions start without, some 8 s slower."
	@touch $@

# what reads no brokers works without: no network is no reason to stop
.pinlake/connector/.done: $(VENV)/.done jobs/spark/jars.py
	@mkdir -p .pinlake/connector
	@$(BIN)/python -m jobs.spark.jars .pinlake/connector connector >.pinlake/connector.log 2>&1 && touch $@ \
		|| echo "Kafka's connector could not be fetched (.pinlake/connector.log): brokers cannot be read until \`make connector\` works."

.PHONY: connector
connector: $(VENV)/.done java ## The four jars that reading Kafka brokers needs (10 MB); part of setup where there is a network
	@$(BIN)/python -m jobs.spark.jars .pinlake/connector connector

.PHONY: demo
demo: setup ## The main job on a made-up world: change logs in, a published generation out
	@$(BIN)/pinlake demo

# each worker takes whole files, the dearest first (tests/costs.json)
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## All tests but those of `make test-long`: 22 minutes, measured on two slow cores beside other work
	@$(PYTEST) -m "not long" --durations 15

.PHONY: test-long
test-long: setup ## Killed anywhere, a cluster, every DAG run, quality, property tests with 300 examples: about an hour
	@$(PYTEST) -m "(long or hypothesis) and not nightly" --hypothesis-profile long --durations 15

.PHONY: test-nightly
test-nightly: setup ## A backfill by a real scheduler, held against the day's own tables: a quarter of an hour
	@$(BIN)/pytest -m nightly --durations 5

.PHONY: test-fast
test-fast: $(VENV)/.done ## Tests that need no Java
	@$(PYTEST) -m "not spark and not long and not slow" --durations 5

.PHONY: test-costs
test-costs: setup ## Measure each test file's CPU time and rewrite tests/costs.json, by which `make test` is ordered
	@rm -f .pinlake/costs.jsonl
	@$(PYTEST) -m "not long" --costs .pinlake/costs.jsonl
	@$(BIN)/python -m tests.costs .pinlake/costs.jsonl

.PHONY: mutants
mutants: test-fast ## Put small faults into a copy of the code, one by one: which test notices each
	@$(BIN)/python -m tests.mutants

.PHONY: lint
lint: $(VENV)/.done ## Style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: airflow
airflow: setup ## Airflow on loopback with the DAGs, on the demo's lake and sources: the UI in about a minute
	@bash .ci/airflow.sh start

.PHONY: airflow-stop
airflow-stop: ## End Airflow and all it started
	@bash .ci/airflow.sh stop

.PHONY: bench
bench: setup ## Benchmarks: recommendation quality on real data, where the data is at hand
	@$(BIN)/pinlake benchmark quality --data "$${PINLAKE_SHARED:-../shared}/data/pinterest-37k"

.PHONY: bench-flow
bench-flow: setup ## The whole flow at two sizes: what each job takes and how it grows; over an hour, writes docs/benchmarks.md
	@$(BIN)/pinlake benchmark flow --page docs/benchmarks.md

.PHONY: format
format: $(VENV)/.done ## Rewrite the code in the house's format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: proto
proto: $(VENV)/.done ## Generate the value format's Python from its .proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. jobs/serving/format.proto

.PHONY: docs
docs: $(VENV)/.done ## Write what comes from the code: pages of docs/, conf/base/
	@$(BIN)/python -m jobs.cli.reference docs

.PHONY: lock
lock: ## Resolve requirements.lock again, with the hashes of all files (needs uv on PATH)
	@uv pip compile pyproject.toml --group jobs --group orchestrate --group dev --universal --python-version 3.11 \
		--no-emit-index-url --no-annotate --no-header --generate-hashes --quiet --output-file requirements.lock
	@awk '/^[a-zA-Z0-9]/ { skip = /^pyspark-client==/ } !skip' requirements.lock >requirements.lock.new && mv requirements.lock.new requirements.lock

.PHONY: clean
clean: ## Remove what runs left behind: lake, world, store. Keeps .venv and the jars
	@rm -rf .pinlake/lake .pinlake/world .pinlake/store .pinlake/spark .pinlake/warehouse .pinlake/gx .pinlake/reports
