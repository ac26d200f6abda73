# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layered configuration as variables of every host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: config
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Feed roles from the layered configuration
version_added: 0.1.0
description:
  - Gives every host the role variables that the layers of the configuration say, such as C(templates_keep) for the
    option C(templates.keep). What nobody said is left to the defaults of the roles.
  - Its strength is that of C(group_vars/all), and weaker than the C(group_vars/all) of the inventory and of the
    playbook. So whatever is in group variables, host variables, plays and extra variables wins.
  - Without any configuration it gives nothing. A configuration that is not sound ends the run with all its problems.
  - Secrets are given as lookups, which are resolved where they are used. So C(ansible-inventory) shows none.
  - It has to be switched on, with C(vars_plugins_enabled = host_group_vars, homelab.proxmox.config) in the section
    C([defaults]) of C(ansible.cfg), or with E(ANSIBLE_VARS_ENABLED). The command C(homelab) does that for its runs.
  - The files are those of the environment (E(HOMELAB_ROOT), E(HOMELAB_PROFILE)).
requirements:
  - PyYAML >= 6.0
  - jsonschema >= 4.20.0
seealso:
  - plugin: homelab.proxmox.config
    plugin_type: lookup
  - module: homelab.proxmox.config
extends_documentation_fragment:
  - ansible.builtin.vars_plugin_staging
"""

EXAMPLES = r"""
# ansible.cfg:
# [defaults]
# vars_plugins_enabled = host_group_vars, homelab.proxmox.config
"""

import os
import typing as t
from collections.abc import Mapping

import ansible.constants as C
from ansible.errors import AnsibleError
from ansible.inventory.group import Group
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import vars_loader
from ansible.plugins.vars import BaseVarsPlugin
from ansible.template import trust_as_template
from ansible.utils.display import Display

from ..module_utils._config.cache import load_again
from ..module_utils._config.keys import Key, show_key
from ..module_utils._config.load import Effective
from ..module_utils._config.paths import find_paths
from ..module_utils._config.schema import key_of
from ..module_utils._config.secrets import is_reference, is_secret

display = Display()


class VarsModule(BaseVarsPlugin):
    """The vars plugin."""

    is_stateless = True
    _first: t.ClassVar[str | None] = None
    """The first place that variables were asked for: the first inventory, or without one the playbook."""
    _made: t.ClassVar[tuple[Effective, dict[str, t.Any]] | None] = None

    def get_vars(self, loader: DataLoader, path: str, entities: t.Any, cache: bool = True) -> dict[str, t.Any]:
        """The variables of the group C(all), once: of several places the later ones win over the earlier."""
        groups = entities if isinstance(entities, list) else [entities]
        everybody = [one for one in groups if isinstance(one, Group) and one.name == "all"]
        if not everybody or VarsModule._first not in (None, path):
            return {}
        found = load_again(find_paths(os.environ), os.environ)
        if found.problems:
            listed = "\n".join(f"- {problem}" for problem in found.problems)
            raise AnsibleError(f"homelab.proxmox.config: the configuration is not sound:\n{listed}")
        if not found.is_configured():
            return {}
        VarsModule._first = path
        stronger = self._stronger(loader, path, everybody)
        return {name: value for name, value in self._variables(found).items() if name not in stronger}

    def _variables(self, found: Effective) -> dict[str, t.Any]:
        if VarsModule._made is None or VarsModule._made[0] is not found:
            for note in found.notes:
                display.warning(f"homelab.proxmox.config: {note}")
            VarsModule._made = (found, {name: late(key_of(name) or (), v) for name, v in found.variables().items()})
        return VarsModule._made[1]

    def _stronger(self, loader: DataLoader, path: str, groups: list[Group]) -> Mapping[str, t.Any]:
        """What group_vars/all of the same place says. Ansible merges plugins of collections over its own."""
        if not {"host_group_vars", "ansible.builtin.host_group_vars"} & set(C.VARIABLE_PLUGINS_ENABLED):
            return {}
        known: dict[str, t.Any] = vars_loader.get("ansible.builtin.host_group_vars").get_vars(loader, path, groups)
        return known


def late(key: Key, value: t.Any) -> t.Any:
    """The value with lookups for secrets, so that they are resolved where they are used."""
    if is_reference(value):
        return _lookup(key)
    if isinstance(value, Mapping):
        return {name: late((*key, name), inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [late((*key, number), inner) for number, inner in enumerate(value)]
    if value not in (None, "") and is_secret(key):
        return _lookup(key)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """A text is never a template. Where it looks like none, saying so spares readers Ansible's marks around it."""
    if any(mark in value for mark in ("{{", "{%", "{#")):
        return value
    trusted: str = trust_as_template(value)
    return trusted


def _lookup(key: Key) -> str:
    # Ansible takes a backslash in a template's text as it is, so that a quote cannot be escaped by one.
    literal = show_key(key).replace("'", "' ~ \"'\" ~ '")
    template: str = trust_as_template("{{ lookup('homelab.proxmox.config', '" + literal + "') }}")
    return template
