# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The importer of a module's payload, in a process of its own: it changes how Python imports."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import payload

FILES = {
    "pack/__init__.py": "",
    "pack/door.py": "from .sub import leaf\nfrom .sub.leaf import VALUE\ndef fail():\n    raise ValueError(VALUE)\n",
    "pack/sub/__init__.py": "from . import leaf\n",
    "pack/sub/leaf.py": "VALUE = 'seen'\n",
    "pack/bare/": "",
    "pack/bare/leaf.py": "VALUE = 'no __init__'\n",
}
SCRIPT = """
import builtins, collections, importlib.util, json, sys, traceback
spec = importlib.util.spec_from_file_location("payload", sys.argv[1])
payload = importlib.util.module_from_spec(spec)
spec.loader.exec_module(payload)
compiled, original = collections.Counter(), builtins.compile
def counting(source, name, *args, **kwargs):
    compiled[str(name).partition("p.zip/")[2]] += 1
    return original(source, name, *args, **kwargs)
builtins.compile = counting
sys.path.insert(0, sys.argv[2])
import pack
if sys.argv[3] == "once":
    payload.compile_once(pack.__loader__)
import pack.door, pack.bare.leaf
try:
    pack.door.fail()
except ValueError:
    shown = traceback.format_exc()
try:
    import pack.missing
except ModuleNotFoundError as error:
    missing = str(error)
facts = {"compiled": compiled, "file": pack.door.__file__, "path": list(pack.sub.__path__), "shown": shown}
print(json.dumps({**facts, "missing": missing, "bare": pack.bare.leaf.VALUE, "package": pack.sub.leaf.__package__}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What a process saw, by Python's importer (C(twice)) and by ours (C(once))."""
    archive = tmp_path_factory.mktemp("payload") / "p.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in FILES.items():
            packed.writestr(name, text)
    found = {}
    for how in ("twice", "once"):
        command = [sys.executable, "-c", SCRIPT, str(Path(payload.__file__)), str(archive), how]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        found[how] = json.loads(done.stdout)
    return found


def test_what_follows_is_compiled_once(loaded: dict[str, dict[str, object]]) -> None:
    names = ("pack/door.py", "pack/sub/__init__.py", "pack/sub/leaf.py", "pack/bare/leaf.py")
    assert [loaded["once"]["compiled"].get(name) for name in names] == [1, 1, 1, 1]  # type: ignore[attr-defined]


def test_everything_else_is_as_before(loaded: dict[str, dict[str, object]]) -> None:
    once, twice = ({key: value for key, value in loaded[how].items() if key != "compiled"} for how in ("once", "twice"))
    assert once == twice
    assert "raise ValueError(VALUE)" in str(once["shown"]) and once["missing"] == "No module named 'pack.missing'"


def test_outside_of_a_payload_nothing_changes() -> None:
    before = list(sys.path_hooks)
    payload.compile_once(payload.__loader__)
    assert sys.path_hooks == before
