# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(homelab generate): the same actions for AWX, for Semaphore, and as a page."""

from __future__ import annotations

import argparse
import json
import typing as t
from pathlib import Path

from .._actions import awx, semaphore
from .._actions.model import Registry
from .._actions.page import page
from .context import COLLECTIONS, Context
from .exits import Exit, Trouble
from .speech import err, out

try:
    import yaml
except ImportError:
    HAS_YAML = False
else:
    HAS_YAML = True

APPLY = """\
---
# ansible-playbook apply.yml, with CONTROLLER_HOST and CONTROLLER_OAUTH_TOKEN in the environment. The project "homelab"
# (this repository's folder project/), the inventory "homelab" and the credentials have to be there.
- name: Offer the actions of homelab.proxmox as job templates
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Keep the credential types
      awx.awx.credential_type:
        name: "{{ item.name }}"
        description: "{{ item.description }}"
        kind: "{{ item.kind }}"
        inputs: "{{ item.inputs }}"
        injectors: "{{ item.injectors }}"
      loop: "{{ lookup('ansible.builtin.file', 'credential_types.yml') | from_yaml }}"
      loop_control: {label: "{{ item.name }}"}

    - name: Keep the job templates
      awx.awx.job_template:
        name: "{{ item.name }}"
        description: "{{ item.description }}"
        job_type: "{{ item.job_type }}"
        project: "{{ item.project }}"
        playbook: "{{ item.playbook }}"
        inventory: "{{ item.inventory }}"
        credentials: "{{ item.credentials }}"
        extra_vars: "{{ item.extra_vars }}"
        ask_job_type_on_launch: "{{ item.ask_job_type_on_launch }}"
        ask_diff_mode_on_launch: "{{ item.ask_diff_mode_on_launch }}"
        diff_mode: "{{ item.diff_mode }}"
        ask_limit_on_launch: "{{ item.ask_limit_on_launch }}"
        allow_simultaneous: "{{ item.allow_simultaneous }}"
        survey_enabled: "{{ item.survey_enabled }}"
        survey_spec: "{{ item.survey_spec | default(omit) }}"
      loop: "{{ lookup('ansible.builtin.file', 'job_templates.yml') | from_yaml }}"
      loop_control: {label: "{{ item.name }}"}
"""


def generate(context: Context, options: argparse.Namespace) -> int:
    """Write files into a folder, which is made."""
    if not HAS_YAML:
        raise Trouble(Exit.INCOMPLETE, "this needs the Python library PyYAML")
    registry = context.registry
    files = {"awx": _awx, "semaphore": _semaphore, "docs": _docs}[options.what](registry)
    folder = Path(options.folder)
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Trouble(Exit.FAILED, f"{error.filename}: {error.strerror}") from None
    left_out = [action.id for action in registry if not awx.is_portable(action)]
    if left_out and options.what != "docs":
        err(f"Left out, because their playbooks are files of this machine: {', '.join(left_out)}")
    out("\n".join(str(folder / name) for name in files))
    return Exit.OK


def _awx(registry: Registry) -> dict[str, str]:
    return {
        **_project(registry),
        "awx/job_templates.yml": _yaml(awx.job_templates(registry)),
        "awx/credential_types.yml": _yaml(awx.credential_types(registry)),
        "awx/apply.yml": APPLY,
    }


def _semaphore(registry: Registry) -> dict[str, str]:
    bodies = {f"semaphore/{body['name'].split()[1]}.json": body for body in semaphore.templates(registry)}
    return {
        **_project(registry),
        **{name: json.dumps(body, ensure_ascii=False, indent=2) + "\n" for name, body in bodies.items()},
    }


def _docs(registry: Registry) -> dict[str, str]:
    return {"actions.md": page(registry)}


def _project(registry: Registry) -> dict[str, str]:
    """A repository that AWX and Semaphore can check out."""
    wrappers = {f"project/playbooks/{one.id}.yml": awx.wrapper(one) for one in registry if awx.is_portable(one)}
    collection = {"name": "homelab.proxmox", "version": _version()}
    return {
        **wrappers,
        "project/collections/requirements.yml": _yaml({"collections": [collection]}),
    }


def _version() -> str:
    """Of this collection: from the manifest where it is installed, from galaxy.yml in a checkout."""
    root = COLLECTIONS / "ansible_collections" / "homelab" / "proxmox"
    try:
        manifest = json.loads((root / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(manifest["collection_info"]["version"])
    except (OSError, ValueError, KeyError):
        return str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])


def _yaml(content: t.Any) -> str:
    return "---\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
