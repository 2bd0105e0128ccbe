# make demo    the main job: segment a synthetic study, or INPUT=... with MODELS=... into OUTPUT=...
# make demo-gateway  the gateway with an Orthanc as PACS: segments a study and returns the results
# make test    all tests; COVERAGE=1 measures the coverage of the unit tests as well
# make coverage  all tests, and the share of lines that they run: build/coverage/index.html; fails
#              below 90 %
# make bench   speed, memory and agreement against TotalSegmentator's own command: more than an hour
#              on two cores; DEVICE=cuda; a quick run: BENCH="--narrow --variant fast --runs 1"
# make fuzz    200 exports of a PACS and broken studies for an hour; MINUTES=480 at night
# make soak    the gateway under long load and many kills: two hours and more; MINUTES=15
# make lint    ruff, mypy, import-linter
# make docs    the documentation as a site with a search: build/site/index.html

# make image     the container image, by our own Dockerfile; VARIANT=cuda; WEIGHTS=models/totalsegmentator
# make package   the same by `monai-deploy package`; both need Docker
# make test-map  tests of both images, in a Docker engine that they start; needs root and minutes
# make audit     known weaknesses of the packages, and a list of the packages as CycloneDX

# make install        .venv with the packages of a run and the gateway; `make demo` does it by itself
# make check-install  checks that PyPI has all locked packages, for each supported Python
# make locks          resolves the requirements into locks/
# make licences       writes docs/licences.md from the installed packages
# make bundle         a folder that installs TotalMAP without a network; BUNDLE=, WEIGHTS=
#
# TORCH=cpu|cuda chooses the build of PyTorch; default: cuda if there is an NVIDIA GPU, or cpu.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

TORCH ?= auto
# The index with PyTorch for the CPU: PyPI has it for CUDA only.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

PHANTOM := build/phantom
INPUT ?= $(PHANTOM)
MODELS ?= models/demo
OUTPUT ?= build/demo

DEVICE ?= cpu
IMAGE ?= totalmap
VARIANT ?= cpu
WEIGHTS ?=
OPTIONS ?=

PROCESSOR := $(if $(shell grep -m 1 AuthenticAMD /proc/cpuinfo),amd,intel)
BENCH ?= --output benchmarks/results/speed-$(if $(filter cpu,$(DEVICE)),cpu-$(PROCESSOR),$(DEVICE)).md
EXACTNESS ?= --output benchmarks/results/exactness.md
MINUTES ?= $(if $(filter fuzz,$(MAKECMDGOALS)),60,120)
BUNDLE ?= build/bundle

.PHONY: demo demo-gateway test coverage bench fuzz soak lint docs image package test-map audit format
.PHONY: train clean
.PHONY: install check-install locks licences bundle

demo: $(VENV)/.runtime $(if $(filter $(PHANTOM),$(INPUT)),$(PHANTOM)/.done)
	$(BIN)/totalmap run "$(INPUT)" "$(OUTPUT)" --models "$(MODELS)"

demo-gateway: $(VENV)/.development $(PHANTOM)/.done
	$(BIN)/python -m tests.demo_gateway $(PHANTOM)

# Tests wait for processes half of the time: three at a time keep two cores busy. The tests of a file
# run in one process, so that they share its fixtures; the longest files come first (pyproject.toml).
PYTEST := $(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

# Tests start hundreds of processes, and where PYTHONDONTWRITEBYTECODE is set (in CI), each would
# compile our modules again.
COMPILE := $(BIN)/python -m compileall -q app benchmarks cli deploy gateway operators totalmap tests

test: $(VENV)/.development
	$(COMPILE)
ifeq ($(COVERAGE)$(TESTS),1)
	$(MAKE) coverage TESTS="tests/property tests/unit"
	$(PYTEST) tests/integration
else
	$(PYTEST) $(TESTS)
endif

# The pages are written below 90 % as well; the last line fails then (pyproject.toml).
coverage: $(VENV)/.development
	rm -rf build/coverage
	mkdir -p build/coverage
	$(COMPILE)
	$(BIN)/coverage run $(PYTEST) $(TESTS)
	$(BIN)/python -m tests.coverage_data build/coverage
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --fail-under=0
	$(BIN)/coverage report

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.speed --device $(DEVICE) $(BENCH)
	$(BIN)/python -m benchmarks.exactness $(EXACTNESS)

soak: $(VENV)/.development
	KILLS=100 INSTANCES=10000 $(BIN)/pytest tests/integration/test_receiver_kills.py
	KILLS=100 $(BIN)/pytest tests/integration/test_decision_kills.py
	KILLS=100 STUDIES=40 SLICES=250 \
	    $(BIN)/pytest tests/integration/test_service_kills.py
	ROUNDS=20 $(BIN)/pytest tests/integration/test_worker_kills.py
	HANG_SECONDS=20 PAUSE_SECONDS=120 $(BIN)/pytest tests/integration/test_hung_processes.py
	QUEUED=100 $(BIN)/pytest tests/unit/gateway/test_job_queue.py -k upgrade
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --output benchmarks/results/soak.md

# The first seed is the date, so seeds differ from day to day. Failures are kept in build/fuzz.
fuzz: $(VENV)/.development
	$(BIN)/python -m tests.fuzz --first $(shell date +%Y%m%d)000000 --exports 200 \
	    --minutes $(MINUTES) --folder build/fuzz

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.development
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --config-file website/mkdocs.yml

image: $(VENV)/.development
	$(BIN)/python -m image build --tag $(IMAGE) --variant $(VARIANT) --torch-index "$(TORCH_INDEX)" \
	    $(if $(WEIGHTS),--models "$(WEIGHTS)") $(OPTIONS)

package: $(VENV)/.development
	$(BIN)/python -m image package --tag $(IMAGE) $(if $(WEIGHTS),--models "$(WEIGHTS)") $(OPTIONS)

test-map: $(VENV)/.development
	$(BIN)/pytest tests/acceptance $(TESTS)

audit: $(VENV)/.development
	mkdir -p build
	cat locks/run.txt locks/torch-cuda.txt > build/requirements.txt
	$(BIN)/cyclonedx-py requirements build/requirements.txt --output-file build/sbom.json
	$(BIN)/pip-audit --no-deps --disable-pip -r build/requirements.txt

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Trains the demo model again: about an hour on two cores.
train: $(VENV)/.development
	$(BIN)/python -m training.demo_model

clean:
	rm -rf build $(VENV)

$(PHANTOM)/.done: $(VENV)/.runtime $(wildcard tests/phantom/*.py)
	rm -rf $(PHANTOM)
	$(BIN)/python -m tests.phantom $(PHANTOM)
	touch $@

install: $(VENV)/.runtime

check-install: $(VENV)/.development
	$(BIN)/python -m install.check_installable

locks: $(VENV)/.development
	$(BIN)/python -m install.renew_locks

licences: $(VENV)/.runtime
	$(BIN)/python -m install.licences docs/licences.md

bundle: $(VENV)/.runtime
	$(BIN)/python -m install.bundle "$(BUNDLE)" --torch $(TORCH) --torch-index "$(TORCH_INDEX)" \
	    $(if $(WEIGHTS),--models "$(WEIGHTS)")

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed"; exit 1; }
	@$(PYTHON) install/check_system.py
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "The module venv is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: $(BIN)/python $(wildcard locks/*.txt) pyproject.toml $(VENV)/.torch-$(TORCH)
	@$(BIN)/python -m install.packages run gateway --torch $(TORCH) --torch-index "$(TORCH_INDEX)"
	@touch $@

$(VENV)/.development: $(VENV)/.runtime
	@$(BIN)/python -m install.packages development --torch $(TORCH) --torch-index "$(TORCH_INDEX)"
	@touch $@

# Made again if another build of PyTorch is wanted than before.
$(VENV)/.torch-$(TORCH): $(BIN)/python
	@rm -f $(VENV)/.torch-*
	@touch $@
