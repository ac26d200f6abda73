# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options, twinned with module_utils/_ansible/spec.py; their rules are in module_utils/_pve/auth.py."""

from __future__ import annotations


class ModuleDocFragment:
    """C(extends_documentation_fragment: homelab.proxmox.connection)."""

    DOCUMENTATION = r"""
options:
  api_host:
    description:
      - Where the Proxmox VE API listens, as a host name or address; also V(host:port) and V(https://host:port).
      - Any node of a cluster will do.
      - Falls back to E(PROXMOX_HOST), then to C(host) in O(connection_file).
    type: str
  api_port:
    description:
      - The port of the API, 8006 where nothing names one.
      - Falls back to E(PROXMOX_PORT), then to C(port) in O(connection_file).
    type: int
  api_user:
    description:
      - User and realm for a login with O(api_password), such as V(root@pam).
      - Not needed with a token, whose id names its user.
      - Credentials are taken from one place as a whole, which is the options, the environment or the connection file.
        They are never mixed.
      - Falls back to E(PROXMOX_USER), then to C(user) in O(connection_file).
    type: str
  api_password:
    description:
      - The password of O(api_user). A token with few privileges is the better choice.
      - Falls back to E(PROXMOX_PASSWORD), then to C(password) in O(connection_file).
    type: str
  api_token_id:
    description:
      - The full id of an API token, such as V(templates@pve!ansible). Just its name is enough beside O(api_user).
      - Falls back to E(PROXMOX_TOKEN_ID), then to C(token_id) in O(connection_file).
    type: str
  api_token_secret:
    description:
      - The secret of the token.
      - Falls back to E(PROXMOX_TOKEN_SECRET), then to C(token_secret) in O(connection_file).
    type: str
  validate_certs:
    description:
      - Whether the certificate of the API is verified. It is, unless this says V(false).
      - Rather than switching it off, name the authority with O(ca_path) or the certificate itself with O(fingerprint).
      - Falls back to E(PROXMOX_VALIDATE_CERTS), then to C(validate_certs) in O(connection_file).
    type: bool
  ca_path:
    description:
      - A file with the certificate of the authority that signed the API's. On a node it is V(/etc/pve/pve-root-ca.pem).
      - Falls back to E(PROXMOX_CA_PATH), then to C(ca_path) in O(connection_file).
    type: path
  fingerprint:
    description:
      - The SHA-256 fingerprint of the one certificate to accept, as C(pvenode cert info) prints it.
      - Excludes O(ca_path).
      - Falls back to E(PROXMOX_FINGERPRINT), then to C(fingerprint) in O(connection_file).
    type: str
  connection_file:
    description:
      - A YAML or JSON file with the keys C(host), C(port), C(user), C(password), C(token_id), C(token_secret),
        C(validate_certs), C(ca_path), C(fingerprint) and C(timeout), readable by its owner only.
      - It is read where the module runs.
      - Falls back to E(PROXMOX_CONNECTION_FILE).
    type: path
  timeout:
    description:
      - Seconds that the whole module may take, waiting for tasks included.
      - Falls back to C(timeout) in O(connection_file), then to 1800.
    type: int
  request_timeout:
    description:
      - Seconds that one request may take, 60 where nothing is given. It is never longer than O(timeout).
    type: int
"""
