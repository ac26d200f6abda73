# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport against a real TLS server: which connection is used, who logs in when, and uploads."""

from __future__ import annotations

import hashlib
import threading
import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    Kind,
    ProxmoxError,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply, Upload
from ansible_collections.homelab.proxmox.tests.unit.pve.tls_server import (
    TICKET,
    Answer,
    Certificate,
    PveServer,
    Seen,
    Wire,
)

# --- which connection is used ---


def test_idle_connections_carry_no_write(server: PveServer, wire: Wire) -> None:
    wire.get()
    wire.fake.advance(2.9)
    wire.post()
    assert server.connections == 1
    wire.fake.advance(3.1)
    wire.post()
    assert server.connections == 2
    wire.fake.advance(4.9)
    wire.get()
    assert server.connections == 2
    wire.fake.advance(5.1)
    wire.get()
    assert server.connections == 3


def test_a_refusal_ends_a_connection(server: PveServer, wire: Wire) -> None:
    server.app = lambda seen: Answer(500 if seen.path.endswith("bad") else 200, {"data": None})
    for path in ("/good", "/bad", "/good", "/good"):
        wire.post(path)
    assert [seen.connection for seen in server.seen] == [1, 1, 2, 2]


def test_a_write_leaves_a_connection_that_is_near_its_hundredth_request(server: PveServer, wire: Wire) -> None:
    for _n in range(95):
        wire.get()
    wire.post()
    assert [server.seen[n].connection for n in (94, 95)] == [1, 2]


def test_a_read_uses_all_hundred(server: PveServer, wire: Wire) -> None:
    for _n in range(101):
        wire.get()
    assert [server.seen[n].connection for n in (99, 100)] == [1, 2]


@pytest.mark.parametrize("credentials", [{}, TICKET], ids=["token", "ticket"])
def test_one_connection_per_thread(server: PveServer, certificate: Certificate, credentials: dict[str, str]) -> None:
    server.app = ticket_app()
    wire = Wire(server, certificate, **credentials)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait(5)
        for _n in range(5):
            assert wire.get().status == 200

    threads = [threading.Thread(target=work) for _n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert server.connections == 4
    assert sum(seen.path.endswith("/access/ticket") for seen in server.seen) == (1 if credentials else 0)


# --- who logs in when ---


def ticket_app(valid: set[str] | None = None, tfa: bool = False) -> Any:
    """Gives tickets T1, T2, … for the password or a valid ticket, and refuses requests without a valid one."""
    tickets = valid if valid is not None else set()
    count = iter(range(1, 100))

    def app(seen: Seen) -> Answer:
        if seen.path.endswith("/access/ticket"):
            form = parse_qs(seen.body.decode())
            if form["password"][0] not in {"pa55", *tickets}:
                return Answer(401, {"data": None, "message": "authentication failure\n"}, "authentication failure")
            ticket = f"T{next(count)}"
            tickets.add(ticket)
            data = {"ticket": ticket, "CSRFPreventionToken": f"C-{ticket}"}
            return Answer(200, {"data": data | ({"NeedTFA": 1} if tfa else {})})
        if "Authorization" in seen.headers:
            return Answer()
        ticket = seen.headers.get("Cookie", "").removeprefix("PVEAuthCookie=")
        return Answer() if ticket in tickets else Answer(401, b"", "No ticket")

    return app


def logins(server: PveServer) -> list[str]:
    return [parse_qs(seen.body.decode())["password"][0] for seen in server.seen if seen.path.endswith("/access/ticket")]


def test_a_ticket_is_renewed_after_an_hour_by_itself(server: PveServer, certificate: Certificate) -> None:
    server.app = ticket_app()
    wire = Wire(server, certificate, **TICKET)
    wire.post()
    wire.fake.advance(3599)
    wire.get()
    assert logins(server) == ["pa55"]
    wire.fake.advance(2)
    wire.post()
    assert logins(server) == ["pa55", "T1"]
    last = server.seen[-1]
    assert (last.headers["Cookie"], last.headers["CSRFPreventionToken"]) == ("PVEAuthCookie=T2", "C-T2")
    assert "CSRFPreventionToken" not in server.seen[2].headers


@pytest.mark.parametrize("hours", [0, 3], ids=["revoked", "three hours later"])
def test_an_expired_ticket_is_replaced_once_and_the_write_repeated(
    server: PveServer, certificate: Certificate, hours: int
) -> None:
    valid: set[str] = set()
    server.app = ticket_app(valid)
    wire = Wire(server, certificate, **TICKET)
    wire.post()
    valid.clear()
    wire.fake.advance(3600 * hours)
    assert wire.post("/again", a=1).status == 200
    assert logins(server)[-1] == "pa55"
    again = [seen for seen in server.seen if seen.path.endswith("/again")]
    assert {seen.body for seen in again} == {b"a=1"}
    assert len(again) == (1 if hours else 2)


def test_a_401_that_stays_is_a_reply(server: PveServer, certificate: Certificate) -> None:
    ticket = ticket_app()
    server.app = lambda seen: (
        ticket(seen) if seen.path.endswith("ticket") else Answer(401, b"", "Permission denied - invalid csrf token")
    )
    assert Wire(server, certificate, **TICKET).post() == Reply(401, "Permission denied - invalid csrf token")
    assert len(server.seen) == 4


@pytest.mark.parametrize("tfa", [False, True], ids=["wrong password", "second factor"])
def test_a_refused_login(server: PveServer, certificate: Certificate, tfa: bool) -> None:
    server.app = ticket_app(tfa=tfa)
    wire = Wire(server, certificate, user="root@pam", password="pa55" if tfa else "wr0ng")
    with pytest.raises(ApiError) as caught:
        wire.post()
    assert (caught.value.kind, caught.value.http_status) == (Kind.AUTH, 401)
    assert ("api_token_id" if tfa else "`api_password`") in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_a_cut_login_means_the_write_was_not_sent(server: PveServer, certificate: Certificate) -> None:
    server.app = lambda seen: Answer(None)
    with pytest.raises(ConnectionFailed) as caught:
        Wire(server, certificate, **TICKET).post()
    assert caught.value.sent is False


# --- uploads ---


@pytest.mark.parametrize("mebibytes", [1, 24])
def test_an_upload_is_complete_and_stays_out_of_the_memory(
    server: PveServer, wire: Wire, tmp_path: Path, mebibytes: int
) -> None:
    source = tmp_path / "source"
    block = hashlib.sha256(b"x").digest() * 32768
    source.write_bytes(block * mebibytes)
    wire.get()
    tracemalloc.start()
    try:
        reply = wire.request(
            "POST",
            "/upload",
            {"content": "iso", "checksum": "abc"},
            timeout=30,
            upload=Upload(source, "seed.iso"),
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status == 200
    seen = server.seen[-1]
    assert seen.size > mebibytes * len(block)
    head = seen.body.decode("latin-1")
    assert 'name="content"\r\n\r\niso\r\n' in head.replace("\r\n\r\n\r\n", "\r\n\r\n")
    assert 'name="filename"; filename="seed.iso"' in head
    assert peak < 8 * 1024 * 1024


def test_a_large_upload_without_the_toolbelt_is_refused(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport.MISSING_TOOLBELT", "gone"
    )
    source = tmp_path / "source"
    with source.open("wb") as stream:
        stream.truncate(11 * 1024 * 1024)
    with pytest.raises(ProxmoxError, match="requests_toolbelt"):
        wire.request("POST", "/upload", {}, timeout=5, upload=Upload(source, "a.iso"))
