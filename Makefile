# Set-up: git, make and python3-venv; everything else is made here, below .venv and build.
# PYTHON=python3.12 chooses an interpreter, SETUP=1 (as root) installs missing Debian packages, ARGS=... goes to pytest.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
export PYTHON SETUP CI ARGS COVERAGE GOALS FULL PEER_HEAD

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: venv ## build three template lines on an embedded Proxmox API, on loopback
	@$(PY) scripts/demo.py

.PHONY: demo-boot
demo-boot: venv ## build, prove and clone a template whose guests really boot, in QEMU: five minutes and more
	@sh scripts/prerequisites.sh boot
	@$(PY) scripts/demo_boot.py

.PHONY: test
test: test-venv host-tools boot-tools ## all rings of tests, with a table at the end
	@$(PY) scripts/rings.py

.PHONY: test-pure test-doors test-lint test-sanity test-hosts test-boot
test-pure: test-venv ## ring 1: model, client, planner, images: no Ansible, no network
	@$(PY) scripts/rings.py pure
test-doors: test-venv ## ring 2: modules, contracts and playbooks against the fake API
	@$(PY) scripts/rings.py doors
test-lint: test-venv ## ring 3: ruff, mypy, yamllint, ansible-lint, documentation
	@$(PY) scripts/rings.py lint
test-sanity: test-venv ## ring 4: ansible-test sanity
	@$(PY) scripts/rings.py sanity
test-hosts: test-venv host-tools ## ring 5: roles on real systemd hosts, in a Docker daemon of their own (root)
	@$(PY) scripts/rings.py hosts
test-boot: test-venv boot-tools ## ring 6: guests that really boot, in QEMU
	@$(PY) scripts/rings.py boot

.PHONY: format
format: venv ## let ruff format and repair what it can
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

.PHONY: bench
bench: venv ## requests, processes and times against the peer: build/bench.json (GOALS=G8,G12 runs some)
	@$(PY) scripts/bench.py

.PHONY: probe-catalog
probe-catalog: venv ## ask every URL of the image catalogue on the real internet
	@$(PY) scripts/probe_catalog.py $(ARGS)

.PHONY: docs
docs: venv ## pages for every module, plugin and role: build/docs
	@$(PY) scripts/docs.py

.PHONY: dist
dist: venv ## the artifact: build/homelab-proxmox-VERSION.tar.gz
	@.venv/bin/ansible-galaxy collection build --force --output-path build

.PHONY: bundle
bundle: venv ## what bootstrap.sh needs without a network: build/homelab-bundle-...tar (ARGS=--key=FILE signs it)
	@$(PY) scripts/bundle.py $(ARGS)

.PHONY: lock
lock: venv ## the newest packages for the controller: meta/controller
	@$(PY) scripts/lock.py

.PHONY: venv
venv: ## the tools of the tests and the demo: .venv
	@sh scripts/prerequisites.sh setup
	@sh scripts/venv.sh

.PHONY: test-venv
test-venv:
	@sh scripts/prerequisites.sh test
	@sh scripts/venv.sh

.PHONY: host-tools
host-tools:
	@sh scripts/prerequisites.sh hosts

.PHONY: boot-tools
boot-tools:
	@sh scripts/prerequisites.sh boot

.PHONY: clean
clean: ## remove .venv and build
	rm -rf .venv build
