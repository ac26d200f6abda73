# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose key a file holds."""

from __future__ import annotations

DOCUMENTATION = r"""
name: openpgp_fingerprints
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Tell the fingerprints of OpenPGP public keys
version_added: 0.1.0
description:
  - Reads public keys, ASCII-armoured or binary, without any program, and returns the fingerprints of their primary
    keys.
  - A repository's key that was fetched can so be compared with a fingerprint that is known before it is trusted.
options:
  _input:
    description:
      - The content of the key file, in Base64, as M(ansible.builtin.slurp) returns it.
    type: str
    required: true
  source:
    description:
      - What the content is called in error messages.
    type: str
    default: the key
positional: source
"""

EXAMPLES = r"""
- name: Read a key that was fetched
  ansible.builtin.slurp:
    src: /root/vendor.asc
  register: key

- name: Trust it only if it is the vendor's
  ansible.builtin.assert:
    that: key.content | homelab.proxmox.openpgp_fingerprints == ['9DC858229FC7DD38854AE2D88D81803C0EBFCD88']
"""

RETURN = r"""
_value:
  description:
    - The fingerprints, in upper-case hexadecimal digits, in the order of the keys.
  type: list
  elements: str
"""

import base64
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._images.errors import ImageError
from ..module_utils._images.keys import read_key


def openpgp_fingerprints(content: str, source: str = "the key") -> list[str]:
    """Fingerprints of the primary keys. Raises AnsibleFilterError."""
    try:
        return list(read_key(base64.b64decode(content), source=source).fingerprints)
    except ImageError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Its name."""
        return {"openpgp_fingerprints": openpgp_fingerprints}
