# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's image: a Debian cloud image made from Debian packages, with and without the guest agent.

It is made once (about 75 s on two idle cores) and kept below build/lab under the digest of the scripts that make it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .tools import run

SUITE = "bookworm"
SCRIPTS = ("build_image.sh", "fill_disks.sh", "../kept_compiled.py")
HERE = Path(__file__).resolve().parent
HOME = HERE.parents[2] / "build" / "lab"
# Seconds; a machine ten times slower than the one it was measured on.
LIMIT = 900.0


@dataclass(frozen=True, slots=True)
class Images:
    """What was made: two qcow2 files of 2 GiB that boot, and the packages that bring the agent to the second one."""

    with_agent: Path
    without_agent: Path
    agent_packages: tuple[Path, ...]


def key(suite: str = SUITE) -> str:
    """The digest of all that decides what the images are; package versions are those of the day they are made."""
    text = suite.encode() + b"".join((HERE / name).read_bytes() for name in SCRIPTS)
    return hashlib.sha256(text).hexdigest()[:16]


def images(suite: str = SUITE, *, home: Path = HOME) -> Images:
    """The images, made where they are missing. Two callers at once: the second waits. Raises ToolError."""
    folder = home / "images" / key(suite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(suite, folder)
    return Images(
        folder / "with-agent.qcow2", folder / "without-agent.qcow2", tuple(sorted(folder.glob("agent/*.deb")))
    )


def _build(suite: str, folder: Path) -> None:
    for old in folder.parent.glob("*/"):
        shutil.rmtree(old)
    # A user namespace may not be able to enter a home directory; for root, /tmp may be too small.
    with tempfile.TemporaryDirectory(prefix="lab-image-", dir=None if os.geteuid() else folder.parent) as work:
        Path(work).chmod(0o777)
        run("sh", HERE / SCRIPTS[0], suite, work, seconds=LIMIT)
        # The last step is a rename within one file system: what is there is whole.
        half = folder.with_suffix(".part")
        shutil.copytree(work, half)
        half.rename(folder)
