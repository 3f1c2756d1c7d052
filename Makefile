# Nothing is installed outside this folder, and a second run costs no set-up: stamp files remember it.
# Every path is relative, so the path of a checkout may hold spaces.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check format lint types bench soak fuzz audit lock floor anthropic docs notebooks screenshots wheels clean

# uv brings its own list of authorities; behind a company's proxy only the system's knows the proxy.
export UV_SYSTEM_CERTS ?= 1

# A uv that doesn't know --system-certs is too old for dependency groups as well.
UV := $(shell uv pip install --help 2>/dev/null | grep -q -e --system-certs && command -v uv || echo .uv/bin/uv)
PRIVATE_UV := $(filter .uv/bin/uv,$(UV))

PROJECTS := pyproject.toml integrations/langchain/pyproject.toml integrations/llamaindex/pyproject.toml
EDITABLE := -e integrations/langchain -e integrations/llamaindex
INSTALL = "$(UV)" pip install --quiet --constraint $(or $(PINS),constraints.txt) --build-constraint constraints.txt
COMPILE := "$(UV)" pip compile --quiet --all-extras --no-header --no-annotate --no-emit-package promptwire \
	--no-emit-package langchain-promptwire --no-emit-package llama-index-llms-promptwire $(PROJECTS)
RUN := .venv/bin/python -m
JOBS ?= 0

# PYTHON=... chooses another one.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' 2>/dev/null && break; \
	done)

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: .venv/.ready ## the three packages, editable, with all development tools, in .venv

# A development set-up that is there already serves the demo as well.
DEMO := $(if $(wildcard .venv/.ready),.venv,.venv-demo)

demo: $(DEMO)/.ready ## the packages at work, on fake servers of their own; installs run-time dependencies only
	@$(DEMO)/bin/python examples/demo.py $(ARGS)

test: .venv/.ready ## the tests of the three packages; ARGS="-k cache" goes to pytest
	@$(RUN) pytest --quiet -n $(JOBS) $(ARGS)

check: lint types ## format, lint, types, and the tests with their coverage
	@$(RUN) pytest --quiet -n $(JOBS) --cov $(ARGS)

format: .venv/.ready ## rewrites the code in the house's format
	@$(RUN) ruff format --quiet . && $(RUN) ruff check --quiet --fix .

lint: .venv/.ready ## format and lint, changing nothing
	@$(RUN) ruff format --check . && $(RUN) ruff check .

# One mypy run a package: test files of different packages share their names.
types: .venv/.ready ## mypy and pyright
	@$(RUN) mypy src tests conftest.py .ci/smoke.py $(wildcard examples benchmarks)
	@$(RUN) mypy integrations/langchain
	@$(RUN) mypy integrations/llamaindex
	@$(RUN) pyright

bench: .venv/.ready .venv-litellm/.ready ## the benchmarks, into benchmarks/results.md; ARGS="--quick" writes nothing
	@$(RUN) benchmarks.run $(ARGS)

SECONDS ?= 60

soak: .venv/.ready ## load for SECONDS (60): one process, then two and eight that share a Redis, which dies again and again
	@SOAK_SECONDS=$(SECONDS) $(RUN) pytest --quiet -n 0 tests/load $(ARGS)

fuzz: .venv/.ready ## the fuzzers for SECONDS (60) in all, then every attack of the corpus
	@$(INSTALL) --python .venv/bin/python --group fuzz
	@$(RUN) tests.fuzz.run $(SECONDS)
	@ATTACKS=all $(RUN) pytest --quiet -n 0 tests/attacks $(ARGS)

audit: .venv/.ready ## the pins against the published vulnerabilities
	@$(INSTALL) --python .venv/bin/python --group audit
	@for pins in constraints.txt docs/requirements.txt; do \
		.venv/bin/pip-audit --strict --requirement $$pins --no-deps --disable-pip $(ARGS) || exit 1; \
	done

lock: $(PRIVATE_UV) ## constraints.txt and docs/requirements.txt anew, from the newest versions allowed
	@$(COMPILE) --universal --python-version 3.11 --group dev --group fuzz --group audit --group setup --upgrade --output-file constraints.txt > /dev/null
	@"$(UV)" pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--group docs --upgrade --output-file docs/requirements.txt > /dev/null

floor: .venv-floor/.ready ## the tests on the lowest direct versions that the packages allow
	@.venv-floor/bin/python -m pytest --quiet -n $(JOBS) $(ARGS)

anthropic: .venv-anthropic/.ready ## LlamaIndex's tests with its Anthropic, LiteLLM and LangChainLLM, too
	@.venv-anthropic/bin/python -m pytest --quiet -n $(JOBS) integrations/llamaindex/tests $(ARGS)

# The notebooks run first, and are pages with what they displayed. The pages' Markdown is put beside them, for llms.txt.
docs: .venv/.ready .venv-docs/.ready ## the documentation's site, in site/; a broken link fails it
	@$(RUN) docs.notebook_pages
	@.venv-docs/bin/zensical build --clean --strict $(ARGS)
	@cp docs/*.md site/ && rm site/*.py site/requirements.txt
	@.venv-docs/bin/python docs/built.py site

# Its programs come first on the path: a cell may call promptwire.
notebooks: .venv/.ready ## opens the notebooks in JupyterLab
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) jupyterlab notebooks $(ARGS)

screenshots: .venv/.ready ## docs/screenshots anew: what notebooks show, light and dark
	@$(RUN) docs.screenshots

wheels: $(PRIVATE_UV) ## builds wheels and sdists into dist/, and tries them outside this folder
	@rm -rf dist && "$(UV)" build --quiet --all-packages --build-constraint constraints.txt
	@UV="$(UV)" PYTHON="$(PYTHON)" bash .ci/wheels

clean: ## removes what the other commands made, but for .uv
	@rm -rf .venv .venv-demo .venv-floor .venv-litellm .venv-anthropic .venv-docs site docs/notebooks dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# The authorities are Python's, that is, the system's: an old pip brings its own list, too.
.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it by PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -m venv .uv
	@PIP_CERT="$${PIP_CERT:-$$("$(PYTHON)" -c \
		'import ssl; paths = ssl.get_default_verify_paths(); print(paths.cafile or paths.capath or "")')}" \
		.uv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

.venv/.ready: .venv/bin/python constraints.txt $(PROJECTS)
	@$(INSTALL) --python $< --group dev -e '.[cli,notebook,otel,proxy,redis]' $(EDITABLE)
	@touch $@

.venv-demo/.ready: .venv-demo/bin/python constraints.txt $(PROJECTS)
	@$(INSTALL) --python $< -e . $(EDITABLE)
	@touch $@

.venv-floor/.ready: .venv-floor/bin/python .venv-floor/pins.txt
	@$(INSTALL) --python $< --group test -e '.[cli,notebook,otel,proxy,redis]' $(EDITABLE)
	@touch $@

.venv-floor/.ready: PINS = .venv-floor/pins.txt

# LlamaIndex's Anthropic runs with another release of the vendor's SDK than langchain-anthropic does.
.venv-anthropic/.ready: .venv-anthropic/bin/python .venv-anthropic/pins.txt
	@$(INSTALL) --python $< --requirement integrations/llamaindex/anthropic.txt -e . -e integrations/llamaindex
	@touch $@

.venv-anthropic/.ready: PINS = .venv-anthropic/pins.txt

# LiteLLM conflicts with the newest langfuse; where it can't be installed, the benchmarks say so and go on.
.venv-litellm/.ready: .venv-litellm/bin/python benchmarks/litellm.txt
	@if $(INSTALL) --python $< --requirement benchmarks/litellm.txt; then touch $@; else rm -rf .venv-litellm; fi

.venv-litellm/.ready: PINS = benchmarks/litellm.txt

.venv-docs/.ready: .venv-docs/bin/python docs/requirements.txt
	@$(INSTALL) --python $< --requirement docs/requirements.txt
	@touch $@

.venv-docs/.ready: PINS = docs/requirements.txt

# An output file's pins are preferences: all but the lowest versions and what they forbid stays as in constraints.txt.
.venv-floor/pins.txt: .venv-floor/bin/python constraints.txt $(PROJECTS)
	@$(COMPILE) --no-deps --resolution lowest-direct --output-file .venv-floor/lowest.txt > /dev/null
	@cp constraints.txt $@
	@$(COMPILE) --universal --python-version 3.11 --group test --constraint .venv-floor/lowest.txt \
		--output-file $@ > /dev/null

.venv-anthropic/pins.txt: .venv-anthropic/bin/python constraints.txt integrations/llamaindex/anthropic.txt $(PROJECTS)
	@cp constraints.txt $@
	@$(COMPILE) --universal --python-version 3.11 integrations/llamaindex/anthropic.txt --output-file $@ > /dev/null

# Kept when it is there: to make it anew, `make clean`.
.venv/bin/python .venv-demo/bin/python .venv-floor/bin/python .venv-litellm/bin/python .venv-anthropic/bin/python .venv-docs/bin/python: | $(PRIVATE_UV)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it by PYTHON=..." >&2; exit 1; }
	@"$(UV)" venv --quiet --python "$(PYTHON)" $(@:/bin/python=)
