# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What readers need of a client: GET, and nothing that writes. Apart from the models, for readers that need few."""

from __future__ import annotations

from typing import Any, Protocol


class Reader(Protocol):
    """The reading half of a client."""

    def get(self, path: str, /, **params: Any) -> Any: ...


def read_permissions(reader: Reader) -> dict[str, dict[str, int]]:
    """What the caller may do: path to privilege to propagate flag."""
    return {path: dict(granted) for path, granted in reader.get("/access/permissions").items()}
