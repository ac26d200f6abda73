# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading over a real loopback server, with its faults."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import requests
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images import http as http_module
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.plugins.module_utils._images.urls import (
    check_redirect,
    display_url,
    is_plain_http,
    local_path,
)
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import FakeClock, Vendor


def read(http: RequestsHttp, url: str, offset: int = 0, validator: str | None = None) -> tuple[int, int | None, bytes]:
    with http.stream(url, offset, validator=validator) as stream:
        return stream.offset, stream.total, b"".join(stream.chunks)


def test_get_head_and_agent(vendor: Vendor, http: RequestsHttp) -> None:
    vendor.files["/a"] = b"text"
    assert http.get_bytes(vendor.url("/a")) == b"text"
    assert (http.head(vendor.url("/a")).status, http.head(vendor.url("/a")).size) == (200, 4)
    assert http.head(vendor.url("/none")).status == 404
    headers = vendor.log[0][2]
    assert headers["User-Agent"].startswith("homelab.proxmox")
    assert headers["Accept-Encoding"] == "identity"


def test_status_without_retry(vendor: Vendor, http: RequestsHttp, clock: FakeClock) -> None:
    with pytest.raises(errors.HttpStatus, match="HTTP 404.*dated builds") as caught:
        http.get_bytes(vendor.url("/none"))
    assert caught.value.status == 404
    assert (len(vendor.log), clock.slept) == (1, [])


def test_passing_faults_are_retried_with_growing_pauses(vendor: Vendor, http: RequestsHttp, clock: FakeClock) -> None:
    vendor.files["/a"] = b"text"
    vendor.statuses["/a"] = [(503, {}), (500, {}), (429, {"Retry-After": "7"})]
    assert http.get_bytes(vendor.url("/a")) == b"text"
    assert clock.slept == [0.5, 1.0, 7.0]


def test_a_lasting_fault_ends(vendor: Vendor, http: RequestsHttp, clock: FakeClock) -> None:
    vendor.statuses["/a"] = [(502, {})] * 9
    with pytest.raises(errors.HttpStatus, match="HTTP 502"):
        http.get_bytes(vendor.url("/a"))
    assert len(clock.slept) == 4
    vendor.statuses["/b"] = [(503, {"Retry-After": "4000"})]
    with pytest.raises(errors.HttpStatus):
        http.get_bytes(vendor.url("/b"))
    assert len(clock.slept) == 4


def test_a_cut_small_file_is_read_again(vendor: Vendor, http: RequestsHttp, clock: FakeClock) -> None:
    vendor.files["/a"] = b"x" * 1000
    vendor.cuts["/a"] = [10]
    assert len(http.get_bytes(vendor.url("/a"))) == 1000
    assert len(clock.slept) == 1


def test_nobody_answers(http: RequestsHttp, vendor: Vendor) -> None:
    url = "http://user:secret@127.0.0.1:1/a?token=hidden"
    with pytest.raises(errors.FetchFailed, match="Connection refused") as caught:
        http.get_bytes(url)
    assert "secret" not in caught.value.message
    assert "hidden" not in caught.value.message


def test_no_answer_in_time(vendor: Vendor, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = RequestsHttp(clock=clock, read_timeout=0.05, retries=1)
        with pytest.raises(errors.FetchFailed, match=r"no answer within 0.05 s"):
            http.get_bytes(f"http://127.0.0.1:{silent.getsockname()[1]}/")


def test_untrusted_certificate_is_not_asked_again(
    http: RequestsHttp, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    refusal.verify_message = "self-signed certificate"

    def refuse(*_arguments: object, **_options: object) -> None:
        raise requests.exceptions.SSLError(refusal)

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(errors.FetchFailed, match="refused: self-signed certificate.*name its CA"):
        http.get_bytes("https://example.org/a")
    assert clock.slept == []


def test_too_large(vendor: Vendor, http: RequestsHttp, tmp_path: Path) -> None:
    vendor.files["/a"] = bytes(200_000)
    (tmp_path / "a").write_bytes(bytes(200_000))
    for url in (vendor.url("/a"), str(tmp_path / "a")):
        with pytest.raises(errors.TooLarge, match="larger than 100000 bytes"):
            http.get_bytes(url, 100_000)


def test_redirects(vendor: Vendor, http: RequestsHttp) -> None:
    vendor.files["/a"] = b"text"
    vendor.redirects |= {"/one": "/two", "/two": vendor.url("/a"), "/circle": "/circle", "/ftp": "ftp://example.org/a"}
    assert http.get_bytes(vendor.url("/one")) == b"text"
    assert http.head(vendor.url("/one")).url == vendor.url("/a")
    with pytest.raises(errors.RedirectRefused, match="more than 10 times"):
        http.get_bytes(vendor.url("/circle"))
    with pytest.raises(errors.RedirectRefused, match="only http and https"):
        http.get_bytes(vendor.url("/ftp"))
    with pytest.raises(errors.RedirectRefused, match="from https down to"):
        check_redirect("https://example.org/a", "http://example.org/a")


def test_ranges(vendor: Vendor, http: RequestsHttp) -> None:
    vendor.files["/a"] = b"0123456789"
    with http.stream(vendor.url("/a")) as stream:
        validator = stream.validator
    assert read(http, vendor.url("/a"), 4, validator) == (4, 10, b"456789")
    assert read(http, vendor.url("/a"), 4, '"other"') == (0, 10, b"0123456789")
    assert read(http, vendor.url("/a"), 99) == (0, 10, b"0123456789")
    vendor.ranges = False
    assert read(http, vendor.url("/a"), 4) == (0, 10, b"0123456789")


def test_a_wrong_range_is_refused(vendor: Vendor, http: RequestsHttp) -> None:
    vendor.statuses["/a"] = [(206, {"Content-Range": "bytes 2-9/10"})]
    with pytest.raises(errors.FetchFailed, match="asked from byte 4"):
        read(http, vendor.url("/a"), 4)


def test_a_cut_stream_is_an_error(vendor: Vendor, http: RequestsHttp) -> None:
    vendor.files["/a"] = bytes(1000)
    vendor.cuts["/a"] = [300]
    with pytest.raises(errors.FetchFailed, match="cut after"):
        read(http, vendor.url("/a"))


def test_local_files(http: RequestsHttp, tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_bytes(b"0123")
    url = f"file://{tmp_path}/a%20b"
    assert http.get_bytes(url) == http.get_bytes(str(path)) == b"0123"
    assert (http.head(url).size, http.head(str(tmp_path)).status) == (4, 404)
    assert read(http, url, 2) == (2, 4, b"23")
    assert read(http, url, 9) == (0, 4, b"0123")
    with pytest.raises(errors.SourceError, match="not a file"):
        http.get_bytes(str(tmp_path / "none"))


def test_an_error_of_the_reader_is_not_taken_for_one_of_the_file(http: RequestsHttp, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123")
    with pytest.raises(OSError, match="disk full"), http.stream(str(tmp_path / "a")):
        raise OSError("disk full")


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a", "a.img", "https:///a", "file://host/a", "http://[::1", "http://x:port/", ""]
)
def test_urls_that_cannot_be_read(http: RequestsHttp, url: str) -> None:
    with pytest.raises(errors.BadUrl):
        http.get_bytes(url)


def test_what_is_shown_of_a_url() -> None:
    assert display_url("https://u:p@h:8/a/b.img?X-Sig=abc&list#t") == "https://h:8/a/b.img?X-Sig=***&list"
    assert display_url("https://[::1") == "<unreadable URL>"


def test_plain_http() -> None:
    plain = ["http://example.org/a", "http://10.0.0.1/a", "http://localhost.example.org/"]
    safe = ["https://example.org/a", "http://127.0.0.1:8/a", "http://[::1]/a", "http://localhost/a", "file:///a", "/a"]
    assert [is_plain_http(url) for url in plain + safe] == [True] * 3 + [False] * 6
    assert local_path("file:///a%20b") == Path("/a b")


def test_missing_library(monkeypatch: pytest.MonkeyPatch, http: RequestsHttp) -> None:
    monkeypatch.setattr(http_module, "REQUESTS_IMPORT_ERROR", "ImportError")
    with pytest.raises(errors.MissingLibrary, match="requests"):
        http.get_bytes("https://example.org/")
