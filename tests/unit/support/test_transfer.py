# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads, uploads and what is listed afterwards."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from tests.support.pve import FakeCluster, serve
from tests.support.pve.images import GIB, qcow2, raw
from tests.support.pve.recording import image_server
from tests.support.pve_client import Api

LOCAL = "/nodes/pve1/storage/local"
URL = "http://vendor.example/images/"
SHA = hashlib.sha256(qcow2()).hexdigest()


@pytest.fixture
def net(api: Api) -> t.Iterator[Api]:
    """The vendor's host leads to a server on loopback."""
    with image_server() as url:
        api.cluster.url_map[URL] = url
        yield api


def fetch(api: Api, filename: str, file: str = "empty2g.qcow2", **more: str) -> t.Any:
    values = {"url": URL + file, "content": "import", "filename": filename, **more}
    return api.ended("POST", LOCAL + "/download-url", **values)


def checked(value: str = SHA, algorithm: str = "sha256") -> dict[str, str]:
    return {"checksum": value, "checksum-algorithm": algorithm}


def test_a_download_is_real(net: Api) -> None:
    task = fetch(net, "a.qcow2", **checked())
    assert task.status == "OK"
    assert "calculating checksum...OK, checksum verified" in task.log
    assert task.upid.split(":")[5:7] == ["download", "a.qcow2"]
    (row,) = [row for row in net.ok("GET", LOCAL + "/content", content="import") if row["volid"].endswith("a.qcow2")]
    assert (row["size"], row["format"]) == (196_640, "qcow2")
    assert net.cluster.volumes()["local:import/a.qcow2"].virtual_size == 2 * GIB


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_every_algorithm_is_computed(net: Api, algorithm: str) -> None:
    digest = hashlib.new(algorithm, qcow2(), usedforsecurity=False).hexdigest()
    assert fetch(net, "a.qcow2", **checked(digest, algorithm)).status == "OK"
    wrong = "0" * len(digest)
    assert (
        fetch(net, "b.qcow2", **checked(wrong, algorithm)).status
        == f"checksum mismatch: got '{digest}' != expect '{wrong}'"
    )
    assert "local:import/b.qcow2" not in net.cluster.volumes()


def test_an_existing_file_is_never_overwritten(net: Api) -> None:
    fetch(net, "a.qcow2")
    assert fetch(net, "a.qcow2").status == "refusing to override existing file '/var/lib/vz/import/a.qcow2'"
    same = fetch(net, "a.qcow2", **checked())
    assert same.status == "OK"
    assert same.log[1] == "calculating checksum of existing file...OK, got correct file already, no need to download"
    assert fetch(net, "a.qcow2", **checked("0" * 64)).status.endswith("aborting")


def test_what_wget_says(net: Api) -> None:
    missing = fetch(net, "a.qcow2", "nope.qcow2")
    assert missing.status == "download failed: exit code 8"
    assert missing.log[-2].endswith("ERROR 404: File not found.")
    stranger = net.ended(
        "POST", LOCAL + "/download-url", url="http://nowhere.example/x", content="import", filename="x.raw"
    )
    assert stranger.status == "download failed: exit code 4"


@pytest.mark.parametrize(
    ("content", "filename", "text"),
    [
        ("import", "x.img", "invalid filename or wrong extension"),
        ("import", "x y.qcow2", "invalid filename or wrong extension"),
        ("iso", "x.qcow2", "wrong file extension"),
        ("vztmpl", "x.iso", "wrong file extension"),
    ],
)
def test_extensions(net: Api, content: str, filename: str, text: str) -> None:
    refusal = net.refused(
        "POST", LOCAL + "/download-url", url=URL + "empty2g.qcow2", content=content, filename=filename
    )
    assert refusal.errors == {"filename": text}


def test_refused_before_the_fork(net: Api) -> None:
    values = {"url": URL + "empty2g.qcow2", "content": "import", "filename": "x.qcow2"}
    thin = net.refused("POST", "/nodes/pve1/storage/local-lvm/download-url", **values)
    assert thin.message == "can't upload to storage type 'lvmthin', not a file based storage!"
    assert "checksum-algorithm" in net.refused("POST", LOCAL + "/download-url", **values, checksum=SHA).errors
    net.ok("PUT", "/storage/local", content="iso,images")
    refusal = net.refused("POST", LOCAL + "/download-url", **values)
    assert refusal.message == "storage 'local' is not configured for content-type 'import'"


def test_what_the_worker_refuses(net: Api) -> None:
    assert fetch(net, "a.qcow2", compression="gz").status == "decompression not supported for import"
    net.cluster.storages["local"].update(total=1024, occupied=0)
    full = fetch(net, "b.qcow2")
    assert full.status == "download failed: exit code 3"
    assert "No space left on device" in full.log[-2]


def test_url_metadata(net: Api) -> None:
    path = "/nodes/pve1/query-url-metadata"
    assert net.ok("GET", path, url=URL + "empty2g.qcow2") == {
        "filename": "empty2g.qcow2",
        "mimetype": "application/octet-stream",
        "size": 196_640,
    }
    assert "404" in net.refused("GET", path, url=URL + "nope").message


def test_uploads(api: Api) -> None:
    reply = api.upload(LOCAL + "/upload", "my seed.iso", b"x" * 1000, content="iso")
    task = api.end_of(reply.json()["data"])
    assert task.upid.split(":")[5:7] == ["imgcopy", ""]
    assert "target file: /var/lib/vz/template/iso/my_seed.iso" in task.log
    volume = api.cluster.volumes()["local:iso/my_seed.iso"]
    assert volume.path is not None
    assert volume.path.read_bytes() == b"x" * 1000
    api.upload(LOCAL + "/upload", "my_seed.iso", b"y", content="iso")
    assert api.cluster.volumes()["local:iso/my_seed.iso"].size == 1
    assert api.server.writes()[-1].params == {"content": "iso", "filename": "my_seed.iso"}


def test_uploads_for_import(api: Api) -> None:
    good = api.upload(
        LOCAL + "/upload",
        "a.qcow2",
        qcow2(3 * GIB),
        content="import",
        **checked(hashlib.sha256(qcow2(3 * GIB)).hexdigest()),
    )
    assert api.end_of(good.json()["data"]).status == "OK"
    assert api.cluster.volumes()["local:import/a.qcow2"].virtual_size == 3 * GIB
    bad = api.upload(LOCAL + "/upload", "b.qcow2", qcow2(), content="import", **checked("0" * 64))
    assert api.end_of(bad.json()["data"]).status.startswith("checksum mismatch: got")
    liar = api.upload(LOCAL + "/upload", "c.qcow2", raw(), content="import")
    assert "not in qcow2 format" in api.end_of(liar.json()["data"]).status
    snippet = api.upload(LOCAL + "/upload", "x.yaml", b"", content="snippets").json()
    assert snippet["errors"] == {
        "content": "value 'snippets' does not have a value in the enumeration 'iso, vztmpl, import'"
    }


def test_before_8_4_import_takes_ova_only() -> None:
    with serve(FakeCluster(version="8.3.5")) as server:
        api = Api(server)
        assert api.ok("GET", "/version")["release"] == "8.3"
        values = {"url": "http://127.0.0.1:1/x", "content": "import"}
        refusal = api.refused("POST", LOCAL + "/download-url", filename="x.qcow2", **values)
        assert refusal.errors == {"filename": "invalid filename or wrong extension"}
        assert (
            api.ended("POST", LOCAL + "/download-url", filename="x.ova", **values).status
            == "download failed: exit code 4"
        )


def test_deleting_volumes(api: Api) -> None:
    path = LOCAL + "/content/"
    assert api.done("DELETE", path + "local%3Aimport%2Fempty.qcow2")[0] == "Removed volume 'local:import/empty.qcow2'"
    assert api.ok("DELETE", path + "local:import/empty.qcow2", delay=5) is None
    assert api.cluster.volumes() == {}


def test_storage_status_and_content_sets(api: Api) -> None:
    api.cluster.storages["local"].update(total=1000, occupied=400)
    shown = api.ok("GET", LOCAL + "/status")
    assert (shown["total"], shown["used"] >= 400, shown["active"]) == (1000, True, 1)
    assert api.refused("GET", "/nodes/pve1/storage/nosuch/status").errors == {"storage": "No such storage."}
    assert api.refused("GET", "/nodes/pve1/storage/nosuch/content").message == "storage 'nosuch' does not exist"
    api.ok("PUT", "/storage/local-lvm", content="images,import")
    assert api.ok("GET", "/storage/local-lvm")["content"] == "images"
    api.ok("POST", "/storage", storage="extra", type="dir", path="/extra", content="iso")
    assert api.ok("GET", "/nodes/pve2/storage/extra/content") == []
