# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command stands on: where things are, the actions, and the way to the person."""

from __future__ import annotations

import os
import sys
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .._actions.load import load
from .._actions.model import Registry
from .._config.load import Effective
from .._config.load import load as load_config
from .._config.paths import Paths, find_paths
from .._config.schema import UNSET
from .reference import config_schema

# …/ansible_collections/homelab/proxmox/plugins/module_utils/_cli/context.py; not resolved, since a checkout is linked.
COLLECTIONS = Path(__file__).parents[6]


@dataclass(frozen=True)
class Context:
    """One call of the command."""

    paths: Paths
    environ: Mapping[str, str]
    inventories: tuple[str, ...] = ()
    """Inventories that were named on the command line."""

    @cached_property
    def registry(self) -> Registry:
        """All actions. Raises ActionError."""
        return load(self.paths.actions, config_schema)

    @cached_property
    def effective(self) -> Effective:
        """The configuration; what is wrong with it is in its problems."""
        return load_config(self.paths, self.environ)

    def setting(self, key: str, otherwise: t.Any) -> t.Any:
        """A value of the configuration for this command itself; where it cannot be used, something that will do."""
        found = UNSET if self.effective.problems else self.effective.value(key)
        return otherwise if found is UNSET else found

    @property
    def inventory(self) -> tuple[str, ...]:
        """The named ones, else HOMELAB_INVENTORY, the configured one, the one beside the configuration; or none."""
        if self.inventories:
            return self.inventories
        if named := self.environ.get("HOMELAB_INVENTORY"):
            return tuple(part for part in named.split(os.pathsep) if part)
        if configured := self.setting("runs.inventory", ""):
            return (os.path.expanduser(configured),)
        own = self.paths.etc / "inventory"
        return (str(own),) if own.exists() else ()

    @property
    def colours(self) -> bool:
        """https://no-color.org, and terminals that cannot."""
        return self.terminal and not self.environ.get("NO_COLOR") and self.environ.get("TERM", "dumb") != "dumb"

    @property
    def terminal(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()


def make(environ: Mapping[str, str], root: str | None, inventories: t.Sequence[str]) -> Context:
    """The context of this environment."""
    return Context(paths=find_paths(environ, root), environ=environ, inventories=tuple(inventories))
