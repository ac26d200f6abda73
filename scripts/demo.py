# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: the real playbook builds three template lines on two nodes of an embedded Proxmox API, all on loopback."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".venv" / "collections"
sys.path[:0] = [str(ROOT), str(COLLECTIONS)]

from tests.support.door import call  # noqa: E402
from tests.support.pve import FakeCluster, Server, serve  # noqa: E402
from tests.support.pve.images import GIB, qcow2  # noqa: E402
from tests.support.vendor import Vendor, serve_vendor  # noqa: E402

NODES = ["pve1", "pve2"]

NEXT_STEPS = """\
The same playbook on a cluster of your own
  1. ansible-galaxy collection install homelab.proxmox, and pip install -r its meta/ee-requirements.txt
  2. Copy inventory/example, and name your cluster, nodes, storages and lines there.
  3. Make a token with the least privileges, once, from root's password:
       ansible-playbook -i my-inventory homelab.proxmox.access
  4. See the plan, then let it happen:
       ansible-playbook -i my-inventory homelab.proxmox.templates --check --diff
       ansible-playbook -i my-inventory homelab.proxmox.templates
"""


def main() -> int:
    """Run the demo; the exit status is 0 when every part did what it says."""
    started = time.monotonic()
    cluster = FakeCluster(nodes=NODES)
    with (
        tempfile.TemporaryDirectory(prefix="homelab-demo-") as folder,
        serve_vendor() as vendor,
        serve(cluster) as server,
    ):
        site = Site(Path(folder), server, vendor)
        try:
            show(site)
        except subprocess.CalledProcessError as error:
            print(f"\nThe demo failed: ansible-playbook ended with status {error.returncode}.", file=sys.stderr)
            return 1
    print(f"Cleaned up: the embedded API and the images are gone. {time.monotonic() - started:.0f} s in all.\n")
    print(NEXT_STEPS)
    return 0


class Site:
    """One cluster with two nodes, three lines, and a catalogue file that points to the vendor on loopback."""

    def __init__(self, folder: Path, server: Server, vendor: Vendor) -> None:
        self.folder = folder
        self.server = server
        self.lines: list[dict[str, t.Any]] = [
            {"line": "debian-13", "image": "demo-debian-13", "disk": {"size": "10G"}, "tags": ["linux"]},
            {"line": "ubuntu-24.04", "image": "demo-ubuntu-24.04", "memory": 4096},
            {"line": "freebsd-14", "image": "demo-freebsd-14"},
        ]
        self.catalog = folder / "catalog.yml"
        self._publish(vendor)

    def _publish(self, vendor: Vendor) -> None:
        """Three images as vendors publish them: a qcow2, a qcow2 called .img, and a packed one."""
        vendor.publish("debian/debian-13.qcow2", qcow2(3 * GIB))
        vendor.publish("ubuntu/noble.img", qcow2(4 * GIB))
        vendor.publish("freebsd/freebsd-14.qcow2.xz", lzma.compress(qcow2(6 * GIB)))
        files = {
            "demo-debian-13": ("Debian 13", "debian/debian-13.qcow2", {}),
            "demo-ubuntu-24.04": ("Ubuntu 24.04", "ubuntu/noble.img", {}),
            "demo-freebsd-14": ("FreeBSD 14", "freebsd/freebsd-14.qcow2.xz", {"compression": "xz", "ostype": "other"}),
        }
        images = [
            {
                "id": image_id,
                "name": f"{name} (demo)",
                "family": "demo",
                "os_family": "other",
                "release": "1",
                "confidence": "high",
                "lifecycle": {"phase": "supported"},
                "cloud_init": "full",
                "firmware": {"bios": True, "uefi": True, "secure_boot": False},
                "architectures": {
                    "x86_64": {
                        "url": f"{vendor.url}/{path}",
                        "sums": f"{vendor.url}/{path.rpartition('/')[0]}/SHA256SUMS",
                    }
                },
                "sums": {"format": "gnu", "algorithm": "sha256"},
                "discovery": {"kind": "none"},
                "url_kind": "latest",
                **more,
            }
            for image_id, (name, path, more) in files.items()
        ]
        self.catalog.write_text(yaml.safe_dump({"schema_version": 1, "images": images}, sort_keys=False))

    def play(self, *arguments: str) -> list[str]:
        """Run the playbook as a person would, its output on the screen; returns the write requests that it sent."""
        self.server.reset_log()
        inventory = self.folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"proxmox_clusters": {"hosts": {"home": self._variables()}}}))
        inventory.chmod(0o600)
        command = [
            str(ROOT / ".venv/bin/ansible-playbook"),
            "-i",
            str(inventory),
            "homelab.proxmox.templates",
            *arguments,
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "false",
            "ANSIBLE_FORCE_COLOR": "true" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "false",
            "NO_PROXY": "127.0.0.1",
        }
        print(
            f"$ ansible-playbook -i inventory.yml homelab.proxmox.templates {' '.join(arguments)}".rstrip(), flush=True
        )
        subprocess.run(command, env=environment, cwd=self.folder, check=True)
        return [f"{request.method} {request.path}" for request in self.server.writes()]

    def _variables(self) -> dict[str, t.Any]:
        return {
            "proxmox_api_host": self.server.host,
            "proxmox_api_port": self.server.port,
            "proxmox_api_token_id": self.server.token_id,
            "proxmox_api_token_secret": self.server.token_secret,
            "proxmox_ca_path": self.server.ca_path,
            "templates_nodes": NODES,
            "templates_defaults": {"storage": "local-lvm"},
            "templates_catalog_files": [str(self.catalog)],
            "templates_lines": self.lines,
        }


def show(site: Site) -> None:
    """Build, run again, change one line."""
    heading("1. Build three lines on two nodes")
    writes = site.play()
    print(f"{len(writes)} write requests were sent.\n")
    heading("2. Run again")
    writes = site.play()
    print("Nothing to do: no write request was sent.\n" if not writes else f"UNEXPECTED: {writes}\n")
    heading("3. Change one line, and look at the plan without doing it")
    site.lines[0] |= {"memory": 3072, "tags": ["linux", "web"]}
    writes = site.play("--check", "--diff")
    print("Only the plan: no write request was sent.\n" if not writes else f"UNEXPECTED: {writes}\n")
    heading("What is there now")
    table(call("vm_template_info", site.server, {})["templates"])


def heading(text: str) -> None:
    """A line across the screen."""
    print(f"--- {text} {'-' * (shutil.get_terminal_size((100, 24)).columns - len(text) - 6)}", flush=True)


def table(templates: list[dict[str, t.Any]]) -> None:
    """The templates as people like to look at them."""
    columns = ["line", "node", "vmid", "state", "generation", "source", "verification"]
    rows = [[str(one[column])[:19] for column in columns] for one in templates]
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
