# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image: a verified image on a storage, and what is stored there afterwards."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from typing import Any

import pytest

from tests.support import pve_lab
from tests.support.pve import FakeCluster
from tests.support.pve.images import GIB, qcow2, raw
from tests.support.pve.transfer import WgetError
from tests.support.workbench import FILE, IMAGE, Bench, warnings_of

READS = {
    "GET /cluster/resources",
    "GET /access/permissions",
    "GET /version",
    "GET /nodes/pve1/storage/local/content",
}


def volid(digest: str, name: str = IMAGE, storage: str = "local", suffix: str = "qcow2") -> str:
    return f"{storage}:import/{name}-{digest[:12]}.{suffix}"


def packed(content: bytes, name: str = "disk.raw") -> bytes:
    """A tar archive that holds one disk."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


# --- present


def test_an_image_is_downloaded_by_the_node_and_recognised_the_next_time(bench: Bench) -> None:
    digest = bench.publish()
    planned = bench.image(check=True)
    assert bench.writes() == []
    result = bench.image()
    assert result["changed"]
    assert result["diff"] == planned["diff"]
    assert result["steps"] == planned["steps"]
    assert result["diff"]["before"] == {volid(digest): None}
    (write,) = bench.writes()
    assert write.path == "/nodes/pve1/storage/local/download-url"
    assert write.params == {
        "content": "import",
        "url": bench.url(),
        "filename": f"{IMAGE}-{digest[:12]}.qcow2",
        "checksum": digest,
        "checksum-algorithm": "sha256",
    }
    assert bench.imports() == [volid(digest)]
    assert bench.cluster.volumes()[volid(digest)].path.read_bytes() == bench.vendor.files[FILE]

    again = bench.image()
    assert again["changed"] is False
    assert set(bench.sent(polls=True)) == READS
    assert len(bench.sent(polls=True)) == 4
    assert again["image"] == {
        "volid": volid(digest),
        "filename": f"{IMAGE}-{digest[:12]}.qcow2",
        "image": IMAGE,
        "short_digest": digest[:12],
        "size": len(bench.vendor.files[FILE]),
        "format": "qcow2",
        "source": f"sha256:{digest}",
        "url": bench.url(),
        "build": None,
        "verification": "unverified: plain http",
    }


def test_a_newer_build_is_stored_beside_the_older_one(bench: Bench) -> None:
    old = bench.publish()
    bench.image()
    new = bench.publish_newer()
    assert bench.image(refresh="never")["changed"] is False
    result = bench.image()
    assert result["image"]["volid"] == volid(new)
    assert bench.imports() == sorted([volid(old), volid(new)])


def test_refresh_never_does_not_ask_the_vendor(bench: Bench) -> None:
    digest = bench.publish()
    bench.image()
    bench.vendor.asked.clear()
    result = bench.image(refresh="never")
    assert result["image"]["volid"] == volid(digest)
    assert bench.vendor.asked == []


def test_refresh_never_with_nothing_stored_asks(bench: Bench) -> None:
    assert bench.image(refresh="never")["changed"]
    assert len(bench.imports()) == 1


def test_an_unreachable_vendor_is_a_warning_where_a_build_is_stored(bench: Bench) -> None:
    digest = bench.publish()
    bench.image()
    bench.unreachable()
    result = bench.image()
    assert result["changed"] is False
    assert result["image"]["volid"] == volid(digest)
    (warning,) = warnings_of(result)
    assert "not refreshed" in warning


def test_an_unreachable_vendor_is_a_failure_where_nothing_is_stored(bench: Bench) -> None:
    bench.unreachable()
    result = bench.image()
    assert f"image {IMAGE} on local of node pve1: image='{IMAGE}': " in result["msg"]
    assert bench.writes() == []


@pytest.mark.parametrize(
    ("name", "content", "options", "stored"),
    [
        ("a.qcow2.xz", lzma.compress(qcow2()), {}, qcow2()),
        ("a.qcow2.gz", gzip.compress(qcow2()), {}, qcow2()),
        ("a.raw.bz2", bz2.compress(raw()), {}, raw()),
        ("a.tar.xz", lzma.compress(packed(raw())), {"image_format": "raw"}, raw()),
        ("a.tar.gz", gzip.compress(packed(qcow2(), "disk.qcow2")), {}, qcow2()),
        ("a.img", qcow2(), {}, qcow2()),
        ("a.img", raw(), {"image_format": "raw"}, raw()),
        ("a", lzma.compress(raw()), {"compression": "xz", "image_format": "raw"}, raw()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_own_images_are_stored_unpacked_under_their_real_format(
    bench: Bench, name: str, content: bytes, options: dict[str, Any], stored: bytes
) -> None:
    digest = bench.publish(content, f"own/{name}")
    own = {"url": bench.url(f"own/{name}"), "checksum_url": bench.sums(f"own/{name}"), **options}
    result = bench.image(**own)
    assert result.get("changed"), result
    (found,) = bench.imports()
    assert found == volid(digest, "a", suffix="raw" if stored == raw() else "qcow2")
    assert bench.cluster.volumes()[found].path.read_bytes() == stored
    assert len(bench.sent()) == 5
    assert bench.image(**own)["changed"] is False


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_pinned_image_asks_no_vendor(bench: Bench, algorithm: str) -> None:
    bench.publish(name="own/a.qcow2")
    digest = hashlib.new(algorithm, bench.vendor.files["own/a.qcow2"]).hexdigest()
    own = {"url": bench.url("own/a.qcow2"), "checksum": f"{algorithm}:{digest}"}
    assert bench.image(**own)["image"]["verification"] == "pinned"
    assert bench.imports() == [volid(digest, "a")]
    assert bench.vendor.asked.count("own/SHA256SUMS") == 0


def test_a_file_of_this_machine_is_uploaded(bench: Bench) -> None:
    digest = bench.publish(name="own/a.qcow2")
    file = bench.folder / "a.qcow2"
    file.write_bytes(bench.vendor.files["own/a.qcow2"])
    result = bench.image(url=f"file://{file}", checksum=f"sha256:{digest}")
    assert result["changed"]
    assert [line.rpartition("/")[2] for line in bench.sent() if line.startswith("POST")] == ["upload"]
    assert bench.imports() == [volid(digest, "a")]


def test_another_image_storage(bench: Bench) -> None:
    digest = bench.publish()
    bench.image(storage="fast")
    assert bench.imports() == [volid(digest, storage="fast")]


def test_a_node_that_cannot_reach_the_vendor_is_served_by_upload(bench: Bench) -> None:
    bench.cluster.real_url = refuse
    result = bench.image()
    assert result["changed"], result
    assert len(bench.imports()) == 1
    (warning,) = warnings_of(result)
    assert "pve1 could not download" in warning


def refuse(url: str) -> str:
    """The node's network: nothing is reached."""
    raise WgetError(4, "Resolving vendor... failed: Name or service not known.")


def test_transfer_download_does_not_fall_back(bench: Bench) -> None:
    bench.cluster.real_url = refuse
    result = bench.image(transfer="download")
    assert result["failed"]
    assert bench.imports() == []
    assert not any(line.endswith("/upload") for line in bench.sent())


@pytest.mark.parametrize("transfer", ["download", "upload"])
def test_a_wrong_checksum_stores_nothing(bench: Bench, transfer: str) -> None:
    bench.publish()
    bench.vendor.files[FILE] = qcow2(4 * GIB)
    result = bench.image(transfer=transfer)
    assert result["failed"]
    assert "checksum" in result["msg"]
    assert bench.cluster.volumes() == {}


# --- absent


def test_absent_deletes_every_build_of_this_image_only(bench: Bench) -> None:
    bench.image()
    bench.publish_newer()
    bench.image()
    kept = [f"local:import/{IMAGE}-web-000000000000.qcow2", f"local:import/{IMAGE}.qcow2", "local:import/x.qcow2"]
    for other in kept:
        bench.cluster.put_file(other, qcow2())
    before = bench.imports()
    planned = bench.image(state="absent", check=True)
    assert bench.imports() == before
    bench.vendor.asked.clear()
    result = bench.image(state="absent")
    assert result["diff"] == planned["diff"]
    assert len(result["removed"]) == 2
    assert result["image"] is None
    assert set(result["diff"]["after"].values()) == {None}
    assert bench.imports() == sorted(kept)
    assert bench.vendor.asked == []
    again = bench.image(state="absent")
    assert again["changed"] is False
    assert again["removed"] == []


def test_absent_of_an_own_image(bench: Bench) -> None:
    digest = bench.publish(name="own/a.qcow2")
    own = {"url": bench.url("own/a.qcow2"), "checksum": f"sha256:{digest}"}
    bench.image(**own)
    assert bench.image(**own, state="absent")["changed"]
    assert bench.imports() == []


def test_absent_needs_nobodys_consent(bench: Bench) -> None:
    """An image that is past its end of life is exactly what one wants to delete."""
    bench.image()
    bench.describe(lifecycle={"phase": "eol", "eol": "2024-06-30"}, confidence="low")
    assert bench.image(state="absent")["changed"]
    assert bench.imports() == []


def test_absent_of_an_own_image_needs_no_checksum(bench: Bench) -> None:
    digest = bench.publish(name="own/a.qcow2")
    bench.image(url=bench.url("own/a.qcow2"), checksum=f"sha256:{digest}")
    assert bench.image(url=bench.url("own/a.qcow2"), state="absent").get("changed")


# --- refusals


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"image": None}, "image: it is missing. Give a catalogue id such as debian-13, or url with checksum"),
        ({"checksum": "sha256:" + "0" * 64}, "it belongs to url"),
        ({"url": "https://images.example/a.qcow2"}, "its checksum is missing"),
        ({"url": "https://images.example/a.qcow2", "checksum": "sha256:abc"}, "checksum='sha256:abc': "),
        ({"url": "https://images.example/", "checksum": "sha256:" + "0" * 64}, "ends with a slash"),
        ({"image": "nosuch"}, "image: 'nosuch' is not in the catalogue"),
        ({"arch": "aarch64"}, f"arch: 'aarch64' is not known for the catalogue image '{IMAGE}'; it exists for x86_64"),
        ({"catalog_files": ["/nonexistent/catalog.yml"]}, "/nonexistent/catalog.yml cannot be read"),
    ],
)
def test_options_that_cannot_be_meant(bench: Bench, options: dict[str, Any], problem: str) -> None:
    result = bench.image(**options)
    assert result["failed"]
    assert problem in result["msg"]
    assert bench.sent() == []


@pytest.mark.parametrize(
    ("facts", "options", "problem"),
    [
        ({"lifecycle": {"phase": "eol", "eol": "2024-06-30"}}, {}, "is past its end of life since 2024-06-30"),
        ({"confidence": "low"}, {}, "is of low confidence"),
        ({"lifecycle": {"phase": "eol", "eol": "2024-06-30"}}, {"allow_eol": True}, ""),
        ({"confidence": "low"}, {"allow_unverified": True}, ""),
        ({"cloud_init": "none"}, {}, ""),
    ],
)
def test_images_that_want_a_word_of_consent(
    bench: Bench, facts: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    bench.describe(**facts)
    result = bench.image(**options)
    assert problem in result.get("msg", "")
    assert bool(result.get("failed")) is bool(problem)
    assert len(bench.imports()) == (0 if problem else 1)


def test_an_image_without_cloud_init_is_no_template(bench: Bench) -> None:
    bench.describe(cloud_init="none")
    result = bench.template()
    assert "has no cloud-init, so it cannot become a template" in result["msg"]


def cluster_with_odd_storages() -> FakeCluster:
    cluster = FakeCluster(nodes=["pve1", "pve2"])
    cluster.add_storage("isos", type="dir", path="/srv/isos", content="iso,vztmpl")
    cluster.nodes["pve2"]["online"] = False
    return cluster


@pytest.mark.parametrize("bench", [cluster_with_odd_storages], indirect=True)
@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"node": "pve9"}, ["node='pve9': the cluster has no such node. Name one of: pve1, pve2"]),
        ({"node": "pve2"}, ["node='pve2': the node is offline"]),
        ({"storage": "nosuch"}, ["storage='nosuch'", "or grant Datastore.Audit on /storage/nosuch"]),
        (
            {"storage": "isos"},
            ["storage='isos': its content has no 'import'", "pvesm set isos --content import,iso"],
        ),
        ({"storage": "local-lvm"}, ["storage='local-lvm': storage type lvmthin holds no files"]),
    ],
)
def test_places_that_will_not_do(bench: Bench, options: dict[str, Any], texts: list[str]) -> None:
    result = bench.image(**options)
    assert result["failed"]
    assert [text for text in texts if text not in result["msg"]] == [], result["msg"]
    assert bench.writes() == []


@pytest.mark.parametrize("bench", ["8.3.5"], indirect=True)
def test_a_node_that_is_too_old(bench: Bench) -> None:
    result = bench.image()
    assert "node='pve1': it runs Proxmox VE 8.3.5, which stores no disk images through the API" in result["msg"]
    assert bench.writes() == []


def test_a_signature_that_is_required_and_not_there(bench: Bench) -> None:
    result = bench.image(signature="required")
    assert result["failed"]
    assert "signature" in result["msg"]
    assert bench.writes() == []


# --- least privileges


@pytest.mark.parametrize("bench", [pve_lab.build, lambda: pve_lab.build("9.1.2")], indirect=True, ids=["8.4", "9.1"])
def test_a_token_with_least_privileges(bench: Bench) -> None:
    bench.credentials = {
        "api_token_id": pve_lab.TOKEN,
        "api_token_secret": bench.cluster.apitokens[pve_lab.TOKEN],
    }
    assert bench.image()["changed"]
    assert any(line.endswith("/download-url") for line in bench.sent())
    assert bench.image()["changed"] is False
    assert bench.image(state="absent")["changed"]
    assert bench.imports() == []


@pytest.mark.parametrize("bench", [lambda: pve_lab.build(without="Sys.AccessNetwork")], indirect=True)
def test_a_token_whose_node_may_not_download_uploads(bench: Bench) -> None:
    bench.credentials = {
        "api_token_id": pve_lab.TOKEN,
        "api_token_secret": bench.cluster.apitokens[pve_lab.TOKEN],
    }
    assert bench.image()["changed"]
    assert any(line.endswith("/upload") for line in bench.sent())
    assert all(entry.status < 400 for entry in bench.server.requests)


@pytest.mark.parametrize("bench", [lambda: pve_lab.build(without="Datastore.AllocateTemplate")], indirect=True)
def test_a_token_that_lacks_a_privilege_is_told_the_line_that_grants_it(bench: Bench) -> None:
    bench.credentials = {
        "api_token_id": pve_lab.TOKEN,
        "api_token_secret": bench.cluster.apitokens[pve_lab.TOKEN],
    }
    result = bench.image()
    assert f"api_token_id='{pve_lab.TOKEN}': it lacks Datastore.AllocateTemplate on /storage/local" in result["msg"]
    assert "pveum acl modify /storage/local" in result["msg"]
    assert bench.writes() == []
