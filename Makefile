# make run [ARGS="--listen=127.0.0.1:9000 --db_path=data"]   serve from this checkout
# make test [TESTS=tests.store]                              run the suite, or a part of it
# make lint                                                  style and types
# make torture [ROUNDS=100] [SEED=...]                       break disks, power and limits; 100 rounds take about an hour
# make fuzz [EXAMPLES=5000]                                  send what is almost right; 5000 take about ten minutes
# make big                                                   5 GiB up in parts and down, trees of 2000 files; half an hour
# make bench [ARGS=...]                                      requests per second and CPU per request
# make test-clients [CLIENTS="rclone awscrt"]                 real clients, as docs/clients.md configures them; installs them first
# make clean                                                 forget everything that was built, but not ./data
#
# Everything runs in .venv, on the package as a user would install it: a regular install, since twistd finds a plugin
# only in site-packages, and an editable one hides it. Stamp files keep the second run short: dependencies are
# resolved again when pyproject.toml changes, the package alone is installed again when its sources do.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?= tests
TRIAL ?=

# Directories too: a file that is gone is news as well.
SOURCES := $(shell find s3gw twisted -name __pycache__ -prune -o \( -name '*.py' -o -name py.typed -o -type d \) -print)

# The suite runs from here, where the checkout's s3gw/ does not hide the installed one.
ARENA := build/arena

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: run test test-clients lint torture fuzz big bench clean

run: ARGS ?= --listen=127.0.0.1:9000 --db_path=data
run: $(VENV)/stamp-package
	exec $(BIN)/twistd -n --pidfile= s3gw $(ARGS)

test: $(VENV)/stamp-test $(VENV)/stamp-package $(ARENA)
	cd $(ARENA) && PATH="$(CURDIR)/$(BIN):$$PATH" "$(CURDIR)/$(BIN)/python" -m twisted.trial $(TRIAL) $(TESTS)

lint: $(VENV)/stamp-lint
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Both run what the suite has in a short form. A seed makes the same faults again, at about the same moments.
torture: ROUNDS ?= 100
torture: SEED ?= $(shell date +%s)
torture: $(VENV)/stamp-test $(VENV)/stamp-package $(ARENA)
	@echo "make torture ROUNDS=$(ROUNDS) SEED=$(SEED)"
	cd $(ARENA) && S3GW_TORTURE=$(ROUNDS) S3GW_SEED=$(SEED) PATH="$(CURDIR)/$(BIN):$$PATH" \
		"$(CURDIR)/$(BIN)/python" -m twisted.trial $(TRIAL) \
		tests.faults tests.store.test_crash tests.live.test_crash tests.live.test_restart

fuzz: EXAMPLES ?= 5000
fuzz: $(VENV)/stamp-test $(VENV)/stamp-package $(ARENA)
	cd $(ARENA) && S3GW_FUZZ=$(EXAMPLES) PATH="$(CURDIR)/$(BIN):$$PATH" \
		"$(CURDIR)/$(BIN)/python" -m twisted.trial $(TRIAL) tests.fuzz

# What the suite has in a smaller size.
big: $(VENV)/stamp-test $(VENV)/stamp-package $(ARENA)
	cd $(ARENA) && S3GW_BIG=1 PATH="$(CURDIR)/$(BIN):$$PATH" "$(CURDIR)/$(BIN)/python" -m twisted.trial $(TRIAL) \
		tests.live.test_memory tests.live.test_aws_cli tests.live.test_s3cmd

bench: $(VENV)/stamp-test $(VENV)/stamp-package
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench $(ARGS)

# In an environment of their own, since some of them pin what others use.
CLIENTS_DIR := $(CURDIR)/build/clients
CLIENTS ?= $(patsubst tests/clients/check_%.py,%,$(wildcard tests/clients/check_*.py))

test-clients: $(CLIENTS_DIR)/stamp-package $(ARENA)
	cd $(ARENA) && $(CURDIR)/tests/clients/run.sh $(CLIENTS_DIR) $(TRIAL) $(addprefix tests.clients.check_,$(CLIENTS))

$(CLIENTS_DIR)/stamp-clients: tests/clients/install.sh pyproject.toml
	rm -rf $(CLIENTS_DIR)
	mkdir -p $(CLIENTS_DIR)
	$(PYTHON) -m venv $(CLIENTS_DIR)/venv
	$(CLIENTS_DIR)/venv/bin/python -m pip --disable-pip-version-check --quiet install 'setuptools>=68' wheel
	$(CLIENTS_DIR)/venv/bin/python -m pip --disable-pip-version-check --quiet install --no-build-isolation '.[test]'
	-tests/clients/install.sh $(CLIENTS_DIR)
	@touch $@

$(CLIENTS_DIR)/stamp-package: $(CLIENTS_DIR)/stamp-clients $(SOURCES)
	rm -rf build/lib build/bdist.* *.egg-info
	$(CLIENTS_DIR)/venv/bin/python -m pip --disable-pip-version-check --quiet install --no-build-isolation --no-deps .
	@$(CLIENTS_DIR)/venv/bin/twistd --help >/dev/null
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache _trial_temp* .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 's3gw needs Python 3.10 or newer: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo 'This Python cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'setuptools>=68' wheel
	@touch $@

# $(call install,EXTRA) installs the package with its dependencies and those of an extra. What an earlier build left
# behind would be packed again, modules since removed included.
define install
	rm -rf build/lib build/bdist.* *.egg-info
	$(PIP) install --no-build-isolation $(1)
endef

$(VENV)/stamp-dependencies: $(VENV)/stamp-venv pyproject.toml setup.py
	$(call install,.)
	@touch $@

$(VENV)/stamp-test $(VENV)/stamp-lint: $(VENV)/stamp-%: $(VENV)/stamp-dependencies
	$(call install,'.[$*]')
	@touch $@

# twistd writes its cache of plugins where the package is, so the user who may install has to run it first.
$(VENV)/stamp-package: $(VENV)/stamp-dependencies $(SOURCES)
	$(call install,--no-deps .)
	@$(BIN)/twistd --help >/dev/null
	@touch $@

$(ARENA): Makefile
	mkdir -p $@
	for each in tests tools bench docs README.md; do ln -sfn "$(CURDIR)/$$each" $@/$$each; done
	@touch $@
