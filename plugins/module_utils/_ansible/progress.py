# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option C(progress_file), twinned with doc_fragments/progress.py."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.common.warnings import warn

from .._apply.progress import SILENCE, Progress, ProgressFile
from .._plan.plan import OptionProblems


def progress_options() -> dict[str, dict[str, t.Any]]:
    """It belongs to the call, not to a line, so that it stands beside the options that roles take over."""
    return {"progress_file": {"type": "path"}}


def progress_from(params: Mapping[str, t.Any]) -> Progress:
    """Where to tell of the work. The file is made with the first line only, so that check mode makes none.

    Raises OptionProblems for a path that cannot be written.
    """
    if not params.get("progress_file"):
        return SILENCE
    path = Path(params["progress_file"])
    trouble = _trouble(path)
    if trouble:
        raise OptionProblems((f"progress_file={str(path)!r}: {trouble}. Name a file in a folder that can be written",))
    return ProgressFile(path, warn)


def _trouble(path: Path) -> str:
    """Why the file could not be written, in words; nothing when it could."""
    folder = path.parent
    if path.is_dir():
        return "it is a folder"
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not os.access(path if path.exists() else folder, os.W_OK):
        return f"{path if path.exists() else folder} cannot be written by this user"
    return ""
