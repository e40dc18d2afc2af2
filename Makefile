# Every target runs in the virtual environment .venv, which is created first if it is missing.
# Variables given to make (PG2_DATA=..., PG2_RUNS=...) reach the environment of the commands.

DATASET ?= $(or $(PG2_DATASET),synthetic-market)
PROFILE ?= $(or $(PG2_PROFILE),quick)
SEEDS ?= 0
SET ?=
STUDY ?=
LOCK = requirements.lock
CPU_TORCH = https://download.pytorch.org/whl/cpu
EVERY = 10
TESTS ?= tests --ignore=tests/browser

.PHONY: help lab reproduce claims successors report site publish test test-newest notebooks pages demo screenshot bench record scaling faults lock clean

help:
	@echo "make lab         open the notebooks in JupyterLab; 08 and 09 need no training"
	@echo "make reproduce   data, training, scores, tables, figures and executed notebooks; resumes"
	@echo "                 an interrupted run. DATASET=$(DATASET) PROFILE=$(PROFILE) SEEDS=$(SEEDS)"
	@echo "                 SET=\"iterations=500\" changes any number; PROFILE=my.toml uses your own profile"
	@echo "                 DATASET=all: both drawn data sets, both halves of Table 1"
	@echo "                 Real data: make reproduce DATASET=market1501 PG2_DATA=<folder>"
	@echo "make claims      the same, then the ablations and the paper's claims, one by one"
	@echo "make successors  the rows of later papers beside PG2's: table, claims, Figure 4;"
	@echo "                 ABLATIONS=no: only the rows of the table"
	@echo "make report      all results on one HTML page, your own first; trains nothing"
	@echo "make site        notebooks, documents, report and pose studio as pages in runs/site; they"
	@echo "                 open without a server, and the networks run in the browser"
	@echo "make publish     copy your results, runs/figures/, into the project's figures/ and update"
	@echo "                 its pages; STUDY=synthetic-market-quick copies only that one"
	@echo "make test        unit tests, every notebook re-run and compared (profile smoke), and"
	@echo "                 JupyterLab in Chromium if that is installed"
	@echo "make test-newest run the tests in .newest, with the newest versions instead of the locked"
	@echo "                 ones; TESTS=tests/test_ssim.py selects (default: all but the browser tests)"
	@echo "make notebooks   reproduce, then overwrite notebooks/ with the executed ones; make publish"
	@echo "                 then does the same for their figures"
	@echo "make pages       update the tables that README.md and docs/results.md quote from figures/"
	@echo "make demo        retrain the generators that ship with the project; hours, resumable"
	@echo "make screenshot  record the pose studio in use, for README.md"
	@echo "make bench       measure speed and memory, half an hour; keep the machine idle"
	@echo "make record      CHANGE=\"what is new\": cost and quality of quick, a new line in docs/records.md"
	@echo "make scaling     score against width and length of training: docs/scaling.md; half an hour"
	@echo "make faults      kills, full disks, damaged files and bad input: docs/reliability.md; half an hour"
	@echo "make lock        regenerate $(LOCK): the newest versions that work together, with hashes"
	@echo "make clean       remove .venv, .newest and caches; keeps runs/, which may hold days of training"
	@echo
	@echo "Each target first installs into .venv if needed: about 6 GB, two thirds of it CUDA; on Linux"
	@echo "without an NVIDIA GPU about 2 GB, with the CPU build of torch. PIP_FLAGS=... passes your"
	@echo "own flags to pip instead; PIP_FLAGS= takes the build that PyPI offers."
	@echo "Versions and hashes are those in $(LOCK); LOCK= takes the newest versions."

# kernels start in notebooks/, where a relative path of the environment would lead elsewhere;
# Jupyter refuses root, which is the only user of many containers, unless told
lab: .venv/.installed
	@for name in PG2_DATA PG2_RUNS PG2_FIGURES PG2_METHODS PG2_PARSING PG2_PROFILE \
	        PG2_INCEPTION PG2_LPIPS PG2_VGG19 PG2_KEYPOINT_RCNN; do \
	    value=$$(printenv $$name); before='^|:'; \
	    case $$name:$$value in \
	        PG2_PROFILE:*.toml) ;; PG2_PROFILE:*) continue;; PG2_PARSING:*) before=:;; \
	    esac; \
	    [ -z "$$value" ] || \
	        export "$$name=$$(echo "$$value" | sed -E "s#($$before)([^/:])#\\1$$PWD/\\2#g")"; \
	done; \
	exec .venv/bin/python -m jupyterlab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks

reproduce: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --dataset $(DATASET) --profile $(PROFILE) --seeds $(SEEDS) \
	    $(foreach change,$(SET),--set $(change)) $(CLAIMS)

claims: CLAIMS = --claims
claims: reproduce

successors: .venv/.installed
	@$(if $(filter-out no,$(ABLATIONS)),$(error ABLATIONS=$(ABLATIONS) is unknown; write ABLATIONS=no or leave it out))
	@.venv/bin/python -m pg2lib successors --dataset $(DATASET) --profile $(PROFILE) \
	    --seeds $(SEEDS) $(foreach change,$(SET),--set $(change)) \
	    $(if $(filter no,$(ABLATIONS)),--no-ablations) $(METHODS)

report: .venv/.installed
	@.venv/bin/python -m pg2lib report

site: .venv/.installed
	@.venv/bin/python -m pg2lib site

publish: .venv/.installed
	@.venv/bin/python -m pg2lib publish $(STUDY)

test: .venv/.installed
	@rm -rf .test-runs
	@.venv/bin/python -m pytest -n 2 --nbval --nbval-current-env \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg tests notebooks

test-newest:
	@rm -rf .newest .test-runs
	@$(MAKE) --no-print-directory .newest/.installed LOCK=
	@.newest/bin/python -m pytest -n 2 $(TESTS)

notebooks: .venv/.installed
	@.venv/bin/python -m pg2lib reproduce --claims --update-notebooks
	@.venv/bin/python -m pg2lib successors --update-notebooks

pages: .venv/.installed
	@.venv/bin/python -m pg2lib pages

demo: .venv/.installed
	@.venv/bin/python -m pg2lib train all --profile demo
	@.venv/bin/python -m pg2lib export all --profile demo --small \
	    --out pg2lib/demo_weights/synthetic-market
	@.venv/bin/python -m pg2lib card --profile demo
	@.venv/bin/python -m pg2lib train G1+G2+D --dataset synthetic-fashion --profile demo
	@.venv/bin/python -m pg2lib export G1+G2+D --dataset synthetic-fashion --profile demo --small \
	    --out pg2lib/demo_weights/synthetic-fashion/G1+G2+D.safetensors
	@.venv/bin/python -m pg2lib card --dataset synthetic-fashion --profile demo

screenshot: .venv/.installed
	@.venv/bin/python tests/browser/screenshot.py

bench: .venv/.installed
	@.venv/bin/python -m benchmarks

scaling: .venv/.installed
	@.venv/bin/python -m benchmarks.scaling $(if $(DATASET),--dataset $(DATASET)) $(if $(PROFILE),--profile $(PROFILE))

record: .venv/.installed
	@.venv/bin/python -m benchmarks.record "$(CHANGE)" $(foreach change,$(SET),--set $(change))

faults: .venv/.installed
	@.venv/bin/python -m benchmarks.faults --minutes 2

lock: .venv/.installed
	@.venv/bin/python -m pip install -qq $(PIP_FLAGS) uv && .venv/bin/python tools/lock.py write

# On Linux PyPI offers torch with CUDA, 4 GB that only an NVIDIA GPU needs. PyTorch's own index is
# asked first whether it answers: pip would wait for it again and again, package after package.
# pip -qq still shows errors, but not its many harmless warnings. The stamp holds the seconds the
# installation took and is written last, so that an interrupted installation is repeated.
# pip checks the hash of every file of the lock; the CPU build of torch, which PyPI does not have,
# comes in the locked version without one.
.venv/.installed .newest/.installed: pyproject.toml $(wildcard $(LOCK))
	@if ! $(@D)/bin/python -m pip --version >/dev/null 2>&1; then \
	    for python in $(PYTHON) python3 python3.13 python3.12 python3.11 none; do \
	        "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    done; \
	    if [ "$$python" = none ]; then \
	        echo "No Python 3.11 or newer found; install one, or name it: make PYTHON=<path>" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating $(@D) with $$("$$python" --version)."; \
	    "$$python" -m venv $(@D); \
	fi
	@began=$$(date +%s); seconds() { echo $$(($$(date +%s) - began)); }; flags=; \
	size="about 6 GB if torch comes with CUDA, 2 GB if not"; \
	if [ "$(origin PIP_FLAGS)" = undefined ] && [ "$$(uname -s)" = Linux ] && \
	        ! nvidia-smi >/dev/null 2>&1; then \
	    if $(@D)/bin/python -c "import urllib.request as u; \
	            u.urlopen('$(CPU_TORCH)/torch/', timeout=5)" 2>/dev/null; then \
	        flags="--extra-index-url $(CPU_TORCH)"; \
	        size="about 2 GB with the CPU build of torch, since there is no NVIDIA GPU"; \
	    else \
	        echo "$(CPU_TORCH) does not answer: pip installs the build of torch that it finds."; \
	    fi; \
	fi; \
	echo "Installing into $(@D): $$size. This takes minutes, most of them for the download."; \
	( while sleep $(EVERY); do \
	    echo "  $$(seconds) s, $(@D) has $$(du -sm $(@D) | cut -f1) MB so far"; \
	done ) & life=$$!; trap "kill $$life 2>/dev/null" EXIT INT TERM; \
	pip() { $(@D)/bin/python -m pip install -qq $(PIP_FLAGS) "$$@"; }; \
	locked() { $(@D)/bin/python tools/lock.py "$$1" "$(LOCK)"; }; \
	if [ -z "$(wildcard $(LOCK))" ]; then \
	    pip $$flags -e '.[test]'; \
	elif [ -z "$$flags" ]; then \
	    pip --no-deps --require-hashes -r $(LOCK) && pip --no-deps -e .; \
	else \
	    locked cpu > $(@D)/locked.txt && \
	    pip --no-deps --require-hashes -r $(@D)/locked.txt && \
	    pip --no-deps --index-url $(CPU_TORCH) $$(locked torch) && pip --no-deps -e .; \
	fi && seconds > $@ && echo "Installed in $$(cat $@) s."

clean:
	rm -rf .venv .newest .test-runs .test-artifacts .pytest_cache .ruff_cache .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
