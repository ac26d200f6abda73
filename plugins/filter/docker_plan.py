# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role docker is to do on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_plan
author:
  - The homelab.proxmox contributors (@homelab-proxmox)
short_description: Plan what is to be done on a Docker host
version_added: 0.1.0
description:
  - Compares what the role P(homelab.proxmox.docker#role) is told with what it found on a host. The role carries the
    result out; the filter itself reads and writes nothing.
options:
  _input:
    description:
      - What the role found on the host, as its survey prints it.
    type: dict
    required: true
  options:
    description:
      - The options of the role, by their names without C(docker_).
    type: dict
    required: true
positional: options
seealso:
  - plugin: homelab.proxmox.docker
    plugin_type: role
"""

EXAMPLES = r"""
- name: Show what is wrong with the settings of this host
  ansible.builtin.debug:
    msg: "{{ (survey | homelab.proxmox.docker_plan(options)).refusals }}"
"""

RETURN = r"""
_value:
  description:
    - The plan. C(refusals) is a list of sentences; when it is not empty nothing else is to be done.
    - C(settings), C(text) and C(effects) are the daemon.json to have, and what C(docker info) will say of it.
    - C(trust), C(users), C(projects) and C(state) say which files, members and compose projects belong there.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ..module_utils._ansible.docker_door import docker_plan


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Its name."""
        return {"docker_plan": docker_plan}
