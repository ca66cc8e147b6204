# make chat   install into .venv if needed, then talk
# make test   the same for the tests: checks, engine, app, terminal
# Needs GNU make, CPython 3.11 to 3.14 and the package index; PYTHON=… names an interpreter.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input

# The newest that has a wheel of the fast tokenizer comes first.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3.14 python3 python)
FITS := import sys; sys.exit(sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 14))
WHOLE := import ensurepip, venv

.DEFAULT_GOAL := help
.PHONY: help chat test test-long lint format demo-model screenshots clean

help:
	@echo "make chat        install into $(VENV) if needed, and talk"
	@echo "make test        run the checks and the tests (make test-long: with the large counts)"
	@echo "make lint        run the checks alone (make format: put the sources in order)"
	@echo "make demo-model  train the built-in model again (hours on two cores)"
	@echo "make screenshots take the README's six pictures again, of the program with the built-in model"
	@echo "make clean       remove $(VENV) and everything built; your chats are kept elsewhere and stay"

chat: $(VENV)/.chat
	@$(PY) -m rwkv_chat

# Three processes, a file's tests together, on two cores: a quarter of the time tests wait for clocks, pipes and disks.
test: $(VENV)/.test
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-long: $(VENV)/.long
	@$(PY) -m pytest --long

lint: $(VENV)/.test
	@$(PY) -m pytest tests/test_checks.py

format: $(VENV)/.test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

demo-model: $(VENV)/.chat
	$(PY) -m rwkv_chat.demo.train

screenshots: $(VENV)/.test
	$(PY) -m tests.tui.screenshots

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	find engine rwkv_chat tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as young as the last install that succeeded. A changed pyproject.toml installs again, and so does an
# environment whose Python has gone (upgraded away, or the folder was moved by hand).
ifneq ($(shell $(PY) -c 'print("alive")' 2>/dev/null),alive)
GONE := gone
endif
.PHONY: gone

$(VENV)/.chat: pyproject.toml $(GONE)
	@$(make_venv)
	@$(say_download)
	$(PIP) install -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(GONE)
	@$(make_venv)
	@$(say_download)
	@$(PY) -c 'import hypothesis' 2>/dev/null || echo "The tests' tools are about 85 MB more; 61 MB of it is the Node that pyright needs."
	$(PIP) install -e '.[test]'
	@touch $(VENV)/.chat $@

# llama.cpp has no wheels; where it cannot be built the long tests still run, and say what they left out.
$(VENV)/.long: $(VENV)/.test
	$(PIP) install -e '.[test,long]'
	@$(PY) -c 'import llama_cpp' 2>/dev/null || echo "llama.cpp is built from its source where there is no wheel: 77 MB and up to half an hour."
	$(PIP) install -e '.[llama]' || echo "llama.cpp could not be built here (it wants a C++ compiler): its tests are left out."
	@touch $@

# The sizes were measured in 2026 with torch 2.13: wheels of torch, triton and CUDA, and all others together.
define say_download
if $(PY) -c 'import torch' 2>/dev/null; then \
	echo "pip looks whether anything is missing; torch is here already."; \
else case "$$(uname -s)" in \
	Linux) echo "pip will now download torch, triton and some smaller packages: about 430 MB if your package index"; \
		echo "offers torch for the CPU alone, about 2.8 GB if it offers torch with CUDA, as PyPI does for Linux." ;; \
	*) echo "pip will now download torch and some smaller packages: about 130 MB." ;; \
	esac; fi
endef

define make_venv
if $(PY) -c '$(FITS)' 2>/dev/null && $(PY) -m pip --version >/dev/null 2>&1; then exit 0; fi; \
for each in $(CANDIDATES); do \
	if "$$each" -c '$(FITS)' 2>/dev/null; then \
		if "$$each" -c '$(WHOLE)' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$each" -V) ($$(command -v "$$each"))."; \
			exec "$$each" -m venv --clear $(VENV); \
		fi; partial="$$each"; \
	fi; \
done; \
if [ -n "$$partial" ]; then \
	echo "$$partial is here, but its venv module is not: install it (on Debian and Ubuntu: apt install python3-venv)."; \
else \
	echo "No CPython 3.11, 3.12, 3.13 or 3.14 was found; install one, or name it: make PYTHON=/path/to/python3."; \
fi >&2; exit 1
endef
