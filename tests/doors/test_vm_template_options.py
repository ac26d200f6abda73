# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template's options: what cannot be meant is said at once, all together, with option, value and remedy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.workbench import Bench

URL = "https://images.example/appliance.qcow2"
PIN = "sha256:" + "0" * 64
RESERVED = "tags that begin with line-, gen-, recipe-, state- are kept for the identity"

# Options, and the one problem they are, word for word.
PROBLEMS: list[tuple[dict[str, Any], str]] = [
    (
        {"line": "Debian_13"},
        "line='Debian_13': use lower-case letters, digits, '.' and '-', 48 characters at most, such as debian-13",
    ),
    (
        {"line": "x" * 49},
        f"line='{'x' * 49}': use lower-case letters, digits, '.' and '-', 48 characters at most, such as debian-13",
    ),
    ({"storage": None}, "storage=None: name the storage for the template's disks, such as local-lvm"),
    ({"vmid": 99}, "vmid=99: Proxmox VE takes 100 to 999999999"),
    ({"vmid": 1_000_000_000}, "vmid=1000000000: Proxmox VE takes 100 to 999999999"),
    (
        {"vmid_range": "9000"},
        "vmid_range='9000': write first-last within 100-999999999, such as 9000-9099",
    ),
    (
        {"vmid_range": "9099-9000"},
        "vmid_range='9099-9000': write first-last within 100-999999999, such as 9000-9099",
    ),
    ({"vmid_range": "1-50"}, "vmid_range='1-50': write first-last within 100-999999999, such as 9000-9099"),
    ({"adopt": True}, "adopt=True: name the template to take over with vmid"),
    ({"name": "under_score"}, "name='under_score': it must be a DNS name of 48 characters at most, such as debian-13"),
    (
        {"description": "x\n```homelab\nvmid: 1\n```"},
        "description='x\\n```homelab\\nvmid: 1\\n```': the fence ```homelab is kept for the identity block",
    ),
    ({"tags": ["state-current"]}, f"tags='state-current': {RESERVED}"),
    ({"tags": ["Line-Web"]}, f"tags='Line-Web': {RESERVED}"),
    (
        {"tags": ["-x"]},
        "tags=['-x']: tags: '-x' is no tag: letters, digits, '_', '-', '+' and '.' only, and none of '-+.' first",
    ),
    ({"tags": ["two words"]}, "tags=['two words']: tags: 'two words' is not one tag"),
    ({"bios": "seabios", "tpm": {}}, "bios='seabios': efi and tpm need UEFI. Set bios to ovmf, or leave it out"),
    ({"bios": "seabios", "efi": {}}, "bios='seabios': efi and tpm need UEFI. Set bios to ovmf, or leave it out"),
    (
        {"checksum": PIN},
        f"checksum='{PIN}': it belongs to url. Catalogue images bring their own; give url as well, or remove checksum",
    ),
    (
        {"checksum_url": URL},
        f"checksum_url='{URL}': it belongs to url. Catalogue images bring their own; give url as well, or remove "
        "checksum_url",
    ),
    (
        {"url": URL},
        f"url='{URL}': its checksum is missing. Give checksum: sha256:<hex>, or checksum_url: the vendor's sums file",
    ),
    (
        {"url": URL, "checksum": PIN, "checksum_url": URL},
        f"url='{URL}': its checksum is given twice. Give checksum: sha256:<hex>, or checksum_url: the vendor's sums "
        "file",
    ),
    (
        {"url": URL, "checksum": PIN, "image": "debian-13"},
        f"image='debian-13' and url='{URL}': give one of them, not both",
    ),
    (
        {"url": URL, "checksum": "0" * 64},
        f"checksum='{'0' * 64}': '{'0' * 64}' names no algorithm; write it as sha256:<hex>",
    ),
    (
        {"url": "ftp://images.example/x.qcow2", "checksum": PIN},
        "url='ftp://images.example/x.qcow2': 'ftp://images.example/x.qcow2' cannot be read: use http://, https://, "
        "file:///path or an absolute path",
    ),
    (
        {"image": "debian-31", "catalog_files": None},
        "image: 'debian-31' is not in the catalogue; did you mean debian-13 or debian-12 or debian-11?",
    ),
    (
        {"image": "talos", "catalog_files": None, "allow_unverified": True},
        "image: 'talos' ",
    ),
]
LOOSE = [
    # Options, and parts that the message must have besides the option: texts of the codecs, tested with them.
    ({"disk": {"size": "ten"}}, ["disk.size='ten': "]),
    pytest.param({"disk": {"size": "0"}}, ["disk.size='0': "]),
    ({"ipconfig": [{"ip": "192.0.2.9"}]}, ["ipconfig[0]=", "192.0.2.9"]),
    ({"ipconfig": [{"ip": "dhcp"}, {"gw": "192.0.2.1"}]}, ["ipconfig[1]="]),
    ({"net": [{"bridge": "a,b"}]}, ["net[0]="]),
    ({"sshkeys": ["", "ssh-rsa AAAA"]}, ["sshkeys=", "sshkeys, line 2: the data of this ssh-rsa key is damaged"]),
    ({"cpu": "host,nosuch=1,flags"}, ["cpu="]),
    pytest.param({"cores": 0}, ["cores=0: "]),
    pytest.param({"memory": -1}, ["memory=-1: "]),
    pytest.param({"description": "x" * 8000}, ["description", "8192"]),
    ({"line": "debian-13", "name": "x" * 64}, ["name="]),
]


def named(value: Any) -> str:
    """The id of a row: its options."""
    return ",".join(value) if isinstance(value, dict) else ""


def refused(bench: Bench, options: dict[str, Any]) -> dict[str, Any]:
    """The result of options that are refused before a server or a vendor is asked."""
    bench.vendor.asked.clear()
    result = bench.template(**options)
    assert result.get("failed"), result
    assert bench.sent() == []
    assert bench.vendor.asked == []
    return result


@pytest.mark.parametrize(("options", "text"), PROBLEMS, ids=named)
def test_a_problem_in_its_exact_words(bench: Bench, options: dict[str, Any], text: str) -> None:
    result = refused(bench, options)
    assert result["problems"] == [result["msg"]]
    assert result["msg"].startswith(text) if text.endswith(" ") else result["msg"] == text


@pytest.mark.parametrize(("options", "parts"), LOOSE, ids=named)
def test_a_value_that_proxmox_would_refuse_is_refused_first(
    bench: Bench, options: dict[str, Any], parts: list[str]
) -> None:
    result = refused(bench, options)
    assert [part for part in parts if part not in result["msg"]] == [], result["msg"]


def test_everything_that_is_wrong_is_said_together(bench: Bench) -> None:
    result = refused(
        bench,
        {
            "line": "Not A Line",
            "storage": None,
            "vmid": 5,
            "vmid_range": "x",
            "name": "a_b",
            "description": "```homelab",
            "tags": ["gen-1", "b c"],
            "disk": {"size": "huge"},
            "ipconfig": [{"ip": "nowhere"}],
            "sshkeys": ["no key"],
            "bios": "seabios",
            "tpm": {},
            "checksum": PIN,
        },
    )
    found = {problem.partition("=")[0] for problem in result["problems"]}
    assert found == {
        *("line", "storage", "vmid", "vmid_range", "name", "description", "tags", "disk.size", "ipconfig[0]"),
        *("sshkeys", "bios", "checksum"),
    }
    assert len(result["problems"]) == 13
    assert result["msg"].startswith("13 problems:\n- line=")
    assert result["msg"].count("\n- ") == 13


def test_no_problem_repeats_a_key_or_a_password(bench: Bench) -> None:
    private = "-----BEGIN OPENSSH PRIVATE KEY-----b3BlbnNzaC1rZXk"
    result = refused(bench, {"sshkeys": [private], "cipassword": "Correct-Horse-77"})
    assert "b3BlbnNzaC1rZXk" not in result["msg"]
    assert "private key" in result["msg"]
    assert "Correct-Horse-77" not in str(result)


def test_absent_asks_for_nothing_but_line_and_node(bench: Bench) -> None:
    result = bench.call("vm_template", {"line": "debian-13", "node": "pve1", "state": "absent"})
    assert result["changed"] is False, result


@pytest.mark.parametrize("missing", ["line", "node"])
def test_line_and_node_are_required(bench: Bench, missing: str) -> None:
    assert refused(bench, {missing: None})["msg"] == f"missing required arguments: {missing}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node": "pve9"}, "node='pve9': the cluster has no such node. Name one of: pve1"),
        pytest.param(
            {"storage": "nosuch"},
            "storage='nosuch': the node has no such storage that these credentials may see",
        ),
        ({"image_storage": "local-lvm"}, "image_storage='local-lvm': storage type lvmthin holds no files"),
        ({"cloudinit_storage": "nosuch"}, "cloudinit_storage='nosuch': the node has no such storage"),
        ({"bios": "ovmf"}, "bios='ovmf': Debian 13 (lab) has no UEFI boot. Set bios to seabios"),
        ({"ciuser": "operator"}, "ciuser='operator': the image has a system account of this name"),
        pytest.param(
            {"pool": "nosuch"},
            "pool='nosuch': ",
        ),
    ],
)
def test_what_only_the_cluster_can_tell_is_refused_before_any_write(
    bench: Bench, options: dict[str, Any], text: str
) -> None:
    bench.describe(firmware={"bios": True, "uefi": False}, quirks=["no-user-operator"])
    result = bench.template(**options)
    assert result.get("failed"), result
    assert f"line debian-13 on node {options.get('node', 'pve1')}: {text}" in result["msg"]
    assert bench.writes() == []
    assert result["refusals"] == [result["msg"]]
