# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where configuration, its backups, runs and logs are on disk. Everything can be moved below another root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "HOMELAB_ROOT"
"""Everything below another folder than C(/): for tests, and for people who are not root."""
MOVED = {
    "etc": "HOMELAB_ETC",
    "state": "HOMELAB_STATE",
    "logs": "HOMELAB_LOGS",
    "user": "HOMELAB_USER_CONFIG",
    "user_state": "HOMELAB_USER_STATE",
}
"""Environment variables that move one folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The folders; what is in them has fixed names."""

    etc: Path = Path("/etc/homelab")
    state: Path = Path("/var/lib/homelab")
    logs: Path = Path("/var/log/homelab")
    user: Path = Path("/nonexistent/.config/homelab")
    user_state: Path = Path("/nonexistent/.local/state/homelab")

    @property
    def system_file(self) -> Path:
        return self.etc / "system.yml"

    @property
    def user_file(self) -> Path:
        return self.user / "user.yml"

    @property
    def modules(self) -> Path:
        return self.etc / "modules"

    def module_file(self, section: str) -> Path:
        return self.modules / f"{section}.yml"

    @property
    def profiles(self) -> Path:
        return self.etc / "profiles"

    def profile_file(self, name: str) -> Path:
        return self.profiles / f"{name}.yml"

    @property
    def actions(self) -> Path:
        return self.etc / "actions.d"

    @property
    def connections(self) -> Path:
        return self.etc / "connections"

    @property
    def backups(self) -> Path:
        return self.state / "backups"

    @property
    def user_backups(self) -> Path:
        """For the user's own file: the person may not write below C(state)."""
        return self.user_state / "backups"

    @property
    def runs(self) -> Path:
        return self.state / "runs"


def find_paths(environ: Mapping[str, str], root: str | os.PathLike[str] | None = None) -> Paths:
    """The folders for this environment; C(root) wins over HOMELAB_ROOT, and a folder of its own over both.

    With a root the user's folders are below it too (C(home/)), so that nothing outside of it is read or written.
    """
    chosen = str(root) if root else environ.get(ROOT_VARIABLE, "")
    if chosen:
        top = Path(chosen).expanduser()
        base = Paths(
            etc=top / "etc/homelab",
            state=top / "var/lib/homelab",
            logs=top / "var/log/homelab",
            user=top / "home/.config/homelab",
            user_state=top / "home/.local/state/homelab",
        )
    else:
        base = Paths(
            user=_xdg(environ, "XDG_CONFIG_HOME", ".config") / "homelab",
            user_state=_xdg(environ, "XDG_STATE_HOME", ".local/state") / "homelab",
        )
    moved = {name: environ[variable] for name, variable in MOVED.items() if environ.get(variable) and not root}
    return Paths(**{name: Path(moved.get(name, getattr(base, name))).expanduser() for name in MOVED})


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """A folder of the XDG specification, which says that relative values are to be ignored."""
    given = environ.get(variable, "")
    return Path(given) if os.path.isabs(given) else Path(environ.get("HOME") or Path.home()) / fallback
