# Every target sets itself up: a virtual environment with the pinned versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Tests run in two processes, so one thread each.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test slow faults bench docs lint clean

demo: .venv/ready
	OMP_NUM_THREADS=$$(nproc 2>/dev/null || sysctl -n hw.ncpu) $(BIN)/python examples/digits.py runs/demo

test: .venv/ready lint
	$(BIN)/pytest -n 2 -m "not slow and not faults"

slow: .venv/ready
	$(BIN)/pytest -m slow

faults: .venv/ready
	$(BIN)/pytest -m faults

# Under half an hour on two cores; each writes its table below benchmarks/results.
bench: .venv/peers
	for script in startup.py data.py "sample.py --rounds 4" samplers.py "train.py --rounds 3"; do \
	  OMP_NUM_THREADS=$$(nproc 2>/dev/null || sysctl -n hw.ncpu) \
	  $(BIN)/python benchmarks/$$script || exit 1; done

# The site, in English and in Chinese, into site/; open site/index.html.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

clean:
	rm -rf .venv

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hush needs Python 3.11 or newer; name one: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps torch-fidelity
	touch $@

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,docs]'
	touch $@

.venv/peers: .venv/ready benchmarks/peers.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement benchmarks/peers.txt
	touch $@
