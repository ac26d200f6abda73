# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed as an ISO image: the same bytes always, and readable by whoever reads ISO images."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pycdlib
import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._seed import iso as iso_module
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.cloud_config import Seed
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.errors import SeedError
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.iso import seed_iso
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.iso_dates import fix_dates

DEB = "agent/qemu-guest-agent_1%3a7.2+dfsg-7+deb12u12_amd64.deb"
SEED = Seed(
    user_data="#cloud-config\n{}\n",
    meta_data='{\n  "instance-id": "homelab-1"\n}\n',
    network_config='{"version": 2}\n',
    extra={DEB: b"\x00\xff" * 3000, "agent/liburing2_2.3-3_amd64.deb": b"deb"},
)
FILES = {
    "user-data": SEED.user_data.encode(),
    "meta-data": SEED.meta_data.encode(),
    "network-config": b'{"version": 2}\n',
    **SEED.extra,
}


@pytest.fixture(scope="module")
def image() -> bytes:
    return seed_iso(SEED)


def test_golden(image):
    """The same with pycdlib 1.12, 1.14 and 1.22. A change makes every builder upload its seed anew, no more."""
    assert hashlib.sha256(image).hexdigest() == "fe3290d8c11ba058f34d3047ad4d1a102ca315a0dc8af1ad2d336b8c668dcbff"


def test_neither_the_time_nor_the_time_zone_counts(image, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_900_000_000.0)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert seed_iso(SEED) == image
    finally:
        monkeypatch.undo()
        time.tzset()


def test_every_byte_of_the_seed_counts(image):
    other = Seed(user_data=SEED.user_data + "\n", meta_data=SEED.meta_data)
    assert len({seed_iso(other), seed_iso(SEED), seed_iso(Seed(user_data="", meta_data=SEED.meta_data))}) == 3


@pytest.mark.parametrize("names", ["rr_path", "joliet_path"])
def test_pycdlib_reads_it(image, names):
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    assert iso.pvd.volume_identifier.rstrip() == b"cidata"
    for path, data in FILES.items():
        read = io.BytesIO()
        iso.get_file_from_iso_fp(read, **{names: f"/{path}"})
        assert read.getvalue() == data, path
    iso.close()


def test_the_joliet_label_is_the_same(image):
    """blkid takes the label of the Joliet descriptor where there is one."""
    supplementary = image[17 * 2048 : 18 * 2048]
    assert supplementary[0] == 2
    assert supplementary[40:72].decode("utf-16-be").rstrip() == "cidata"


def test_all_dates_are_the_fixed_one(image):
    year = time.gmtime().tm_year
    assert struct.pack("B", year - 1900) + bytes([time.gmtime().tm_mon]) not in image[16 * 2048 : 40 * 2048]
    assert str(year).encode() not in image
    assert image.count(b"2000010100000000\x00") == 6


@pytest.mark.skipif(not shutil.which("bsdtar"), reason="needs bsdtar")
def test_bsdtar_reads_it(image, tmp_path):
    (tmp_path / "seed.iso").write_bytes(image)
    (tmp_path / "out").mkdir()
    subprocess.run(["bsdtar", "-xf", "seed.iso", "-C", "out"], cwd=tmp_path, check=True, timeout=60)
    assert read_tree(tmp_path / "out") == FILES


@pytest.mark.skipif(not shutil.which("isoinfo"), reason="needs isoinfo")
@pytest.mark.parametrize("names", ["-R", "-J"])
def test_isoinfo_reads_it(image, tmp_path, names):
    path = tmp_path / "seed.iso"
    path.write_bytes(image)
    for name, data in FILES.items():
        told = subprocess.run(["isoinfo", names, "-x", f"/{name}", "-i", str(path)], capture_output=True, check=True)
        assert told.stdout == data, name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts")
def test_the_kernel_reads_it(image, tmp_path):
    """The reader that counts; where loop devices are not allowed, the others have to do."""
    (tmp_path / "seed.iso").write_bytes(image)
    (tmp_path / "mnt").mkdir()
    mount = ["mount", "-t", "iso9660", "-o", "loop,ro", str(tmp_path / "seed.iso"), str(tmp_path / "mnt")]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no loop mounts here")
    try:
        assert read_tree(tmp_path / "mnt") == FILES
    finally:
        subprocess.run(["umount", str(tmp_path / "mnt")], check=True)


def read_tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_large_file_and_many_of_them_come_back():
    """Directories over more than one sector, and Rock Ridge entries that are continued elsewhere."""
    extra = {f"agent/{number:03}-{'n' * 55}.deb": bytes([number]) * 5000 for number in range(120)}
    image = seed_iso(Seed(user_data="#cloud-config\n", meta_data="{}", extra=extra))
    assert str(time.gmtime().tm_year).encode() not in image
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    for path, data in extra.items():
        read = io.BytesIO()
        iso.get_file_from_iso_fp(read, rr_path=f"/{path}")
        assert read.getvalue() == data
    dates = {
        tuple(getattr(child.date, name) for name in ("years_since_1900", "month", "day_of_month"))
        for child in iso.list_children(rr_path="/agent")
    }
    assert dates == {(100, 1, 1)}
    iso.close()


@pytest.mark.parametrize(
    "name", ["agent/a b.deb", "a/b/c.deb", "agent/" + "n" * 65, "agent/ü.deb", "../x", "agent/", "/x"]
)
def test_names_that_not_every_reader_knows_are_refused(name):
    with pytest.raises(SeedError, match="no name of a file"):
        seed_iso(Seed(user_data="", meta_data="", extra={name: b""}))


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(iso_module, "MAX_ISO", 100)
    with pytest.raises(SeedError, match="have 106 bytes; at most 100"):
        seed_iso(Seed(user_data="x" * 106, meta_data=""))


def test_without_pycdlib_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycdlib", None)
    with pytest.raises(SeedError, match="pycdlib"):
        seed_iso(SEED)


@pytest.mark.parametrize("data", [b"", b"\x00" * 40000, b"x" * 40000])
def test_dates_of_what_is_no_image(data):
    with pytest.raises(SeedError):
        fix_dates(data)
