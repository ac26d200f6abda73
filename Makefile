PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
venv: .venv/.ready
.venv/.ready: requirements/runtime.txt requirements/test.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements/test.txt
	mkdir -p .venv/collections/ansible_collections/homelab
	ln -sfn ../../../.. .venv/collections/ansible_collections/homelab/proxmox
	touch $@
.PHONY: venv
