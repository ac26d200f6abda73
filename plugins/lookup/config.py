# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the layered configuration, with the secrets that they name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: config
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Look up values of the layered configuration
version_added: 0.1.0
description:
  - Returns what the layers of the configuration come to, on the controller. References to secrets are resolved, so use
    C(no_log) on tasks that show what comes of it.
  - The files are those of the environment (E(HOMELAB_ROOT), E(HOMELAB_PROFILE)).
options:
  _terms:
    description:
      - Options such as V(templates.keep), with all that is below them.
      - A reference to a secret, a mapping with C(ref), is resolved.
    type: list
    elements: raw
    required: true
  default:
    description: What is returned where neither a layer nor the collection says anything. Without it, that is an error.
    type: raw
requirements:
  - PyYAML >= 6.0
  - jsonschema >= 4.20.0
seealso:
  - module: homelab.proxmox.config_info
  - plugin: homelab.proxmox.config
    plugin_type: vars
"""

EXAMPLES = r"""
- name: Show how many generations of templates stay
  ansible.builtin.debug:
    msg: "{{ lookup('homelab.proxmox.config', 'templates.keep') }}"

- name: Use a secret where it is needed
  ansible.builtin.uri:
    url: https://registry.example.org/v2/
    url_username: ci
    url_password: "{{ lookup('homelab.proxmox.config', {'ref': 'file', 'path': '/etc/homelab/registry.password'}) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: One value for each term.
  type: list
  elements: raw
"""

import os
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.vault import VaultLib, VaultSecretsContext
from ansible.plugins.lookup import LookupBase

from ..module_utils._config.cache import load_again
from ..module_utils._config.paths import find_paths
from ..module_utils._config.problems import ConfigError, Problem
from ..module_utils._config.schema import UNSET
from ..module_utils._config.secrets import is_reference, resolve


class LookupModule(LookupBase):
    """The lookup plugin."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[t.Any]:
        """One value per term. Raises AnsibleLookupError with everything that is wrong."""
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [self._resolved(self._value(term, kwargs)) for term in terms]
        except ConfigError as exc:
            raise AnsibleLookupError(f"homelab.proxmox.config: {exc}") from exc

    def _value(self, term: t.Any, given: Mapping[str, t.Any]) -> t.Any:
        if is_reference(term):
            return term
        if not isinstance(term, str):
            raise ConfigError([Problem(message=f"a {type(term).__name__} is neither an option nor a reference")])
        value = load_again(find_paths(os.environ), os.environ).require().value(term)
        if value is UNSET and "default" in given:
            return self.get_option("default")
        if value is UNSET:
            hint = "Set it, or give the lookup a default."
            raise ConfigError([Problem(message=f"{term}: nobody says anything of it", suggestion=hint)])
        return value

    def _resolved(self, value: t.Any) -> t.Any:
        if is_reference(value):
            return resolve(value, os.environ, self._unvault)
        if isinstance(value, Mapping):
            return {name: self._resolved(inner) for name, inner in value.items()}
        return [self._resolved(inner) for inner in value] if isinstance(value, list) else value

    def _unvault(self, reference: Mapping[str, t.Any]) -> t.Any:
        """The content of an encrypted file, or an encrypted text, with the vault secrets of this run."""
        try:
            if "path" in reference:
                return self._loader.load_from_file(os.path.expanduser(reference["path"]), cache="vaulted")
            context = VaultSecretsContext.current(optional=True)
            return VaultLib(context.secrets if context else None).decrypt(reference["text"]).decode("utf-8")
        except (AnsibleError, UnicodeDecodeError) as exc:
            # Not the text of the error, which may quote the file.
            what = reference.get("path", "an encrypted text")
            hint = "Give the run its vault password."
            text = f"{what} cannot be opened ({type(exc).__name__})"
            raise ConfigError([Problem(message=text, source="vault", suggestion=hint)]) from None
