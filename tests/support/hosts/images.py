# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the hosts: small Debian systems with systemd, made from Debian packages.

Each is made when a scenario first asks for it (half a minute on idle cores) and kept below .venv/cache under the digest
of what decides about it. A variant, such as debian13-docker, is the system with further packages.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.boot.tools import run

# Name of the image -> suite of Debian.
SUITES = {"debian12": "bookworm", "debian13": "trixie"}
# Name of the variant -> packages besides those of all. The Docker of the hosts is one inside of the tests' own.
VARIANTS = {"": (), "docker": ("docker.io", "iptables")}
# What a package of one suite is split into in another: the client is one of its own in trixie.
SPLIT = {("trixie", "docker.io"): ("docker.io", "docker-cli")}
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo"),
    *("python3", "python3-apt", "iproute2", "procps", "ca-certificates"),
)
OPTIONS = (
    "--variant=minbase",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
# A Python that imports it keeps what it has compiled of Ansible's modules; see there.
KEPT_COMPILED = Path(__file__).parents[1] / "kept_compiled.py"
HOOKS = (
    '--customize-hook=echo import kept_compiled >"$1/usr/lib/python3/dist-packages/kept_compiled.pth"',
    '--customize-hook=chroot "$1" python3 -m compileall -q /usr/lib/python3/dist-packages/kept_compiled.py',
)
HOME = Path(__file__).resolve().parents[3] / ".venv" / "cache" / "hosts"
# Seconds; a machine ten times slower than the one it was measured on.
LIMIT = 600.0


@dataclass(frozen=True, slots=True)
class Image:
    """What one image is made of. Versions of packages are those of the day it is made."""

    name: str
    suite: str
    packages: tuple[str, ...]

    @property
    def file(self) -> str:
        """Under this name it is kept; another content has another name."""
        digest = hashlib.sha256(repr((self, OPTIONS, HOOKS)).encode() + KEPT_COMPILED.read_bytes()).hexdigest()[:16]
        return f"{self.name}-{digest}.tar"


def image(name: str) -> Image:
    """C(debian12), C(debian13-docker): a system of SUITES and one of VARIANTS. Raises KeyError."""
    system, _dash, variant = name.partition("-")
    suite = SUITES[system]
    extra = [part for package in VARIANTS[variant] for part in SPLIT.get((suite, package), (package,))]
    return Image(name, suite, (*PACKAGES, *extra))


def build(names: Iterable[str], *, home: Path = HOME) -> dict[str, Path]:
    """Name -> tar file, made where it is missing. Two callers at once: the second waits. Raises ToolError."""
    home.mkdir(parents=True, exist_ok=True)
    images = {name: image(name) for name in names}
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _forget_old(home)
        lacking = [image for image in images.values() if not (home / image.file).exists()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda image: _build(image, home / image.file), lacking))
    return {name: home / image.file for name, image in images.items()}


def _forget_old(home: Path) -> None:
    current = {image(f"{suite}-{variant}".rstrip("-")).file for suite in SUITES for variant in VARIANTS}
    for old in home.glob("*.tar"):
        if old.name not in current:
            old.unlink()


def _build(image: Image, file: Path) -> None:
    half = file.with_suffix(".part")
    packages = f"--include={','.join(image.packages)}"
    # Its path is this checkout's, and so none of what decides about the image.
    copied = f"--customize-hook=copy-in {KEPT_COMPILED} /usr/lib/python3/dist-packages"
    argv = ["mmdebstrap", "--quiet", "--format=tar", *OPTIONS, copied, *HOOKS, packages, image.suite, half]
    run(*argv, seconds=LIMIT)
    half.rename(file)
