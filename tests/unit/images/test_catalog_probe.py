# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe against a server on loopback: what is there, what is not, and what does not name the image."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "probe_catalog.py"
HASH = "ab" * 32


@pytest.fixture(scope="module")
def probe():
    spec = importlib.util.spec_from_file_location("probe_catalog", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["probe_catalog"] = module
    spec.loader.exec_module(module)
    return module


class Vendor:
    """Files by path; C(requests) are (method, path); C(no_head) are paths that refuse HEAD."""

    def __init__(self):
        self.files = {}
        self.no_head = set()
        self.requests = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self.url = ""

    @contextlib.contextmanager
    def busy(self):
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        yield
        with self._lock:
            self._now -= 1


@pytest.fixture
def vendor(monkeypatch):
    vendor = Vendor()
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body):
            with vendor.busy():
                vendor.requests.append((self.command, self.path))
                content = vendor.files.get(self.path)
                status = 405 if not body and self.path in vendor.no_head else 200 if content is not None else 404
                content = content if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body:
                    # The probe hangs up before the body of an image.
                    with contextlib.suppress(ConnectionError):
                        self.wfile.write(content)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield vendor
    server.shutdown()
    thread.join()
    server.server_close()


def _catalogue(tmp_path, vendor, **blocks):
    """A file with one entry per keyword: the lines of its x86_64 block, at the indentation of the file."""
    text = "schema_version: 1\ndefaults: {sums: {format: gnu, algorithm: sha256}}\nimages:\n"
    for name, (entry, block) in blocks.items():
        text += f"  - id: {name}\n    name: x\n    family: x\n    os_family: other\n    release: '1'\n{entry}"
        text += f"    architectures:\n      x86_64:\n{block}"
    path = tmp_path / "own.yml"
    path.write_text(text.replace("VENDOR", vendor.url), encoding="utf-8")
    return str(path)


def _rows(probe, capsys, path, *ids):
    code = probe.main(["--json", "--file", path, "--timeout", "10", *(part for name in ids for part in ("--id", name))])
    return code, {row["id"]: row for row in json.loads(capsys.readouterr().out)}


SIGNED = (
    "    signature: {kind: detached-sums, fingerprints: [], key_url: 'VENDOR/key.asc'}\n",
    "        url: VENDOR/a/latest.qcow2\n        sums: VENDOR/a/SHA256SUMS\n"
    "        signature: VENDOR/a/SHA256SUMS.gpg\n",
)
PAGE = (
    "    discovery: {kind: html-index, index: 'VENDOR/i/', pattern: 'v(\\d+)\\.qcow2'}\n",
    "        url: null\n        sums: '{url}.sha256'\n",
)


def test_all_is_there(probe, vendor, tmp_path, capsys):
    vendor.files = {
        "/a/latest.qcow2": b"x" * 9,
        "/a/SHA256SUMS": f"{HASH}  latest.qcow2\n{HASH}  other.qcow2\n".encode(),
        "/a/SHA256SUMS.gpg": b"s",
        "/key.asc": b"k",
        "/i/": b'<a href="v1.qcow2">v1</a> <a href="/i/v10.qcow2">v10</a>',
    }
    path = _catalogue(tmp_path, vendor, signed=SIGNED, page=PAGE)
    code, rows = _rows(probe, capsys, path, "signed", "page")
    assert code == 0
    assert rows["signed"] == {
        "id": "signed",
        "arch": "x86_64",
        "image": "ok",
        "sums": "ok",
        "signature": "ok",
        "key": "ok",
        "index": "-",
        "broken": False,
    }
    assert (rows["page"]["image"], rows["page"]["sums"], rows["page"]["index"]) == ("-", "-", "ok")
    assert ("GET", "/a/latest.qcow2") not in vendor.requests
    assert len(vendor.requests) == len(set(vendor.requests)) == 5


def test_what_is_broken_is_named(probe, vendor, tmp_path, capsys):
    vendor.files = {
        "/a/SHA256SUMS": f"{HASH}  one.qcow2\n{HASH}  two.qcow2\n".encode(),
        "/i/": b'<a href="w1.qcow2">w1</a>',
    }
    path = _catalogue(tmp_path, vendor, signed=SIGNED, page=PAGE)
    assert probe.main(["--file", path, "--id", "signed", "--id", "page"]) == 1
    out = capsys.readouterr().out
    assert "signed x86_64: image: HTTP 404" in out
    assert "signed x86_64: sums: sums_name_missing: the sums file does not list latest.qcow2" in out
    assert "signed x86_64: signature: HTTP 404" in out
    assert "signed x86_64: key: HTTP 404" in out
    assert r"page x86_64: index: no name matches v(\d+)\.qcow2" in out
    assert "2 images, 2 broken" in out


SUMS = [
    (f"{HASH}  latest.qcow2\n".encode(), "ok"),
    (f"{HASH}  dated-20260101.qcow2\n".encode(), "ok"),  # a file for one image alone names the dated build
    (b"<html><title>Not here</title></html>", "sums_html"),
    (b"", "sums_empty"),
]


def test_sums_files(probe, vendor, tmp_path, capsys):
    path = _catalogue(tmp_path, vendor, signed=SIGNED)
    for content, verdict in SUMS:
        vendor.files = {"/a/latest.qcow2": b"", "/a/SHA256SUMS": content, "/a/SHA256SUMS.gpg": b"", "/key.asc": b""}
        _unused, rows = _rows(probe, capsys, path, "signed")
        assert rows["signed"]["sums"].startswith(verdict)
        assert rows["signed"]["broken"] is (verdict != "ok")


def test_names_that_only_the_sums_file_knows(probe, vendor, tmp_path, capsys):
    entry = "    discovery: {kind: name-in-sums, pattern: 'k-(\\d+)\\.qcow2'}\n"
    path = _catalogue(tmp_path, vendor, named=(entry, "        url: null\n        sums: VENDOR/a/SHA256SUMS\n"))
    for content, verdict in ((f"{HASH}  k-7.qcow2\n", "ok"), (f"{HASH}  k-x.qcow2\n", "no name matches ")):
        vendor.files = {"/a/SHA256SUMS": content.encode()}
        _unused, rows = _rows(probe, capsys, path, "named")
        assert rows["named"]["sums"].startswith(verdict)


def test_a_server_that_refuses_head_is_asked_by_get(probe, vendor, tmp_path, capsys):
    vendor.files = {"/a/x.qcow2": b"x" * 4_000_000}
    vendor.no_head = {"/a/x.qcow2"}
    digest = "        url: VENDOR/a/x.qcow2\n        digest: sha256:" + HASH + "\n"
    code, rows = _rows(probe, capsys, _catalogue(tmp_path, vendor, plain=("", digest)), "plain")
    assert (code, rows["plain"]["image"]) == (0, "ok")
    assert [method for method, _unused in vendor.requests] == ["HEAD", "GET"]


def test_questions_are_bounded(probe, vendor, tmp_path, capsys):
    digest = "        url: VENDOR/a/NAME.qcow2\n        digest: sha256:" + HASH + "\n"
    names = [f"plain-{number}" for number in range(20)]
    vendor.files = {f"/a/{name}.qcow2": b"" for name in names}
    path = _catalogue(tmp_path, vendor, **{name: ("", digest.replace("NAME", name)) for name in names})
    ids = [part for name in names for part in ("--id", name)]
    assert probe.main(["--file", path, "--workers", "3", *ids]) == 0
    assert vendor.most_at_once <= 3
    assert "20 images, 0 broken" in capsys.readouterr().out


def test_a_server_that_is_not_there(probe, vendor, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(probe.http.SystemClock, "sleep", lambda _clock, _seconds: None)
    gone = Vendor()
    gone.url = vendor.url.rpartition(":")[0] + ":9"
    digest = "        url: VENDOR/x.qcow2\n        digest: sha256:" + HASH + "\n"
    code, rows = _rows(probe, capsys, _catalogue(tmp_path, gone, plain=("", digest)), "plain")
    assert code == 1
    assert rows["plain"]["image"].startswith("fetch_failed: ")


def test_an_unknown_id_is_a_wrong_question(probe, capsys):
    assert probe.main(["--id", "debain-13"]) == 2
    assert "did you mean debian-13" in capsys.readouterr().err


def test_every_shipped_entry_has_something_to_ask_or_says_why_not(probe):
    for image in probe.chosen([], []):
        asks, reads = probe.urls_of(image)
        assert asks or reads or image.url_kind == "none", image.id
        assert not asks & reads
