# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are not what they should be: wrong checksums, wrong signatures, vendors that do not answer."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer

from tests.support.ordeal import Ordeal, World, on, suffer
from tests.support.site import NAME, Site, image

SUMS = "cloud/SHA256SUMS"
ZEROS = "sha256:" + "0" * 64
PINNED = {"checksum": ZEROS, "checksum_url": None}


def served(path: str, content: bytes | None) -> World:
    """The vendor serves something else under that path, or (None) nothing."""

    def break_it(site: Site) -> Callable[[], object]:
        before = site.vendor.files.pop(path)
        if content is not None:
            site.vendor.files[path] = content
        return lambda: site.vendor.files.__setitem__(path, before)

    return break_it


def settled(site: Site) -> None:
    assert not site.keep().get("failed")


OTHER = image(b"somebody else's")
UPLOAD = {"transfer": "upload"}
UNTRUE = ("is not what its checksum says", "Nothing of it was kept", "Compare the checksum with the vendor's")
WRONG_SUMS = served(SUMS, b"0" * 64 + b"  debian-13.qcow2\n")

CHECKSUMS = [
    Ordeal(
        name="own url",
        only=PINNED,
        says=("checksum mismatch: got", f"checksum='{ZEROS}': what http://", "is not what this says"),
    ),
    Ordeal(name="own url, upload", only={**PINNED, **UPLOAD}, options=UPLOAD, says=(f"checksum='{ZEROS}'",)),
    Ordeal(name="sums file", world=WRONG_SUMS, says=("checksum mismatch: got", "url='http://", *UNTRUE)),
    Ordeal(name="sums file, upload", options=UPLOAD, world=WRONG_SUMS, says=("url='http://", *UNTRUE)),
    Ordeal(name="image changed behind the sums", world=served(NAME, OTHER), says=("checksum mismatch: got", *UNTRUE)),
    Ordeal(
        name="image changed behind the sums, upload", options=UPLOAD, world=served(NAME, OTHER), says=("url=", *UNTRUE)
    ),
]


@pytest.mark.parametrize("ordeal", CHECKSUMS, ids=str)
@pytest.mark.parametrize("door", ["vm_template", "image"])
def test_a_wrong_checksum(site: Site, ordeal: Ordeal, door: t.Literal["vm_template", "image"]) -> None:
    suffer(site, Ordeal(**{**vars(ordeal), "door": door, "left": ()}))


class Publishing(dict[str, bytes]):
    """A vendor that publishes the image first, and its sums when somebody has fetched it."""

    def __init__(self, files: dict[str, bytes], sums: bytes) -> None:
        super().__init__(files)
        self._sums = sums

    def get(self, path: str, default: t.Any = None) -> t.Any:
        found = super().get(path, default)
        if path == NAME:
            self[SUMS] = self._sums
        return found


@pytest.mark.parametrize("transfer", ["download", "upload"])
def test_a_vendor_who_is_publishing_is_asked_again(site: Site, transfer: str) -> None:
    old = site.vendor.files[SUMS]
    site.new_image()
    new, site.vendor.files[SUMS] = site.vendor.files[SUMS], old
    site.vendor.files = Publishing(site.vendor.files, new)
    suffer(site, Ordeal(name="race", options={"transfer": transfer}, survives=True, left=("image", "current 9000")))


VENDORS = [
    Ordeal(name="no sums", world=served(SUMS, None), refused=True, says=("url='http://", "404", "run again when")),
    Ordeal(
        name="a page instead of sums",
        world=served(SUMS, b"<html><body>Please log in</body></html>"),
        refused=True,
        says=("url='http://", "is a web page"),
    ),
    Ordeal(
        name="sums of other files",
        world=served(SUMS, b"0" * 64 + b"  other.qcow2\n"),
        refused=True,
        says=("url='http://", "debian-13.qcow2"),
    ),
    Ordeal(
        name="no sums, but a current generation",
        start=settled,
        world=served(SUMS, None),
        survives=True,
        warns=("not refreshed, the current generation stays", "404"),
        left=("image", "current 9000"),
    ),
    Ordeal(
        name="a page instead of sums, and a current generation",
        start=settled,
        world=served(SUMS, b"<html><body>Please log in</body></html>"),
        refused=True,
        says=("url='http://", "is a web page"),
    ),
    Ordeal(
        name="no image", world=served(NAME, None), says=("url='http://", "404", "nothing of it was stored"), left=()
    ),
    Ordeal(
        name="no image for the node",
        options={"transfer": "download"},
        world=served(NAME, None),
        says=("download failed", "url='http://", "set transfer to upload"),
        left=(),
    ),
    Ordeal(
        name="a node that cannot reach the vendor",
        faults=(on("fail_task", "POST /download-url$", exitstatus="download failed: exit code 4"),),
        survives=True,
        warns=("pve1 could not download", "uploaded from here"),
        left=("image", "current 9000"),
    ),
]


@pytest.mark.parametrize("ordeal", VENDORS, ids=str)
def test_a_vendor_who_does_not_give_it(site: Site, ordeal: Ordeal) -> None:
    suffer(site, ordeal)


class Signed:
    """A vendor who signs the sums file, and a user who has the key."""

    def __init__(self, site: Site, signer: Signer, folder: Path) -> None:
        self.site, self.signer = site, signer
        self.key = folder / "good.asc"
        self.key.write_bytes(signer.key("good"))
        self.options = {"signature": "required", "keyring": [str(self.key)], "allow_unverified": False}
        self.sign("good")

    def sign(self, who: str) -> None:
        self.site.vendor.files[f"{SUMS}.gpg"] = self.signer.detached(self.site.vendor.files[SUMS], who)


@pytest.fixture
def signed(site: Site, signer: Signer, tmp_path: Path) -> Signed:
    return Signed(site, signer, tmp_path)


def test_a_good_signature(site: Site, signed: Signed) -> None:
    result = site.keep(**signed.options)
    assert not result.get("failed"), result["msg"]
    assert result["template"]["current"]["verification"] == "signature"


WRONG_SIGNATURES = {
    "other file": "is not that of this file",
    "other key": "was signed by the key",
    "no signature": "the signature of",
    "no key": "was signed by the key",
}


@pytest.mark.parametrize("door", ["vm_template", "image"])
@pytest.mark.parametrize("fault", WRONG_SIGNATURES)
def test_a_wrong_signature(signed: Signed, door: t.Literal["vm_template", "image"], fault: str) -> None:
    only: dict[str, t.Any] = {}
    name = f"{SUMS}.gpg"
    content: bytes | None = signed.site.vendor.files[name]
    match fault:
        case "other file":
            content = signed.signer.detached(b"something else", "good")
        case "other key":
            content = signed.signer.detached(signed.site.vendor.files[SUMS], "other")
        case "no signature":
            content = None
        case "no key":
            other = signed.key.with_name("other.asc")
            other.write_bytes(signed.signer.key("other"))
            only = {"keyring": [str(other)]}
    suffer(
        signed.site,
        Ordeal(
            name=fault,
            door=door,
            world=served(name, content),
            options=signed.options,
            only=only,
            refused=True,
            says=("url='http://", WRONG_SIGNATURES[fault]),
        ),
    )


def test_a_signature_that_nobody_could_verify_is_refused_before_anything_is_asked(site: Site) -> None:
    result = site.keep(signature="required", keyring=[])
    assert "signature='required'" in result["msg"]
    assert "Name key files with keyring" in result["msg"]
    assert site.server.requests == []
