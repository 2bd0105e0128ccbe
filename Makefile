# make demo    the main job: segment a synthetic study, or INPUT=... with MODELS=... into OUTPUT=...
# make demo-gateway  the gateway beside an Orthanc: a study goes in, its results come back
# make test    all tests
# make bench   speed, memory and agreement against TotalSegmentator's own command: more than an hour
#              on two cores; DEVICE=cuda; a quick run: BENCH="--narrow --variant fast --runs 1"
# make soak    the gateway under long load and many kills: two hours and more; MINUTES=15
# make lint    ruff, mypy, import-linter

# make image     the container image by our own Dockerfile; VARIANT=cuda; WEIGHTS=models/totalsegmentator
# make package   the same by `monai-deploy package`; both need Docker
# make test-map  tests of both images, in a Docker engine that they start: root, and minutes
# make audit     known weaknesses of the packages, and their list as CycloneDX

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PHANTOM := build/phantom
INPUT ?= $(PHANTOM)
MODELS ?= models/demo
OUTPUT ?= build/demo

DEVICE ?= cpu
IMAGE ?= totalmap
VARIANT ?= cpu
WEIGHTS ?=
OPTIONS ?=

BENCH ?= --output benchmarks/results/speed-$(DEVICE).md
MINUTES ?= 120

.PHONY: demo demo-gateway test bench soak lint image package test-map audit format train clean

demo: $(VENV)/.runtime $(if $(filter $(PHANTOM),$(INPUT)),$(PHANTOM)/.done)
	$(BIN)/totalmap run "$(INPUT)" "$(OUTPUT)" --models "$(MODELS)"

demo-gateway: $(VENV)/.development $(PHANTOM)/.done
	$(BIN)/python -m tests.demo_gateway $(PHANTOM)

# Half of the time, tests wait for processes: three at once keep two cores busy. What a file has
# started is there for all of its tests, and the longest files come first (pyproject.toml).
test: $(VENV)/.development
	$(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(TESTS)

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.speed --device $(DEVICE) $(BENCH)

soak: $(VENV)/.development
	KILLS=100 INSTANCES=10000 $(BIN)/pytest tests/integration/test_receiver_kills.py
	KILLS=100 STUDIES=40 SLICES=250 CUT_OFF_SECONDS=60 \
	    $(BIN)/pytest tests/integration/test_service_kills.py
	ROUNDS=20 $(BIN)/pytest tests/integration/test_worker_kills.py
	QUEUED=100 $(BIN)/pytest tests/unit/gateway/test_jobs.py -k upgrade
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --output benchmarks/results/soak.md

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

image: $(VENV)/.runtime
	$(BIN)/python -m image build --tag $(IMAGE) --variant $(VARIANT) \
	    $(if $(WEIGHTS),--models "$(WEIGHTS)") $(OPTIONS)

package: $(VENV)/.runtime
	$(BIN)/python -m image package --tag $(IMAGE) $(if $(WEIGHTS),--models "$(WEIGHTS)") $(OPTIONS)

test-map: $(VENV)/.development
	$(BIN)/pytest tests/acceptance $(TESTS)

audit: $(VENV)/.development
	mkdir -p build
	$(BIN)/python -m image requirements > build/requirements.txt
	$(BIN)/cyclonedx-py requirements build/requirements.txt --output-file build/sbom.json
	$(BIN)/pip-audit --no-deps --disable-pip -r build/requirements.txt

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Trains the demo model anew: about an hour on two cores.
train: $(VENV)/.development
	$(BIN)/python -m training.demo_model

clean:
	rm -rf build $(VENV)

$(PHANTOM)/.done: $(VENV)/.runtime $(wildcard tests/phantom/*.py)
	rm -rf $(PHANTOM)
	$(BIN)/python -m tests.phantom $(PHANTOM)
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed, $(PYTHON) is older; try make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	    { echo "The module venv is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: $(BIN)/python requirements.txt requirements-gateway.txt constraints.txt pyproject.toml
	$(BIN)/python -m pip install --quiet -r requirements.txt -r requirements-gateway.txt -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt -c constraints.txt
	touch $@
