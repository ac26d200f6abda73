# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single reads and writes: how they are encoded, when they are sent again, when they are given up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client, api_path
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    DeadlineExceeded,
    Kind,
    ProxmoxError,
    TaskFailed,
    TlsFailed,
    WriteLost,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.exchange import Requests
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import Upid
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply
from ansible_collections.homelab.proxmox.tests.support.scripted import Call, ScriptedTransport, refusal

REFUSED = ConnectionFailed("connection refused", sent=False)
CUT = ConnectionFailed("connection reset", sent=True)
DISTRUST = TlsFailed("not trusted")
PROXY_TIMEOUT = refusal(596, "Connection timed out")
LOCKED = refusal(500, "VM is locked (backup)")


def client(*calls: Call, **options: Any) -> tuple[Client, ScriptedTransport]:
    wire = ScriptedTransport(calls)
    return Client(wire, clock=wire.clock, **options), wire


def test_paths_are_encoded_by_segment() -> None:
    path = api_path("nodes", "pve1", "storage", "local", "content", "local:iso/a b.iso")
    assert path == "/nodes/pve1/storage/local/content/local%3Aiso%2Fa%20b.iso"
    assert api_path("qemu", 100) == "/qemu/100"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_booleans_are_digits_and_nones_are_not_sent(method: str) -> None:
    expected = {"a": 1, "b": 0, "d": "", "e": 5, "f": ["x", "y"]}
    api, wire = client(Call(method, "/x", {"k": 1}, params=expected))
    given = {"a": True, "b": False, "c": None, "d": "", "e": 5, "f": ["x", "y"]}
    with wire:
        assert getattr(api, method.lower())("/x", given) == {"k": 1}
    assert not any(isinstance(value, bool) for value in wire.sent[0].params.values())


def test_reads_take_their_parameters_by_name() -> None:
    api, wire = client(Call("GET", "/cluster/resources", [], params={"type": "vm", "path": 1}))
    with wire:
        given = {"type": "vm", "path": True, "other": None}
        # The name of a parameter may be that of the first argument, which is positional only.
        assert api.get("/cluster/resources", **given) == []  # pylint: disable=kwarg-superseded-by-positional-arg


@pytest.mark.parametrize(
    "failures",
    [[REFUSED], [CUT], [CUT, REFUSED, REFUSED], [PROXY_TIMEOUT], [refusal(599, "x"), PROXY_TIMEOUT, CUT]],
    ids=["refused", "cut", "several", "596", "mixed"],
)
def test_reads_are_repeated(failures: list[Any]) -> None:
    api, wire = client(*(Call("GET", "/x", failure) for failure in failures), Call("GET", "/x", [1]))
    with wire:
        assert api.get("/x") == [1]
    assert wire.clock.sleeps == [0.5, 1.0, 2.0][: len(failures)]
    assert api.counts() == {"reads": len(failures) + 1, "writes": 0, "polls": 0}


@pytest.mark.parametrize(
    "reply",
    [refusal(500, "storage 'x' does not exist"), refusal(595, "No route to host"), refusal(403, "P"), DISTRUST],
    ids=["500", "595", "403", "tls"],
)
def test_refused_reads_are_not_repeated(reply: Any) -> None:
    api, wire = client(Call("GET", "/x", reply))
    with wire, pytest.raises((ApiError, TlsFailed)):
        api.get("/x")
    assert wire.clock.sleeps == []


def test_a_wrong_address_is_told_soon() -> None:
    api, wire = client(*[Call("GET", "/x", REFUSED)] * 4)
    with wire, pytest.raises(ConnectionFailed, match="refused"):
        api.get("/x")
    assert sum(wire.clock.sleeps) < 5


def test_an_outage_is_waited_for_until_the_deadline() -> None:
    api, wire = client(Call("GET", "/version", {}), *[Call("GET", "/x", REFUSED)] * 30, timeout=200)
    api.get("/version")
    with pytest.raises(DeadlineExceeded, match=r"GET /x \(last: connection refused\)"):
        api.get("/x")
    assert wire.clock.monotonic() == pytest.approx(200)
    assert max(wire.clock.sleeps) == 10


def test_a_node_that_never_answers_is_given_up_before_the_deadline() -> None:
    api, wire = client(*[Call("GET", "/x", PROXY_TIMEOUT, takes=30)] * 10)
    with wire, pytest.raises(ApiError) as caught:
        api.get("/x")
    assert caught.value.kind is Kind.NODE_DOWN
    assert wire.clock.monotonic() < 600


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_cut_write_is_not_repeated(method: str) -> None:
    api, wire = client(Call(method.upper(), "/x", CUT))
    with wire, pytest.raises(WriteLost, match=f"{method.upper()} /x"):
        getattr(api, method)("/x")


@pytest.mark.parametrize("reply", [LOCKED, PROXY_TIMEOUT, refusal(500, "got no worker upid")], ids=["l", "596", "w"])
def test_a_refused_write_is_not_repeated(reply: Reply) -> None:
    api, wire = client(Call("POST", "/x", reply))
    with wire, pytest.raises(ApiError) as caught:
        api.post("/x")
    assert caught.value.uncertain is (reply.status == 596)


def test_a_write_that_was_not_sent_is_tried_a_few_times() -> None:
    api, wire = client(*[Call("POST", "/x", REFUSED)] * 2, Call("POST", "/x", "done"))
    with wire:
        assert api.post("/x") == "done"
    api, wire = client(*[Call("POST", "/x", REFUSED)] * 5)
    with wire, pytest.raises(ConnectionFailed):
        api.post("/x")
    api, wire = client(Call("POST", "/x", DISTRUST))
    with wire, pytest.raises(TlsFailed):
        api.post("/x")


def test_each_request_has_its_own_timeout_within_the_deadline() -> None:
    api, wire = client(
        Call("GET", "/x", takes=50), Call("GET", "/x", takes=48), Call("PUT", "/x"), timeout=100, request_timeout=60
    )
    api.get("/x")
    api.get("/x")
    api.put("/x")
    # A write close to the deadline keeps 10 s, since nobody would know what a shorter one has done.
    assert [sent.timeout for sent in wire.sent] == [60, 50, 10]
    with pytest.raises(DeadlineExceeded, match="POST /y"):
        wire.clock.advance(10)
        api.post("/y")
    wire.finish()


def test_writes_wait_for_an_accepted_plan() -> None:
    api, wire = client(Call("POST", "/x"), read_only=True)
    with pytest.raises(RuntimeError, match="may only read"):
        api.post("/x")
    api.allow_writes()
    with wire:
        api.post("/x")


def test_a_look_into_a_guest_is_a_read_and_nothing_else_passes_for_one() -> None:
    path = "/nodes/pve1/qemu/101/agent/exec"
    with ScriptedTransport([Call("POST", path, CUT), Call("POST", path, {"pid": 7})]) as wire:
        api = Client(wire, clock=wire.clock, read_only=True)
        assert api.look(path, {"command": ["/bin/sh"]}) == {"pid": 7}
        assert api.counts() == {"reads": 2, "writes": 0, "polls": 0}
        for other in ("/nodes/pve1/qemu/101/agent/file-write", "/nodes/pve1/qemu/101/status/stop"):
            with pytest.raises(ValueError, match="is no look into a guest"):
                api.look(other, {})


@pytest.mark.parametrize("status", [301, 304, 404, 502])
def test_only_2xx_is_success(status: int) -> None:
    api, wire = client(Call("GET", "/x", Reply(status, "no")))
    with wire, pytest.raises(ApiError, match=f"HTTP {status}"):
        api.get("/x")


# --- locks ---

UPID = Upid.parse("UPID:a:00000001:00000002:6B0444CB:qmstart:9:root@pam:")


def test_locks_are_waited_for() -> None:
    api, wire = client(
        Call("PUT", "/x", LOCKED),
        Call("PUT", "/x", refusal(500, "cfs-lock 'storage-a' error: got lock request timeout")),
        Call("PUT", "/x", "done"),
    )
    with wire:
        assert api.retry_locked(lambda: api.put("/x")) == "done"
    assert wire.clock.sleeps == [0.5, 1.0]


def test_a_lock_that_stays_is_reported() -> None:
    api, wire = client(*[Call("PUT", "/x", LOCKED)] * 20)
    with pytest.raises(ApiError, match="is locked"):
        api.retry_locked(lambda: api.put("/x"), patience=30)
    assert 15 < wire.clock.monotonic() <= 30


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (TaskFailed(Kind.LOCKED, UPID, "VM is locked (clone)"), 2),
        (TaskFailed(Kind.BUSY, UPID, "got lock request timeout"), 1),
        (ApiError(Kind.NOT_FOUND, "x", 500, "PUT", "/x"), 1),
    ],
    ids=["task refused by a lock", "task that may have done half", "other"],
)
def test_what_is_repeated_for_a_lock(error: ProxmoxError, calls: int) -> None:
    api, _wire = client()
    made = []

    def call() -> str:
        made.append(1)
        if len(made) < 2:
            raise error
        return "done"

    if calls == 1:
        with pytest.raises(type(error)):
            api.retry_locked(call)
    else:
        assert api.retry_locked(call) == "done"
    assert len(made) == calls


def test_counters_do_not_lose_a_thread() -> None:
    requests = Requests()

    def count() -> None:
        for _n in range(500):
            requests.count("polls")

    threads = [threading.Thread(target=count) for _t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests.as_dict() == {"reads": 0, "writes": 0, "polls": 2000}


def test_the_script_itself_is_strict() -> None:
    api, wire = client(Call("GET", "/x"), Call("GET", "/y"))
    api.get("/x")
    with pytest.raises(AssertionError, match="never sent: .*GET /y"):
        wire.finish()
    with pytest.raises(AssertionError, match="expected GET /y"):
        api.get("/z")
    with pytest.raises(AssertionError, match="expected GET /y"):
        wire.finish()
    api, wire = client()
    with pytest.raises(AssertionError, match="was not expected"):
        api.get("/x")
