# A fresh machine needs git, make and Python 3.11: every target sets up what it needs, uv included.
SHELL := /bin/sh
TOOLS := .tools
UV := $(shell command -v uv 2>/dev/null || echo $(TOOLS)/bin/uv)
export UV_PYTHON_PREFERENCE := only-system
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup demo test check generate bench bench-scale clean

help:
	@echo "make demo         run the whole system: cloud, website, a virtual building with four doors"
	@echo "make test         run every check and every test"
	@echo "make check        only the checks: format, lint, types, import arrows"
	@echo "make generate     write anew what is drawn from the code: pages of the docs, the client without await"
	@echo "make bench        measure, print a table, write benchmarks/latest.json"
	@echo "make bench-scale  the measurements that take longer"
	@echo "make setup        install what the others need (they do it themselves)"

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --locked
	@touch $@

# Where uv is missing: into a folder of the project's own, by the first way that works.
$(TOOLS)/bin/uv:
	@echo "Bringing uv along …"
	@python3 -m venv $(TOOLS) 2>/dev/null && $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv \
	|| { rm -rf $(TOOLS) && python3 -m pip install --quiet --disable-pip-version-check --target $(TOOLS) uv; } \
	|| { rm -rf $(TOOLS); echo "uv is missing and could not be brought along: install python3-venv, or uv itself." >&2; exit 1; }

demo: setup
	.venv/bin/latchwork demo $(ARGS)

check: setup
	.venv/bin/ruff format --check src tests tools benchmarks examples sdks
	.venv/bin/ruff check src tests tools benchmarks examples sdks
	.venv/bin/mypy
	.venv/bin/lint-imports

test: check
	.venv/bin/pytest -n auto --dist loadgroup $(ARGS)

generate: setup
	.venv/bin/python docs/generate.py
	.venv/bin/python tools/blocking.py

bench: setup
	.venv/bin/python -m benchmarks $(ARGS)

bench-scale: setup
	.venv/bin/python -m benchmarks --scale $(ARGS)

clean:
	rm -rf .venv $(TOOLS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache sdks/typescript/node_modules
