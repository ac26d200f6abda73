# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every discovery kind against its vendor's own form."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._images import errors
from ansible_collections.homelab.proxmox.plugins.module_utils._images.discover import fill, version_key
from ansible_collections.homelab.proxmox.plugins.module_utils._images.indexes import directory_names
from ansible_collections.homelab.proxmox.plugins.module_utils._images.keys import Keyring
from ansible_collections.homelab.proxmox.plugins.module_utils._images.resolve import resolve
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import (
    Signature,
    SumsFile,
)
from ansible_collections.homelab.proxmox.tests.unit.images.conftest import Signer
from ansible_collections.homelab.proxmox.tests.unit.images.mirror import SITE, A, B, Mirror, image
from hypothesis import given
from hypothesis import strategies as st

ALMA = f"{A}  Alma-9-9.8-20260526.qcow2\n{A}  a.qcow2\n{B}  Alma-9-9.9-20260601.qcow2\n"


def test_sums_alias() -> None:
    sums = f"{SITE}/latest/SHA256SUMS"
    entry = image(discovery={"kind": "sums-alias", "pattern": r"Alma-9-(9\.\d+)-(\d{8})\.qcow2"})
    found = resolve(entry, Mirror({sums: ALMA}))
    assert (found.url, found.build, found.digest.value) == (
        f"{SITE}/latest/Alma-9-9.8-20260526.qcow2",
        "9.8-20260526",
        A,
    )
    assert resolve(entry, Mirror({sums: ALMA}), build="9.9-20260601").digest.value == B
    assert resolve(entry, Mirror({sums: ALMA.replace("  a.qcow2", "  b.qcow2")})).build == "9.9-20260601"
    with pytest.raises(errors.DiscoveryError, match="gives no dated name"):
        resolve(entry, Mirror({sums: ALMA.replace(A, "c" * 64, 1)}))
    with pytest.raises(errors.DiscoveryError, match="no build 1; it has 9.9-20260601, 9.8"):
        resolve(entry, Mirror({sums: ALMA}), build="1")


def test_sums_pattern_takes_the_newest_by_number() -> None:
    text = f"SHA256 (c-10-20260901.9.qcow2) = {A}\nSHA256 (c-10-20260901.10.qcow2) = {B}\n"
    text += f"SHA256 (c-x86-10-20270101.0.qcow2) = {A}\n"
    entry = image(discovery={"kind": "sums-pattern", "pattern": r"c-10-(\d{8}\.\d+)\.qcow2"})
    found = resolve(entry, Mirror({f"{SITE}/latest/SHA256SUMS": text}))
    assert (found.build, found.digest.value) == ("20260901.10", B)
    with pytest.raises(errors.DiscoveryError, match="needs a new pattern"):
        resolve(entry, Mirror({f"{SITE}/latest/SHA256SUMS": f"{A}  other.qcow2"}))


def test_name_in_sums() -> None:
    discovery = {
        "kind": "name-in-sums",
        "pattern": r"al2023-kvm-(2023\.[\d.]+)-x86_64\.qcow2",
        "url": SITE + "/{build}/kvm/{name}",
    }
    mirror = Mirror({f"{SITE}/latest/SHA256SUMS": f"{A}  al2023-kvm-2023.12.20260930.0-x86_64.qcow2"})
    found = resolve(image(url=None, discovery=discovery), mirror)
    assert found.url == f"{SITE}/2023.12.20260930.0/kvm/al2023-kvm-2023.12.20260930.0-x86_64.qcow2"


UBUNTU_ITEM = {
    "ftype": "disk1.img",
    "md5": "7388b8e7e0e114b941a04aca591e2d64",
    "path": "server/releases/xenial/release-20170516/ubuntu-16.04-server-cloudimg-amd64-disk1.img",
    "sha256": "1797c5c82016c1e65f4008fcf89deae3a044ef76087a9ec5b907c6d64a3609ac",
    "size": 287440896,
}


UBUNTU = {
    "products": {
        "com.ubuntu.cloud:server:16.04:amd64": {
            "versions": {
                "20170516": {"items": {"disk1.img": UBUNTU_ITEM}},
                "20170510": {"items": {"disk1.img": {**UBUNTU_ITEM, "sha256": A}}},
                "20170601": {"items": {"root.tar.gz": {}}},
            }
        }
    }
}


UBUNTU_ENTRY = {
    "kind": "ubuntu-simplestreams",
    "index": "https://example.org/streams.json",
    "product": "com.ubuntu.cloud:server:16.04:amd64",
    "item": "disk1.img",
    "url": SITE + "/release-{build}/u.img",
    "sums": "{dir}/SHA256SUMS",
    "signature": "{dir}/SHA256SUMS.gpg",
}


def test_ubuntu_simplestreams(signer: Signer, key_directory: Path) -> None:
    text = f"{UBUNTU_ITEM['sha256']} *u.img\n"
    sums = f"{SITE}/release-20170516/SHA256SUMS"
    signature = Signature(
        kind="detached-sums", url="https://example.org/unused", fingerprints=(signer.fingerprints["good"],)
    )
    mirror = Mirror({
        "https://example.org/streams.json": json.dumps(UBUNTU),
        sums: text,
        f"{sums}.gpg": signer.detached(text.encode(), "good"),
        f"{SITE}/release-20170510/SHA256SUMS": f"{A} *u.img",
    })  # fmt: skip
    entry = image(discovery=UBUNTU_ENTRY, signature=signature)
    found = resolve(entry, mirror, signature="required", keyring=Keyring.from_paths([key_directory]))
    assert (found.url, found.build, found.size) == (f"{SITE}/release-20170516/u.img", "20170516", 287440896)
    assert found.verification == "signature"
    assert resolve(entry, mirror, build="20170510").verification == "unverified: key absent"
    with pytest.raises(errors.DiscoveryError, match="no build 1"):
        resolve(entry, mirror, build="1")


def test_index_and_sums_disagree_once_or_always() -> None:
    index, sums = "https://example.org/streams.json", f"{SITE}/release-20170516/SHA256SUMS"
    right = f"{UBUNTU_ITEM['sha256']} *u.img"
    mirror = Mirror({index: json.dumps(UBUNTU), sums: [f"{A} *u.img", right]})
    assert resolve(image(discovery=UBUNTU_ENTRY), mirror).digest.value == UBUNTU_ITEM["sha256"]
    assert mirror.asked == [index, sums, index, sums]
    mirror = Mirror({index: json.dumps(UBUNTU), sums: f"{A} *u.img"})
    with pytest.raises(errors.ConflictingDigests, match="the vendor's index says"):
        resolve(image(discovery=UBUNTU_ENTRY), mirror)
    assert len(mirror.asked) == 4


DEBIAN_DIGEST = "12EiyHyUDRq5M09DB8mMAdxC8LSaIM3fJ41ZuS00q2PQWsH0Df/aPS0y44Hwl3Bu7mzL95pZa/ssuz2DxjWuNQ"


def debian(digest: str = f"sha512:{DEBIAN_DIGEST}", version: str = "20250814-2204") -> str:
    upload = {
        "kind": "Upload",
        "metadata": {
            "annotations": {"cloud.debian.org/digest": digest},
            "labels": {"upload.cloud.debian.org/image-format": "qcow2"},
        },
    }
    other = {
        **upload,
        "metadata": {
            "annotations": {"cloud.debian.org/digest": "sha512:AAAA"},
            "labels": {"upload.cloud.debian.org/image-format": "raw"},
        },
    }
    return json.dumps({"items": [{"kind": "Build", "data": {"info": {"version": version}}}, other, upload]})


def test_debian_json() -> None:
    discovery = {
        "kind": "debian-json",
        "index": f"{SITE}/latest/a.json",
        "url": SITE + "/{build}/a-{build}.qcow2",
        "sums": "{dir}/SHA512SUMS",
    }
    value = base64.b64decode(DEBIAN_DIGEST + "==").hex()
    sums = SumsFile(url="https://example.org/unused", format="gnu", algorithm="sha512")
    dated = {f"{SITE}/20250814-2204/SHA512SUMS": f"{value}  a-20250814-2204.qcow2"}
    entry = image(discovery=discovery, sums=sums)
    found = resolve(entry, Mirror({f"{SITE}/latest/a.json": debian(), **dated}))
    assert (found.build, str(found.digest)) == ("20250814-2204", f"sha512:{value}")
    assert resolve(entry, Mirror(dated), build="20250814-2204").url == f"{SITE}/20250814-2204/a-20250814-2204.qcow2"
    for text, error in (
        (debian("sha512:AAAA"), errors.BadDigest),
        (debian("sha512:*"), errors.BadDigest),
        ("[]", errors.BadIndex),
        ('{"items": []}', errors.BadIndex),
        ("{", errors.BadIndex),
        ("<html>", errors.HtmlInsteadOfSums),
    ):
        with pytest.raises(error):
            resolve(entry, Mirror({f"{SITE}/latest/a.json": text, **dated}))


FEDORA = {
    "version": "40",
    "arch": "x86_64",
    "link": "https://download.fedoraproject.org/pub/fedora/linux/releases/40/Cloud/x86_64/images/Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2",
    "variant": "Cloud",
    "subvariant": "Cloud_Base",
    "sha256": "ac58f3c35b73272d5986fa6d3bc44fd246b45df4c334e99a07b3bbd00684adee",
    "size": "397475840",
}


def test_fedora_releases() -> None:
    directory = FEDORA["link"].rpartition("/")[0]
    discovery = {
        "kind": "fedora-releases",
        "index": "https://example.org/releases.json",
        "version": "40",
        "subvariant": "Cloud_Base",
    }
    discovery |= {
        "prefix": "Fedora-Cloud-Base-Generic.x86_64-",
        "suffix": ".qcow2",
        "sums": "{dir}/Fedora-Cloud-{build}-x86_64-CHECKSUM",
    }
    entry = image(url_kind="dated", discovery=discovery)
    uki = {**FEDORA, "subvariant": "Cloud_Base_UKI"}
    beta = {**FEDORA, "version": "41 Beta"}
    line = f"SHA256 (Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2) = {FEDORA['sha256']}"
    files = {f"{directory}/Fedora-Cloud-40-1.14-x86_64-CHECKSUM": line}
    found = resolve(entry, Mirror({"https://example.org/releases.json": json.dumps([uki, beta, FEDORA, "x"]), **files}))
    assert (found.url, found.build, found.size) == (FEDORA["link"], "40-1.14", 397475840)
    with pytest.raises(errors.BadDigest, match="is empty"):
        resolve(entry, Mirror({"https://example.org/releases.json": json.dumps([{**FEDORA, "sha256": ""}]), **files}))
    with pytest.raises(errors.BadIndex, match="41 Beta"):
        resolve(entry, Mirror({"https://example.org/releases.json": json.dumps([beta]), **files}))


def test_coreos_and_oracle_give_the_checksum_themselves() -> None:
    disk = {
        "location": f"{SITE}/44.1/c.qcow2.xz",
        "signature": f"{SITE}/44.1/c.qcow2.xz.sig",
        "sha256": A,
        "uncompressed-sha256": B,
    }
    stream = {
        "architectures": {
            "x86_64": {"artifacts": {"proxmoxve": {"release": "44.1", "formats": {"qcow2.xz": {"disk": disk}}}}}
        }
    }
    index = "https://example.org/stable.json"
    sums = SumsFile(url=index, format="json", algorithm="sha256")
    discovery = {"kind": "coreos-stream", "index": index, "artifact": "proxmoxve", "format": "qcow2.xz"}
    signature = Signature(kind="detached-image", url="{url}.sig", fingerprints=("F" * 40,))
    entry = image(url=None, sums=sums, discovery=discovery, signature=signature, compression="xz")
    found = resolve(entry, Mirror({index: json.dumps(stream)}))
    assert (found.url, found.build, found.digest.value, found.compression) == (disk["location"], "44.1", A, "xz")
    assert found.image_signature is not None
    assert found.image_signature.url == disk["signature"]
    with pytest.raises(errors.BadIndex, match=r"has no architectures; there is: x"):
        resolve(entry, Mirror({index: '{"x": 1}'}))
    template = {
        "base_url": "https://yum.example.org/templates",
        "kvm": {"image": "OL9U8_x86_64-kvm-b293.qcow2", "sha256": B},
    }
    entry = image(sums=sums, discovery={"kind": "oracle-template", "index": index, "key": "kvm"})
    found = resolve(entry, Mirror({index: json.dumps(template)}))
    assert (found.url, found.verification) == ("https://yum.example.org/templates/OL9U8_x86_64-kvm-b293.qcow2", "https")


def test_flatcar_version() -> None:
    discovery = {
        "kind": "flatcar-version",
        "index": f"{SITE}/current/version.txt",
        "url": SITE + "/{build}/f.img",
        "sums": "{url}.DIGESTS",
    }
    digests = f"# SHA512 HASH\n{A}{B}  f.img\n"
    sums = SumsFile(url="https://example.org/unused", format="digests-sections", algorithm="sha512")
    version = "FLATCAR_BUILD=4230\nFLATCAR_VERSION=4230.2.3\n"
    mirror = Mirror({f"{SITE}/current/version.txt": version, f"{SITE}/4230.2.3/f.img.DIGESTS": digests})
    assert resolve(image(sums=sums, discovery=discovery), mirror).build == "4230.2.3"
    with pytest.raises(errors.BadIndex, match="FLATCAR_VERSION"):
        resolve(image(sums=sums, discovery=discovery), Mirror({f"{SITE}/current/version.txt": "x"}))


PAGE = """<html><title>Index of /cloud</title><a href="../">..</a><a href="?C=M;O=A">Date</a>
<a href="alpine-3.24.9-x86_64-cloudinit-r0.qcow2">x</a> <A HREF='/v3.24/alpine-3.24.10-x86_64-cloudinit-r0.qcow2'>x</A>
<a href=alpine-3.24.10-x86_64-cloudinit-r2.qcow2>x</a><a href="alpine-3.24.10-x86_64-cloudinit-r2.qcow2.sha512">x</a>
<a href="generic_alpine-3.24.11-x86_64-bios-cloudinit-r0.qcow2">x</a><a href="v20260715.556894/">x</a></html>"""


def test_html_index() -> None:
    discovery = {
        "kind": "html-index",
        "index": f"{SITE}/cloud/",
        "pattern": r"alpine-(3\.24\.\d+)-x86_64-cloudinit-(r\d+)\.qcow2",
        "sums": "{url}.sha512",
    }
    sums = SumsFile(url="https://example.org/unused", format="hash-only", algorithm="sha512")
    entry = image(sums=sums, discovery=discovery, url_kind="dated")
    newest = f"{SITE}/cloud/alpine-3.24.10-x86_64-cloudinit-r2.qcow2"
    found = resolve(entry, Mirror({f"{SITE}/cloud/": PAGE, f"{newest}.sha512": A + B + "\n"}))
    assert (found.url, found.build, found.digest.value) == (newest, "3.24.10-r2", A + B)
    old = f"{SITE}/cloud/alpine-3.24.9-x86_64-cloudinit-r0.qcow2"
    assert resolve(entry, Mirror({f"{SITE}/cloud/": PAGE, f"{old}.sha512": B + A}), build="3.24.9-r0").url == old
    with pytest.raises(errors.HtmlInsteadOfSums):
        resolve(entry, Mirror({f"{SITE}/cloud/": PAGE, f"{newest}.sha512": PAGE}))
    assert "v20260715.556894" in directory_names(PAGE)


def test_gentoo_latest(signer: Signer, key_directory: Path) -> None:
    text = b"# Latest as of Tue, 06 Oct 2026 10:15:00 +0000\n# ts=1791281700\n"
    text += b"di-amd64-cloudinit-20261004T164559Z.qcow2 1501626368\n"
    url = f"{SITE}/20261004T164559Z/di-amd64-cloudinit-20261004T164559Z.qcow2"
    sums_text = f"{A}  di-amd64-cloudinit-20261004T164559Z.qcow2\n".encode()
    mirror = Mirror(
        {f"{SITE}/latest.txt": signer.clearsigned(text, "good"), f"{url}.sha256": signer.clearsigned(sums_text, "good")}
    )
    discovery = {
        "kind": "gentoo-latest",
        "index": f"{SITE}/latest.txt",
        "pattern": r"di-amd64-cloudinit-(\d{8}T\d{6}Z)\.qcow2",
    }
    discovery["url"] = SITE + "/{build}/di-amd64-cloudinit-{build}.qcow2"
    signature = Signature(kind="clearsigned-sums", url=None, fingerprints=(signer.fingerprints["good"],))
    sums = SumsFile(url="{url}.sha256", format="clearsigned-gnu", algorithm="sha256")
    entry = image(url=None, sums=sums, discovery=discovery, signature=signature)
    found = resolve(entry, mirror, signature="required", keyring=Keyring.from_paths([key_directory]))
    assert (found.url, found.build, found.size, found.verification) == (
        url,
        "20261004T164559Z",
        1501626368,
        "signature",
    )
    assert resolve(entry, mirror).verification == "unverified: key absent"
    assert resolve(entry, mirror, build="20261004T164559Z").url == url


def test_bad_discovery() -> None:
    for discovery, told in (
        ({"kind": "guess"}, "unknown discovery kind 'guess'; known: coreos-stream"),
        ({"kind": "html-index"}, "needs the argument 'index'"),
        ({"kind": "sums-pattern", "pattern": "("}, "no regular expression"),
        ({"kind": "none", "sums": "{build}/SUMS"}, r"needs \{build\}"),
    ):
        with pytest.raises(errors.DiscoveryError, match=told):
            resolve(image(discovery=discovery), Mirror({f"{SITE}/latest/SHA256SUMS": ALMA}))


def test_versions_compare_by_number() -> None:
    assert sorted(["14.10", "14.9", "14.9-r2", "2"], key=version_key) == ["2", "14.9", "14.9-r2", "14.10"]
    version_key("9" * 9000)
    assert fill("{dir}/{name}.sig?{url}", url="https://h/a/b.img") == "https://h/a/b.img.sig?https://h/a/b.img"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["products", "versions", "items", "sha256"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["products", "com.ubuntu.cloud:server:16.04:amd64", "versions", "items", "disk1.img", "kvm", "data"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    JSON,
    st.sampled_from(["ubuntu-simplestreams", "debian-json", "fedora-releases", "coreos-stream", "oracle-template"]),
)
def test_an_index_of_another_shape_is_an_image_error(document: Any, kind: str) -> None:
    arguments = dict.fromkeys(("version", "subvariant", "prefix", "suffix", "artifact", "format"), "x")
    discovery = {**UBUNTU_ENTRY, **arguments, "kind": kind, "key": "kvm"}
    with pytest.raises(errors.ImageError):
        resolve(image(discovery=discovery), Mirror({UBUNTU_ENTRY["index"]: json.dumps(document)}))
