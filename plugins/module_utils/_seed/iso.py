# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a seed as an ISO image: label C(cidata), Rock Ridge and Joliet, the same bytes for the same seed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from .cloud_config import Seed
from .errors import SeedError
from .iso_dates import fix_dates

LABEL = "cidata"
MAX_ISO = 256 * 1024 * 1024
"""Bytes. An agent with what it needs has some megabytes; what is larger belongs into the image."""

# Joliet holds 64 signs of a name.
PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~%-]{0,63}", re.ASCII)


def seed_files(seed: Seed) -> Mapping[str, bytes]:
    """The files on the ISO by their path, in the order in which they are written."""
    files = {"user-data": seed.user_data.encode(), "meta-data": seed.meta_data.encode()}
    if seed.network_config is not None:
        files["network-config"] = seed.network_config.encode()
    return files | {path: seed.extra[path] for path in sorted(seed.extra)}


def seed_iso(seed: Seed) -> bytes:
    """The image. Raises SeedError for names that no ISO can hold, for too much content, and without pycdlib."""
    files = seed_files(seed)
    for path in seed.extra:
        parts = path.split("/")
        if len(parts) > 2 or not all(PACKAGE_NAME.fullmatch(part) for part in parts):
            raise SeedError(f"{path!r} is no name of a file: one folder, at most 64 signs of A-Z a-z 0-9 ._+~%-")
    size = sum(map(len, files.values()))
    if size > MAX_ISO:
        raise SeedError(f"the files of the seed have {size} bytes; at most {MAX_ISO}")
    return fix_dates(_written(files))


def _written(files: Mapping[str, bytes]) -> bytes:
    """The image as pycdlib writes it, with the time of writing in it."""
    iso = _pycdlib().PyCdlib()
    iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    folders: dict[str, str] = {}
    for number, (path, data) in enumerate(files.items(), 1):
        folder, _slash, name = path.rpartition("/")
        if folder and folder not in folders:
            folders[folder] = f"/D{len(folders) + 1}"
            iso.add_directory(folders[folder], rr_name=folder, joliet_path=f"/{folder}", file_mode=0o040555)
        # The plain ISO 9660 name is for readers that know neither Rock Ridge nor Joliet; there are none.
        place = f"{folders.get(folder, '')}/F{number}.;1"
        iso.add_fp(BytesIO(data), len(data), place, rr_name=name, joliet_path=f"/{path}", file_mode=0o100444)
    image = BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()


def _pycdlib() -> Any:
    try:
        return importlib.import_module("pycdlib")
    except ImportError:
        raise SeedError("a seed needs the Python library pycdlib") from None
