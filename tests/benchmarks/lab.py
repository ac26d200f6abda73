# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of the benchmarks: the fake server in its own process, a vendor, the peer, and a player for both."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.support.pve.images import GIB, qcow2
from tests.support.vendor import serve_vendor

from .peer import Peer
from .play import Listed, Played, Player

ROOT = Path(__file__).resolve().parent.parent.parent
LATENCY = 0.02
"""Seconds added to every answer, for everybody."""
WORKERS = 3
"""Requests that pveproxy and pvedaemon of one node work on at once, as a real node does."""
NODES = ("pve1", "pve2", "pve3")
NODE = NODES[0]
STATUS_POLLS = ("/nodes/{node}/tasks/{upid}/status", "/nodes/{node}/tasks")
CONFIG = "/nodes/{node}/qemu/{vmid}/config"
LISTINGS = ("/nodes/{node}/storage", "/nodes/{node}/storage/{storage}/content")
T = t.TypeVar("T")
Task = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the server counted: C(requests) are (method, path class, status)."""

    requests: tuple[tuple[str, str, int], ...]
    connections: int
    in_flight: int
    open: int = 0
    """Connections that were open at once."""

    @property
    def writes(self) -> int:
        return sum(method != "GET" for method, _path, _status in self.requests)

    @property
    def polls(self) -> int:
        return self._reads(lambda path: path in STATUS_POLLS)

    @property
    def non_polls(self) -> int:
        return len(self.requests) - self.polls

    @property
    def listings(self) -> int:
        return self._reads(lambda path: path in LISTINGS)

    @property
    def configs(self) -> int:
        return self._reads(lambda path: path == CONFIG)

    @property
    def other_reads(self) -> int:
        """Reads of the cluster's own things: what is neither a poll, nor a listing, nor a config."""
        return self._reads(lambda path: path not in (*STATUS_POLLS, CONFIG, *LISTINGS))

    @property
    def refused(self) -> list[str]:
        return [f"{status} to {method} {path}" for method, path, status in self.requests if status >= 400]

    def _reads(self, wanted: t.Callable[[str], bool]) -> int:
        return sum(method == "GET" and wanted(path) for method, path, _status in self.requests)


class ServerProcess:
    """The fake server; C(ask) sends it a command of server.py."""

    def __init__(self) -> None:
        options = {"nodes": NODES, "latency": LATENCY, "workers": WORKERS}
        command = [sys.executable, "-m", "tests.benchmarks.server", json.dumps(options)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts: dict[str, t.Any] = self._answer()

    def ask(self, do: str, **arguments: t.Any) -> t.Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> t.Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fake server has ended; its message is above")
        return json.loads(line)


class Lab:
    """What benchmarks work with. C(full) asks for the large sizes; C(peer_head) is a newer peer's folder, if given."""

    def __init__(self, peer: Peer, *, full: bool = False, peer_head: Path | None = None) -> None:
        self.peer, self.full, self.peer_head = peer, full, peer_head
        self._stack = ExitStack()
        self._memory: dict[str, t.Any] = {}

    def __enter__(self) -> Lab:
        with self._stack as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homelab-bench-")))
            self.vendor = stack.enter_context(serve_vendor())
            self.vendor.publish("debian/debian-13.qcow2", qcow2(3 * GIB))
            self.server = ServerProcess()
            stack.callback(self.server.close)
            collections = [ROOT / ".venv" / "collections", *([self.peer.path] if self.peer.path else [])]
            self.player = Player(folder, collections)
            self._api = requests.Session()
            self._api.verify, self._api.trust_env = self.facts["ca_path"], False
            token = f"PVEAPIToken={self.facts['token_id']}={self.facts['token_secret']}"
            self._api.headers["Authorization"] = token
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def facts(self) -> dict[str, t.Any]:
        return self.server.facts

    def once(self, name: str, measure: t.Callable[[], T]) -> T:
        """A measurement that several goals share."""
        if name not in self._memory:
            self._memory[name] = measure()
        return t.cast(T, self._memory[name])

    def run(
        self, tasks: t.Sequence[Task], *arguments: str, hosts: t.Sequence[str] = ("localhost",)
    ) -> tuple[Played, Counts]:
        """Play tasks, and what the server counted meanwhile."""
        self.server.ask("reset")
        played = self.player.play(tasks, *arguments, hosts=hosts)
        return played, self.counts()

    def counts(self) -> Counts:
        seen = self.server.ask("counts")
        rows = tuple((method, path, status) for method, path, status in seen["requests"])
        return Counts(rows, seen["connections"], seen["in_flight"], seen["open"])

    def api(self, method: str, path: str, **data: t.Any) -> t.Any:
        """A request of the bench itself."""
        place = "params" if method in ("GET", "DELETE") else "data"
        reply = self._api.request(method, self.facts["url"] + path, timeout=60, **{place: data})
        reply.raise_for_status()
        return reply.json()["data"]

    def wipe(self, *, images: bool = False) -> None:
        """Remove all guests, and the stored images too."""
        self.server.ask("durations", seconds={"*": 0.0})
        for guest in self.api("GET", "/cluster/resources", type="vm"):
            path = f"/nodes/{guest['node']}/qemu/{guest['vmid']}"
            self.api("DELETE", path, purge=1, **{"destroy-unreferenced-disks": 1})
        for node in NODES if images else ():
            for volid in self.images(node):
                self.api("DELETE", f"/nodes/{node}/storage/local/content/{volid}")

    def images(self, node: str = NODE) -> list[str]:
        """The volume ids of the cloud images stored on a node."""
        return [row["volid"] for row in self.api("GET", f"/nodes/{node}/storage/local/content", content="import")]

    def line(self, **options: t.Any) -> list[Task]:
        """One task of ours: one line from the vendor's image to a template."""
        whole = {**self._connection(), "allow_unverified": True, "node": NODE}
        return [{"name": "Line", "homelab.proxmox.vm_template": {**whole, **self._line("debian-13"), **options}}]

    def fleet(self, count: int, nodes: t.Sequence[str] = (NODE,), **options: t.Any) -> list[Task]:
        """One task of ours: so many lines from the vendor's image, each on all of these nodes."""
        lines = [{**self._line(f"line-{number:02}"), **options} for number in range(count)]
        whole = {**self._connection(), "allow_unverified": True, "nodes": list(nodes)}
        return [{"name": "Fleet", "homelab.proxmox.vm_template_fleet": {**whole, "lines": lines}}]

    def vms(self, names: t.Sequence[str], block: str, **options: t.Any) -> list[Task]:
        """One task of ours: VMs of these names, cloned from the line that C(line) makes."""
        vms = [{"name": name, "line": "debian-13", "memory": 1024, "tags": ["web"], **options} for name in names]
        return [{"name": "VMs", "homelab.proxmox.vm_fleet": {**self._connection(), "vms": vms, "vmid_range": block}}]

    def clone_tasks(self, template: int, first: int) -> list[Task]:
        """The peer's way to one such VM for each host: a clone, and a second task for what it does not take with one.

        VMIDs are those that a person has chosen, which is the only way that works.
        """
        vmid = f"{{{{ {first} + groups['all'].index(inventory_hostname) }}}}"
        clone = {
            "clone": "debian-13",
            "vmid": template,
            "newid": vmid,
            "name": "{{ inventory_hostname }}",
            "node": NODE,
            "full": False,
            "timeout": 60,
        }
        configure = {"vmid": vmid, "node": NODE, "update": True, "memory": 1024, "tags": ["web"]}
        connection = self._peer_connection()
        return [
            {"name": "Clone", "community.proxmox.proxmox_kvm": {**connection, **clone}},
            {"name": "Configure", "community.proxmox.proxmox_kvm": {**connection, **configure}},
        ]

    def two_tasks(self, volid: str, **options: t.Any) -> list[Task]:
        """The peer's way to a template with the same hardware, from an image that is stored already."""
        vm = {
            "vmid": 500,
            "name": "debian-13-peer",
            "node": NODE,
            "cores": 2,
            "memory": 2048,
            "cpu": "x86-64-v2-AES",
            "scsihw": "virtio-scsi-single",
            "scsi": {
                "scsi0": f"local-lvm:0,import-from={volid},discard=on,iothread=1,ssd=1",
                "scsi1": "local-lvm:cloudinit",
            },
            "net": {"net0": "virtio,bridge=vmbr0"},
            "serial": {"serial0": "socket"},
            "vga": "serial0",
            "boot": "order=scsi0",
            "ostype": "l26",
            "ciuser": "ops",
            "ipconfig": {"ipconfig0": "ip=dhcp"},
            "tags": ["linux"],
            "description": "Debian 13",
            **options,
        }
        connection = self._peer_connection()
        return [
            {"name": "Create", "community.proxmox.proxmox_kvm": {**connection, **vm}},
            {"name": "Convert", "community.proxmox.proxmox_kvm": {**connection, "vmid": 500, "state": "template"}},
        ]

    def two_tasks_loop(self, volid: str, count: int) -> list[Task]:
        """The peer's two tasks, each with a loop over so many templates."""
        create, convert = self.two_tasks(volid, vmid="{{ item }}", name="debian-13-peer-{{ item }}")
        convert["community.proxmox.proxmox_kvm"]["vmid"] = "{{ item }}"
        loop = list(range(500, 500 + count))
        return [{**create, "loop": loop}, {**convert, "loop": loop}]

    def list_guests(self, **options: t.Any) -> tuple[Listed, Counts]:
        """Our inventory, and what the server counted meanwhile."""
        return self._list("guests.yml", {"plugin": "homelab.proxmox.guests", **self._connection(), **options})

    def list_guests_of_peer(self, **options: t.Any) -> tuple[Listed, Counts]:
        """The peer's inventory. It knows no authority of one's own, so it gets to verify nothing."""
        connection = self._peer_connection()
        url = str(self.facts["url"]).removesuffix("/api2/json")
        whole = {"url": url, "user": connection["api_user"], "token_id": connection["api_token_id"]}
        whole |= {"token_secret": connection["api_token_secret"], "validate_certs": False}
        return self._list("peer.proxmox.yml", {"plugin": "community.proxmox.proxmox", **whole, **options})

    def _list(self, name: str, source: dict[str, t.Any]) -> tuple[Listed, Counts]:
        self.server.ask("reset")
        listed = self.player.inventory(name, source)
        return listed, self.counts()

    def _line(self, name: str) -> dict[str, t.Any]:
        # The vendor on loopback has no TLS; whoever takes the line has to allow_unverified.
        url = f"{self.vendor.url}/debian"
        source = {"url": f"{url}/debian-13.qcow2", "checksum_url": f"{url}/SHA256SUMS"}
        return {"line": name, **source, "storage": "local-lvm", "ciuser": "ops", "tags": ["linux"]}

    def _connection(self) -> dict[str, t.Any]:
        facts = self.facts
        names = {"api_host": "host", "api_port": "port", "ca_path": "ca_path"}
        names |= {"api_token_id": "token_id", "api_token_secret": "token_secret"}
        return {option: facts[name] for option, name in names.items()}

    def _peer_connection(self) -> dict[str, t.Any]:
        user, _mark, name = str(self.facts["token_id"]).partition("!")
        return {**self._connection(), "api_user": user, "api_token_id": name, "validate_certs": True}
