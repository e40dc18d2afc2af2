# Every target runs in the virtual environment .venv, which is created first if it is missing.
# Variables given to make (PG2_DATA=..., PG2_RUNS=...) reach the environment of the commands.

DATASET ?= synthetic-market
PROFILE ?= quick
SEEDS ?= 0
SET ?=
PIP_FLAGS ?=

.PHONY: help lab reproduce claims successors report test notebooks pages demo screenshot bench record clean

help:
	@echo "make lab         open the notebooks in JupyterLab; 08 and 09 need nothing trained"
	@echo "make reproduce   data, training, scores, tables, figures and executed notebooks; resumes"
	@echo "                 an interrupted run. DATASET=$(DATASET) PROFILE=$(PROFILE) SEEDS=$(SEEDS)"
	@echo "                 SET=\"iterations=500\" changes any number; PROFILE=my.toml is your own"
	@echo "                 DATASET=all: both drawn data sets, both halves of Table 1"
	@echo "                 Real data: make reproduce DATASET=market1501 PG2_DATA=<folder>"
	@echo "make claims      the same, then the ablations and the paper's claims, one by one"
	@echo "make successors  the rows of later papers, and a table of them beside PG2's"
	@echo "make report      all results on one HTML page, from the latest runs; trains nothing"
	@echo "make test        unit tests, every notebook re-run and compared (profile smoke), and"
	@echo "                 JupyterLab in Chromium if that is installed"
	@echo "make notebooks   reproduce, then write the executed notebooks over notebooks/"
	@echo "make pages       update the tables that README.md and docs/results.md quote from figures/"
	@echo "make demo        train the generators that ship with the project again; hours on two cores"
	@echo "make screenshot  take the picture of the pose studio for README.md"
	@echo "make bench       measure speed and memory, half an hour; keep the machine idle"
	@echo "make record      CHANGE=\"what is new\": cost and quality of quick, a line of docs/records.md"
	@echo "make clean       remove .venv and caches; keeps runs/, which may hold days of training"
	@echo
	@echo "Each target first installs into .venv if needed: about 6 GB, half of it CUDA. On Linux"
	@echo "without an NVIDIA GPU, add"
	@echo "  PIP_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu'"
	@echo "for the much smaller CPU build of torch."

lab: .venv/.installed
	@.venv/bin/python -m jupyterlab notebooks

reproduce: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --dataset $(DATASET) --profile $(PROFILE) --seeds $(SEEDS) \
	    $(foreach change,$(SET),--set $(change)) $(CLAIMS)

claims: CLAIMS = --claims
claims: reproduce

successors: .venv/.installed
	@.venv/bin/python -m pg2lib successors --dataset $(DATASET) --profile $(PROFILE) \
	    --seeds $(SEEDS) $(foreach change,$(SET),--set $(change))

report: .venv/.installed
	@.venv/bin/python -m pg2lib report

test: .venv/.installed
	@rm -rf .test-runs
	@.venv/bin/python -m pytest --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

notebooks: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --claims --update-notebooks

pages: .venv/.installed
	@.venv/bin/python -m pg2lib pages

demo: .venv/.installed
	@.venv/bin/python -m pg2lib train all --profile demo
	@.venv/bin/python -m pg2lib export all --profile demo --small --out pg2lib/demo_weights
	@.venv/bin/python -m pg2lib card --profile demo

screenshot: .venv/.installed
	@.venv/bin/python tests/browser/screenshot.py

bench: .venv/.installed
	@.venv/bin/python -m benchmarks

record: .venv/.installed
	@.venv/bin/python -m benchmarks.record "$(CHANGE)" $(foreach change,$(SET),--set $(change))

# pip -qq still shows errors, but not its many harmless warnings. The stamp holds the seconds the
# installation took and is written last, so that an interrupted installation is repeated.
.venv/.installed: pyproject.toml
	@if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
	    for python in $(PYTHON) python3 python3.13 python3.12 python3.11 none; do \
	        "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    done; \
	    if [ "$$python" = none ]; then \
	        echo "No Python 3.11 or newer found; install one, or name it: make PYTHON=<path>" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating .venv with $$("$$python" --version)."; \
	    "$$python" -m venv .venv; \
	fi
	@echo "Installing pg2lib and its requirements into .venv: about two minutes without output."
	@began=$$(date +%s) && \
	    .venv/bin/python -m pip install -qq $(PIP_FLAGS) -e '.[test]' && \
	    echo $$(($$(date +%s) - began)) > $@

clean:
	rm -rf .venv .test-runs .test-artifacts .pytest_cache .ruff_cache .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
