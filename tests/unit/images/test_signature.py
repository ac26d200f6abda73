# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and signatures against a real gpg and gpgv."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors, signature
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.plugins.module_utils._images.keys import Keyring, crc24, dearmour, read_key
from ansible_collections.homelab.proxmox.plugins.module_utils._images.signature import Policy, Verifier
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Signature
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import Vendor
from hypothesis import given
from hypothesis import strategies as st

SUMS = b"0123456789abcdef  a.img\n- dashed line\n"


Kind = Literal["detached-sums", "detached-image", "clearsigned-sums"]


class Case:
    """One signed file at the vendor's, and the verifier of a user."""

    def __init__(self, vendor: Vendor, http: RequestsHttp, signer: Signer, keys: Path) -> None:
        self.vendor, self.http, self.signer, self.keys = vendor, http, signer, keys
        self.fingerprints: tuple[str, ...] = (signer.fingerprints["good"],)
        self.key_url: str | None = None
        self.put(signer.detached(SUMS, "good"))

    def put(self, raw: bytes) -> None:
        self.vendor.files["/SHA256SUMS.gpg"] = raw

    def verifier(self, policy: Policy) -> Verifier:
        return Verifier(self.http, policy, Keyring.from_paths([self.keys]))

    def declared(self, kind: Kind = "detached-sums") -> Signature:
        url = self.vendor.url("/SHA256SUMS.gpg")
        return Signature(kind=kind, url=url, fingerprints=self.fingerprints, key_url=self.key_url)

    def check(self, policy: Policy = "required", data: bytes = SUMS) -> str:
        return str(self.verifier(policy).detached(data, self.declared(), what="SHA256SUMS"))

    def fails(self, error: type[errors.ImageError], told: str, if_available: str | None) -> None:
        with pytest.raises(error, match=told):
            self.check("required")
        if if_available is None:
            with pytest.raises(error, match=told):
                self.check("if_available")
        else:
            assert self.check("if_available") == if_available


@pytest.fixture
def case(vendor: Vendor, http: RequestsHttp, signer: Signer, key_directory: Path) -> Case:
    return Case(vendor, http, signer, key_directory)


@pytest.mark.parametrize("armour", [False, True])
@pytest.mark.parametrize("binary_key", [False, True])
def test_good(case: Case, armour: bool, binary_key: bool) -> None:
    case.put(case.signer.detached(SUMS, "good", armour=armour))
    (case.keys / "good.asc").write_bytes(case.signer.key("good", armour=not binary_key))
    case.fingerprints = (" ".join(case.fingerprints).lower(), "0" * 40)
    assert case.check() == "signature"


def test_the_verdict_names_the_signer(case: Case) -> None:
    verdict = case.verifier("required").detached(SUMS, case.declared(), what="x")
    assert (verdict.verified, verdict.fingerprint) == (True, case.signer.fingerprints["good"])


def test_a_file_on_disk(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(SUMS)
    assert case.verifier("required").file(path, case.declared("detached-image"), what="image").verified


def test_changed_content(case: Case) -> None:
    for policy in ("required", "if_available"):
        with pytest.raises(errors.BadSignature, match="is not that of this file"):
            case.check(policy, SUMS + b"x")


def test_signature_missing(case: Case) -> None:
    del case.vendor.files["/SHA256SUMS.gpg"]
    case.fails(errors.MissingSignature, "not there", "unverified: signature absent")


def test_key_absent(case: Case) -> None:
    (case.keys / "good.asc").unlink()
    case.fails(errors.UnknownKey, "put it there", "unverified: key absent")


def test_signed_by_another_key(case: Case) -> None:
    case.put(case.signer.detached(SUMS, "other"))
    (case.keys / "other.asc").write_bytes(case.signer.key("other"))
    case.fails(errors.UnknownKey, "is pinned", "unverified: key absent")


def test_another_key_in_the_same_file_does_not_count(case: Case) -> None:
    case.put(case.signer.detached(SUMS, "other"))
    (case.keys / "good.asc").write_bytes(case.signer.key("other") + case.signer.key("good"))
    case.fails(errors.UnknownKey, f"signed by the key {case.signer.fingerprints['other']}", "unverified: key absent")


def test_one_of_two_signatures_is_enough(case: Case) -> None:
    case.put(case.signer.detached(SUMS, "other", "good"))
    assert case.check() == "signature"


@pytest.mark.parametrize("raw", [b"", b"no signature", b"<html>404</html>", b"\x89\x02\x33"])
def test_damaged_signature(case: Case, raw: bytes) -> None:
    case.put(raw)
    case.fails(errors.BadSignature, "web page" if b"html" in raw else "damaged", None)


@pytest.mark.parametrize("kind", ["--clearsign", "--sign"])
def test_a_signed_text_of_its_own_is_no_signature_of_the_file(case: Case, kind: str) -> None:
    case.put(case.signer.gpg("--local-user", case.fingerprints[0], kind, data=b"something else the vendor signed"))
    case.fails(errors.BadSignature, "damaged|not that of", None)


def test_expired_key(case: Case) -> None:
    case.fingerprints = (case.signer.fingerprints["expired"],)
    (case.keys / "expired.asc").write_bytes(case.signer.key("expired"))
    case.put(case.signer.detached(SUMS, "expired", when="20200101T010000"))
    case.fails(errors.ExpiredKey, "has expired in the copy", "unverified: key expired")


@pytest.mark.parametrize("pinned", [(), ("DEADBEEF",), ("0123456789ABCDEF",)])
def test_no_full_fingerprint(case: Case, pinned: tuple[str, ...]) -> None:
    case.fingerprints = pinned
    case.fails(errors.NoPinnedKey, "no full fingerprint", "unverified: no fingerprint pinned")


def test_gpgv_absent(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "_gpgv_path", lambda: None)
    case.fails(errors.GpgvMissing, "install the package gpgv", "unverified: gpgv absent")


def test_fetched_key(case: Case) -> None:
    (case.keys / "good.asc").unlink()
    case.key_url = case.vendor.url("/key")
    case.fails(errors.UnknownKey, "HTTP 404", "unverified: key absent")
    case.vendor.files["/key"] = b"<html></html>"
    case.fails(errors.UnknownKey, "web page", "unverified: key absent")
    case.vendor.files["/key"] = case.signer.key("other")
    case.fails(errors.UnknownKey, f"has the fingerprint {case.signer.fingerprints['other']}", "unverified: key absent")
    case.vendor.files["/key"] = case.signer.key("good")
    assert case.check() == "signature"


def test_clearsigned(case: Case) -> None:
    raw = case.signer.clearsigned(SUMS, "good")
    forged = b"f" * 64 + b"  a.img\n"
    verdict, text = case.verifier("required").clearsigned(
        forged + raw + forged, case.declared("clearsigned-sums"), what="x"
    )
    assert verdict.verified
    assert text.encode() == SUMS


def test_clearsigned_but_changed(case: Case) -> None:
    raw = case.signer.clearsigned(SUMS, "good").replace(b"0123", b"9123")
    for policy in ("required", "if_available"):
        with pytest.raises(errors.BadSignature):
            case.verifier(policy).clearsigned(raw, case.declared("clearsigned-sums"), what="x")


def test_clearsigned_without_a_key_is_read_between_the_markers(case: Case) -> None:
    (case.keys / "good.asc").unlink()
    raw = case.signer.clearsigned(SUMS, "good")
    verdict, text = case.verifier("if_available").clearsigned(raw, case.declared("clearsigned-sums"), what="x")
    assert (str(verdict), text.encode()) == ("unverified: key absent", SUMS)


def test_a_clearsigned_file_that_is_not(case: Case) -> None:
    declared = case.declared("clearsigned-sums")
    verdict, text = case.verifier("if_available").clearsigned(SUMS, declared, what="x")
    assert (str(verdict), text.encode()) == ("unverified: signature absent", SUMS)
    with pytest.raises(errors.MissingSignature, match="not clearsigned"):
        case.verifier("required").clearsigned(SUMS, declared, what="x")
    with pytest.raises(errors.HtmlInsteadOfSums):
        case.verifier("if_available").clearsigned(b"<html></html>", declared, what="x")


def test_keys(signer: Signer, tmp_path: Path) -> None:
    both = signer.key("good") + b"\n" + signer.key("other")
    wanted = (signer.fingerprints["good"], signer.fingerprints["other"])
    assert read_key(both, source="x").fingerprints == wanted
    assert read_key(both.replace(b"\n", b"\r\n"), source="x").fingerprints == wanted
    assert read_key(signer.key("good", armour=False), source="x").fingerprints == wanted[:1]
    (tmp_path / "good.asc").write_bytes(both)
    (tmp_path / "notes.txt").write_text("no key")
    assert len(Keyring.from_paths([tmp_path]).keys) == 1


def test_keys_that_cannot_be_read(signer: Signer, tmp_path: Path) -> None:
    good, binary = signer.key("good"), signer.key("good", armour=False)
    damaged = good.replace(b"\n\n", b"\n\nAAAA", 1)
    for raw, told in (
        (b"", "empty"),
        (b"no key", "BEGIN PGP PUBLIC KEY"),
        (damaged, "wrong checksum"),
        (good.replace(b"\n\n", b"\n\n*", 1), "armour of the key is damaged"),
        (binary[:-5], "in the middle"),
        (b"\x80\x00" + b"\x00" * 6 + b"KBXf", "keybox"),
        (signer.detached(SUMS, "good"), "no public key"),
        (b"\xff\xff\xff", "in the middle"),
    ):
        with pytest.raises(errors.KeyUnreadable, match=told):
            read_key(raw, source="x")
    with pytest.raises(errors.KeyUnreadable, match="neither"):
        Keyring.from_paths([tmp_path / "none"])
    with pytest.raises(errors.HtmlInsteadOfSums):
        read_key(b"<html></html>", source="x")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_key_but_no_crash(raw: bytes) -> None:
    try:
        read_key(raw, source="x")
    except errors.ImageError as exc:
        assert exc.message


@given(st.binary(min_size=1, max_size=100))
def test_armour_with_and_without_checksum(data: bytes) -> None:
    body = base64.encodebytes(data).decode()
    check = "=" + base64.b64encode(crc24(data).to_bytes(3, "big")).decode()
    for end in (check + "\n", ""):
        text = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 1\n\n{body}{end}-----END PGP PUBLIC KEY BLOCK-----\n"
        assert dearmour(text, source="x") == data


def test_crc24_of_the_standard() -> None:
    assert crc24(b"") == 0xB704CE
    assert crc24(b"123456789") == 0x21CF02  # the check value of CRC-24/OPENPGP
