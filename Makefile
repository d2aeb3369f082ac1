# `make demo` and `make test` need Python 3.11 and make; everything else is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo-data

.PHONY: demo test check docs dist sbom image clean
demo: $(VENV)/.runtime
	$(BIN)/kraken-tools demo $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	scripts/check

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python scripts/check_wheel.py dist

sbom: $(VENV)/.dev
	$(BIN)/python scripts/write_sbom.py dist

image:
	docker build --tag kraken_bids --build-arg TORCH_SPEC="--no-deps --require-hashes -r /src/requirements/torch.txt" \
	    --build-arg VERSION="$$($(BIN)/kraken-bids --version | grep -o '[^ ]*$$')" \
	    --build-arg REVISION="$$(git rev-parse HEAD)" .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kraken_bids needs Python 3.11 or newer; found: $$($(PYTHON) --version). Give one with make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing kraken_bids into $(VENV) (a minute or two the first time) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing the test tools into $(VENV) ..."
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO)
