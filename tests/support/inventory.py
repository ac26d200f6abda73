# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses an inventory source with the plugin guests in this process, as Ansible's inventory manager would."""

from __future__ import annotations

import importlib
import json
import typing as t
from pathlib import Path
from unittest import mock

import yaml
from ansible import constants
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.homelab.proxmox.plugins.inventory import guests

from .pve import Server

NAME = "homelab.proxmox.guests"
FRAGMENTS = {
    "homelab.proxmox.requirements": "ansible_collections.homelab.proxmox.plugins.doc_fragments.requirements",
    "homelab.proxmox.connection": "ansible_collections.homelab.proxmox.plugins.doc_fragments.connection",
    "constructed": "ansible.plugins.doc_fragments.constructed",
    "inventory_cache": "ansible.plugins.doc_fragments.inventory_cache",
}


class Parsed:
    """What a source came to; C(warnings) are what the user saw."""

    def __init__(self, data: InventoryData, warnings: list[str]) -> None:
        self.data, self.warnings = data, warnings

    @property
    def hosts(self) -> list[str]:
        return sorted(self.data.hosts)

    def variables(self, host: str) -> dict[str, t.Any]:
        return {name: value for name, value in self.data.hosts[host].vars.items() if not name.startswith("inventory_")}

    def group(self, name: str) -> list[str]:
        return sorted(host.name for host in self.data.groups[name].hosts)

    @property
    def groups(self) -> set[str]:
        return set(self.data.groups) - {"all", "ungrouped"}


def parse(folder: Path, options: t.Mapping[str, t.Any], *, cache: bool = True) -> Parsed:
    """Parse a source with these options; the same folder is the same source."""
    path = folder / "guests.yml"
    path.write_text(json.dumps({"plugin": NAME, **options}), encoding="utf-8")
    plugin = _plugin()
    assert plugin.verify_file(str(path))
    data, warnings = InventoryData(), []
    with mock.patch.object(plugin.display, "warning", lambda text, *_rest: warnings.append(str(text))):
        plugin.parse(data, DataLoader(), str(path), cache=cache)
        if plugin.get_option("cache"):
            plugin.update_cache_if_changed()
    data.reconcile_inventory()
    return Parsed(data, warnings)


def connection(server: Server) -> dict[str, t.Any]:
    """The options that lead to a server, with its root token."""
    return {
        "api_host": server.host,
        "api_port": server.port,
        "api_token_id": server.token_id,
        "api_token_secret": server.token_secret,
        "ca_path": server.ca_path,
    }


def _plugin() -> t.Any:
    """What the plugin loader does before it hands a plugin out."""
    documentation = yaml.safe_load(guests.DOCUMENTATION)
    options = dict(documentation["options"])
    for name in documentation["extends_documentation_fragment"]:
        fragment = importlib.import_module(FRAGMENTS[name]).ModuleDocFragment.DOCUMENTATION
        options |= yaml.safe_load(fragment)["options"]
    constants.config.initialize_plugin_configuration_definitions("inventory", NAME, options)
    plugin = guests.InventoryModule()
    plugin._load_name = NAME
    plugin._redirected_names = [NAME]
    plugin.ansible_aliases = [NAME]
    return plugin
