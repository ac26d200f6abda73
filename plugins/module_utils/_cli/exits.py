# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How C(homelab) ends: its exit statuses, and the errors that lead to them. docs/guides/cli.md documents them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses."""

    OK = 0
    FAILED = 1
    """A run failed, or what was looked at is not in order."""
    USAGE = 2
    """The command line: an unknown action, a value that does not fit, a parameter that is missing."""
    CONFIGURATION = 3
    """A file does not hold what it should, or there is no inventory."""
    UNCONFIRMED = 4
    """Destructive, and neither --yes nor a person who typed the confirmation."""
    BUSY = 5
    """Another run works on the same target."""
    UNREACHABLE = 6
    """A host did not answer."""
    INCOMPLETE = 7
    """A library or a program is missing."""
    DENIED = 8
    """The action needs root, and the account may not become it."""
    CANCELED = 130


class Trouble(Exception):
    """Ends the command with a status and one message."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status
