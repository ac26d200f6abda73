# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the hosts: small Debian systems with systemd, made from Debian packages.

Each is made once (half a minute on idle cores) and kept below .venv/cache under the digest of what decides about it.
"""

from __future__ import annotations

import fcntl
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.boot.tools import run

# Name of the image -> suite of Debian.
SUITES = {"debian12": "bookworm", "debian13": "trixie"}
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo"),
    *("python3", "python3-apt", "iproute2", "procps", "ca-certificates"),
)
OPTIONS = (
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
HOME = Path(__file__).resolve().parents[3] / ".venv" / "cache" / "hosts"
# Seconds; a machine ten times slower than the one it was measured on.
LIMIT = 600.0


def key() -> str:
    """The digest of what decides about the images; package versions are those of the day they are made."""
    return hashlib.sha256(repr((SUITES, OPTIONS)).encode()).hexdigest()[:16]


def build(*, home: Path = HOME) -> dict[str, Path]:
    """Name -> tar file, made where it is missing. Two callers at once: the second waits. Raises ToolError."""
    home.mkdir(parents=True, exist_ok=True)
    files = {name: home / f"{name}-{key()}.tar" for name in SUITES}
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in set(home.glob("*.tar")) - set(files.values()):
            old.unlink()
        lacking = [(SUITES[name], file) for name, file in files.items() if not file.exists()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda job: _build(*job), lacking))
    return files


def _build(suite: str, file: Path) -> None:
    half = file.with_suffix(".part")
    run("mmdebstrap", "--quiet", "--format=tar", *OPTIONS, suite, half, seconds=LIMIT)
    half.rename(file)
