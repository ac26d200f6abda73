# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write request of every kind of run goes wrong in every way that a connection or a server knows."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from tests.support.ordeal import Effect, Ordeal, suffer
from tests.support.site import Site


def built(site: Site) -> None:
    """A current generation is there, and the vendor has a newer build."""
    assert not site.keep().get("failed")
    site.new_image()


def settled(site: Site) -> None:
    """A current generation is there."""
    assert not site.keep().get("failed")


@dataclass(frozen=True)
class Scenario:
    """A run and the write requests that it makes when nothing goes wrong."""

    name: str
    writes: tuple[str, ...]
    start: Callable[[Site], None] | None = None
    options: Mapping[str, t.Any] = {}  # noqa: RUF012 - frozen
    door: t.Literal["vm_template", "image"] = "vm_template"

    def ordeal(self, name: str, faults: tuple[Effect, ...], **more: t.Any) -> Ordeal:
        return Ordeal(name=name, faults=faults, start=self.start, options=self.options, door=self.door, **more)
