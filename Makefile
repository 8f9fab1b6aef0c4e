# Each target makes its own environment from a bare python3.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes --only-binary :all: -r
COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
QUESTIONS := rate adaptive latency stalls cpu memory start scale resume outage peers

.PHONY: demo test durability check docs bench lock clean

demo: .venv/run            ## the main job on the built-in double: nothing to set up
	$(BIN)/exporter demo

test: .venv/dev            ## every test, side by side
	$(BIN)/python -m pytest -n auto --dist worksteal

durability: .venv/dev      ## kills, power cuts, full and failing disks at length, as root; prints its figures
	$(BIN)/python -m pytest -m durability

check: .venv/dev           ## format, lint, types, floors, pages made of the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: .venv/dev            ## the documentation, into site/: first the pages made of the code, then all of it
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/run .venv-peers/run ## the benchmarks, as tables and JSON; an hour on a quiet machine
	for question in $(QUESTIONS); do $(BIN)/python benchmarks/$$question.py || exit 1; done

lock:                      ## pin the newest allowed versions, with hashes and without addresses
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --group pyproject.toml:build -c requirements.txt -o requirements-build.txt
	$(COMPILE) --group pyproject.toml:dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) benchmarks/peers/requirements.in -o benchmarks/peers/requirements.txt
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-peers exporter-demo site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/run: requirements.txt requirements-build.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(LOCKED) requirements.txt
	$(LOCKED) requirements-build.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(LOCKED) requirements-dev.txt
	touch $@

.venv-peers/run: benchmarks/peers/requirements.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@
