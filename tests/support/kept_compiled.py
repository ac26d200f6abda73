# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the Python of the tests' hosts and guests: what is imported from a zip file is compiled once, not each time.

A task of Ansible is a zip file of sources, and a third of what one costs on a host is compiling the same fifty of them
again. Python keeps what it has compiled of files in folders only. The code that runs is the same.
"""

from __future__ import annotations

import marshal
import os
import zipimport
from _imp import source_hash  # type: ignore[import-not-found]

# Gone with the host; other accounts than root's read what is there.
FOLDER = "/run/compiled"
# What _compile_source needs is of one version of Python, of which a host has one.
_compile = zipimport._compile_source  # type: ignore[attr-defined]


def _kept(pathname: str, source: bytes | str) -> object:
    data = source.encode() if isinstance(source, str) else source
    name = f"{FOLDER}/{source_hash(len(data), data).hex()}"
    try:
        with open(name, "rb") as stream:  # noqa: PTH123 # pathlib takes longer to import than all this saves
            return marshal.load(stream)
    except OSError:
        return _keep(_compile(pathname, source), name)


def _keep(code: object, name: str) -> object:
    half = f"{name}.{os.getpid()}"
    try:
        os.makedirs(FOLDER, exist_ok=True)  # noqa: PTH103
        with open(half, "wb") as stream:  # noqa: PTH123
            marshal.dump(code, stream)
        os.rename(half, name)  # noqa: PTH104
    except OSError:
        # Not for this account to keep.
        pass
    return code


zipimport._compile_source = _kept  # type: ignore[attr-defined]
