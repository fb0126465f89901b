# The course's commands. Each installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 VITSEG_MINE=none/mine.py $(BIN)/python -m pytest -n $(JOBS) --dist loadscope

.PHONY: help setup lab test test-slow lint format pins notebooks bench ablation

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready  ## make .venv and install the exact pins

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "The course needs Python 3.11 or later; say which: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --python $(BIN)/python -r requirements.txt
	$(BIN)/python -m uv pip install --python $(BIN)/python --no-deps --quiet -e .
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
		> .venv/share/jupyter/lab/settings/overrides.json
	@touch $@

lab: setup  ## open the course in JupyterLab (more flags for it: LAB_FLAGS="--no-browser")
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_FLAGS) notebooks/00_start_here.ipynb

test: setup lint  ## what the course promises on a laptop: at most 10 minutes on 2 cores
	$(PYTEST) -m "not slow"
	VITSEG_DATA=../data/toy_scenes $(PYTEST) --nbval notebooks  # their kept outputs are the toy scenes', whatever is on the disk

test-slow: setup  ## browsers and long runs: at most 30 minutes more
	$(BIN)/python -m pytest -m slow

lint: setup  ## style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup  ## mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: setup  ## renew requirements.txt, environment.yml and the table of recipes in README.md
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --all-extras --upgrade --quiet \
		--no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.txt
	$(BIN)/python tests/renew.py

notebooks: setup  ## run all chapters from the top and keep their new outputs
	$(BIN)/python tests/run_notebooks.py

bench: setup  ## speed beside mmsegmentation, as ratios; where time goes; the widgets' where there is a Chromium
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/ceiling.py
	-$(BIN)/python benchmarks/widgets.py

ablation: setup  ## what each part is worth on the toy scenes (about 45 minutes)
	$(BIN)/python benchmarks/ablation.py
