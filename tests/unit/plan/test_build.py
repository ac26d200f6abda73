# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build asks of Proxmox VE."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.disk import Disk
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import read_identity
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import DiskWish, EfiWish, Password
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.build import (
    create_params,
    stored_filename,
    version_tuple,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.steps import Build

from tests.support.lines import IMAGE, NEW, line, plan, source


def build(version: str = "8.4.21", **changes: object) -> Build:
    (found,) = [
        step for step in plan(line(**changes), None, source(), version=version).steps if isinstance(step, Build)
    ]
    return found


def test_the_create_call_of_the_default_line() -> None:
    params = create_params(build(), 9007)
    assert params["vmid"] == 9007
    assert params["scsi0"] == (
        "local-lvm:0,import-from=local:import/debian-13-111111111111.qcow2,discard=on,iothread=1,ssd=1"
    )
    assert params["scsi1"] == "local-lvm:cloudinit"
    assert params["name"] == "debian-13-20261123120000"
    assert params["cpu"] == "x86-64-v2-AES"
    assert (params["serial0"], params["vga"]) == ("socket", "serial0")
    assert params["ciupgrade"] == "0"
    assert params["ciuser"] == "debian"
    assert "agent" not in params
    assert "template" not in params
    assert sorted(str(params["tags"]).split(";"))[-1] == "state-building"


def test_the_identity_in_the_create_call_names_the_vmid_that_is_used() -> None:
    params = create_params(build(), 9007)
    identity = read_identity(9007, str(params["description"]))
    assert identity.vmid == 9007
    assert identity.deadline


def test_a_password_never_stands_in_the_create_call() -> None:
    params = create_params(build(password=Password(value="s3cret")), 9000)
    assert "cipassword" not in params
    assert "s3cret" not in str(params)


def test_declared_settings_win_and_cleared_ones_go() -> None:
    params = create_params(build(settings={"cores": "8", "ciuser": "ops"}, clears=frozenset({"ipconfig0"})), 9000)
    assert (params["cores"], params["ciuser"]) == ("8", "ops")
    assert "ipconfig0" not in params


@pytest.mark.parametrize(
    ("version", "cert"), [("8.4.21", None), ("9.0.3", None), ("9.1.1", "2023k"), ("9.2.6~rc1", "2023k")]
)
def test_secure_boot_asks_for_the_2023_certificates_where_the_server_can_choose(version: str, cert: str | None) -> None:
    signed = replace(IMAGE, firmware=replace(IMAGE.firmware, secure_boot=True))
    params = create_params(build(version, image=signed, efi=EfiWish(secure_boot=True), tpm="v2.0"), 9000)
    efi = Disk.parse(str(params["efidisk0"]))
    assert params["bios"] == "ovmf"
    assert params["machine"] == "q35"
    assert efi.get("pre-enrolled-keys") == "1"
    assert efi.get("ms-cert") == cert
    assert params["tpmstate0"] == "local-lvm:1,version=v2.0"


def test_an_image_that_boots_with_uefi_only_gets_it_without_asking() -> None:
    params = create_params(build(image=replace(IMAGE, firmware=replace(IMAGE.firmware, bios=False))), 9000)
    assert params["bios"] == "ovmf"
    assert "pre-enrolled-keys=0" in str(params["efidisk0"])


def test_disk_options_are_laid_over_the_defaults() -> None:
    params = create_params(build(disk=DiskWish(format="qcow2", options={"ssd": "0", "cache": "writeback"})), 9000)
    disk = Disk.parse(str(params["scsi0"]))
    assert (disk.ssd, disk.cache, disk.format, disk.iothread) == (False, "writeback", "qcow2", True)


def test_a_stored_name_holds_the_digest_and_the_real_format() -> None:
    assert stored_filename(replace(IMAGE, id="we ird/ü+name", format="raw"), NEW) == "we_ird___name-111111111111.raw"


@pytest.mark.parametrize(
    ("text", "version"), [("8.4.21", (8, 4)), ("9.1.1~rc1", (9, 1)), ("9", (9, 0)), ("8.4-1", (8, 41))]
)
def test_versions(text: str, version: tuple[int, int]) -> None:
    assert version_tuple(text)[0] == version[0]
