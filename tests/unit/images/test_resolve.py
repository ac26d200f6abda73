# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust: what a digest is believed from, races, changed builds, images of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.catalog import load_catalog
from ansible_collections.homelab.proxmox.plugins.module_utils._images.discover import fill
from ansible_collections.homelab.proxmox.plugins.module_utils._images.http import RequestsHttp
from ansible_collections.homelab.proxmox.plugins.module_utils._images.keys import Keyring
from ansible_collections.homelab.proxmox.plugins.module_utils._images.resolve import check_unchanged, own_image, resolve
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import (
    Digest,
    Signature,
)
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer
from ansible_collections.homelab.proxmox.tests.unit.images.mirror import SITE, A, B, Mirror, image
from ansible_collections.homelab.proxmox.tests.unit.images.vendor_server import Vendor


def test_plain_entry_over_https() -> None:
    found = resolve(image(), Mirror({f"{SITE}/latest/SHA256SUMS": f"# a.qcow2: 77 bytes\n{A} *a.qcow2\n"}))
    assert (found.url, str(found.digest), found.verification) == (f"{SITE}/latest/a.qcow2", f"sha256:{A}", "https")
    assert (found.build, found.size, found.needs_image_signature) == (None, 77, False)


def test_pinned_digest_needs_no_request() -> None:
    mirror = Mirror({})
    found = resolve(image(sums=None, digest=Digest("sha256", A)), mirror, signature="required")
    assert (found.verification, mirror.asked) == ("pinned", [])


def test_nothing_to_believe() -> None:
    with pytest.raises(errors.NoChecksumSource, match="checksum: sha256"):
        resolve(image(sums=None), Mirror({}))
    with pytest.raises(errors.MissingSignature, match="signature: if_available"):
        resolve(image(), Mirror({}), signature="required")
    with pytest.raises(errors.DiscoveryError, match="no public URL"):
        resolve(image(url=None), Mirror({}))
    with pytest.raises(errors.DiscoveryError, match="one fixed URL"):
        resolve(image(), Mirror({}), build="7")


def test_errors_name_the_file() -> None:
    sums = f"{SITE}/latest/SHA256SUMS"
    for text, error in (
        ("<html>", errors.HtmlInsteadOfSums),
        (f"{A}  b.qcow2", errors.NameMissing),
        (f"{A}  a.qcow2\n{B}  a.qcow2", errors.ConflictingDigests),
        (f"{A[1:]}  a.qcow2", errors.BadDigest),
    ):
        with pytest.raises(error, match="SHA256SUMS"):
            resolve(image(), Mirror({sums: text}))
    with pytest.raises(errors.HttpStatus, match="SHA256SUMS: HTTP 404"):
        resolve(image(), Mirror({}))


def test_plain_http_needs_a_reason() -> None:
    sums, text = "http://example.org/SUMS", f"{A}  a.qcow2"
    entry = image(sums=sums)
    with pytest.raises(errors.PlainHttp, match="allow_unverified"):
        resolve(entry, Mirror({sums: text}))
    assert resolve(entry, Mirror({sums: text}), allow_plain_http=True).verification == "unverified: plain http"
    loopback = "http://127.0.0.1:8080/SUMS"
    assert resolve(image(sums=loopback), Mirror({loopback: text})).verification == "unverified: plain http"


def test_plain_http_is_fine_when_signed(vendor: Vendor, signer: Signer, key_directory: Path) -> None:
    text = f"{A}  a.qcow2\n".encode()
    sums = "http://example.org/SUMS"
    mirror = Mirror({sums: text, f"{sums}.gpg": signer.detached(text, "good")})
    signature = Signature(kind="detached-sums", url=f"{sums}.gpg", fingerprints=(signer.fingerprints["good"],))
    entry = image(sums=sums, signature=signature)
    found = resolve(entry, mirror, signature="required", keyring=Keyring.from_paths([key_directory]))
    assert found.verification == "signature"
    with pytest.raises(errors.PlainHttp):
        resolve(entry, mirror)
    with pytest.raises(errors.UnknownKey):
        resolve(entry, mirror, signature="required")
    assert resolve(entry, mirror, allow_plain_http=True).verification == "unverified: key absent"


def test_sums_and_signature_read_at_different_moments(signer: Signer, key_directory: Path) -> None:
    sums, old, new = f"{SITE}/latest/SHA256SUMS", f"{A}  a.qcow2\n", f"{B}  a.qcow2\n"
    signature = Signature(kind="detached-sums", url=f"{sums}.gpg", fingerprints=(signer.fingerprints["good"],))
    keyring = Keyring.from_paths([key_directory])
    mirror = Mirror({sums: [old, new], f"{sums}.gpg": signer.detached(new.encode(), "good")})
    assert resolve(image(signature=signature), mirror, keyring=keyring).digest.value == B
    with pytest.raises(errors.BadSignature):
        resolve(
            image(signature=signature),
            Mirror({sums: old, f"{sums}.gpg": mirror.get_bytes(f"{sums}.gpg")}),
            keyring=keyring,
        )


def test_signature_over_the_image() -> None:
    signature = Signature(kind="detached-image", url=f"{SITE}/latest/a.qcow2.sig", fingerprints=("F" * 40,))
    entry = image(signature=signature, discovery={"kind": "none"})
    found = resolve(entry, Mirror({f"{SITE}/latest/SHA256SUMS": f"{A}  a.qcow2"}), signature="required")
    assert found.verification == "unverified: signature covers the image, which the node downloads"
    assert found.needs_image_signature
    assert found.image_signature == signature


def test_the_sums_file_of_an_alias_may_name_the_dated_file_only() -> None:
    sums = f"{SITE}/latest/a.qcow2.SHA256"
    mirror = Mirror({sums: f"{A}  a-20260715.qcow2"})
    assert resolve(image(sums=sums), mirror).digest.value == A
    with pytest.raises(errors.NameMissing):
        resolve(image(sums=sums, url_kind="dated"), mirror)
    with pytest.raises(errors.NameMissing):
        resolve(image(), Mirror({f"{SITE}/latest/SHA256SUMS": f"{A}  a-20260715.qcow2"}))


def test_changed_checksum_of_a_dated_build() -> None:
    text = {f"{SITE}/latest/SHA256SUMS": f"{A}  a.qcow2"}
    found = resolve(image(), Mirror(text))
    check_unchanged(found, Digest("sha256", A), "dated")
    check_unchanged(found, Digest("sha256", B), "latest")
    check_unchanged(found, Digest("sha1", "c" * 40), "dated")
    check_unchanged(found, Digest("sha256", B), "dated", remembered_url=f"{SITE}/older.qcow2")
    with pytest.raises(errors.DigestChanged, match=f"was sha256:{B} and is now sha256:{A}"):
        check_unchanged(found, Digest("sha256", B), "dated")
    entry = image(discovery={"kind": "sums-alias", "pattern": r"Alma-9-(9\.\d+)-(\d{8})\.qcow2"})
    found = resolve(entry, Mirror({f"{SITE}/latest/SHA256SUMS": f"{A}  Alma-9-9.8-20260526.qcow2"}))
    with pytest.raises(errors.DigestChanged):
        check_unchanged(found, Digest("sha256", B), "latest", remembered_url=found.url)


def test_own_image(vendor: Vendor, http: RequestsHttp, tmp_path: Path) -> None:
    found = resolve(own_image(f"{SITE}/x.RAW.xz", checksum=f"SHA256:{A.upper()}"), Mirror({}))
    assert (found.format, found.compression, found.verification) == ("raw", "xz", "pinned")
    vendor.files["/x.img.sha512"] = (A + B).encode()
    found = resolve(own_image(vendor.url("/x.img"), checksum_url=vendor.url("/x.img.sha512")), http)
    assert (found.format, found.compression, str(found.digest)) == ("qcow2", "none", f"sha512:{A + B}")
    (tmp_path / "SHA256SUMS").write_text(f"{A}  x.tar.zst")
    found = resolve(
        own_image(f"file://{tmp_path}/x.tar.zst", checksum_url=str(tmp_path / "SHA256SUMS"), image_format="raw"), http
    )
    assert (found.format, found.compression, found.verification) == ("raw", "tar.zst", "pinned")
    for url in (f"{SITE}/", "x.img"):
        with pytest.raises(errors.BadUrl):
            own_image(url)
    with pytest.raises(ValueError, match="64"):
        own_image(f"{SITE}/x.img", checksum="sha256:abc")


def test_every_shipped_entry_resolves_or_says_why() -> None:
    """No entry may ask for a discovery kind, an argument or a template that does not exist."""
    catalog = load_catalog()
    for name in catalog.ids():
        for arch in catalog.architectures(name):
            entry = catalog.get(name, arch)
            try:
                resolve(entry, Mirror({}))
            except errors.HttpStatus:
                templates = [entry.discovery.get(key, "") for key in ("url", "sums", "signature")]
                filled = fill(" ".join(templates), build="1", name="a.img", url="https://example.org/a.img")
                assert not set("{}") & set(filled), name
            except errors.NoChecksumSource:
                assert entry.sums is None
            except errors.DiscoveryError as exc:
                assert entry.url is None, exc
                assert "no public URL" in exc.message
