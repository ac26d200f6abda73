# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes meta/controller/pythonX.Y.txt: every package of the controller with its version and hashes.

Run it after a change of meta/ee-requirements.txt, or to take newer versions in: C(make lock). It asks pip's package
index, and needs an interpreter of each version, since markers are evaluated by the one that will run the packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "meta" / "controller"
# Debian 12 and Proxmox VE 8; Ubuntu 24.04; Debian 13 and Proxmox VE 9.
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
# The oldest glibc of these is 2.36.
GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
MORE = ("ansible-runner==2.4.*", "pip")
HEAD = """\
# Every package of the controller for Python {python}, written by scripts/lock.py. pip refuses any other file.
"""


def main() -> int:
    """Write all files."""
    LOCKS.mkdir(exist_ok=True)
    for python in PYTHONS:
        if not works(python):
            print(f"python{python} does not run here; put one on the PATH", file=sys.stderr)
            return 1
        packages: dict[str, set[str]] = {}
        for machine in MACHINES:
            for package, digest in resolve(python, machine):
                packages.setdefault(package, set()).add(digest)
        names = [package.partition("==")[0] for package in packages]
        if len(names) != len(set(names)):
            print(f"python{python}: the machines got different versions: {sorted(packages)}", file=sys.stderr)
            return 1
        lines = [f"{name} {' '.join(f'--hash=sha256:{one}' for one in sorted(packages[name]))}" for name in packages]
        path = LOCKS / f"python{python}.txt"
        path.write_text(HEAD.format(python=python) + "\n".join(sorted(lines)) + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(lines)} packages")
    return 0


def works(python: str) -> bool:
    """A shim of pyenv may be found and still fail."""
    program = shutil.which(f"python{python}")
    return program is not None and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0


def resolve(python: str, machine: str) -> list[tuple[str, str]]:
    """Every package with its version, and the digest of its wheel for a machine."""
    wanted = [line for line in (ROOT / "meta/ee-requirements.txt").read_text().splitlines() if line]
    wanted += [line for line in (ROOT / "requirements/test.txt").read_text().splitlines() if "ansible-core==" in line]
    with tempfile.TemporaryDirectory(prefix="lock-") as scratch:
        report = Path(scratch, "report.json")
        command = [sys.executable, "-m", "pip", "--python", str(shutil.which(f"python{python}")), "install"]
        # Without a person's own links and indexes; their certificates are needed.
        command += ["--isolated", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--cert", os.environ["PIP_CERT"]] if "PIP_CERT" in os.environ else []
        command += ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--report", str(report)]
        command += ["--python-version", python, "--implementation", "cp", "--target", f"{scratch}/unused"]
        command += [f"--platform={glibc}_{machine}" for glibc in GLIBC]
        subprocess.run([*command, *wanted, *MORE], check=True)
        found: list[dict[str, t.Any]] = json.loads(report.read_text())["install"]
    return [
        (
            f"{one['metadata']['name'].lower().replace('_', '-')}=={one['metadata']['version']}",
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in found
    ]


if __name__ == "__main__":
    sys.exit(main())
