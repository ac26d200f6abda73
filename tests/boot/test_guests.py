# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that really boots: a clone of a template. One boot, beside the builder of the chain."""

from __future__ import annotations

import shlex
import subprocess
import time
import typing as t
import urllib.parse
from pathlib import Path

import jinja2
import pytest
import requests
import yaml
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import (
    Identity,
    Role,
    State,
    describe,
    identity_tags,
)

from tests.support.boot.chain import Chain
from tests.support.boot.freezer import Frozen
from tests.support.boot.site import BOOT_LIMIT, NODE, BootSite

QEMU = f"/nodes/{NODE}/qemu"
ROLES = Path(__file__).resolve().parents[2] / "roles"
GIB = 1024**3
CLONE = 201
ADDRESS = "10.99.0.71"
SECRET = "Correct-Horse-77"


@pytest.fixture(scope="module")
def template(site: BootSite, chain: Chain) -> int:
    """The VMID of a template with an agent. Two guests at once are enough, so the line that is refused goes first."""
    chain.refused()
    return site.template(vmid_range="9000-9099")


@pytest.fixture(scope="module")
def clone(site: BootSite, template: int) -> int:
    """A linked clone with a user, a key, a static address and a larger disk, booted until cloud-init is done."""
    site.api.done("POST", f"{QEMU}/{template}/clone", newid=CLONE, name="web-1")
    site.api.done("PUT", f"{QEMU}/{CLONE}/resize", disk="scsi0", size="4G")
    site.api.ok(
        "PUT", f"{QEMU}/{CLONE}/config", cores=1, ciuser="ops", sshkeys=quoted(site.public_key),
        searchdomain="lab.test", nameserver="10.99.0.2", ipconfig0=f"ip={ADDRESS}/24,gw=10.99.0.1",
    )  # fmt: skip
    site.api.done("POST", f"{QEMU}/{CLONE}/status/start")
    site.wait_for_agent(CLONE)
    return CLONE


@pytest.fixture(scope="module")
def status(site: BootSite, clone: int) -> dict[str, t.Any]:
    """What cloud-init says when it is done."""
    return site.cloud_init(clone)


@pytest.fixture(scope="module")
def frozen(site: BootSite, clone: int, status: dict[str, t.Any]) -> Frozen:
    """The clone as it is after cloud-init."""
    return site.lab.freeze(clone)


def quoted(key: str) -> str:
    """A key as the API takes it: percent-encoded once more."""
    return urllib.parse.quote(key, safe="")


def message(reply: requests.Response) -> str:
    """What a refusal says."""
    return str(reply.json()["message"]).rstrip("\n")


def stopped(site: BootSite, vmid: int) -> bool:
    """Is the VM stopped, at the latest after the longest that a shutdown may take?"""
    end = time.monotonic() + BOOT_LIMIT
    while time.monotonic() < end:
        if site.api.ok("GET", f"{QEMU}/{vmid}/status/current")["status"] == "stopped":
            return True
        time.sleep(1)
    return False


# ------------------------------------------------------------ what was declared


def test_cloud_init_is_done_without_errors(status: dict[str, t.Any]) -> None:
    assert (status["status"], status["errors"]) == ("done", [])
    assert status["datasource"] == "nocloud"


def test_the_guest_is_what_its_config_says(site: BootSite, clone: int, status: dict[str, t.Any]) -> None:
    assert site.shell(clone, "hostname; hostname -f").split() == ["web-1", "web-1.lab.test"]
    assert site.shell(clone, "cat /home/ops/.ssh/authorized_keys") == site.public_key
    identity = site.shell(clone, "cat /sys/class/dmi/id/product_uuid; cat /etc/machine-id").split()
    assert f"uuid={identity[0]}" in site.api.config(clone)["smbios1"]
    assert identity[1] == identity[0].replace("-", "")
    user_data = site.api.ok("GET", f"{QEMU}/{clone}/cloudinit/dump", type="user")
    assert site.shell(clone, "cat /var/lib/cloud/instance/user-data.txt") == user_data.strip()
    meta = site.api.ok("GET", f"{QEMU}/{clone}/cloudinit/dump", type="meta").strip()
    assert meta == f"instance-id: {site.shell(clone, 'cat /var/lib/cloud/data/instance-id')}"
    assert site.shell(clone, "systemctl --failed --no-legend") == ""


def test_the_disk_has_grown(site: BootSite, clone: int, status: dict[str, t.Any]) -> None:
    (root,) = site.agent(clone, "GET", "get-fsinfo")["result"]
    assert root["mountpoint"] == "/"
    assert 3.5 * GIB < root["total-bytes"] < 4 * GIB


def test_the_address_is_the_declared_one_and_leads_to_its_ssh_server(
    site: BootSite, clone: int, status: dict[str, t.Any]
) -> None:
    rows = site.agent(clone, "GET", "network-get-interfaces")["result"]
    (card,) = (row for row in rows if row["name"] == "eth0")
    assert card["hardware-address"].upper() in site.api.config(clone)["net0"]
    assert ADDRESS in [row["ip-address"] for row in card["ip-addresses"]]
    assert site.ssh(clone, "ops", "whoami; sudo -n whoami").split() == ["ops", "root"]


def test_the_serial_port_is_kept(site: BootSite, clone: int, status: dict[str, t.Any]) -> None:
    log = site.lab.serial(clone)
    assert "Linux version" in log
    assert "web-1 login:" in log


def test_a_linked_clone_hangs_on_its_template(site: BootSite, template: int, clone: int) -> None:
    base, own = (site.api.config(vmid)["scsi0"].partition(",")[0] for vmid in (template, clone))
    assert own == f"{base}/{clone}/vm-{clone}-disk-0.qcow2"
    (disk,) = (row for row in site.lab.machines[clone].qmp("query-block") if row.get("qdev") == "scsi0")
    image = disk["inserted"]["image"]
    assert image["backing-filename"] == f"../{template}/base-{template}-disk-0.qcow2"
    assert Path(image["full-backing-filename"]).resolve() == site.lab.volume(base, NODE).path
    assert site.api.ended("DELETE", f"{QEMU}/{template}").status == (
        f"base volume '{base}' is still in use by linked cloned"
    )


# -------------------------------------------------------------------- the agent


def test_the_agent_answers_as_a_real_one_does(site: BootSite, clone: int, frozen: Frozen) -> None:
    assert site.agent(clone, "GET", "get-osinfo")["result"]["id"] == "debian"
    done = site.execute(clone, "/bin/sh", "-c", "echo é; echo no >&2; exit 3")
    assert (done.status, done.out.encode("latin-1").decode(), done.err) == (3, "é\n", "no\n")
    pid = site.agent(clone, "POST", "exec", **{"command": ["/bin/cat"], "input-data": "from outside"})["pid"]
    while not (ended := site.agent(clone, "GET", "exec-status", pid=pid))["exited"]:
        time.sleep(0.2)
    assert ended == {"exited": 1, "exitcode": 0, "out-data": "from outside", "out-truncated": 0}
    assert message(site.ask(clone, "GET", "exec-status", pid=pid)) == "Agent error: Invalid parameter 'pid'"
    site.agent(clone, "POST", "file-write", file="/root/note", content="kept")
    assert site.agent(clone, "GET", "file-read", file="/root/note") == {"content": "kept", "bytes-read": 4}
    missing = "Agent error: failed to open file '/root/none' (mode: 'r'): No such file or directory"
    assert message(site.ask(clone, "GET", "file-read", file="/root/none")) == missing
    # Its error has curly quotes, over which the server's reply dies.
    assert site.ask(clone, "POST", "exec", command=["/no/such"]).status_code == 596


def test_a_wide_character_in_an_argument_kills_the_agent_and_a_thaw_revives_it(
    site: BootSite, clone: int, frozen: Frozen
) -> None:
    boot = site.shell(clone, "cat /proc/sys/kernel/random/boot_id")
    site.agent(clone, "POST", "file-write", file="/root/later", content="gone")
    dead = site.ask(clone, "POST", "exec", command=["/bin/echo", "€"])
    assert message(dead) == f"VM {clone} qmp command 'guest-exec' failed - got timeout"
    refused = site.api.refused("POST", f"{QEMU}/{clone}/agent/ping")
    assert refused.message == "QEMU guest agent is not running"
    site.lab.thaw(frozen)
    assert site.shell(clone, "cat /proc/sys/kernel/random/boot_id") == boot
    assert site.shell(clone, "ls /root") == ""
    assert site.ssh(clone, "ops", "hostname") == "web-1"


def test_commands_and_files_go_in_and_out_through_the_doors(
    site: BootSite, clone: int, frozen: Frozen, tmp_path: Path
) -> None:
    site.lab.thaw(frozen)
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * 400)
    wish = {"guest": "web-1", "dest": "/home/ops/data é", "src": str(source), "owner": "ops", "mode": "0640"}
    first = site.call("guest_file", wish)
    assert not first.get("failed"), first
    assert (first["file"]["owner"], first["file"]["mode"], first["file"]["size"]) == ("ops", "0640", 102400)
    assert site.call("guest_file", wish)["changed"] is False
    site.shell(clone, "chmod 666 '/home/ops/data é'")
    drift = site.call("guest_file", wish, check=True)
    assert drift["diff"]["before"] == {f"/home/ops/data é in VM {clone} (web-1)": {"mode": "0666"}}
    fetched = site.call("guest_file_fetch", {"guest": str(clone), "src": "/home/ops/data é", "dest": str(copy)})
    assert not fetched.get("failed"), fetched
    assert copy.read_bytes() == source.read_bytes()
    assert site.shell(clone, "ls -A /home/ops | grep -c homelab || true") == "0"
    script = 'read -r line; printf "%s/%s" "$line" "${#KEY}"; printf %s "$KEY" >/root/key; echo é >&2; exit 3'
    told = site.call("guest_exec", {"guest": "web-1", "cmd": script, "stdin": "naïve", "secrets": {"KEY": SECRET}})
    assert (told["rc"], told["stdout"], told["stderr"]) == (3, f"naïve/{len(SECRET)}", "é")
    # The agent writes what it is asked to run into the journal.
    assert site.shell(clone, "cat /root/key") == SECRET
    journal = site.shell(clone, "journalctl -b --no-pager -o cat")
    assert "guest-exec called" in journal
    assert SECRET not in journal
    late = site.call("guest_exec", {"guest": "web-1", "argv": ["sleep", "600"], "guest_timeout": 2})
    assert "did not end within guest_timeout=2 s" in late["msg"]
    assert site.shell(clone, "pgrep -x sleep -a | grep -c 600 || true") == "0"


def test_a_guest_is_suspended_and_goes_on(site: BootSite, clone: int, frozen: Frozen) -> None:
    site.lab.thaw(frozen)
    assert site.call("vm_power", {"guests": ["web-1"], "action": "suspend"})["guests"][0]["after"] == "paused"
    told = site.call("guest_exec", {"guest": "web-1", "argv": ["true"]})
    assert "it is paused, so its agent cannot answer" in told["msg"]
    assert site.call("vm_power", {"guests": ["web-1"], "action": "resume"})["guests"][0]["after"] == "running"
    assert site.call("guest_exec", {"guest": "web-1", "argv": ["hostname"]})["stdout"] == "web-1"


# ----------------------------------------------------------------------- a host

PLAY = """
- name: Configure the web servers
  hosts: web
  become: true
  gather_subset: ["!all", min]
  tasks:
    - name: Say who serves here
      ansible.builtin.copy:
        content: "{{ ansible_facts.hostname }} of {{ ansible_facts.distribution }}\\n"
        dest: /etc/served-by
        mode: "0644"
"""


def test_a_clone_is_a_host_that_a_play_configures_over_ssh(site: BootSite, clone: int, frozen: Frozen) -> None:
    site.lab.thaw(frozen)
    playbook = site.folder / "configure.yml"
    playbook.write_text(PLAY, encoding="utf-8")
    groups = {"web": {"web-1": site.host(clone, "ops")}}
    first = site.play(str(playbook), groups)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=1 " in first.stdout, first.stdout
    assert site.shell(clone, "cat /etc/served-by") == "web-1 of Debian"
    again = site.play(str(playbook), groups)
    assert "changed=0 " in again.stdout, again.stdout


def test_a_builder_is_only_reached_by_the_host_key_that_its_agent_told(
    site: BootSite, clone: int, frozen: Frozen
) -> None:
    site.lab.thaw(frozen)
    keys = site.shell(clone, "cat /etc/ssh/ssh_host_*_key.pub").splitlines()
    told = [" ".join(key.split()[:2]) for key in keys]
    assert reached_with(site, clone, told) == (0, "web-1\n", "")
    kind = min(told).split()[0]
    stranger = " ".join(site.public_key.split()[:2])
    status, out, err = reached_with(site, clone, [stranger if kind == "ssh-ed25519" else f"{kind} AAAAnone"])
    assert (status, out) == (255, "")
    assert "Host key verification failed." in err


def reached_with(site: BootSite, vmid: int, host_keys: list[str]) -> tuple[int, str, str]:
    """Log in with the options that the role templates_bake gives its builders."""
    (begin,) = (
        task["ansible.builtin.add_host"]
        for task in yaml.safe_load((ROLES / "templates_bake/tasks/begin.yml").read_text(encoding="utf-8"))
        if "ansible.builtin.add_host" in task
    )
    options = jinja2.Template(begin["ansible_ssh_common_args"]).render(item={"host_keys": host_keys})
    argv = ["ssh", "-i", str(site.key), "-p", str(site.lab.ssh_port(vmid)), "-o", "BatchMode=yes", "-F", "none"]
    argv += [*shlex.split(options), "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=120", "ops@127.0.0.1", "hostname"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BOOT_LIMIT, check=False)
    return done.returncode, done.stdout, done.stderr


# ---------------------------------------------------------- what goes wrong in a builder


def test_a_builder_that_a_killed_run_has_left_running_goes_with_the_next_run(
    site: BootSite, clone: int, frozen: Frozen
) -> None:
    site.lab.thaw(frozen)
    left = Identity(
        vmid=clone,
        role=Role.TEMPLATE,
        line="left",
        generation="20261101000000",
        run="elsewhere-1-1",
        deadline="2026-11-01T01:00:00+00:00",
    )
    tags = ";".join(sorted(identity_tags(left, State.BUILDING)))
    site.api.ok("PUT", f"{QEMU}/{clone}/config", description=describe("", left), tags=tags)
    machine = site.lab.machines[clone]
    files = [volume.path for volume in site.lab.volumes().values() if volume.vmid == clone]
    result = site.call("vm_template", {"line": "left", "node": NODE, "state": "absent"})
    assert result["changed"], result
    assert machine.ended()
    assert clone not in site.lab.vms
    assert [file for file in files if file is not None and file.exists()] == []


# -------------------------------------------------------------------- the power


def test_a_guest_that_switches_itself_off_is_stopped(site: BootSite, clone: int, frozen: Frozen) -> None:
    site.lab.thaw(frozen)
    site.agent(clone, "POST", "exec", command=["systemctl", "poweroff"])
    assert stopped(site, clone)


def test_a_guest_whose_agent_is_gone_hears_the_button_and_is_destroyed(
    site: BootSite, clone: int, frozen: Frozen
) -> None:
    site.lab.thaw(frozen)
    machine = site.lab.machines[clone]
    site.ssh(clone, "ops", "sudo -n systemctl stop qemu-guest-agent")
    silent = f"QEMU Guest Agent is not running - VM {clone} qmp command 'guest-ping' failed - got timeout"
    assert site.api.done("POST", f"{QEMU}/{clone}/status/shutdown") == [silent, "TASK OK"]
    assert machine.ended()
    files = [volume.path for volume in site.lab.volumes().values() if volume.vmid == clone]
    assert all(file is not None and file.exists() for file in files)
    site.api.done("DELETE", f"{QEMU}/{clone}")
    assert [file for file in files if file is not None and file.exists()] == []
    assert "web-1 login:" in site.lab.serial(clone)
