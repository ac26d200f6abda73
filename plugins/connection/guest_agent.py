# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible in a VM by way of its guest agent."""

from __future__ import annotations

DOCUMENTATION = r"""
name: guest_agent
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Run tasks in a VM through its guest agent
version_added: 0.1.0
description:
  - Runs commands and moves files through the API of Proxmox VE and the QEMU guest agent of the VM, as root. The guest
    needs no network, no SSH server and no account.
  - It is meant for guests that cannot be reached otherwise, such as builders of templates. SSH is faster, as each
    command is some requests to the API here.
  - What is sent lies in a folder of the guest that only root can enter, and is removed at the end of each task. The
    guest's own log names the programs that the agent starts, and nothing of what they are given.
  - It needs the privilege C(VM.Monitor) on the VM, from Proxmox VE 9 on C(VM.GuestAgent.Unrestricted).
notes:
  - A task that restarts the guest agent goes on, where the guest has systemd. A task that restarts the guest does not
    come back, so M(ansible.builtin.reboot) works, and a plain C(reboot) in a command does not.
options:
  node:
    description: The node of the VM.
    type: str
    required: true
    vars: [{name: proxmox_node}]
  vmid:
    description: The VMID.
    type: int
    required: true
    vars: [{name: proxmox_vmid}]
  api_host:
    description: Where the API listens. Falls back to E(PROXMOX_HOST), then to O(connection_file), as do all others.
    type: str
    vars: [{name: proxmox_api_host}]
  api_port:
    description: The port of the API.
    type: int
    vars: [{name: proxmox_api_port}]
  api_user:
    description: User and realm for a login with O(api_password).
    type: str
    vars: [{name: proxmox_api_user}]
  api_password:
    description: The password of O(api_user).
    type: str
    vars: [{name: proxmox_api_password}]
  api_token_id:
    description: The full id of an API token.
    type: str
    vars: [{name: proxmox_api_token_id}]
  api_token_secret:
    description: The secret of the token.
    type: str
    vars: [{name: proxmox_api_token_secret}]
  validate_certs:
    description: Whether the certificate of the API is verified.
    type: bool
    vars: [{name: proxmox_validate_certs}]
  ca_path:
    description: A file with the certificate of the authority that signed the API's.
    type: path
    vars: [{name: proxmox_ca_path}]
  fingerprint:
    description: The SHA-256 fingerprint of the one certificate to accept.
    type: str
    vars: [{name: proxmox_fingerprint}]
  connection_file:
    description: A file with what is not given here.
    type: path
    vars: [{name: proxmox_connection_file}]
  command_timeout:
    description: Seconds that one command may take, with all that is sent for it.
    type: int
    default: 3600
    vars: [{name: proxmox_agent_timeout}]
  request_timeout:
    description: Seconds that one request may take, 60 where nothing is given.
    type: int
    vars: [{name: proxmox_request_timeout}]
"""

import os
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

from ..module_utils._ansible.agent_door import AgentUnusable, open_shell

OPTIONS = (
    *("api_host", "api_port", "api_user", "api_password", "api_token_id", "api_token_secret", "validate_certs"),
    *("ca_path", "fingerprint", "connection_file", "request_timeout"),
)


class Connection(ConnectionBase):
    """The connection plugin."""

    transport = "homelab.proxmox.guest_agent"
    has_pipelining = True
    always_pipeline_modules = True

    def _connect(self) -> t.Self:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        with self._opened() as shell:
            return shell.run(cmd, in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._connect()
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"there is no file {in_path}")
        with open(in_path, "rb") as file, self._opened() as shell:
            shell.put(file.read(), out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        self._connect()
        with self._opened() as shell:
            data = shell.get(in_path)
        with open(out_path, "wb") as file:
            file.write(data)

    def reset(self) -> None:
        """Nothing is kept between two commands."""

    def close(self) -> None:
        self._connected = False

    def _opened(self) -> t.Any:
        """A shell for one command; what it raises is what Ansible knows how to tell."""
        # Not an option called timeout: Ansible sets that to ten seconds, which are meant for making a connection.
        given = {**{name: self.get_option(name) for name in OPTIONS}, "timeout": self.get_option("command_timeout")}
        return open_shell(
            given,
            self.get_option("node"),
            self.get_option("vmid"),
            lambda error: (
                AnsibleError(str(error)) if isinstance(error, AgentUnusable) else AnsibleConnectionFailure(str(error))
            ),
        )
