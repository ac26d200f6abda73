# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas of the configuration by key, for parameters of actions that are one of its values."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from .._config.keys import KeyProblem, parse_key
from .._config.schema import subschema


def config_schema(key: str) -> Mapping[str, t.Any] | None:
    """The schema of a key such as templates.nodes; None where there is no such key."""
    try:
        return subschema(parse_key(key))
    except KeyProblem:
        return None
