# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guests of builders say, in tests of doors."""

from __future__ import annotations

import base64
import json
import typing as t

from .pve.guest import Guest
from .pve.vm import Vm
from .workbench import Bench

STATUS = "/run/homelab/status.jsonl"
SEALED = json.dumps({"ok": True, "checks": {"machine-id": True}, "left": ""})


class Script:
    """What the builder's guest does: C(reports) are the runner's lines, one more with each look."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.reports: list[dict[str, t.Any]] = []
        self.verdict = SEALED
        self.refusals = 2
        self.cloud_init = ["done"]
        self.errors: list[str] = []
        self.boots: list[int] = []
        self.rules: list[tuple[str, str]] = []
        bench.cluster.guest_setup.append(self._boot)

    def steps(self, *ends: tuple[str, int, str]) -> None:
        """Steps by name, status and output; the run ends with the first that fails."""
        self.reports = [{"event": "start", "steps": len(ends)}]
        for number, (name, status, output) in enumerate(ends, 1):
            self.reports.append({"event": "begin", "step": number, "name": name})
            text = base64.b64encode(output.encode()).decode()
            end = {"event": "end", "step": number, "name": name, "status": status, "timed_out": False, "seconds": 1}
            self.reports.append({**end, "output": text})
        failed = any(status for _name, status, _output in ends)
        self.reports.append({"event": "finished", "result": "failed" if failed else "done"})

    def _boot(self, vm: Vm, guest: Guest) -> None:
        self.boots.append(vm.vmid)
        guest.refusals = self.refusals
        guest.cloud_init = list(self.cloud_init)
        guest.errors = list(self.errors)
        tags = str(vm.config.get("tags", "")).split(";")
        generation = next((tag.removeprefix("gen-") for tag in tags if tag.startswith("gen-")), "")
        lines = [json.dumps({"v": 1, "run": f"{vm.vmid}-{generation}", **one}) for one in self.reports]
        if lines:
            guest.files[STATUS] = "\n".join(lines) + "\n"
        guest.on("build_user=.*machine-id", out="sealing\n")
        guest.on("base64", out=self.verdict)
        for pattern, out in self.rules:
            guest.on(pattern, out=out)


def isos(bench: Bench) -> list[str]:
    """Volume ids of the stored ISO images."""
    return [volid for volid, volume in bench.cluster.volumes().items() if volume.content == "iso"]
