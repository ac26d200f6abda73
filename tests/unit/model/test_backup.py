# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a backup is, which one is meant, and what the config inside of an archive says."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.backup import (
    Backup,
    Label,
    Wanted,
    archived_config,
    backup_of,
    of_line,
    to_back_up,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State, describe, read_identity
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lines import cluster, generation, line
from tests.support.pve.backup import config_text

ROW = {
    "volid": "local:backup/vzdump-qemu-9000-2026_11_23-10_00_00.vma.zst",
    "vmid": 9000,
    "size": 1001,
    "ctime": 1795442403,
    "subtype": "qemu",
    "notes": "homelab line=debian-13 generation=20261123100000 recipe=0123456789ab",
}


def backup(**changes: object) -> Backup:
    made = backup_of("pve1", "local", ROW)
    assert made is not None
    return replace(made, **changes)


# --- labels


def test_a_label_is_one_line_that_vzdump_does_not_expand() -> None:
    label = Label.of(generation(line(), 9000).identity)
    text = label.render()
    assert not set(text) & set("\n\\{}")
    assert len(text) < 1024, "the longest notes-template that the API takes"
    assert Label.parse(text) == label


@pytest.mark.parametrize(
    "notes",
    [
        "",
        "debian-13",
        "homelab",
        "homelab line=debian-13",
        "my homelab line=a generation=1",
        "homelab  line=a generation=1",
    ],
)
def test_other_notes_are_nobodys(notes: str) -> None:
    assert Label.parse(notes) is None


def test_what_a_person_adds_behind_is_left_alone() -> None:
    label = Label(line="debian-13", generation="20261123100000", recipe="0123456789ab")
    assert Label.parse(f"{label.render()} before the upgrade") == label
    assert Label.parse(f"{label.render()}\nbefore the upgrade") == label


@pytest.mark.parametrize("row", [{**ROW, "subtype": "lxc"}, {key: ROW[key] for key in ROW if key != "vmid"}])
def test_backups_of_containers_and_of_nobody_do_not_count(row: dict[str, object]) -> None:
    assert backup_of("pve1", "local", row) is None


# --- which one is meant


def test_the_last_one_made_is_meant_unless_another_is_named() -> None:
    old = backup(created=1, volid="local:backup/1", notes="homelab line=debian-13 generation=20261101000000")
    new = backup(created=2, volid="local:backup/2")
    other = backup(created=3, volid="local:backup/3", notes="homelab line=other generation=20261123100000")
    nobody = backup(created=4, volid="local:backup/4", notes="")
    listed = [old, new, other, nobody]
    assert of_line(listed, "debian-13") == [new, old]
    assert Wanted(line="debian-13").pick(listed) is new
    assert Wanted(line="debian-13", generation="20261101000000").pick(listed) is old
    assert Wanted(line="debian-13", generation="20200101000000").pick(listed) is None
    assert Wanted(line="debian-13", volid="local:backup/4").pick(listed) is nobody


def test_the_newest_current_generation_is_backed_up_from_a_node_that_has_the_storage() -> None:
    here = generation(line(), 9000)
    newer = generation(line(), 9001)
    former = generation(line(), 9002, state=State.RETIRED)
    broken = generation(line(), 9003, config={"template": None})
    unfinished = generation(line(), 9004, deadline="2026-11-23T13:00:00+00:00")
    found = [here, newer, former, broken, unfinished]
    where = cluster()

    def chosen(node: str | None = None, name: str | None = None) -> int | None:
        one = to_back_up(found, where, storage="local", node=node, generation=name)
        return one.vmid if one else None

    assert chosen() == 9001
    assert chosen(name=here.identity.generation) == 9000
    assert chosen(name=former.identity.generation) == 9002
    assert chosen(name=broken.identity.generation) is None
    assert chosen(name=unfinished.identity.generation) is None
    assert chosen(node="pve2") is None


# --- archives


def test_an_archived_config_ends_where_snapshots_begin() -> None:
    text = (
        "#Ours%3A 100 %25\n#\n#second\nboot: order=scsi0\nmemory: 2048\n"
        "scsi0: local-lvm:base-9000-disk-0,size=3G\ntemplate: 1\n#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n"
        "\n[PENDING]\nmemory: 4096\n\n[before]\n#not ours\nname: other\n"
    )
    config = archived_config(text)
    assert config.description == "Ours: 100 %\n\nsecond"
    assert config.memory_mib == 2048
    assert config.name is None
    assert config.template_is_complete(9000) == ()


@given(st.text(alphabet=string.printable + "\u00e9\u4e2d%:#[]", max_size=200).filter(lambda text: "```" not in text))
def test_a_block_survives_its_way_through_an_archive(human: str) -> None:
    human = "\n".join(human.splitlines())
    identity = generation(line(), 9000).identity
    description = describe(human, identity)
    config = archived_config(config_text({"description": description, "name": "x"}))
    assert read_identity(9000, config.description) == identity
