# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs C(ansible-test sanity) on a clean copy of the working files, without the one download that needs the internet.

ansible-test looks for the collection by its real path, so a symbolic link named homelab/proxmox is not enough: the
files that git knows or would add are copied to build/sanity/ansible_collections/homelab/proxmox. It gets a home of its
own below .venv, since it would otherwise leave its environments and our stand-in for get-pip.py in the person's home.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv" / "ansible-test"
COPY = ROOT / "build" / "sanity" / "ansible_collections" / "homelab" / "proxmox"

STAND_IN = '''\
"""Stands in for get-pip.py: installs pip from the wheel beside this file."""
import runpy
import sys
from pathlib import Path

wheel = next(Path(__file__).parent.glob("pip-{version}-*.whl"))
sys.argv[1:] = ["install", "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)]
sys.path.insert(0, str(wheel))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
'''


def pip_version() -> str:
    """The version of pip that the installed ansible-test wants, read from its own source."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("ansible-test is not installed in this environment")
    source = Path(spec.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    found = re.search(r"default_packages = dict\(\s*pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{source} no longer says which pip it wants; scripts/sanity.py has to learn the new form")
    return found[1]


def put_stand_in(version: str) -> None:
    """Lay pip's wheel and the stand-in where ansible-test looks before it downloads get-pip.py."""
    cache = HOME / ".ansible" / "test" / "cache"
    stand_in = cache / f"get_pip_{version.replace('.', '_')}.py"
    if stand_in.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--dest", str(cache), f"pip=={version}"], check=True)
    stand_in.write_text(STAND_IN.format(version=version), encoding="utf-8")


def carry_pip_settings() -> None:
    """Let pip inside ansible-test see the person's pip settings: it keeps only HOME and PATH of the environment."""
    person = Path.home()
    for name in (".config/pip", ".pip", ".cache/pip"):
        there, here = person / name, HOME / name
        if there.exists() and not here.is_symlink():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(there)


def copy_files() -> None:
    """Make the copy equal to the working files, tracked or new; what git ignores stays out."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    if COPY.exists():
        shutil.rmtree(COPY)
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file():
            target = COPY / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    # Without a repository of its own the copy would be seen as an ignored folder of the checkout, and so as empty.
    subprocess.run(["git", "init", "--quiet", "."], cwd=COPY, check=True)


def main(arguments: list[str]) -> int:
    """Copy, prepare and run; C(arguments) go to ansible-test. Returns its exit status."""
    copy_files()
    put_stand_in(pip_version())
    carry_pip_settings()
    bin_folder = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "GIT_"))}
    environment |= {"HOME": str(HOME), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(bin_folder / "ansible-test"), "sanity", "--local", "--python", python, "--color", "no", "--junit"]
    return subprocess.run([*command, *arguments], cwd=COPY, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
