# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads what follows from a module's payload with half the work.

Ansible sends a module and its utils as a zip file without bytecode, so that all of them are compiled anew in each run.
Python's own importer does it twice: it compiles a file to tell its name (zipimporter.find_spec asks get_filename, which
runs _get_module_code), and once more to load it; seen with CPython 3.11 to 3.13. For a fleet of templates that was a
tenth of a second in every run.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from zipimport import ZipImportError, zipimporter


class PayloadImporter(zipimporter):
    """zipimporter that finds a module without compiling it. It knows what Ansible packs, which is sources only."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        try:
            is_package = self.is_package(fullname)
        except ZipImportError:
            # Perhaps a folder without __init__.py.
            return super().find_spec(fullname, target)
        place = os.path.join(self.archive, self.prefix, fullname.rpartition(".")[2])
        return importlib.util.spec_from_file_location(
            fullname,
            os.path.join(place, "__init__.py") if is_package else f"{place}.py",
            loader=self,
            submodule_search_locations=[place] if is_package else None,
        )


def compile_once(loader: Any) -> None:
    """Use PayloadImporter for all that is imported from now on, if this loader is that of a payload."""
    # Its own kind is one of zipimporter too, and is in charge already.
    if not isinstance(loader, zipimporter) or isinstance(loader, PayloadImporter):
        return
    inside = os.path.join(loader.archive, "")

    def hook(path: str) -> PayloadImporter:
        if not path.startswith(inside):
            raise ImportError(path)
        return PayloadImporter(path)

    sys.path_hooks.insert(0, hook)
    for path in [path for path in sys.path_importer_cache if path.startswith(inside)]:
        del sys.path_importer_cache[path]
