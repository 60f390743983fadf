# Two commands for a newcomer: make run, make test. The rest are for development.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIPELINE := $(VENV)/.installed-run
DEVELOPMENT := $(VENV)/.installed-dev
# A worker per core, for the long tests one and a half; tests/conftest.py says which tests share a worker, and which come first.
PARALLEL := -n auto --dist loadgroup --no-loadscope-reorder --durations=25 --durations-min=5
LONG = $(shell grep -rl --include='test_*.py' 'mark\.long' tests)

.PHONY: setup run test test-all battery lint audit lock docs words mutants check up down bench clean

run: $(PIPELINE)  ## set up, then the whole pipeline on the samples
	$(BIN)/gptflow run

setup: $(DEVELOPMENT)  ## only set up: .venv with the project and the development tools

test: $(DEVELOPMENT)  ## set up, then every test but the long ones
	$(BIN)/python -m pytest $(PARALLEL) -m "not long"

test-all: $(DEVELOPMENT)  ## the long tests: whole corpora, repeated kills, servers that go away
	$(BIN)/python -m pytest $(PARALLEL) -m "long and not soak" $(LONG)

battery: $(DEVELOPMENT)  ## bad inputs, fuzzed files, kills, full disks, attacks: the long form, with counts; fresh numbers
	$(BIN)/python -m pytest $(PARALLEL) tests/faults tests/inputs tests/security tests/flows/test_survival.py tests/flows/test_scheduled.py tests/flows/test_stores_full.py tests/flows/test_outages.py tests/flows/test_prefect_away.py tests/flows/test_first_model.py tests/flows/test_shared_store.py tests/flows/test_toy.py tests/tasks/test_sharing.py tests/tasks/store tests/gpt_core/test_uris.py tests/gpt_core/judging/test_report.py tests/tasks/tracking/test_python_function.py tests/gpt_core/serving/test_faults.py tests/gpt_core/serving/test_json_body.py tests/tasks/anatomy/test_notebooks.py tests/distributed tests/tasks/test_dask_engine.py --kills 12 --fuzz 400
	$(BIN)/python -m pytest $(PARALLEL) tests/gpt_core tests/parity -m "not long" --seed $(shell date +%s)

lint: $(DEVELOPMENT)  ## style, types, the layers' import contracts, insecure calls and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r gpt_core tasks flows benchmarks docs .ci data/samples
	$(BIN)/python .ci/check_words.py

audit: $(DEVELOPMENT)  ## known vulnerabilities of the packages in constraints.txt
	$(BIN)/python .ci/audit.py

lock: $(DEVELOPMENT)  ## write the hashes of every file that an installation may fetch
	$(BIN)/python .ci/lock.py

docs: $(DEVELOPMENT)  ## write the generated pages, then the site build/site/index.html; a warning is an error
	$(BIN)/python docs/make_settings.py
	$(BIN)/python docs/make_modules.py
	$(BIN)/python -m sphinx -W --keep-going -q docs build/site

words: | $(BIN)/python  ## words of .ci/words.toml, with what to write instead
	$(BIN)/python .ci/check_words.py

mutants: $(DEVELOPMENT)  ## changes of the core that no test notices: make mutants OF="gpt_core/optim --sample 20"
	$(BIN)/python .ci/mutants.py $(OF)

check: lint audit test test-all  ## what CI runs

up: $(PIPELINE)  ## Prefect, MLflow and a worker, until Ctrl-C
	$(BIN)/gptflow up

down: $(PIPELINE)  ## stop the local Prefect server that a run started
	$(BIN)/gptflow down

bench: $(DEVELOPMENT)  ## every benchmark, appended to benchmarks/RESULTS.md
	for name in loader tokenizers training efficiency saving importing overhead packing serving decoding; do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:  ## remove what runs made; the environment stays
	rm -rf .prefect mlflow/mlflow.db* mlflow/artifacts data/raw data/corpora data/tokenizers data/shards data/checkpoints data/reports data/releases

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "gptflow needs Python 3.11 to 3.13; say which with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(PIPELINE): pyproject.toml constraints.txt .ci/hashes.txt | $(BIN)/python
	$(BIN)/python .ci/install.py
	touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt .ci/hashes.txt | $(BIN)/python
	$(BIN)/python .ci/install.py dev
	touch $@ $(PIPELINE)
