# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks, the power of a VM, its guest agent, cloud-init, and the manners of HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.support.pve import FakeCluster, serve
from tests.support.pve_client import Api

QEMU = "/nodes/pve1/qemu"
VM = QEMU + "/100"
TASKS = "/nodes/pve1/tasks"


@pytest.fixture
def up(api: Api) -> Api:
    """VM 100 runs and has an agent."""
    api.done(
        "POST", QEMU, vmid=100, name="web", scsi0="local-lvm:1", scsi1="local-lvm:cloudinit", agent="enabled=1",
        net0="virtio,bridge=vmbr0", ipconfig0="ip=10.0.0.5/24,gw=10.0.0.1", ciuser="ops", searchdomain="lan",
    )  # fmt: skip
    assert api.done("POST", VM + "/status/start")[0] == "generating cloud-init ISO"
    return api


def run(api: Api, *argv: str, **more: str) -> dict:
    pid = api.ok("POST", VM + "/agent/exec", command=list(argv), **more)["pid"]
    return api.ok("GET", VM + "/agent/exec-status", pid=pid)


# ------------------------------------------------------------------------ tasks


def test_a_task_takes_its_time(api: Api) -> None:
    api.cluster.durations["qmcreate"] = 0.1
    upid = api.ok("POST", QEMU, vmid=100)
    assert api.ok("GET", f"{TASKS}/{upid}/status")["status"] == "running"
    assert api.cluster.running_tasks() == [upid]
    assert api.config(100)["lock"] == "create"
    assert [row["upid"] for row in api.ok("GET", TASKS, source="active")] == [upid]
    assert api.end_of(upid).status == "OK"
    assert "lock" not in api.config(100)


def test_a_task_may_be_unknown_right_after_dispatch(api: Api) -> None:
    api.cluster.missing_polls, api.cluster.running_polls = 1, 1
    upid = api.ok("POST", QEMU, vmid=100)
    status = f"{TASKS}/{upid}/status"
    assert api.refused("GET", status).errors == {"upid": "no such task"}
    assert api.ok("GET", status)["status"] == "running"
    assert api.ok("GET", status)["exitstatus"] == "OK"
    assert api.refused("GET", TASKS + "/nonsense/status").errors == {"upid": "unable to parse worker upid"}


def test_task_lists_are_filtered(api: Api) -> None:
    api.done("POST", QEMU, vmid=100)
    api.done("POST", QEMU, vmid=101)
    api.ended("POST", QEMU + "/777/status/start")
    assert [row["id"] for row in api.ok("GET", TASKS)] == ["777", "101", "100"]
    assert [row["id"] for row in api.ok("GET", TASKS, vmid=101)] == ["101"]
    assert [row["id"] for row in api.ok("GET", TASKS, typefilter="qmstart")] == ["777"]
    assert [row["id"] for row in api.ok("GET", TASKS, errors=1)] == ["777"]
    assert api.ok("GET", TASKS, since=int(time.time()) + 60) == []
    assert api("GET", TASKS, limit=1).json()["total"] == 3
    assert api.ok("GET", TASKS, limit=0) == []
    assert {row["status"] for row in api.ok("GET", "/cluster/tasks")} >= {"OK"}


def test_running_tasks_are_listed_first_and_marked(api: Api) -> None:
    """As PVE::API2::Tasks: a running task bears its UPID's user, an ended one its token apart."""
    api.cluster.durations["qmcreate"] = 0.2
    slow = api.ok("POST", QEMU, vmid=100)
    api.cluster.durations["qmcreate"] = 0.05
    quick = api.ok("POST", QEMU, vmid=101)
    assert api.end_of(quick).status == "OK"
    first, second = api.ok("GET", TASKS, source="all")
    assert (first["upid"], first["status"], first["saved"]) == (slow, "RUNNING", "0")
    assert "endtime" not in first
    assert (second["upid"], second["status"]) == (quick, "OK")
    assert second["endtime"] >= second["starttime"]
    assert first["user"] == f"{second['user']}!{second['tokenid']}"
    assert [row["upid"] for row in api.ok("GET", TASKS)] == [quick]
    assert api.end_of(slow).status == "OK"
    assert [row["upid"] for row in api.ok("GET", TASKS, source="all")] == [slow, quick], "by their ends"


def test_the_list_and_the_status_agree_about_a_task_that_seems_to_run(api: Api) -> None:
    api.cluster.missing_polls, api.cluster.running_polls = 1, 1
    upid = api.ok("POST", QEMU, vmid=100)
    assert api.ok("GET", TASKS, source="all") == []
    assert api.refused("GET", f"{TASKS}/{upid}/status").errors == {"upid": "no such task"}
    assert [row["status"] for row in api.ok("GET", TASKS, source="all")] == ["RUNNING"]
    assert [row["status"] for row in api.ok("GET", TASKS, source="all")] == ["OK"]


# ------------------------------------------------------------------------ power


def test_power_is_idempotent_where_the_server_is(up: Api) -> None:
    assert up.ended("POST", VM + "/status/start").status == "VM 100 already running"
    up.done("POST", VM + "/status/shutdown")
    up.done("POST", VM + "/status/shutdown")
    up.done("POST", VM + "/status/stop")
    assert up.ok("GET", VM + "/status/current")["status"] == "stopped"
    missing = up.ended("POST", QEMU + "/777/status/start")
    assert missing.status == "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist"


def test_a_guest_that_ignores_a_shutdown(up: Api) -> None:
    up.cluster.vms[100].acpi = False
    up.cluster.vms[100].inside.wedged = True
    silent = up.ended("POST", VM + "/status/shutdown", timeout=4)
    assert silent.status == "VM quit/powerdown failed - got timeout"
    assert silent.log[0].startswith("QEMU Guest Agent is not running")
    assert "terminating now with SIGTERM" in up.done("POST", VM + "/status/shutdown", forceStop=1)[1]


def test_a_start_needs_its_volumes(up: Api) -> None:
    up.done("POST", VM + "/status/stop")
    up.cluster.put_file("local:iso/x.iso", b"x")
    up.ok("PUT", VM + "/config", ide2="local:iso/x.iso,media=cdrom")
    up.done("DELETE", "/nodes/pve1/storage/local/content/local:iso/x.iso")
    assert up.ended("POST", VM + "/status/start").status == "volume 'local:iso/x.iso' does not exist"


# ------------------------------------------------------------------------ agent


def test_when_the_agent_does_not_answer(up: Api) -> None:
    ping = VM + "/agent/ping"
    up.cluster.vms[100].inside.refusals = 1
    assert up.refused("POST", ping).message == "QEMU guest agent is not running"
    assert up.ok("POST", ping) == {"result": {}}
    up.done("POST", VM + "/status/stop")
    assert up.refused("POST", ping).message == "VM 100 is not running"
    up.ok("PUT", VM + "/config", delete="agent")
    assert up.refused("POST", ping).message == "No QEMU guest agent configured"


def test_exec_results_are_readable_once(up: Api) -> None:
    assert run(up, "echo", "a b") == {"exited": 1, "exitcode": 0, "out-data": "a b\n", "out-truncated": 0}
    pid = up.cluster.vms[100].inside.next_pid
    assert up.refused("GET", VM + "/agent/exec-status", pid=pid).message == "Agent error: Invalid parameter 'pid'"


def test_exec_is_scripted(up: Api) -> None:
    guest = up.cluster.vms[100].inside
    guest.on(
        r"^/bin/sh\n.*machine-id",
        out="sealed é\n",
        err="+ x\n",
        then=lambda own: own.files.update({"/etc/machine-id": ""}),
    )
    guest.on("^sleep", reads=1)
    result = run(up, "/bin/sh", **{"input-data": "truncate -s 0 /etc/machine-id"})
    assert result["out-data"].encode("latin-1").decode() == "sealed é\n"
    assert up.ok("GET", VM + "/agent/file-read", file="/etc/machine-id")["bytes-read"] == 0
    assert run(up, "sleep", "3") == {"exited": 0}
    assert [name for name, _params in guest.calls][:2] == ["exec", "exec-status"]


def test_cloud_init_status_moves_on(up: Api) -> None:
    guest = up.cluster.vms[100].inside
    guest.cloud_init, guest.errors = ["running", "error"], ["boom"]
    words = ("cloud-init", "status", "--format", "json")
    assert json.loads(run(up, *words)["out-data"])["status"] == "running"
    failed = run(up, *words)
    assert failed["exitcode"] == 1
    assert json.loads(failed["out-data"])["errors"] == ["boom"]


def test_what_kills_an_agent_answer(up: Api) -> None:
    exec_ = VM + "/agent/exec"
    missing = up("POST", exec_, command="/no/such")
    assert (missing.status_code, missing.reason, missing.text) == (596, "Broken pipe", "")
    assert "Wide character" in up.refused("POST", exec_, command="sh", **{"input-data": "€"}).message
    assert "got timeout" in up.refused("POST", exec_, command=["echo", "€"]).message
    assert up.refused("POST", VM + "/agent/ping").message == "QEMU guest agent is not running"


def test_files_of_the_guest(up: Api) -> None:
    up.ok("POST", VM + "/agent/file-write", file="/tmp/x", content="aGk=", encode=0)
    assert up.ok("GET", VM + "/agent/file-read", file="/tmp/x") == {"content": "hi", "bytes-read": 2}
    assert "No such file or directory" in up.refused("GET", VM + "/agent/file-read", file="/nope").message
    assert "mode: 'wb'" in up.refused("POST", VM + "/agent/file-write", file="/no/x", content="a").message
    assert "Is a directory" in up.refused("GET", VM + "/agent/file-read", file="/etc").message


def test_addresses_come_from_the_config(up: Api) -> None:
    rows = up.ok("GET", VM + "/agent/network-get-interfaces")["result"]
    assert rows[1]["ip-addresses"][0]["ip-address"] == "10.0.0.5"
    assert up.ok("GET", VM + "/agent/get-host-name")["result"] == {"host-name": "web"}


# -------------------------------------------------------------------- cloud-init


def test_cloud_init_documents(up: Api) -> None:
    dump = VM + "/cloudinit/dump"
    user = up.ok("GET", dump, type="user")
    assert user.splitlines()[1:5] == ["hostname: web", "manage_etc_hosts: true", "fqdn: web.lan", "user: ops"]
    assert user.endswith("package_upgrade: true\n")
    assert "        netmask: '255.255.255.0'\n" in up.ok("GET", dump, type="network")
    meta = up.ok("GET", dump, type="meta")
    up.ok("PUT", VM + "/config", ciuser="other")
    assert up.ok("GET", dump, type="meta") != meta
    assert up.cluster.vms[100].cloudinit["meta"] == meta
    up.ok("PUT", VM + "/cloudinit")
    assert up.cluster.vms[100].cloudinit["meta"] != meta
    assert {"key": "ciuser", "value": "other"} in up.ok("GET", VM + "/cloudinit")


# ------------------------------------------------------------------------- HTTP


def test_manners_of_http(api: Api) -> None:
    deleted = api.session.delete(api.server.url + VM, data={"purge": 1})
    assert (deleted.status_code, deleted.reason) == (501, "Unexpected content for method 'DELETE'")
    unknown = api("GET", "/nosuch")
    assert (unknown.status_code, unknown.json()["message"]) == (501, "Method 'GET /nosuch' not implemented")
    assert api.refused("GET", "/nodes/pve9/qemu").message.startswith("hostname lookup 'pve9' failed")
    for value in ("true", "yes", "on", "True"):
        assert api.refused("POST", QEMU, vmid=100, onboot=value).errors == {
            "onboot": f"type check ('boolean') failed - got '{value}'"
        }
    large = api.session.post(api.server.url + QEMU, data={"description": "x" * 600_000})
    assert (large.status_code, large.reason) == (501, "for data too large")


def test_the_journal(api: Api) -> None:
    api.cluster.reset_log()
    api.ok("GET", "/version")
    api.refused("POST", "/access/ticket", username="root@pam", password="wrong")
    api.done("POST", QEMU, vmid=100, name="a")
    (write,) = api.server.writes()
    assert write == ("POST", QEMU, {"vmid": "100", "name": "a"}, "root@pam!test", 200)
    login = next(entry for entry in api.server.requests if entry.path == "/access/ticket")
    assert (login.params["password"], login.status) == ("***", 401)


def test_other_releases() -> None:
    with serve(FakeCluster(version="9.1.2")) as server:
        api = Api(server)
        assert api.ok("GET", "/version") == {"version": "9.1.2", "release": "9.1", "repoid": "2606ac850d46da29"}
        assert "VM.GuestAgent.Audit" in api.ok("GET", "/access/permissions")["/vms"]
        assert "VM.Monitor" not in api.ok("GET", "/access/permissions")["/vms"]
        api.done("POST", QEMU, vmid=100, scsi0="local-lvm:1")


def test_the_launcher() -> None:
    words = [sys.executable, "-m", "tests.support.pve", "--guests", "3", "--nodes", "pve1,pve2", "--version", "9.1.2"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        facts = json.loads(process.stdout.readline())
        assert {"host", "port", "token", "ca_path", "fingerprint"} <= set(facts)
        process.stdin.close()
        assert process.wait(20) == 0
