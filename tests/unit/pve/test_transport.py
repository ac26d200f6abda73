# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport against a real TLS server: what is trusted, which connection is used, who logs in when."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import Connection
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    Kind,
    ProxmoxError,
    TlsFailed,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport import ProxmoxerTransport
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply, Upload
from ansible_collections.homelab.proxmox.tests.support.scripted import FakeClock
from ansible_collections.homelab.proxmox.tests.unit.pve.tls_server import Answer, Certificate, Proxy, PveServer, Seen

MODULE_UTILS = Path(__file__).parents[3] / "plugins" / "module_utils"
TOKEN: dict[str, Any] = {"user": "root@pam", "token_id": "root@pam!lab", "token_secret": "s3cret"}
TICKET: dict[str, Any] = {"user": "root@pam", "password": "pa55"}


def connection(server: PveServer, certificate: Certificate | None = None, **more: Any) -> Connection:
    trust: dict[str, Any] = {"fingerprint": certificate.fingerprint} if certificate else {}
    credentials: dict[str, Any] = {} if "password" in more else TOKEN
    return Connection("127.0.0.1", server.port, **{**credentials, **trust, **more})


class Wire(ProxmoxerTransport):
    """The transport with a fake clock and less to type."""

    def __init__(self, server: PveServer, certificate: Certificate | None = None, **more: Any) -> None:
        self.fake = FakeClock()
        super().__init__(connection(server, certificate, **more), clock=self.fake)

    def get(self, path: str = "/version", **params: Any) -> Reply:
        return self.request("GET", path, params or None, timeout=5)

    def post(self, path: str = "/x", **params: Any) -> Reply:
        return self.request("POST", path, params or None, timeout=5)


@pytest.fixture
def wire(server: PveServer, certificate: Certificate) -> Iterator[Wire]:
    transport = Wire(server, certificate)
    yield transport
    transport.close()


# --- what is trusted ---

BUNDLES = [None, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture(params=BUNDLES, ids=str)
def bundle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, broken_bundle: Path) -> str | None:
    if request.param:
        monkeypatch.setenv(request.param, str(broken_bundle))
    return str(request.param)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("way", ["fingerprint", "ca_path", "validate_certs"])
def test_each_way_to_trust_holds_whatever_the_environment_says(
    server: PveServer, certificate: Certificate, way: str
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "fingerprint": {"fingerprint": certificate.fingerprint},
        "ca_path": {"ca_path": str(certificate.pem)},
        "validate_certs": {"validate_certs": False},
    }
    assert Wire(server, **ways[way]).get().status == 200


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("way", ["fingerprint", "ca_path", "default"])
@pytest.mark.parametrize("credentials", [TOKEN, TICKET], ids=["token", "ticket"])
def test_an_untrusted_server_gets_no_request_and_no_password(
    server: PveServer, certificate: Certificate, other_certificate: Certificate, way: str, credentials: dict[str, Any]
) -> None:
    options: dict[str, Any] = {
        "fingerprint": {"fingerprint": other_certificate.fingerprint},
        "ca_path": {"ca_path": str(other_certificate.pem)},
        "default": {},
    }[way]
    with pytest.raises(TlsFailed) as caught:
        Wire(server, **credentials, **options).post()
    assert server.seen == []
    assert caught.value.sent is False
    assert caught.value.fingerprint == certificate.fingerprint
    text = str(caught.value)
    assert f"`fingerprint: {certificate.fingerprint}`" in text
    if way == "default":
        assert "`ca_path`" in text
    else:
        assert f"`{way}`={options[way]!r}" in text


def test_a_pin_does_not_need_the_right_host_name(server: PveServer, certificate: Certificate) -> None:
    by_name = Connection("localhost", server.port, **TOKEN, fingerprint=certificate.fingerprint)
    assert ProxmoxerTransport(by_name).request("GET", "/version", timeout=5).status == 200
    by_ca = Connection("localhost", server.port, **TOKEN, ca_path=str(certificate.pem))
    with pytest.raises(TlsFailed, match="not valid for 'localhost'|doesn't match"):
        ProxmoxerTransport(by_ca).request("GET", "/version", timeout=5)


def test_the_environments_bundle_counts_where_no_option_says_otherwise(
    server: PveServer, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.pem))
    assert Wire(server).get().status == 200


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "not PEM"])
@pytest.mark.parametrize("option", [True, False], ids=["option", "environment"])
def test_a_ca_file_of_no_use_is_named(
    server: PveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, option: bool
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    if not option:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    named = f"`ca_path`={str(path)!r}" if option else "REQUESTS_CA_BUNDLE"
    with pytest.raises(TlsFailed, match=f"{named}.* holds no certificates.*PEM"):
        Wire(server, ca_path=str(path) if option else None).get()


@pytest.mark.parametrize("pinned", [True, False], ids=["right pin", "wrong pin"])
def test_a_pin_holds_through_a_proxy(  # noqa: PLR0917
    server: PveServer,
    proxy: Proxy,
    certificate: Certificate,
    other_certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    pinned: bool,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    transport = Wire(server, certificate if pinned else other_certificate)
    if pinned:
        assert transport.get().status == 200
    else:
        with pytest.raises(TlsFailed) as caught:
            transport.get()
        assert caught.value.fingerprint == certificate.fingerprint
        assert server.seen == []
    assert set(proxy.tunnels) == {f"127.0.0.1:{server.port}"}


def test_no_proxy_is_honoured(
    server: PveServer, proxy: Proxy, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert Wire(server, certificate).get().status == 200
    assert proxy.tunnels == []


# --- what is sent and what comes back ---


def test_forms_queries_and_the_token(server: PveServer, wire: Wire) -> None:
    wire.post("/nodes/a/qemu", memory=512, command=["echo", "a b"], description="é + %")
    wire.request("DELETE", "/x/a%2Fb", {"purge": 1}, timeout=5)
    post, delete = server.seen
    assert parse_qs(post.body.decode()) == {"memory": ["512"], "command": ["echo", "a b"], "description": ["é + %"]}
    assert post.headers["Authorization"] == "PVEAPIToken=root@pam!lab=s3cret"
    assert (post.path, delete.path, delete.size) == ("/api2/json/nodes/a/qemu", "/api2/json/x/a%2Fb?purge=1", 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {"data": [1], "total": 7}), Reply(200, "OK", [1], 7)),
        (Answer(401, b"", "Authentication failed!"), Reply(401, "Authentication failed!")),
        (
            Answer(500, {"data": None, "message": "VM is locked (backup)\n"}, "VM is"),
            Reply(500, "VM is locked (backup)"),
        ),
        (
            Answer(400, {"data": None, "message": "Parameter verification failed.\n", "errors": {"a": "b\n"}}, "P"),
            Reply(400, "Parameter verification failed.", None, None, {"a": "b\n"}),
        ),
        (Answer(596, b"", "Broken pipe"), Reply(596, "Broken pipe")),
        (Answer(502, b"<html>", "Bad Gateway"), Reply(502, "Bad Gateway")),
        (Answer(301, b"", "Moved"), Reply(301, "Moved")),
    ],
    ids=lambda value: str(value.status),
)
def test_a_reply_is_passed_on_whatever_its_status(
    server: PveServer, wire: Wire, answer: Answer, expected: Reply
) -> None:
    server.app = lambda seen: answer
    assert wire.get() == expected


def test_an_answer_that_is_not_json_is_no_proxmox(server: PveServer, wire: Wire) -> None:
    server.app = lambda seen: Answer(200, b"<html>captive portal</html>")
    with pytest.raises(ApiError, match="not JSON.*`api_host`"):
        wire.get()


def test_a_cut_may_have_been_seen(server: PveServer, wire: Wire) -> None:
    wire.get()
    server.app = lambda seen: Answer(None)
    with pytest.raises(ConnectionFailed, match="cut during POST /x") as caught:
        wire.post()
    assert caught.value.sent is True


def test_a_refused_connection_was_not_seen() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = ProxmoxerTransport(Connection("127.0.0.1", unused.getsockname()[1], **TOKEN))
        with pytest.raises(ConnectionFailed, match="refused.*`api_host`") as caught:
            transport.request("POST", "/x", timeout=5)
    assert caught.value.sent is False


def test_a_server_without_tls_was_not_seen_either() -> None:
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        plain.listen()
        threading.Thread(target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 400 no\r\n\r\n"), daemon=True).start()
        transport = ProxmoxerTransport(Connection("127.0.0.1", plain.getsockname()[1], **TOKEN))
        with pytest.raises(ConnectionFailed) as caught:
            transport.request("POST", "/x", timeout=5)
    assert caught.value.sent is False
    assert not isinstance(caught.value, TlsFailed)


def test_the_servers_clock_is_learned(server: PveServer, wire: Wire) -> None:
    assert wire.server_offset is None
    wire.get()
    assert wire.server_offset is not None


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


# --- without the libraries ---


def test_every_file_imports_without_third_party_libraries() -> None:
    names = sorted(path.stem for path in (MODULE_UTILS / "_pve").glob("*.py") if path.stem != "__init__")
    script = (
        "import sys, importlib, json\n"
        "for name in ('requests', 'proxmoxer', 'requests_toolbelt', 'urllib3', 'yaml'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(MODULE_UTILS)!r})\n"
        f"for name in json.loads({json.dumps(json.dumps(names))}): importlib.import_module('_pve.' + name)\n"
        "from _pve.auth import Connection; from _pve.transport import ProxmoxerTransport\n"
        "try: ProxmoxerTransport(Connection('h'))\n"
        "except Exception as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "proxmoxer (2.3 or newer)" in done.stdout
