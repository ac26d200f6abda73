# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections of others, for tests only: out of the PyPI package ansible, so that a package index is enough."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "ansible==14.5.0"
# Of ansible-14.5.0-py3-none-any.whl as PyPI has it: what is unpacked is run.
SHA256 = "245623ccc2d31d0f6f4bdb63168d550cad305fb032cc43d96e8f61ce8ab0ba84"
PATIENCE = 300


def unpack(folder: Path, names: Sequence[str]) -> str:
    """Have the collections, such as C(community/docker), below C(folder), downloading 51 MB where they are missing.

    Returns why that did not work, or nothing. Two callers at once: the second waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / ".ready"
    stamp = "\n".join([SHA256, *sorted(names), ""])
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text() == stamp:
            return ""
        shutil.rmtree(folder / "ansible_collections", ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="collections-") as scratch:
            if reason := _download(Path(scratch)):
                return reason
            (wheel,) = Path(scratch).glob("*.whl")
            with wheel.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != SHA256:
                return f"{wheel.name} has the unexpected SHA-256 {digest}"
            parts = tuple(f"ansible_collections/{name}/" for name in names)
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder, [name for name in archive.namelist() if name.startswith(parts)])
        ready.write_text(stamp)
    return ""


def _download(folder: Path) -> str:
    print(f"Fetching collections for the tests ({PACKAGE}, 51 MB, once)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    # Only the collections are taken, whatever Python the package itself wants.
    command += ["--no-deps", "--ignore-requires-python", "--dest", str(folder), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"pip download {PACKAGE} took more than {PATIENCE} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"pip download {PACKAGE} failed: {last}"
    return ""
