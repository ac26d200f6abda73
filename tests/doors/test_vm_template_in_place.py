# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_template changes a template in place: one PUT with the config's digest, and the exact difference."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.template_spec import line_options

from tests.support.workbench import KEY, LINE, Bench, lines_of

Sides = tuple[Any, Any]

ENCODED = urllib.parse.quote(KEY, safe="")
MAC = "BC:24:11:00:00:01"
NET = f"virtio={MAC},bridge=vmbr0"

# Option, value, and what differs by config key: (before, after).
ROWS: list[tuple[str, Any, dict[str, Sides]]] = [
    ("cores", 4, {"cores": ("2", "4")}),
    ("sockets", 2, {"sockets": (None, "2")}),
    ("cpu", "host", {"cpu": ("x86-64-v2-AES", "host")}),
    ("memory", 4096, {"memory": ("2048", "4096")}),
    ("balloon", 0, {"balloon": (None, "0")}),
    ("machine", "q35", {"machine": (None, "q35")}),
    ("scsihw", "virtio-scsi-pci", {"scsihw": ("virtio-scsi-single", "virtio-scsi-pci")}),
    ("ostype", "other", {"ostype": ("l26", "other")}),
    ("vga", "std", {"vga": ("serial0", "std")}),
    ("vga", "", {"vga": ("serial0", None)}),
    ("serial0", "", {"serial0": ("socket", None)}),
    ("agent", {"enabled": False}, {"agent": ("enabled=1", "0")}),
    ("agent", {"fstrim_cloned_disks": True}, {"agent": ("enabled=1", "1,fstrim_cloned_disks=1")}),
    ("net", [{"bridge": "vmbr1"}], {"net0": (NET, f"virtio,bridge=vmbr1,macaddr={MAC}")}),
    ("net", [{"tag": 20}], {"net0": (NET, f"virtio,tag=20,bridge=vmbr0,macaddr={MAC}")}),
    ("net", [{}, {"bridge": "vmbr1"}], {"net1": (None, "virtio,bridge=vmbr1")}),
    ("ciuser", "ops", {"ciuser": ("debian", "ops")}),
    ("ciuser", "", {"ciuser": ("debian", None)}),
    ("cipassword", "Correct-Horse-77", {"cipassword": ("<unset>", "<set>")}),
    ("sshkeys", [KEY], {"sshkeys": (None, ENCODED)}),
    (
        "ipconfig",
        [{"ip": "192.0.2.9/24", "gw": "192.0.2.1"}],
        {"ipconfig0": ("ip=dhcp", "ip=192.0.2.9/24,gw=192.0.2.1")},
    ),
    ("ipconfig", [{"ip": "dhcp"}, {"ip6": "auto"}], {"ipconfig1": (None, "ip6=auto")}),
    ("nameserver", ["192.0.2.53", "192.0.2.54"], {"nameserver": (None, "192.0.2.53 192.0.2.54")}),
    ("searchdomain", "lab.example", {"searchdomain": (None, "lab.example")}),
    ("ciupgrade", True, {"ciupgrade": ("0", "1")}),
    ("citype", "nocloud", {"citype": (None, "nocloud")}),
    ("name", "base", {"name": (LINE, "base")}),
    ("description", "For web hosts.", {"description": ("Debian 13 (lab)", "For web hosts.")}),
    ("description", "", {"description": ("Debian 13 (lab)", "")}),
    ("protection", True, {"protection": (False, True)}),
]

ELSEWHERE = {
    # What chooses the line, its image, its place or the manner of working.
    *("line", "node", "state", "image", "arch", "catalog_files", "url", "checksum", "checksum_url", "image_format"),
    *("compression", "signature", "keyring", "allow_eol", "allow_unverified", "transfer", "download_dir", "refresh"),
    *("max_age", "adopt", "cipassword_update", "vmid", "vmid_range", "image_storage"),
    # What needs a new generation, or takes effect on one (test_vm_template_rebuild.py).
    *("storage", "cloudinit_storage", "pool", "disk", "bios", "efi", "tpm"),
    # test_customise.py, test_prove.py
    *("customize", "iso_storage", "prove"),
    # test_bake.py
    *("bake_keys", "bake_timeout", "bake_version", "stop_before", "resume", "abandon"),
    # Its difference holds the identity's tags; it has a test of its own below.
    "tags",
    # What becomes of former generations (test_retention.py), and which one is current (test_rollback.py).
    *("keep", "hold", "pin"),
}


@pytest.fixture
def made(bench: Bench) -> Bench:
    """A template with a MAC address that is known."""
    vm = bench.build()
    vm.config["net0"] = NET
    return bench


def test_every_option_of_a_line_is_in_the_table_or_named_elsewhere() -> None:
    assert {option for option, _value, _sides in ROWS} | ELSEWHERE == set(line_options())


@pytest.mark.parametrize(("option", "value", "sides"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_one_option_in_place(made: Bench, option: str, value: Any, sides: dict[str, Sides]) -> None:
    digest = made.cluster.vms[9000].digest()
    untouched = {key: held for key, held in made.cluster.vms[9000].config.items() if key not in sides}

    planned = made.template(**{option: value}, check=True)
    assert made.writes() == []
    result = made.template(**{option: value})

    assert result["changed"], result
    assert result["diff"] == planned["diff"]
    assert lines_of(result, "before") == {key: before for key, (before, _after) in sides.items()}
    assert lines_of(result, "after") == {key: after for key, (_before, after) in sides.items()}
    assert len(result["steps"]) == 1
    sent = made.put()
    assert sent["digest"] == digest
    deleted = {key for key, (_before, after) in sides.items() if after is None}
    assert set(sent) - {"digest", "delete"} == set(sides) - deleted
    assert sent.get("delete") == (",".join(sorted(deleted)) or None)
    stored = made.cluster.vms[9000].config
    assert not deleted & set(stored)
    assert {key: stored[key] for key in untouched} == untouched

    again = made.template(**{option: value})
    assert again["changed"] is False, again["diff"]
    assert len(made.sent()) == 3


def test_tags_are_compared_as_sets_and_leave_the_identity_alone(made: Bench) -> None:
    identity = made.tags(9000)
    result = made.template(tags=["Web", "linux", "web"])
    assert lines_of(result, "before") == {"tags": sorted(identity)}
    assert lines_of(result, "after") == {"tags": sorted(identity | {"web", "linux"})}
    assert made.tags(9000) == identity | {"web", "linux"}
    assert made.template(tags=["linux", "web"])["changed"] is False
    assert made.template()["changed"] is False
    made.build(tags=[])
    assert made.tags(9000) == identity


def test_tags_put_there_by_hand_stay_until_tags_are_declared(made: Bench) -> None:
    made.cluster.vms[9000].config["tags"] += ";by-hand"
    assert made.template()["changed"] is False
    assert made.template(memory=4096)["changed"]
    assert "by-hand" in made.tags(9000)
    made.build(tags=["mine"], memory=4096)
    assert "by-hand" not in made.tags(9000)


def test_a_description_changed_by_hand_stays_until_one_is_declared(made: Bench) -> None:
    config = made.cluster.vms[9000].config
    config["description"] = config["description"].replace("Debian 13 (lab)", "Ours, by hand.")
    assert made.template()["changed"] is False
    result = made.template(description="Declared.")
    assert lines_of(result, "before") == {"description": "Ours, by hand."}
    assert config["description"].startswith("Declared.\n\n```homelab\n")


def test_a_name_changed_by_hand_is_put_right(made: Bench) -> None:
    made.cluster.vms[9000].config["name"] = "renamed"
    result = made.template()
    assert lines_of(result, "before") == {"name": "renamed"}
    assert made.put().keys() == {"name", "digest"}
    assert result["template"]["current"]["name"] == LINE


def test_lists_and_texts_given_empty_clear_what_is_there(made: Bench) -> None:
    made.build(sshkeys=[KEY], nameserver=["192.0.2.53"], searchdomain="lab.example")
    result = made.template(sshkeys=[], nameserver=[], searchdomain="", citype="configdrive2")
    cleared = {"nameserver", "searchdomain", "sshkeys"}
    assert set(made.put()["delete"].split(",")) == cleared
    assert {key for key, value in lines_of(result, "after").items() if value is None} == cleared
    assert not cleared & set(made.cluster.vms[9000].config)
    assert made.template(sshkeys=[], nameserver=[], searchdomain="")["changed"] is False


def test_many_options_are_one_write(made: Bench) -> None:
    result = made.template(cores=4, memory=4096, tags=["web"], ciuser="ops", protection=True, cipassword="Horse-77-xy")
    assert set(made.put()) == {"cores", "memory", "tags", "ciuser", "protection", "cipassword", "digest"}
    assert lines_of(result, "before").keys() == lines_of(result, "after").keys()
    (step,) = result["steps"]
    assert "Horse" not in step


def test_options_left_out_are_not_compared(made: Bench) -> None:
    made.build(cores=8, memory=8192, ciuser="ops", nameserver=["192.0.2.53"], protection=True)
    assert made.template()["changed"] is False


@pytest.mark.parametrize(
    ("option", "value", "stored"),
    [
        ("memory", 4096, {"memory": "current=4096"}),
        ("sockets", 1, {"sockets": None}),
        ("agent", {"enabled": True}, {"agent": "1"}),
        ("net", [{"bridge": "vmbr0", "firewall": False}], {"net0": f"virtio={MAC},bridge=vmbr0,firewall=0"}),
        ("nameserver", ["192.0.2.53", "192.0.2.54"], {"nameserver": "192.0.2.53  192.0.2.54"}),
        ("sshkeys", [KEY, KEY + "2"], {"sshkeys": urllib.parse.quote(f"{KEY}2\n{KEY}\n", safe="")}),
        ("ciupgrade", True, {"ciupgrade": None}),
        ("protection", False, {"protection": None}),
        ("cpu", "host", {"cpu": "cputype=host"}),
    ],
)
def test_other_spellings_of_the_same_are_no_change(
    made: Bench, option: str, value: Any, stored: dict[str, str | None]
) -> None:
    config = made.cluster.vms[9000].config
    for key, text in stored.items():
        config.pop(key, None)
        if text is not None:
            config[key] = text
    assert made.template(**{option: value})["changed"] is False


@pytest.mark.parametrize("text", ["one\r\ntwo", "one\r\ntwo\r\n"])
def test_line_ends_of_windows_settle(made: Bench, text: str) -> None:
    made.build(description=text)
    assert made.cluster.vms[9000].config["description"].startswith("one\ntwo\n\n```homelab\n")
    assert made.template(description=text)["changed"] is False


@pytest.mark.parametrize("text", ["Für ☃\n```\ncode\n```\n", "  a \n\n b\n\n", "x" * 7000])
def test_any_description_settles(made: Bench, text: str) -> None:
    made.build(description=text)
    assert made.template(description=text)["changed"] is False


def test_trunks_are_a_set(made: Bench) -> None:
    made.build(net=[{"trunks": ["10", "20-30"]}])
    assert made.template(net=[{"trunks": ["20-30", "10"]}])["changed"] is False


@pytest.mark.parametrize(
    ("option", "first", "then", "gone"),
    [
        ("net", [{}, {"bridge": "vmbr1"}], [{}], "net1"),
        ("net", [{}], [], "net0"),
        ("ipconfig", [{"ip": "dhcp"}, {"ip": "dhcp"}], [{"ip": "dhcp"}], "ipconfig1"),
        ("ipconfig", [{"ip": "dhcp"}], [], "ipconfig0"),
        ("ipconfig", [{"ip": "dhcp"}], [{}], "ipconfig0"),
    ],
)
def test_a_shorter_list_removes_the_rest(
    bench: Bench, option: str, first: list[Any], then: list[Any], gone: str
) -> None:
    bench.build(**{option: first})
    bench.template(**{option: then})
    assert bench.put().get("delete") == gone
    assert gone not in bench.cluster.vms[9000].config
    assert bench.template(**{option: then})["changed"] is False


def test_a_write_by_somebody_else_in_between_is_planned_anew(made: Bench) -> None:
    """The digest refuses the first write; the second plan keeps what the other one wrote."""
    read = made.cluster.find
    armed = [True]

    def find(node: str, vmid: Any) -> Any:
        vm = read(node, vmid)
        if armed and any(entry.path.endswith("/9000/config") for entry in made.server.requests):
            armed.clear()
            vm.config["cores"] = 6
        return vm

    made.server.reset_log()
    made.cluster.find = find
    result = made.template(memory=4096)
    assert not result.get("failed"), result
    puts = [entry.status for entry in made.writes()]
    assert puts == [500, 200]
    assert made.cluster.vms[9000].config["cores"] == 6
    assert made.cluster.vms[9000].config["memory"] == "4096"
