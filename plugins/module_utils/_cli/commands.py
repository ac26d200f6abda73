# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of C(homelab): each takes the context and its options, and returns an exit status."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from . import configuring, generating, listing, logs, running, status
from .context import Context
from .menu.flow import menu

Command = Callable[[Context, argparse.Namespace], int]

COMMANDS: dict[str, Command] = {
    "run": running.run,
    "cancel": running.cancel,
    "list": listing.list_actions,
    "show": listing.show,
    "status": status.status,
    "logs": logs.logs,
    "config": configuring.config,
    "menu": menu,
    "generate": generating.generate,
}
