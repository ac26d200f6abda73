# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake cluster, a vendor and a catalogue file on one bench, and the modules called against them."""

from __future__ import annotations

import json
import re
import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import report_door, resolving, template_info_door
from ansible_collections.homelab.proxmox.plugins.module_utils._pve import clock

from .door import call
from .pve import FakeCluster, Request, Server, serve
from .pve.images import GIB, qcow2
from .vendor import Vendor, serve_vendor

IMAGE = "lab-13"
FILE = "debian/debian-13.qcow2"
LINE = "debian-13"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ/Hl2qSp+n6MKO0gUq8G lab+one@pve-lab"

Result = dict[str, t.Any]


class Bench:
    """One site; C(now) is what the modules take for the time, and may be moved."""

    def __init__(self, server: Server, vendor: Vendor, folder: Path) -> None:
        self.server = server
        self.cluster: FakeCluster = server.cluster
        self.vendor = vendor
        self.folder = folder
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.catalog = folder / "catalog.yml"
        self.credentials: dict[str, str] = {}
        self.publish()
        self.describe()

    # ------------------------------------------------------------ the vendor

    def publish(self, content: bytes | None = None, name: str = FILE) -> str:
        """Put a build on the vendor's server; returns its sha256. An image of 3 GiB where nothing is given."""
        return self.vendor.publish(name, qcow2(3 * GIB) if content is None else content)

    def publish_newer(self) -> str:
        """The vendor replaces the image by a later build."""
        return self.publish(qcow2(3 * GIB) + bytes(512))

    def url(self, name: str = FILE) -> str:
        return f"{self.vendor.url}/{name}"

    def sums(self, name: str = FILE) -> str:
        return self.url(name.rpartition("/")[0] + "/SHA256SUMS")

    def describe(self, name: str = FILE, **facts: t.Any) -> None:
        """Write the catalogue file: one entry, C(facts) replace or (None) remove what it says."""
        entry = {
            "id": IMAGE,
            "name": "Debian 13 (lab)",
            "family": "debian",
            "os_family": "debian",
            "release": "13",
            "confidence": "high",
            "lifecycle": {"phase": "supported"},
            "cloud_init": "full",
            "default_user": "debian",
            "guest_agent": True,
            "serial_console": True,
            "firmware": {"bios": True, "uefi": True, "secure_boot": True},
            "architectures": {"x86_64": {"url": self.url(name), "sums": self.sums(name)}},
            "sums": {"format": "gnu", "algorithm": "sha256"},
            "discovery": {"kind": "none"},
            "url_kind": "latest",
            **facts,
        }
        entry = {key: value for key, value in entry.items() if value is not None}
        self.catalog.write_text(json.dumps({"schema_version": 1, "images": [entry]}), encoding="utf-8")

    def unreachable(self) -> None:
        """The vendor serves nothing any more."""
        self.vendor.files.clear()

    # ------------------------------------------------------------ the modules

    def call(self, name: str, params: t.Mapping[str, t.Any], *, check: bool = False) -> Result:
        """One module call, whatever comes of it; the journal holds its requests only."""
        self.server.reset_log()
        return call(name, self.server, {**self.credentials, **params}, check=check)

    def line(self, **options: t.Any) -> dict[str, t.Any]:
        """Options of vm_template for the catalogue's image; None leaves a preset out."""
        preset = {"line": LINE, "node": "pve1"}
        if options.get("state") != "absent":
            preset |= {"storage": "local-lvm", "catalog_files": [str(self.catalog)]}
            preset |= {} if "url" in options else {"image": IMAGE}
        return {key: value for key, value in {**preset, **options}.items() if value is not None}

    def template(self, *, check: bool = False, **options: t.Any) -> Result:
        """Call vm_template."""
        return self.call("vm_template", self.line(**options), check=check)

    def build(self, **options: t.Any) -> t.Any:
        """Call vm_template, which must change something; returns the template that is current then."""
        result = self.template(**options)
        assert not result.get("failed"), result
        assert result["changed"], result
        return self.cluster.vms[result["template"]["current"]["vmid"]]

    def image(self, *, check: bool = False, **options: t.Any) -> Result:
        """Call image; the catalogue's image where no URL is given."""
        own = {} if "url" in options else {"image": IMAGE, "catalog_files": [str(self.catalog)]}
        return self.call("image", {"node": "pve1", **own, **options}, check=check)

    # ------------------------------------------------------- what is looked at

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def sent(self, *, polls: bool = False) -> list[str]:
        """The requests of the last call as C(METHOD /path); polls of tasks on demand, their UPIDs shortened."""
        shown = [entry for entry in self.server.requests if polls or not entry.is_poll]
        return [f"{entry.method} {re.sub(r'UPID:[^/]+', 'UPID', entry.path)}" for entry in shown]

    def writes(self) -> list[Request]:
        return self.server.writes()

    def put(self) -> dict[str, t.Any]:
        """The parameters of the only write of the last call, which must be a PUT of a config."""
        (write,) = self.writes()
        assert write.method == "PUT", write
        assert write.path.endswith("/config"), write
        return write.params

    def snapshot(self) -> tuple[dict[int, dict[str, t.Any]], set[str]]:
        """All configs and all volumes, to be compared later."""
        return {vmid: dict(vm.config) for vmid, vm in self.cluster.vms.items()}, set(self.cluster.volumes())

    def imports(self) -> list[str]:
        """Volume ids of the stored images."""
        return sorted(volid for volid, volume in self.cluster.volumes().items() if volume.content == "import")

    def tags(self, vmid: int) -> set[str]:
        return set(self.cluster.vms[vmid].config["tags"].split(";"))

    def state(self, vmid: int) -> str:
        """What the tags say of a generation."""
        (found,) = (tag.removeprefix("state-") for tag in self.tags(vmid) if tag.startswith("state-"))
        return found

    def clone(self, vmid: int, newid: int, **options: t.Any) -> t.Any:
        """Clone by hand, linked unless C(full) is given."""
        values = {"node": "pve1", "vmid": vmid, "newid": newid, "full": 0, **options}
        self.server.call(self.cluster._qm_clone, values, "root@pam")
        self.settle()
        return self.cluster.vms[newid]

    def settle(self) -> None:
        """Wait until no task runs."""
        end = time.monotonic() + 10
        while any(task["status"] != "stopped" for task in self.cluster.tasks.values()) and time.monotonic() < end:
            time.sleep(0.002)


@contextmanager
def open_bench(vendor: Vendor, folder: Path, monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> Iterator[Bench]:
    """Serve a cluster and lay the bench; tasks are polled without delay, and the time stands still."""
    vendor.files.clear()
    vendor.asked.clear()
    with serve(cluster) as server:
        bench = Bench(server, vendor, folder)

        class Now(datetime):
            @classmethod
            def now(cls, tz: t.Any = None) -> datetime:
                return bench.now.astimezone(tz)

        for door in (report_door, resolving, template_info_door):
            monkeypatch.setattr(door, "datetime", Now)
        monkeypatch.setattr(clock.SystemClock, "sleep", lambda _self, seconds: time.sleep(min(seconds, 0.001)))
        yield bench


def lines_of(result: Result, side: str) -> dict[str, t.Any]:
    """One side of a template's diff."""
    return result["diff"][side][f"{LINE}@pve1"]


def warnings_of(result: Result) -> list[str]:
    """The texts of the warnings, which newer versions of ansible-core wrap."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in result.get("warnings", [])]


@pytest.fixture(scope="session")
def bench_vendor() -> Iterator[Vendor]:
    """One vendor for all; each bench clears it."""
    with serve_vendor() as vendor:
        yield vendor


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, bench_vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench with one node pve1; by indirect parametrisation a test chooses the version, or a cluster of its own."""
    wanted = getattr(request, "param", "8.4.21")
    cluster = FakeCluster(version=wanted, password="Correct-Horse-1") if isinstance(wanted, str) else wanted()
    with open_bench(bench_vendor, tmp_path, monkeypatch, cluster) as laid:
        yield laid
