# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo with real guests: a template is built, customised, proved and cloned in QEMU, and reached over SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / ".venv" / "collections"
sys.path[:0] = [str(ROOT), str(COLLECTIONS)]

from tests.support.boot import tools  # noqa: E402

CLONE = 200
USER = "ops"
GREETING = "Built from a line of YAML, sealed, proved, and cloned for you.\n"


def main() -> int:
    """Run the demo; the exit status is 0 when every part did what it says."""
    packages = tools.missing()
    if packages:
        print(f"Nothing was done: guests boot here when there are {', '.join(packages)}.", file=sys.stderr)
        return 1
    fast = tools.kvm_works()
    print(
        "A Debian template is built, customised, proved by a clone that boots, published, and cloned again for you.\n"
        "All of it happens in QEMU on this machine, behind a Proxmox API on loopback, and is removed at the end.\n"
        + (
            "KVM works here: about three minutes, and one more the first time, to make the image."
            if fast
            else "Without KVM each of three boots takes a minute or more: reckon with five to fifteen minutes."
        )
        + "\n"
    )
    started = time.monotonic()
    # What the lab is made of is imported once it is known that it can work.
    from tests.support.boot import LabCluster, images  # noqa: PLC0415
    from tests.support.boot.site import BootSite  # noqa: PLC0415
    from tests.support.pve import serve  # noqa: PLC0415
    from tests.support.vendor import serve_vendor  # noqa: PLC0415

    heading("1. An image, made from Debian packages (kept in build/lab)")
    debian = images()
    print(f"{debian.with_agent.stat().st_size / 2**20:.0f} MiB\n")
    with (
        tempfile.TemporaryDirectory(prefix="homelab-demo-") as folder,
        serve_vendor() as vendor,
        serve(LabCluster(logs=Path(folder, "serial"))) as server,
    ):
        try:
            show(BootSite(server, vendor, debian, Path(folder)))
        except (subprocess.CalledProcessError, DemoFailed) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            return 130
        finally:
            print("Cleaning up: the guests, their disks and the API go; the image stays in build/lab.")
    print(f"{time.monotonic() - started:.0f} s in all.")
    return 0


class DemoFailed(Exception):
    """A part of the demo did not do what it says."""


def show(site: t.Any) -> None:
    """Build, prove, clone, log in."""
    heading("2. Build, customise, prove, publish")
    play(site)
    heading("3. Clone it, with a key and a name of its own")
    clone(site)
    heading("4. Log in")
    log_in(site)


def play(site: t.Any) -> None:
    """The playbook as a person would run it, its output on the screen."""
    line = {
        **site.line(line="debian-12"),
        "disk": {"size": "3G"},
        "customize": {
            "users": [{"name": USER, "sudo": ["ALL=(ALL) NOPASSWD:ALL"], "shell": "/bin/bash"}],
            "files": [{"path": "/etc/motd", "content": GREETING, "permissions": "0644"}],
        },
        "prove": {"clones": 1, "timeout": 1800, "services": ["ssh"], "ports": [22], "users": [USER]},
    }
    line = {name: value for name, value in line.items() if name not in ("node", "allow_unverified")}
    hosts = site.cluster(templates_nodes=["pve1"], templates_allow_unverified=True, templates_lines=[line])
    inventory = site.write_inventory({"proxmox_clusters": hosts})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_FORCE_COLOR": "true" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "false",
        "NO_PROXY": "127.0.0.1",
    }
    print("$ ansible-playbook -i hosts.json homelab.proxmox.templates", flush=True)
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(inventory), "homelab.proxmox.templates"]
    subprocess.run(command, env=environment, cwd=site.folder, check=True)


def clone(site: t.Any) -> None:
    """A linked clone with a key that was made for this demo."""
    (template,) = (vm.vmid for vm in site.lab.vms.values() if vm.template)
    qemu = "/nodes/pve1/qemu"
    site.api.done("POST", f"{qemu}/{template}/clone", newid=CLONE, name="demo")
    keys = urllib.parse.quote(site.public_key, safe="")
    site.api.ok("PUT", f"{qemu}/{CLONE}/config", ciuser=USER, sshkeys=keys)
    site.api.done("POST", f"{qemu}/{CLONE}/status/start")
    print(f"VM {CLONE}, a linked clone of VM {template}, boots ...", flush=True)
    seconds = site.wait_for_agent(CLONE)
    status = site.cloud_init(CLONE)
    if status["status"] != "done":
        raise DemoFailed(f"cloud-init of VM {CLONE} says {status['status']}: {status['errors']}")
    print(f"Its agent answered after {seconds:.0f} s, and cloud-init is done.\n")


def log_in(site: t.Any) -> None:
    """Once here, and by hand as long as somebody likes."""
    said = site.ssh(CLONE, USER, "hostname; cat /etc/motd; sudo -n id -un")
    if said.splitlines()[0] != "demo" or said.splitlines()[-1] != "root":
        raise DemoFailed(f"the clone says {said!r}")
    print(said + "\n")
    command = f"ssh -i {site.key} -p {site.lab.ssh_port(CLONE)} -o StrictHostKeyChecking=no "
    command += f"-o UserKnownHostsFile=/dev/null {USER}@127.0.0.1"
    if sys.stdin.isatty():
        print(f"In another terminal, as long as you like:\n\n  {command}\n")
        input("Enter ends the demo. ")
    else:
        print(f"With a terminal the demo waits here, so that you can log in:  {command}\n")


def heading(text: str) -> None:
    """A line across the screen."""
    print(f"--- {text} {'-' * (shutil.get_terminal_size((100, 24)).columns - len(text) - 6)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
