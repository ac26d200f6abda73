# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the connection C(guest_agent) is made of."""

from __future__ import annotations

import importlib
import typing as t
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ansible.module_utils.basic import missing_required_lib

from .._apply.agent_shell import AgentShell
from .._plan.plan import OptionProblems
from .._pve.auth import ConnectionOptionError
from .._pve.errors import ProxmoxError
from .deps import REQUIRED
from .run import open_client


class AgentUnusable(Exception):
    """The options are wrong, or a library is missing: trying again helps nothing."""


class Shell:
    """A shell in the words of Ansible's connections."""

    def __init__(self, shell: AgentShell) -> None:
        self._shell = shell

    def run(self, command: str, given: bytes) -> tuple[int, bytes, bytes]:
        """Status, output and errors of a command."""
        ended = self._shell.run(command, given)
        return ended.status, ended.out, ended.err

    def put(self, data: bytes, path: str) -> None:
        self._shell.put(data, path)

    def get(self, path: str) -> bytes:
        return self._shell.get(path)


@contextmanager
def open_shell(
    params: Mapping[str, t.Any], node: str, vmid: int, told: Callable[[Exception], Exception]
) -> Iterator[Shell]:
    """A shell in a VM with a time of its own, and nothing of it left afterwards. C(told) makes errors Ansible's."""
    try:
        _require()
        client = open_client(params)
        client.allow_writes()
        shell = AgentShell(client, node, vmid)
        try:
            yield Shell(shell)
        finally:
            shell.close()
    except (OptionProblems, ConnectionOptionError) as problem:
        raise told(AgentUnusable("; ".join(problem.problems))) from problem
    except (AgentUnusable, ProxmoxError) as error:
        raise told(error) from error


def _require() -> None:
    for name, requirement in REQUIRED.items():
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise AgentUnusable(missing_required_lib(requirement)) from error
