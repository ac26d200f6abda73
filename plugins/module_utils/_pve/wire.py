# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire: one request, one reply. Everything above it can be tested with a scripted transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send as multipart form data under C(filename)."""

    path: Path
    filename: str
    sent: Callable[[int, int], None] | None = field(default=None, compare=False)
    """Called with the bytes that were read for sending so far, and with those in all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered. C(message) is the reason phrase or the body's message, whichever says more."""

    status: int
    message: str = ""
    data: Any = None
    total: int | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    """Parameter errors: option name to text."""


class Transport(Protocol):
    """Sends one request and returns the reply, whatever its status.

    C(path) is already percent-encoded and starts below C(/api2/json). Raises C(errors.ConnectionFailed) when no
    reply came; its C(sent) says whether the server may have seen the request.
    """

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float,
        upload: Upload | None = None,
    ) -> Reply: ...
