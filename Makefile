# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PY := $(CURDIR)/$(VENV)/bin/python
GATES := unit lint typing docs-lint sanity build mutants-some molecule integration-some firing-some agreement-some faults-some
TREE := $(CURDIR)/.cache/collections

# Nothing is read from or written to the user's home, and no collection is looked for elsewhere.
export ANSIBLE_COLLECTIONS_PATH := $(TREE)
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export BLACK_CACHE_DIR := $(CURDIR)/.cache/black
export LC_ALL := C.UTF-8
export PYTHONDONTWRITEBYTECODE := 1
# The gates ask git for the project's files; as root it refuses a checkout that another user made.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)
$(GATES) test test-sriov demo firing integration agreement faults bench mutants lab-%: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup test $(GATES) docs firing fired integration agreement faults bench mutants demo lab-up lab-down lab-status lab-exec \
	lab-sriov-up lab-sriov-down test-sriov clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing, make .venv and the collections tree
	@$(PYTHON) tests/tools/setup.py

test: setup ## the gates that CI runs, up to the first that fails: all that is quick, of the long suites a part
	@$(PY) -m tests.tools.gates $(GATES)

unit: setup ## unit tests
	PYTHONPATH=$(TREE) pytest tests/unit --numprocesses auto --dist worksteal

lint: setup ## style, licences, changelog, Python 3.9, traces of a machine
	ruff check .
	black --check --quiet --diff .
	vermin --quiet --no-tips --target=3.9- --violations plugins/modules plugins/module_utils
	yamllint --strict .
	shellcheck .ci/run
	ansible-lint --nocolor --offline --profile production
	antsibull-changelog lint
	antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml
	reuse lint --quiet || reuse lint
	$(PY) -m tests.tools.actions
	$(PY) -m tests.tools.traces

typing: setup ## mypy, strict
	mypy -p ansible_collections.livemig.libvirt.plugins -p tests

docs-lint: setup ## documentation of plugins and roles, links in Markdown
	HOME=$(CURDIR)/.cache antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all --skip-rstcheck .
	$(PY) -m tests.tools.links

docs: setup ## make the pages of docs/ that are tables anew
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.checks_reference
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.facts_reference
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.diagnosis_reference
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.firing_reference
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.agreement_reference
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.faults_reference

sanity: setup ## all of ansible-test sanity, nothing ignored
	$(PY) -m tests.tools.sanity

build: setup ## build the collection and import it as Galaxy would
	$(PY) -m tests.tools.build

molecule: setup ## scenarios on real hypervisors in the lab
	$(PY) -m tests.lab up
	$(PY) -m tests.lab exec ctl -- molecule test --all --exclude sriov --no-command-borders

integration: setup ## bad input, ansible-runner and more against the lab; keeps what was seen
	PYTHONPATH=$(TREE) pytest tests/integration --record

integration-some: setup ## 16 of these tests, others with every commit
	PYTHONPATH=$(TREE) pytest tests/integration --some 16 --seed $$(git log -1 --format=%ct)

firing: setup ## every check that the lab can show, under its real condition; keeps what was seen
	PYTHONPATH=$(TREE) $(PY) -m tests.firing --record
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.firing_reference

firing-some: setup ## 12 of these conditions, others with every commit
	PYTHONPATH=$(TREE) $(PY) -m tests.firing --sample 12 --seed $$(git log -1 --format=%ct)

fired: setup ## list the checks that were seen firing in the lab
	@PYTHONPATH=$(TREE) $(PY) -m tests.firing --list

agreement: setup ## are the verdicts right? every case tried for real; keeps what was seen
	PYTHONPATH=$(TREE) $(PY) -m tests.integration.agreement --jobs 2 --record
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.agreement_reference

agreement-some: setup ## 5 of these cases, others with every commit
	PYTHONPATH=$(TREE) $(PY) -m tests.integration.agreement --sample 5 --seed $$(git log -1 --format=%ct)

faults: setup ## interrupt real migrations at real moments, recover, prove that each guest runs once
	PYTHONPATH=$(TREE) $(PY) -m tests.faults --record
	PYTHONPATH=$(TREE) $(PY) -m tests.tools.faults_reference

faults-some: setup ## 2 of these faults, others with every commit
	PYTHONPATH=$(TREE) $(PY) -m tests.faults --sample 2 --seed $$(git log -1 --format=%ct)

mutants: setup ## break the product on purpose and see the suites turn red, in the lab too
	$(PY) -m tests.mutants
	PYTHONPATH=$(TREE) $(PY) -m tests.mutants --lab

mutants-some: setup ## those that need no lab, and one that does, another with every commit
	$(PY) -m tests.mutants
	PYTHONPATH=$(TREE) $(PY) -m tests.mutants --lab --sample 1 --seed $$(git log -1 --format=%ct)

bench: setup ## measure side by side, into docs/benchmarks
	PYTHONPATH=$(TREE) $(PY) -m tests.bench

demo: setup ## one evacuation in the lab, from start to report
	$(PY) -m tests.demo

lab-up: setup ## raise the lab
	$(PY) -m tests.lab up

lab-down: setup ## take the lab down, leave nothing behind
	$(PY) -m tests.lab down

lab-status: setup ## what of the lab is up
	$(PY) -m tests.lab status

lab-exec: setup ## run CMD on HOST of the lab: make lab-exec HOST=hv1 CMD='virsh list'
	$(PY) -m tests.lab exec $(HOST) -- $(CMD)

lab-sriov-up: setup ## raise the SR-IOV lab: two machines with emulated VFs (8 GiB of memory)
	$(PY) -m tests.sriov up

lab-sriov-down: setup ## take the SR-IOV lab down, leave nothing behind
	$(PY) -m tests.sriov down

test-sriov: setup ## tests in the SR-IOV lab and molecule's scenario sriov; the lab is raised for them and taken down
	trap '$(PY) -m tests.sriov down' EXIT; KEEP=1 PYTHONPATH=$(TREE) pytest tests/sriov; \
	$(PY) -m tests.sriov exec ctl -- molecule test --scenario-name sriov --no-command-borders

clean: ## remove everything that setup and the gates made
	@if [ -d $(VENV) ]; then $(PY) -m tests.lab down; $(PY) -m tests.sriov down; fi
	rm -rf .ansible .cache $(VENV) changelogs/.plugin-cache.yaml tests/output
