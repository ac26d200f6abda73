# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud-init drive, written as PVE/QemuServer/Cloudinit.pm (8.4) writes it."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from .tools import run

MIB = 1024**2
DISK_SIZE = 4 * MIB
# commit_cloudinit_disk's limit for the sum of all files.
LIMIT = 3 * MIB
LABEL = "cidata"
# What the fake calls the documents, and their names on the drive; vendor-data is written even when it is empty.
NAMES = {"user": "user-data", "network": "network-config", "meta": "meta-data", "vendor": "vendor-data"}


class TooBig(Exception):
    """The files do not fit; the text is the server's."""


def write_drive(documents: t.Mapping[str, str], path: Path, fmt: str) -> None:
    """Overwrite the volume at ``path`` (4 MiB, ``fmt`` raw or qcow2) with a NoCloud ISO of these documents.

    Raises TooBig and ToolError.
    """
    with tempfile.TemporaryDirectory(prefix="lab-cidata-") as work:
        files = Path(work, "files")
        files.mkdir()
        contents = {name: documents.get(kind, "").encode() for kind, name in NAMES.items()}
        if sum(map(len, contents.values())) > LIMIT:
            raise TooBig("Cloud-Init sum of snippets too big (> 3 MiB)")
        for name, content in contents.items():
            (files / name).write_bytes(content)
        iso = Path(work, "iso")
        run("genisoimage", "-quiet", "-iso-level", "3", "-R", "-V", LABEL, "-o", iso, files)
        with iso.open("r+b") as stream:
            stream.truncate(DISK_SIZE)
        # Into the existing volume, as Proxmox's own ``qemu-img dd -n`` does.
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", fmt, iso, path)
