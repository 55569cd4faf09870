# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup packages venv unit coverage lint lint-style lint-format lint-types lint-shell lint-yaml lint-ansible sanity docs changelog lab scenario molecule demo bench test test-packets test-rest clean

# The environment the tools live in. Another one that holds them is used as it is: make VENV=/opt/venv lint
VENV ?= .venv
CACHE := $(CURDIR)/.cache
TREE := $(CACHE)/collections
TOOLS := tests/tools
PYTEST_ARGS ?=
# Sanity tests to run; empty: all.
SANITY ?=
SCENARIOS ?= lab gateways freebsd_sim frr fleet freebsd_fleet
# Where the lab keeps a scenario's hosts: one place each, so that two scenarios never meet.
LAB_STATE_ROOT ?= $(if $(filter 0,$(shell id -u)),/run/vti-lab,$(CACHE)/lab)

export PATH := $(abspath $(VENV))/bin:$(PATH)
export LC_ALL := C.UTF-8
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Whatever Ansible and molecule write stays in the checkout.
ANSIBLE_ENV := ANSIBLE_COLLECTIONS_PATH=$(TREE) ANSIBLE_HOME=$(CACHE)/ansible XDG_CACHE_HOME=$(CACHE)/xdg

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: packages venv ## Install what tests and demo need (Debian packages, Python environment, the lab's root and kernel)
	tests/lab/lab setup

packages:
	@$(TOOLS)/apt-packages $(TOOLS)/apt-packages.txt tests/apt-packages.txt

venv:
	@$(TOOLS)/venv $(VENV) requirements-dev.txt
	@$(TOOLS)/collection-tree $(TREE)

unit: venv ## Run the unit tests (PYTEST_ARGS=... are passed on)
	pytest tests/unit $(PYTEST_ARGS)

coverage: venv ## Run the unit tests, and insist on their coverage of what is FreeBSD's
	$(TOOLS)/coverage-freebsd $(VENV)

lint: lint-style lint-format lint-types lint-shell lint-yaml lint-ansible ## Check style, types, YAML and Ansible content (make -k lint: all of them)

lint-style: venv
	ruff check .

lint-format: venv
	ruff format --check .

lint-types: venv
	$(TOOLS)/types $(VENV) $(TREE)

lint-shell:
	$(TOOLS)/shell

lint-yaml: venv
	yamllint --strict .

lint-ansible: venv
	$(ANSIBLE_ENV) ansible-lint --offline --profile production --strict

sanity: venv ## Run ansible-test sanity on an installed copy (SANITY="NAME..." for some tests only)
	$(TOOLS)/sanity $(VENV) $(CACHE) $(SANITY)

docs: venv ## Check the documentation of modules and the guides
	$(TOOLS)/docs $(CACHE)

changelog: venv ## Check the changelog fragments
	antsibull-changelog lint

lab: venv ## Run the tests of the lab itself
	pytest tests/lab $(PYTEST_ARGS)

scenario: venv ## Run one molecule scenario: make scenario NAME=lab
	@test -n "$(NAME)" || { echo "which scenario? make scenario NAME=... ; there are:" $$(cd extensions/molecule && dirname */molecule.yml); exit 2; }
	@test "$(NAME)" != freebsd || test -n "$${VTI_FREEBSD_INVENTORY:-}" || { echo "scenario freebsd: not run, for VTI_FREEBSD_INVENTORY names no inventory with FreeBSD hosts (guide_freebsd)"; exit 2; }
	$(ANSIBLE_ENV) MOLECULE_COMMAND_BORDERS=0 VTI_LAB_STATE=$(LAB_STATE_ROOT)/scenario-$(NAME) molecule test -s $(NAME)

molecule: ## Run all molecule scenarios that need nothing but this machine
	@for name in $(SCENARIOS); do $(MAKE) --no-print-directory scenario NAME=$$name; done

demo: setup ## Deploy an HQ and two branches in the lab, verify them with real packets, show the tunnels
	$(ANSIBLE_ENV) tests/lab/demo

bench: venv ## Measure: what runs, plans and the monitor cost (tables of ratios in docs/benchmarks.md; nothing is asserted)
	tests/bench/report

test: ## Set up, then run everything that CI runs
	@$(TOOLS)/steps setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=none test-packets test-rest
	@printf '\n======== everything passed\n'

# Side by side: the lab has the right of way, the rest takes the time that is left.
test-packets:
	@$(TOOLS)/steps lab scenario:lab

test-rest:
	@nice -n 10 $(TOOLS)/steps lint sanity coverage docs changelog scenario:freebsd_sim
	@$(TOOLS)/steps scenario:gateways

clean: ## Remove what the other targets made in the checkout
	rm -rf .venv .cache .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage
