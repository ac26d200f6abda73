# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the role C(templates) takes over from the module vm_template_fleet: its argument spec.

A contract test holds the role against the module; after a change of the module's options, run this.
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".venv" / "collections"))

from ansible_collections.homelab.proxmox.plugins.doc_fragments.image import (  # noqa: E402
    ModuleDocFragment as ImageFragment,
)
from ansible_collections.homelab.proxmox.plugins.doc_fragments.template import (  # noqa: E402
    ModuleDocFragment as TemplateFragment,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.fleet_door import fleet_options  # noqa: E402

ROLE = ROOT / "roles" / "templates"
OF_LINES = {
    "nodes": "The nodes that get this line, C(templates_nodes) where nothing is given.",
    "storages": "The storage for the line's disks by node, where it is not the same everywhere.",
}
"""Suboptions that only the fleet has."""
DEFAULTS: dict[str, t.Any] = {"download_dir": ""}
"""Where the role needs a literal default and the module has none."""


class Dumper(yaml.SafeDumper):
    """Indents lists below their key and writes no anchors, as the linters want it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: t.Any) -> bool:
        return True


def role_options(spec: dict[str, t.Any], docs: dict[str, t.Any]) -> dict[str, t.Any]:
    """Module options as options of a role; defaults stay the module's."""
    options = {}
    for name, given in spec.items():
        text = docs[name]["description"]
        # Names of options mean the module's there, and would be looked for in the role here.
        told = re.sub(r"\bO\(", "C(", text if isinstance(text, str) else text[0])
        option = {"type": given["type"], "description": told}
        option |= {key: given[key] for key in ("elements", "choices") if key in given}
        if given.get("required"):
            option["required"] = True
        if "options" in given:
            option["options"] = role_options(given["options"], docs[name]["suboptions"])
        options[name] = option
    return options


def argument_specs() -> dict[str, t.Any]:
    """The content of meta/argument_specs.yml."""
    docs = {
        **yaml.safe_load(TemplateFragment.DOCUMENTATION)["options"],
        **yaml.safe_load(ImageFragment.DOCUMENTATION)["options"],
        **{name: {"description": text} for name, text in OF_LINES.items()},
        **yaml.safe_load(module_documentation())["options"],
    }
    spec = fleet_options()
    lines = {
        "type": "list",
        "elements": "dict",
        "default": [],
        "description": "The lines to keep, each with the options of M(homelab.proxmox.vm_template_fleet)'s lines.",
        "options": role_options(spec["lines"]["options"], {**docs, "nodes": {"description": OF_LINES["nodes"]}}),
    }
    of_all = {name: option for name, option in spec.items() if name != "lines"}
    whole = {}
    for name, option in role_options(of_all, docs).items():
        whole[f"templates_{name}"] = {**option, "default": of_all[name].get("default", DEFAULTS.get(name))}
        if name in DEFAULTS:
            whole[f"templates_{name}"]["type"] = "str"
    return {
        "argument_specs": {
            "main": {
                "short_description": "Keep cloud-init templates on the nodes of a Proxmox VE cluster",
                "version_added": "0.1.0",
                "author": ["The homelab.proxmox contributors"],
                "description": [
                    "Brings every declared line on every declared node to what is declared, in one module call.",
                    "Runs where the Proxmox VE API is reached from, which is usually the controller.",
                    "Connection options come from C(module_defaults) or the environment.",
                ],
                "options": {
                    "templates_lines": lines,
                    "templates_defaults": {
                        "type": "dict",
                        "default": {},
                        "description": "Options for every line; what a line says itself wins.",
                    },
                    **whole,
                },
            }
        }
    }


def module_documentation() -> str:
    """The documentation of the module, without importing it."""
    text = (ROOT / "plugins" / "modules" / "vm_template_fleet.py").read_text(encoding="utf-8")
    return text.split('DOCUMENTATION = r"""', 1)[1].split('"""', 1)[0]


def main() -> None:
    text = yaml.dump(argument_specs(), Dumper=Dumper, sort_keys=False, width=100, allow_unicode=True)
    (ROLE / "meta" / "argument_specs.yml").write_text("---\n" + text, encoding="utf-8")


if __name__ == "__main__":
    main()
