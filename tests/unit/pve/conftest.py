# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the client's tests: certificates, a server, and an environment without surprises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.tests.unit.pve.tls_server import (
    Certificate,
    Proxy,
    PveServer,
    Wire,
    make_certificate,
    running,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies and CA bundles must not decide a test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "right", "127.0.0.1")


@pytest.fixture(scope="session")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Another self-signed one, for another address."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "other", "192.0.2.1")


@pytest.fixture
def server(certificate: Certificate) -> Iterator[PveServer]:
    with running(PveServer(certificate)) as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running(Proxy()) as proxy:
        yield proxy


@pytest.fixture
def broken_bundle(other_certificate: Certificate) -> Path:
    """A CA bundle that is of no use for the server."""
    return other_certificate.pem


@pytest.fixture
def wire(server: PveServer, certificate: Certificate) -> Iterator[Wire]:
    transport = Wire(server, certificate)
    yield transport
    transport.close()
