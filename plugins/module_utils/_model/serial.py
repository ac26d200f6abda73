# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial ports, C(serialN): a socket or a device of the host, no property string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .property_string import PropertyStringError


@dataclass(frozen=True, slots=True)
class Serial:
    """C(target) is C(socket) or a path under C(/dev/), which only root@pam may set."""

    target: str

    def __post_init__(self) -> None:
        # The pattern of serialN in the API description: (/dev/.+|socket).
        if self.target != "socket" and (not self.target.startswith("/dev/") or self.target == "/dev/"):
            raise PropertyStringError(f"serial: {self.target!r} is neither 'socket' nor a path below /dev/")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a serial port. Raises PropertyStringError."""
        return cls(text)

    def __str__(self) -> str:
        return self.target

    @property
    def is_socket(self) -> bool:
        """Whether the port is a socket on the host, as C(vga=serial0) and C(qm terminal) want it."""
        return self.target == "socket"

    @property
    def device(self) -> str | None:
        """The host's device, None for a socket."""
        return None if self.is_socket else self.target

    def replace(self, *, target: str) -> Self:
        """The same port on another target."""
        return type(self)(target)

    def same_as(self, other: Serial) -> bool:
        """Whether both name one target."""
        return self == other
