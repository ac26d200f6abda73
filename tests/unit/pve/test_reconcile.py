# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that were cut: what became of them is read, not guessed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    Kind,
    ProxmoxError,
    WriteLost,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.reconcile import config_shows
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import Upid
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply
from ansible_collections.homelab.proxmox.tests.support.scripted import Call, FakeClock, ScriptedTransport, refusal

CUT = ConnectionFailed("connection reset", sent=True)
PROXY_TIMEOUT = refusal(596, "Connection timed out")
CUTS = pytest.mark.parametrize("cut", [CUT, PROXY_TIMEOUT, refusal(599, "x")], ids=["cut", "596", "599"])
NOW = int(FakeClock().time())
CREATE = "/nodes/pve1/qemu"
TASKS = "/nodes/pve1/tasks"


def upid(
    starttime: int = NOW, task: str = "qmcreate", vmid: str = "9200", user: str = "root@pam!lab", pid: int = 1
) -> str:
    return f"UPID:pve1:{pid:08X}:000A5FFE:{starttime:08X}:{task}:{vmid}:{user}:"


def listed(*upids: str) -> Call:
    rows = [{"upid": text, "node": "pve1"} for text in upids]
    return Call("GET", TASKS, rows, params={"source": "all", "typefilter": "qmcreate", "limit": 100, "vmid": 9200})


def client(*calls: Call, offset: float | None = 0.0, **options: Any) -> tuple[Client, ScriptedTransport]:
    wire = ScriptedTransport(calls, server_offset=offset)
    return Client(wire, clock=wire.clock, identity="root@pam!lab", **options), wire


def create(api: Client, **more: Any) -> Upid:
    return api.submit("POST", CREATE, {"vmid": 9200}, node="pve1", type="qmcreate", id=9200, **more)


def post(reply: Any, takes: float = 0.0) -> Call:
    return Call("POST", CREATE, reply, params={"vmid": 9200}, takes=takes)


# --- writes that begin a task ---


@CUTS
def test_the_task_of_a_cut_write_is_found(cut: Any) -> None:
    api, wire = client(post(cut), listed(upid()))
    with wire:
        assert create(api).text == upid()


def test_a_task_that_begins_late_is_waited_for() -> None:
    api, wire = client(post(CUT), listed(), listed(), listed(upid(NOW + 3)))
    with wire:
        assert create(api).starttime == NOW + 3


@CUTS
def test_a_write_that_did_not_begin_is_sent_once_more(cut: Any) -> None:
    api, wire = client(post(cut), *[listed()] * 5, post(upid(NOW + 16)))
    with wire:
        assert create(api).starttime == NOW + 16
    # Longer than the 10 s for which Proxmox waits for a lock.
    assert sum(wire.clock.sleeps) > 10


def test_twice_is_enough() -> None:
    api, wire = client(post(CUT), *[listed()] * 5, post(CUT), *[listed()] * 5)
    with wire, pytest.raises(WriteLost, match="POST /nodes/pve1/qemu.*no task"):
        create(api)


def test_what_must_not_be_repeated_is_not() -> None:
    api, wire = client(post(CUT), *[listed()] * 5)
    with wire, pytest.raises(WriteLost):
        create(api, repeatable=False)


def test_a_clash_with_the_first_attempt_is_no_clash() -> None:
    clash = refusal(500, "unable to create VM 9200 - VM 9200 already exists on node 'pve1'")
    api, wire = client(post(CUT), *[listed()] * 5, post(clash), listed(upid(NOW + 15)))
    with wire:
        assert create(api).starttime == NOW + 15
    api, wire = client(post(CUT), *[listed()] * 5, post(clash), listed())
    with wire, pytest.raises(ApiError) as caught:
        create(api)
    assert caught.value.kind is Kind.ALREADY_EXISTS


@pytest.mark.parametrize(
    "foreign",
    [
        upid(NOW - 3600),
        upid(user="root@pam"),
        upid(user="other@pve!x"),
        upid(vmid="9201"),
        upid(task="qmclone"),
        "nonsense",
    ],
    ids=["before", "other token", "other user", "other id", "other type", "unreadable"],
)
def test_tasks_that_are_not_ours(foreign: str) -> None:
    api, wire = client(post(CUT), *[listed(foreign)] * 5, post(upid(NOW + 16)))
    with wire:
        assert create(api).starttime == NOW + 16


def test_a_known_task_is_not_found_again() -> None:
    api, wire = client(post(upid()), post(CUT), listed(upid()), listed(upid(), upid(NOW + 1, pid=2)))
    with wire:
        create(api)
        assert create(api).pid == 2


def test_two_that_fit_are_not_guessed_between() -> None:
    api, wire = client(post(CUT), listed(upid(pid=1), upid(pid=2)))
    with wire, pytest.raises(WriteLost, match="2 tasks fit"):
        create(api)


@pytest.mark.parametrize(
    ("offset", "starttime", "found"),
    [
        (0.0, NOW - 4, True),
        (0.0, NOW - 6, False),
        (-7200.0, NOW - 7200, True),
        (7200.0, NOW, False),
        (7200.0, NOW + 7200, True),
        (None, NOW - 50, True),
        (None, NOW - 70, False),
    ],
)
def test_the_servers_clock_decides_what_came_before(offset: float | None, starttime: int, found: bool) -> None:
    calls = [listed(upid(starttime))] if found else [*[listed(upid(starttime))] * 5, post(upid(NOW + 9))]
    api, wire = client(post(CUT), *calls, offset=offset)
    with wire:
        assert (create(api).starttime == starttime) is found


def test_a_clock_is_learned_from_upids_too() -> None:
    ahead = upid(NOW + 7200, vmid="9300")
    api, wire = client(
        Call("POST", "/x", ahead), post(CUT), listed(upid(NOW + 100), upid(NOW + 7201, pid=5)), offset=None
    )
    with wire:
        api.submit("POST", "/x", node="pve1", type="qmcreate", id=9300)
        assert create(api).pid == 5


def test_ids_that_are_no_vmid_are_not_sent_as_one() -> None:
    found = upid(task="imgdel", vmid="local")
    listing = Call("GET", TASKS, [{"upid": found}], params={"source": "all", "typefilter": "imgdel", "limit": 100})
    api, wire = client(Call("DELETE", "/x", CUT), listing)
    with wire:
        assert api.submit("DELETE", "/x", node="pve1", type="imgdel", id="local").text == found


def test_writes_of_one_key_take_turns() -> None:
    """Two lost UPIDs of the same node, type and id could not be told apart."""
    inside: list[int] = []
    most: list[int] = []

    class Slow(ScriptedTransport):
        def request(self, *args: Any, **more: Any) -> Reply:
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.005)
            inside.pop()
            return super().request(*args, **more)

    wire = Slow([post(upid(pid=pid)) for pid in range(1, 5)])
    api = Client(wire, clock=wire.clock)
    threads = [threading.Thread(target=create, args=(api,)) for _n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wire.finish()
    assert max(most) == 1


# --- writes of a config ---

CONFIG = "/nodes/pve1/qemu/9200/config"


def put(reply: Any = None, **params: Any) -> Call:
    return Call("PUT", CONFIG, reply, params=params)


def config(**values: Any) -> Call:
    return Call("GET", CONFIG, values)


def test_a_config_write() -> None:
    api, wire = client(put(None, name="a", onboot=1, delete="ide2,tags", digest="d1"))
    with wire:
        api.write_config("pve1", 9200, {"name": "a", "onboot": True}, delete=["ide2", "tags"], digest="d1")


@CUTS
@pytest.mark.parametrize("digest", ["d1", None])
def test_a_cut_config_write_that_is_done(cut: Any, digest: str | None) -> None:
    params = {"name": "a", "delete": "tags"} | ({"digest": digest} if digest else {})
    api, wire = client(put(cut, **params), config(name="old", tags="x", digest="d1"), config(name="a", digest="d2"))
    with wire:
        api.write_config("pve1", 9200, {"name": "a"}, delete=["tags"], digest=digest)


@pytest.mark.parametrize("digest", ["d1", None])
def test_a_cut_config_write_that_is_not_done_is_repeated_once(digest: str | None) -> None:
    params = {"name": "a"} | ({"digest": digest} if digest else {})
    undone = [config(name="old", digest="d1")] * 5
    api, wire = client(put(CUT, **params), *undone, put(None, **params))
    with wire:
        api.write_config("pve1", 9200, {"name": "a"}, digest=digest)
    api, wire = client(put(CUT, **params), *undone, put(CUT, **params), *undone)
    with wire, pytest.raises(WriteLost):
        api.write_config("pve1", 9200, {"name": "a"}, digest=digest)


def test_a_changed_digest_speaks_for_values_that_cannot_be_compared() -> None:
    secret = put(CUT, cipassword="pw", digest="d1")
    before, after = config(cipassword="**********", digest="d1"), config(cipassword="**********", digest="d2")
    api, wire = client(secret, before, after)
    with wire:
        api.write_config("pve1", 9200, {"cipassword": "pw"}, digest="d1")
    api, wire = client(secret, *[before] * 5, put(None, cipassword="pw", digest="d1"))
    with wire:
        api.write_config("pve1", 9200, {"cipassword": "pw"}, digest="d1")
    api, wire = client(put(CUT, cipassword="pw"), *[before] * 5)
    with wire, pytest.raises(WriteLost, match="no digest"):
        api.write_config("pve1", 9200, {"cipassword": "pw"})


def test_somebody_elses_change_is_not_taken_for_ours() -> None:
    api, wire = client(put(CUT, name="a", digest="d1"), config(name="b", digest="d2"))
    with wire, pytest.raises(WriteLost, match="not to what was asked"):
        api.write_config("pve1", 9200, {"name": "a"}, digest="d1")


def test_a_late_first_write_makes_the_second_look_stale() -> None:
    stale = refusal(500, "checksum mismatch (file change by other user?)")
    undone = [config(name="old", digest="d1")] * 5
    api, wire = client(
        put(CUT, name="a", digest="d1"), *undone, put(stale, name="a", digest="d1"), config(name="a", digest="d2")
    )
    with wire:
        api.write_config("pve1", 9200, {"name": "a"}, digest="d1")


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, "checksum mismatch (file change by other user?)", Kind.DIGEST_MISMATCH),
        (500, "VM is locked (backup)", Kind.LOCKED),
        (595, "No route to host", Kind.NODE_DOWN),
    ],
)
def test_a_refused_config_write_is_final(status: int, text: str, kind: Kind) -> None:
    api, wire = client(put(refusal(status, text), name="a"))
    with wire, pytest.raises(ProxmoxError) as caught:
        api.write_config("pve1", 9200, {"name": "a"})
    assert isinstance(caught.value, ApiError)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("stored", "wanted", "delete", "shows"),
    [
        ({"memory": "512"}, {"memory": 512}, [], True),
        ({"onboot": 1}, {"onboot": True}, [], True),
        ({"tags": "bar;baz;foo"}, {"tags": "Foo,bar;baz foo"}, [], True),
        ({"description": "a\nb"}, {"description": "a\nb \n"}, [], True),
        ({"agent": "enabled=1,type=virtio"}, {"agent": "type=virtio,enabled=1"}, [], True),
        ({}, {"memory": 512}, [], False),
        ({"memory": "256"}, {"memory": 512}, [], False),
        ({"ide2": "x"}, {}, ["ide2"], False),
        ({}, {}, ["ide2"], True),
        ({"cipassword": "**********"}, {"cipassword": "x"}, [], None),
        ({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}, {"net0": "virtio,bridge=vmbr0"}, [], None),
        (
            {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"},
            {"net0": "virtio=BC:24:11:00:00:02,bridge=vmbr0"},
            [],
            False,
        ),
        ({"scsi1": "local-lvm:vm-9-cloudinit,media=cdrom"}, {"scsi1": "local-lvm:cloudinit"}, [], None),
        ({"memory": "256", "cipassword": "*"}, {"memory": 512, "cipassword": "x"}, [], False),
    ],
)
def test_what_a_config_shows(
    stored: dict[str, Any], wanted: dict[str, Any], delete: list[str], shows: bool | None
) -> None:
    assert config_shows(stored, wanted, delete) is shows
