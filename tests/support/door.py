# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a module in this process: the real AnsibleModule, the real client, a server on loopback."""

from __future__ import annotations

import importlib
import io
import json
import typing as t
from contextlib import redirect_stdout, suppress
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.testing import patch_module_args

from .pve import Server

MODULES = "ansible_collections.homelab.proxmox.plugins.modules"


def run_module(name: str, params: t.Mapping[str, t.Any], *, check: bool = False) -> dict[str, t.Any]:
    """The result of one module call, as Ansible would see it."""
    module = importlib.import_module(f"{MODULES}.{name}")
    arguments = {**params, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
    out = io.StringIO()
    # Where a test has loaded Ansible's controller, warnings would go to its screen instead of into the result.
    on_target = mock.patch.object(_internal, "is_controller", False)
    with patch_module_args(arguments), on_target, redirect_stdout(out), suppress(SystemExit):
        module.main()
    _forget_warnings()
    return json.loads(out.getvalue().strip().splitlines()[-1])


def call(name: str, server: Server, params: t.Mapping[str, t.Any], *, check: bool = False) -> dict[str, t.Any]:
    """One call against a fake server, with its root token unless the params bring credentials."""
    connection = {
        "api_host": server.host,
        "api_port": server.port,
        "ca_path": server.ca_path,
        "timeout": 60,
    }
    if "api_user" not in params and "api_token_id" not in params:
        connection |= {"api_token_id": server.token_id, "api_token_secret": server.token_secret}
    return run_module(name, {**connection, **params}, check=check)


def _forget_warnings() -> None:
    """AnsibleModule collects warnings in a global; a process that lives on must forget them."""
    from ansible.module_utils.common import warnings  # noqa: PLC0415

    warnings._global_warnings.clear()
    warnings._global_deprecations.clear()
