# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that every door talking to Proxmox VE takes, twinned with doc_fragments/connection.py."""

from __future__ import annotations

from typing import Any


def connection_options() -> dict[str, dict[str, Any]]:
    """The connection part of an argument spec. Fallbacks to the environment are merged later, layer by layer."""
    return {
        "api_host": {"type": "str"},
        "api_port": {"type": "int"},
        "api_user": {"type": "str"},
        "api_password": {"type": "str", "no_log": True},
        "api_token_id": {"type": "str", "no_log": False},
        "api_token_secret": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool"},
        "ca_path": {"type": "path"},
        "fingerprint": {"type": "str"},
        "connection_file": {"type": "path"},
        "timeout": {"type": "int"},
        "request_timeout": {"type": "int"},
    }


def with_connection(own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A door's own options together with the connection options."""
    return {**connection_options(), **own}
