# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer: community.proxmox 2.0.0, out of the PyPI package ansible 14.5.0, kept in .venv/peer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "ansible==14.5.0"
VERSION = "community.proxmox 2.0.0"
# Of ansible-14.5.0-py3-none-any.whl as PyPI has it: what is unpacked is run.
SHA256 = "245623ccc2d31d0f6f4bdb63168d550cad305fb032cc43d96e8f61ce8ab0ba84"
PART = "ansible_collections/community/proxmox/"
PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Peer:
    """C(path) is a folder for ANSIBLE_COLLECTIONS_PATH, None when C(reason) kept the peer away."""

    path: Path | None
    reason: str = ""


def obtain(folder: Path) -> Peer:
    """The peer, downloaded at the first call. Never raises for want of a network."""
    ready = folder / ".ready"
    if ready.is_file() and ready.read_text().strip() == SHA256:
        return Peer(folder)
    print(f"Fetching the peer, {VERSION} ({PACKAGE}, 51 MB, once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--ignore-requires-python", "--dest", scratch, PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return Peer(None, f"pip download {PACKAGE} took more than {PATIENCE} s")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return Peer(None, f"pip download {PACKAGE} failed: {last}")
        (wheel,) = Path(scratch).glob("*.whl")
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != SHA256:
            return Peer(None, f"{wheel.name} has the unexpected SHA-256 {digest}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(PART)])
    ready.write_text(SHA256 + "\n")
    return Peer(folder)
