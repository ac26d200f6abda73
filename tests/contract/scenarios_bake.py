# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes, as the contract tests try them: the call that finishes one, and the one that gives it up."""

from __future__ import annotations

import typing as t

from tests.support.builders import Script
from tests.support.workbench import IMAGE, Bench

LINE = {"line": "debian-13", "node": "pve1", "image": IMAGE, "storage": "local-lvm", "bake_version": "1"}


def begin(bench: Bench) -> None:
    """A builder that was stopped before its seal, and whose roles are done."""
    Script(bench).steps(("agent", 0, ""))
    result = bench.call("vm_template", {**LINE, "catalog_files": [str(bench.catalog)], "stop_before": "seal"})
    assert result["template"]["builder"]["vmid"] == 9000, result


def with_run(option: str) -> t.Callable[[Bench], t.Mapping[str, t.Any]]:
    """The line, with the run of the bake that has begun for C(option)."""

    def params(bench: Bench) -> t.Mapping[str, t.Any]:
        description = bench.cluster.vms[9000].config["description"] if 9000 in bench.cluster.vms else ""
        found = [line.partition(": ")[2] for line in description.splitlines() if line.startswith("run: ")]
        return {**LINE, "catalog_files": [str(bench.catalog)], option: found[0] if found else "gone"}

    return params


BAKES: list[dict[str, t.Any]] = [
    {
        "door": "vm_template",
        "about": "a bake is finished",
        "params": with_run("resume"),
        "prepare": begin,
        "keyed": True,
    },
    {
        "door": "vm_template",
        "about": "a bake is given up",
        "params": with_run("abandon"),
        "prepare": begin,
        "keyed": True,
    },
]
"""Arguments of C(Scenario), which the list of all scenarios makes of them."""
