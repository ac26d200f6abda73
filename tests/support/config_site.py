# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site below a folder of its own, and what is done to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.homelab.proxmox.plugins.module_utils._config.change import Change, Site, carry_out
from ansible_collections.homelab.proxmox.plugins.module_utils._config.disk import Disk, Probe
from ansible_collections.homelab.proxmox.plugins.module_utils._config.load import Effective, load
from ansible_collections.homelab.proxmox.plugins.module_utils._config.paths import Paths, find_paths

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Clock:
    """A second passes with each look."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def silent(_step: str) -> None:
    return None


def make_site(root: Path, environ: Mapping[str, str] | None = None, probe: Probe = silent) -> Site:
    return Site(find_paths({}, root), dict(environ or {}), Disk(probe), Clock())


def write(paths: Paths, **texts: str) -> None:
    """C(system="…", user="…", module_docker="…", profile_lab="…")."""
    for name, text in texts.items():
        kind, _underscore, rest = name.partition("_")
        path = {
            "system": paths.system_file,
            "user": paths.user_file,
            "module": paths.module_file(rest),
            "profile": paths.profile_file(rest),
        }[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)


def loaded(root: Path, environ: Mapping[str, str] | None = None, **texts: str) -> Effective:
    """What these layers come to."""
    paths = find_paths({}, root)
    write(paths, **texts)
    return load(paths, environ or {})


def do(site: Site, decide: Callable[[], Change]) -> Change:
    change, _backup = carry_out(site, decide().base, decide)
    return change


def killed_at(number: int, act: Callable[[Probe], object]) -> bool:
    """Whether a process that does it is killed (SIGKILL) at that step; else it ends well."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def probe(_step: str) -> None:
            nonlocal count
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        status = 1
        try:
            act(probe)
            status = 0
        finally:
            os._exit(status)
    _pid, ended = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(ended):
        assert os.waitstatus_to_exitcode(ended) == 0
    return os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
