# Every target does the set-up it needs: Python 3.11 or later (with venv) and make are all that must be there.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install run test check format bench stampede stampede-real dashboard image systemd pins clean

help:  ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

install: $(INSTALLED)  ## Make .venv/ with everything

# The pins name everything, with hashes, so pip resolves nothing: older ones refuse a pinned package that another asks for
# with an extra. The project itself is installed editable, without asking for anything more.
$(INSTALLED): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sidecar needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: $(INSTALLED)  ## Start the main job on this machine: the daemon and a fake AWS, no account needed
	@$(BIN)/sidecar dev

test: $(INSTALLED)  ## Run all tests
	$(BIN)/python -m pytest -n 2 --cov

check: $(INSTALLED)  ## ruff, mypy (strict) and the import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## Let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED)  ## Measure the figures in docs/figures.md
	$(BIN)/python -m bench

stampede: $(INSTALLED)  ## Simulate a thousand daemons that start at once; writes docs/stampede.md and .svg
	$(BIN)/python -m bench.stampede --write

stampede-real: $(INSTALLED)  ## Start thirty real daemons under a strict quota, alone and as a fleet (needs redis-server)
	$(BIN)/python -m bench.stampede.real

dashboard: $(INSTALLED)  ## Draw docs/dashboard.svg: real daemons in bad weather (needs prometheus and redis-server)
	$(BIN)/python -m bench.dashboard --write

image: $(INSTALLED)  ## Build both images and try them, without a registry or an engine (needs buildah, debootstrap and root)
	deploy/image/try.sh

systemd: $(INSTALLED)  ## Boot a systemd in namespaces of its own and have it run the units (needs Linux, debootstrap and root)
	deploy/systemd/try.sh

# uv writes pins for every platform and Python at once; none of them holds a download address.
COMPILE := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
pins:  ## Pin anew what pyproject.toml asks for (needs uv)
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra dev --extra settings --group test --group check --group build -c requirements/run.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements/run.txt -c requirements/dev.txt -o requirements/fake.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) --group encryption-cli -o requirements/encryption-cli.txt

clean:  ## Remove what make and the tests made
	rm -rf .venv dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .sidecar
