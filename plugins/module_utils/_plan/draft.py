# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning one line has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .plan import Refusal, Step


@dataclass(slots=True)
class Draft:
    """Grows while a line is planned; both sides speak the vocabulary of results. C(kept): what stays and why."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
