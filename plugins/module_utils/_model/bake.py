# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line that Ansible roles are baked into: its builder is stopped before the seal, and finished by another call."""

from __future__ import annotations

from dataclasses import dataclass

BAKE_USER = "homelab-bake"
"""The account that roles log in with, for the time of the bake; sealing removes it."""

SEAL = "seal"
"""What a builder is stopped before, and what its identity says then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """What a line says of its bake, and which part of it a call is.

    C(version) is the name that the user gives to what the roles make; it is all that the recipe knows of them.
    """

    version: str
    keys: tuple[str, ...] = ()
    """Public keys of those who may log in to the builder as C(BAKE_USER)."""
    seconds: int = 7200
    """How long the builder may wait for its roles, beyond the time of the call that stopped it."""
    stop: bool = False
    """Stop a new generation before it is sealed."""
    resume: str = ""
    """The run whose builder is to be sealed and published."""
    abandon: str = ""
    """The run whose builder is to be removed."""

    @property
    def ticket(self) -> str:
        """The run whose builder this call is about, empty where it is about none."""
        return self.resume or self.abandon
