# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport against a real TLS server: what is trusted, what is sent, what comes back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.auth import Connection
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import (
    ApiError,
    ConnectionFailed,
    TlsFailed,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.transport import ProxmoxerTransport
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply
from ansible_collections.homelab.proxmox.tests.unit.pve.tls_server import (
    TICKET,
    TOKEN,
    Answer,
    Certificate,
    Proxy,
    PveServer,
    Wire,
)

MODULE_UTILS = Path(__file__).parents[3] / "plugins" / "module_utils"


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
