# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the boot lab say often: build the template, wait for a guest, run something in it, log in."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import requests

from ..door import call
from ..pve import Server
from ..pve_client import Api
from ..vendor import Vendor
from .image import Images
from .lab import LabCluster
from .tools import run

LINE = "debian-12"
NODE = "pve1"
# Seconds a guest may take to boot: a minute on idle cores without KVM, ten times as much on a busy machine.
BOOT_LIMIT = 900.0
PAUSE = 1.0

Result = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Done:
    """How a program in a guest ended."""

    status: int
    out: str
    err: str


class BootSite:
    """The lab behind its API, the vendor of its image, and a key pair for logging in."""

    def __init__(self, server: Server, vendor: Vendor, images: Images, folder: Path) -> None:
        self.server = server
        self.lab: LabCluster = t.cast(LabCluster, server.cluster)
        self.vendor = vendor
        self.images = images
        self.api = Api(server, patience=BOOT_LIMIT)
        self.folder = folder
        self._numbers = itertools.count()
        self.key = folder / "id_ed25519"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key)
        self.public_key = self.key.with_suffix(".pub").read_text().strip()
        for name, file in (("with-agent", images.with_agent), ("without-agent", images.without_agent)):
            vendor.publish(f"{name}/debian-12.qcow2", file.read_bytes())

    # --------------------------------------------------------------- doors

    def call(self, name: str, params: t.Mapping[str, t.Any], *, check: bool = False) -> Result:
        """One call of a module, with time enough for a slow machine."""
        self.server.reset_log()
        return call(name, self.server, {"timeout": 3600, **params}, check=check)

    def line(self, *, agent: bool = True, **options: t.Any) -> dict[str, t.Any]:
        """Options of vm_template for the lab's image; None leaves a preset out."""
        folder = "with-agent" if agent else "without-agent"
        preset = {
            "line": LINE,
            "node": NODE,
            "storage": "fast",
            "url": f"{self.vendor.url}/{folder}/debian-12.qcow2",
            "checksum_url": f"{self.vendor.url}/{folder}/SHA256SUMS",
            "allow_unverified": True,
            "agent": {"enabled": agent},
            "cores": 2,
            "memory": 1024,
        }
        return {name: value for name, value in {**preset, **options}.items() if value is not None}

    def template(self, **options: t.Any) -> int:
        """Call vm_template, which must succeed; the VMID of the generation that is current then."""
        result = self.call("vm_template", self.line(**options))
        assert not result.get("failed"), result
        return int(result["template"]["current"]["vmid"])

    # ----------------------------------------------------------- playbooks

    def play(
        self, playbook: str, groups: t.Mapping[str, t.Any], *arguments: str, seconds: float = 3600
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook, by its file or by its full name, with these groups of hosts."""
        self.server.reset_log()
        inventory = self.write_inventory(groups)
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), playbook, *arguments]
        environment = {**os.environ, "HOME": str(self.folder)}
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=seconds, check=False, cwd=self.folder
        )

    def write_inventory(self, groups: t.Mapping[str, t.Any]) -> Path:
        """A file with these groups of hosts, one for each call: two may be used at once."""
        path = self.folder / f"hosts-{next(self._numbers)}.json"
        path.write_text(json.dumps({name: {"hosts": hosts} for name, hosts in groups.items()}), encoding="utf-8")
        return path

    def cluster(self, **variables: t.Any) -> dict[str, t.Any]:
        """The lab as a host of C(proxmox_clusters)."""
        file = self.folder / "lab.yml"
        connection = {
            "host": f"{self.server.host}:{self.server.port}",
            "token_id": self.server.token_id,
            "token_secret": self.server.token_secret,
            "ca_path": self.server.ca_path,
            "timeout": 3600,
        }
        file.write_text(json.dumps(connection), encoding="utf-8")
        file.chmod(0o600)
        return {"lab": {"proxmox_connection_file": str(file), **variables}}

    def host(self, vmid: int, user: str) -> dict[str, t.Any]:
        """The variables of a guest that is reached over SSH."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.lab.ssh_port(vmid),
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "ansible_timeout": 120,
        }

    # --------------------------------------------------------------- guests

    def wait_for_agent(self, vmid: int) -> float:
        """Wait until the guest agent answers; the seconds it took."""
        begin = time.monotonic()
        path = f"/nodes/{NODE}/qemu/{vmid}/agent/ping"
        while self.api("POST", path).status_code != 200:
            assert time.monotonic() - begin < BOOT_LIMIT, f"no agent in VM {vmid}"
            time.sleep(PAUSE)
        return time.monotonic() - begin

    def execute(self, vmid: int, *argv: str) -> Done:
        """Run a program in the guest through the API and wait for its end."""
        end = time.monotonic() + BOOT_LIMIT
        pid = self.agent(vmid, "POST", "exec", command=list(argv))["pid"]
        while True:
            status = self.agent(vmid, "GET", "exec-status", pid=pid)
            if status["exited"]:
                return Done(status.get("exitcode", -1), status.get("out-data", ""), status.get("err-data", ""))
            assert time.monotonic() < end, f"{argv} still runs in VM {vmid}"
            time.sleep(PAUSE)

    def shell(self, vmid: int, script: str) -> str:
        """The output of a shell script in the guest, which must succeed."""
        done = self.execute(vmid, "/bin/sh", "-c", script)
        assert done.status == 0, (script, done)
        return done.out.strip()

    def agent(self, vmid: int, method: str, action: str, /, **params: t.Any) -> t.Any:
        """The data of an agent call, which must succeed."""
        reply = self.ask(vmid, method, action, **params)
        assert reply.status_code == 200, (action, reply.reason, reply.text)
        return reply.json()["data"]

    def ask(self, vmid: int, method: str, action: str, /, **params: t.Any) -> requests.Response:
        """An agent call, repeated while a busy guest misses the ping of three seconds that the server sends first."""
        end = time.monotonic() + BOOT_LIMIT
        while True:
            reply = self.api(method, f"/nodes/{NODE}/qemu/{vmid}/agent/{action}", **params)
            if "QEMU guest agent is not running" not in reply.text or time.monotonic() > end:
                return reply
            time.sleep(PAUSE)

    def cloud_init(self, vmid: int) -> dict[str, t.Any]:
        """Wait for cloud-init in the guest; what its status says in the end."""
        return t.cast(
            dict[str, t.Any], json.loads(self.execute(vmid, "cloud-init", "status", "--wait", "--format", "json").out)
        )

    def ssh(self, vmid: int, user: str, command: str) -> str:
        """Run a command over SSH through the forwarded port; its output."""
        argv = ["ssh", "-i", str(self.key), "-p", str(self.lab.ssh_port(vmid)), "-o", "BatchMode=yes", "-F", "none"]
        argv += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=120"]
        done = subprocess.run(
            [*argv, f"{user}@127.0.0.1", command], capture_output=True, text=True, timeout=BOOT_LIMIT, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
