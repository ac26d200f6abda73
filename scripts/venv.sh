#!/bin/sh
# Makes or refreshes .venv: the tools, and the tree .venv/collections in which this checkout is homelab.proxmox.
# A second call does nothing, unless the requirements, the asked-for Python or the place of the checkout changed.
set -eu
cd "$(dirname "$0")/.."

stamp() {
    pwd
    cat meta/ee-requirements.txt requirements/*.txt
    echo "${PYTHON:-}"
}

up_to_date() { [ -f .venv/.ready ] && [ "$(stamp)" = "$(cat .venv/.ready)" ]; }

if up_to_date; then exit 0; fi

sh scripts/prerequisites.sh setup
mkdir -p build
# Two makes at once: the second waits for the first and then finds its work done.
if command -v flock >/dev/null 2>&1; then
    exec 9>build/.venv.lock
    flock 9
    if up_to_date; then exit 0; fi
fi

python=$(sh scripts/prerequisites.sh python)
# The first line of the stamp is the checkout's place, the last one the Python asked for. Scripts in a virtual
# environment hold absolute paths, so one that came along with a copied checkout is of no use.
if [ -f .venv/.ready ] && [ "$(head -n 1 .venv/.ready)" = "$(pwd)" ] && [ "$(tail -n 1 .venv/.ready)" = "${PYTHON:-}" ]; then
    echo "Refreshing .venv: the requirements have changed"
else
    echo "Setting up .venv with $("$python" --version) (about a minute)"
    rm -rf .venv
    "$python" -m venv .venv
fi
rm -f .venv/.ready
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --requirement requirements/test.txt
mkdir -p .venv/collections/ansible_collections/homelab
ln -sfn ../../../.. .venv/collections/ansible_collections/homelab/proxmox
stamp >.venv/.ready
