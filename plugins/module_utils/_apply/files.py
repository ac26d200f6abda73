# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes files on the machine where a module runs: the old one or the new one is there, never a part of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .._plan.files import WriteFile
from .._plan.plan import Plan
from .outcome import ApplyFailed, Outcome


def write_files(plan: Plan) -> Outcome:
    """Carry out the plan's WriteFile steps in order. Raises ApplyFailed at the first that does not work."""
    done: list[str] = []
    for step in plan.steps:
        if isinstance(step, WriteFile):
            try:
                write_file(step)
            except OSError as cause:
                raise ApplyFailed(cause, step=step, done=tuple(done)) from cause
            done.append(step.describe())
    return Outcome(result=plan.result)


def write_file(step: WriteFile) -> None:
    """Write beside the target, then move. A symbolic link stays one; the file that it names is replaced."""
    target = Path(os.path.realpath(step.path))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(step.data)
            stream.flush()
            os.fchmod(stream.fileno(), step.mode)
            os.fsync(stream.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
