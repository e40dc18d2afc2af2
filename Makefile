# Everything goes through a virtual environment in .venv, made when missing.
# A variable given to make (PG2_DATA=..., PG2_RUNS=...) reaches the commands' environment.

DATASET ?= synthetic-market
PROFILE ?= quick
PIP_FLAGS ?=

.PHONY: help lab reproduce report test notebooks pages demo screenshot bench clean

help:
	@echo "make lab         open the notebooks in JupyterLab; 08 and 09 need nothing trained"
	@echo "make reproduce   data, training, scores, tables, figures and executed notebooks;"
	@echo "                 resumes where it stopped. DATASET=$(DATASET) PROFILE=$(PROFILE)"
	@echo "                 DATASET=all: both drawn data sets, both halves of Table 1"
	@echo "                 Real data: make reproduce DATASET=market1501 PG2_DATA=<folder>"
	@echo "make report      one HTML page of all results, from the latest runs; trains nothing"
	@echo "make test        unit tests, every notebook re-run and compared (smoke profile), then"
	@echo "                 JupyterLab in Chromium where that is installed"
	@echo "make notebooks   reproduce, then store the executed notebooks' outputs in notebooks/"
	@echo "make pages       copy the tables that README.md and docs/results.md quote from figures/"
	@echo "make demo        train the small generators of the pose studio again"
	@echo "make screenshot  the picture of the pose studio that README.md shows"
	@echo "make bench       speed and memory against their targets, half an hour; keep the machine idle"
	@echo "make clean       remove .venv and caches; runs/ stays, it may hold days of training"
	@echo
	@echo "Each installs into .venv first if needed. On Linux without an NVIDIA GPU,"
	@echo "  PIP_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu'"
	@echo "fetches the much smaller CPU build of torch."

lab: .venv/.installed
	@.venv/bin/python -m jupyterlab notebooks

reproduce: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --dataset $(DATASET) --profile $(PROFILE)

report: .venv/.installed
	@.venv/bin/python -m pg2lib report

test: .venv/.installed
	@rm -rf .test-runs
	@.venv/bin/python -m pytest --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

notebooks: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --update-notebooks

pages: .venv/.installed
	@.venv/bin/python -m pg2lib.workflow.pages

demo: .venv/.installed
	@.venv/bin/python -m pg2lib train all --profile demo
	@.venv/bin/python -m pg2lib export all --profile demo --small --out pg2lib/demo_weights

screenshot: .venv/.installed
	@.venv/bin/python tests/browser/screenshot.py

bench: .venv/.installed
	@.venv/bin/python -m benchmarks

# pip -qq still shows errors, but not its many harmless warnings. The stamp, which holds the
# seconds it took, is written last, so an interrupted installation is taken up again.
.venv/.installed: pyproject.toml
	@if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
	    for python in $(PYTHON) python3 python3.13 python3.12 python3.11 none; do \
	        "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    done; \
	    if [ "$$python" = none ]; then \
	        echo "No Python 3.11 or newer found; install one or name it: make PYTHON=<path>" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making .venv with $$("$$python" --version)."; \
	    "$$python" -m venv .venv; \
	fi
	@echo "Installing pg2lib and its requirements into .venv: about two minutes, silently."
	@began=$$(date +%s) && \
	    .venv/bin/python -m pip install -qq $(PIP_FLAGS) -e '.[test]' && \
	    echo $$(($$(date +%s) - began)) > $@

clean:
	rm -rf .venv .test-runs .test-artifacts .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
