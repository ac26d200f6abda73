# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the image tests: a vendor on loopback, a clock, and keys made by a real gpg."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.tests.unit.images.image_room import Room
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import FakeClock, Vendor, serve


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serve(Vendor()) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def http(clock: FakeClock) -> RequestsHttp:
    return RequestsHttp(clock=clock, read_timeout=5)


@dataclass(frozen=True)
class Signer:
    """A gpg home with three keys: C(good), C(other) and C(expired), each with its fingerprint."""

    home: str
    fingerprints: dict[str, str]

    def gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", self.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"]
        return subprocess.run(
            [*command, "--passphrase", "", *arguments], input=data, capture_output=True, check=True
        ).stdout

    def key(self, who: str, *, armour: bool = True) -> bytes:
        return self.gpg("--export", *(["--armor"] if armour else []), self.fingerprints[who])

    def detached(self, data: bytes, *who: str, armour: bool = False, when: str | None = None) -> bytes:
        return self._sign("--detach-sign", data, who, armour, when)

    def clearsigned(self, data: bytes, *who: str) -> bytes:
        return self._sign("--clearsign", data, who, True, None)

    def _sign(self, kind: str, data: bytes, who: tuple[str, ...], armour: bool, when: str | None) -> bytes:
        users = [word for name in who for word in ("--local-user", self.fingerprints[name])]
        time = ["--faked-system-time", when] if when else []
        return self.gpg(*time, *users, *(["--armor"] if armour else []), kind, data=data)


@pytest.fixture(scope="session")
def signer() -> Iterator[Signer]:
    missing = [program for program in ("gpg", "gpgv") if shutil.which(program) is None]
    if missing:
        message = f"{', '.join(missing)} missing; install the packages gpg and gpgv"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    # Not below tmp_path: the agent's socket path must be shorter than 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        signer = Signer(home, {})
        for who in ("good", "other", "expired"):
            time = ["--faked-system-time", "20200101T000000"] if who == "expired" else []
            life = "1d" if who == "expired" else "never"
            signer.gpg(*time, "--quick-gen-key", f"{who}@example.org", "ed25519", "sign", life)
            listed = signer.gpg("--with-colons", "--fingerprint", f"={who}@example.org").decode()
            (signer.fingerprints[who],) = [
                line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")
            ]
        yield signer
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False, capture_output=True)


@pytest.fixture
def key_directory(tmp_path: Path, signer: Signer) -> Path:
    directory = tmp_path / "keys"
    directory.mkdir()
    (directory / "good.asc").write_bytes(signer.key("good"))
    return directory


@pytest.fixture
def room(vendor: Vendor, http: RequestsHttp, clock: FakeClock, tmp_path: Path) -> Room:
    return Room(vendor, http, clock, tmp_path / "work")
