# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preflight may ask, what it makes of the answers, and the answers of the recorded server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.cluster import Cluster, NodeRow, StorageRow
from ansible_collections.homelab.proxmox.plugins.module_utils._model.preflight import (
    Finding,
    ImageSource,
    Level,
    Network,
    NodeFacts,
    NodeQuestions,
    PreflightFacts,
    PreflightWish,
    Questions,
    Reached,
    Unanswered,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.preflight import find, report, table, what_to_ask
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import CAPABILITIES, NEEDS
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import role_privileges
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ApiError
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import Kind as ErrorKind
from ansible_collections.homelab.proxmox.plugins.module_utils._read.preflight import read_facts

RECORDED = Path(__file__).parents[2] / "support" / "recorded" / "reads.json"
GIB = 1024**3
URL = "https://images.example/debian.qcow2"
SUMS = "https://images.example/SUMS"
IMAGE = ImageSource(id="debian-13", url=URL, sums_url=SUMS)
VMBR0 = Network(name="vmbr0", iface="vmbr0", zone_path="localnetwork/vmbr0")
TAGGED = Network(name="vmbr0/20", iface="vmbr0", zone_path="localnetwork/vmbr0/20")


def root() -> dict[str, dict[str, int]]:
    """Everything on /, as GET /access/permissions tells it to an administrator."""
    names = {
        right.privilege
        for major in NEEDS
        for call in NEEDS[major].values()
        for need in call.needs
        for alternative in need
        for right in alternative
    }
    every = dict.fromkeys([*names, "Sys.Audit", "Sys.Modify"], 1)
    return {path: dict(every) for path in ("/", "/vms", "/storage", "/nodes", "/pool", "/sdn", "/access")}


def storage(name: str, **changes: Any) -> StorageRow:
    defaults: dict[str, Any] = {
        "storage": name,
        "node": "pve1",
        "type": "dir",
        "content": frozenset({"images", "import"}),
        "shared": False,
        "available": True,
        "total": 100 * GIB,
        "used": 0,
    }
    return StorageRow(**{**defaults, **changes})


def cluster(*rows: StorageRow, nodes: Mapping[str, bool] | None = None) -> Cluster:
    known = {name: NodeRow(node=name, online=online) for name, online in (nodes or {"pve1": True}).items()}
    return Cluster(known, {(row.node, row.storage): row for row in rows}, {})


GOOD = NodeFacts(
    version="9.1.2", bridges=frozenset({"vmbr0"}), firmware="4.2025.05-2", clock=0.3, urls={URL: Reached()}
)
WISH = PreflightWish(networks=(VMBR0,), min_free=10 * GIB)


def facts(*rows: StorageRow, **changes: Any) -> PreflightFacts:
    defaults: dict[str, Any] = {
        "cluster": cluster(*(rows or (storage("local"),))),
        "permissions": root(),
        "auth_id": "root@pam!lab",
        "options": {},
        "quorate": True,
        "nodes": {"pve1": GOOD},
    }
    return PreflightFacts(**{**defaults, **changes})


def found(wish: PreflightWish, known: PreflightFacts, check: str) -> list[Finding]:
    return [one for one in find(wish, known) if one.check == check]


def the(wish: PreflightWish, known: PreflightFacts, check: str) -> Finding:
    (one,) = found(wish, known, check)
    return one


def test_all_is_well() -> None:
    result = find(WISH, facts())
    assert {one.level for one in result} == {Level.OK}
    assert {one.check for one in result} == {
        *("base", "bridge", "clock", "content", "firmware", "node", "privileges", "quorum"),
        *("space", "tag_style", "tags", "version", "vmids"),
    }
    assert all(not one.remedy for one in result)


# --- what may be asked


def test_an_administrator_may_ask_everything() -> None:
    wish = replace(WISH, images=(IMAGE,))
    asked = what_to_ask(wish, cluster(nodes={"pve1": True, "pve2": False}), root())
    assert asked == Questions(status=True, nodes={"pve1": NodeQuestions(bridges=True, audit=True, urls=(URL,))})


@pytest.mark.parametrize(
    ("granted", "status", "questions"),
    [
        ({}, False, NodeQuestions(bridges=True)),
        ({"/nodes/pve1": {"Sys.Audit": 0}}, False, NodeQuestions(bridges=True, audit=True)),
        ({"/nodes/pve1": {"Sys.AccessNetwork": 0}}, False, NodeQuestions(bridges=True, urls=(URL,))),
        ({"/": {"Sys.Audit": 0}}, True, NodeQuestions(bridges=True)),
        ({"/": {"Sys.Audit": 0, "Sys.Modify": 0}}, True, NodeQuestions(bridges=True, urls=(URL,))),
    ],
)
def test_nothing_is_asked_that_would_be_refused(
    granted: dict[str, dict[str, int]], status: bool, questions: NodeQuestions
) -> None:
    wish = replace(WISH, images=(IMAGE,))
    assert what_to_ask(wish, cluster(), granted) == Questions(status=status, nodes={"pve1": questions})


@pytest.mark.parametrize(
    "image",
    [
        ImageSource(id="a", url="https://x/a.xz", packed=True),
        ImageSource(id="a", url="file:///srv/a.qcow2"),
        ImageSource(id="a", url=None),
    ],
)
def test_nodes_are_not_asked_about_what_the_controller_uploads(image: ImageSource) -> None:
    assert what_to_ask(replace(WISH, images=(image,)), cluster(), root()).nodes["pve1"].urls == ()


# --- nodes


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("8.3.5", Level.ERROR),
        ("7.4-17", Level.ERROR),
        ("8.4.0", Level.OK),
        ("9.2.4", Level.OK),
        ("10.0.1~rc1", Level.WARNING),
        ("fake", Level.UNKNOWN),
        (Unanswered("no worker"), Level.UNKNOWN),
    ],
)
def test_versions(version: Any, level: Level) -> None:
    assert the(WISH, facts(nodes={"pve1": replace(GOOD, version=version)}), "version").level is level


@pytest.mark.parametrize(
    ("firmware", "version", "level", "says"),
    [
        ("4.2025.05-1", "9.0.3", Level.OK, "of 2023"),
        ("4.2025.05-2~bpo12+1", "8.4.1", Level.OK, "of 2023"),
        ("4.2026.02-1", "9.2.1", Level.OK, "of 2023"),
        ("4.2025.02-4", "9.0.3", Level.WARNING, "of 2011 only"),
        ("4.2023.08-4", "8.4.1", Level.WARNING, "of 2011 only"),
        (None, "9.1.2", Level.UNKNOWN, "Proxmox VE 9.1.2 comes with one for those of 2023"),
        (None, "8.4.1", Level.UNKNOWN, "Proxmox VE 8.4.1 came with one for those of 2011 only"),
        ("", "9.1.2", Level.UNKNOWN, "no pve-edk2-firmware"),
        (Unanswered("no worker"), "9.1.2", Level.UNKNOWN, "could not be read: no worker"),
        (None, Unanswered("no worker"), Level.UNKNOWN, "is not shown"),
    ],
)
def test_firmware(firmware: Any, version: Any, level: Level, says: str) -> None:
    one = the(WISH, facts(nodes={"pve1": replace(GOOD, firmware=firmware, version=version)}), "firmware")
    assert one.level is level
    assert says in one.message


@pytest.mark.parametrize(
    ("clock", "level", "says"),
    [
        (59.0, Level.OK, "agrees"),
        (-61.0, Level.WARNING, "61 s behind"),
        (90000.0, Level.WARNING, "90000 s ahead of"),
        (None, Level.UNKNOWN, "not shown"),
        (Unanswered("no worker"), Level.UNKNOWN, "could not be read"),
    ],
)
def test_clocks(clock: Any, level: Level, says: str) -> None:
    one = the(WISH, facts(nodes={"pve1": replace(GOOD, clock=clock)}), "clock")
    assert (one.level, says in one.message) == (level, True)


@pytest.mark.parametrize(
    ("quorate", "nodes", "level"),
    [
        (True, {"pve1": True, "pve2": False}, Level.OK),
        (False, {"pve1": True, "pve2": False}, Level.ERROR),
        (None, {"pve1": True, "pve2": True}, Level.UNKNOWN),
        (None, {"pve1": True}, Level.OK),
        (Unanswered("no worker"), {"pve1": True}, Level.UNKNOWN),
    ],
)
def test_quorum(quorate: Any, nodes: dict[str, bool], level: Level) -> None:
    assert the(WISH, facts(cluster=cluster(nodes=nodes), quorate=quorate), "quorum").level is level


def test_a_lost_quorum_names_who_is_missing() -> None:
    one = the(WISH, facts(cluster=cluster(nodes={"pve1": True, "pve2": False}), quorate=False), "quorum")
    assert one.remedy == "Start the missing nodes (offline: pve2), or look with: pvecm status"


def test_two_networks_on_one_bridge_are_both_looked_at() -> None:
    wish = replace(WISH, networks=(VMBR0, TAGGED, Network(name="lab", iface="", zone_path="lab")))
    assert {one.level for one in found(wish, facts(), "bridge")} == {Level.OK}
    one = found(wish, facts(nodes={"pve1": replace(GOOD, bridges=frozenset())}), "bridge")[0]
    assert one.level is Level.ERROR
    one = found(wish, facts(nodes={"pve1": replace(GOOD, bridges=Unanswered("x"))}), "bridge")[0]
    assert one.level is Level.UNKNOWN


# --- storages


@pytest.mark.parametrize("kind", ["lvm", "iscsi", "cephfs"])
@pytest.mark.parametrize(
    ("named", "capabilities", "level"),
    [
        (("s",), ("templates",), Level.ERROR),
        (("s",), ("customise", "clones"), Level.ERROR),
        (("s",), ("clones",), Level.WARNING),
        ((), ("templates",), Level.WARNING),
    ],
)
def test_storages_without_base_images(
    kind: str, named: tuple[str, ...], capabilities: tuple[str, ...], level: Level
) -> None:
    wish = replace(WISH, storages=named, capabilities=capabilities)
    assert the(wish, facts(storage("s", type=kind, content=frozenset({"images"}))), "base").level is level


@pytest.mark.parametrize(
    ("changes", "named", "level"),
    [
        ({"used": 91 * GIB}, ("s",), Level.ERROR),
        ({"used": 91 * GIB}, (), Level.WARNING),
        ({"used": 90 * GIB}, ("s",), Level.OK),
        ({"used": None}, ("s",), Level.UNKNOWN),
        ({"total": 0, "used": 0}, ("s",), Level.UNKNOWN),
    ],
)
def test_space(changes: dict[str, Any], named: tuple[str, ...], level: Level) -> None:
    assert the(replace(WISH, storages=named), facts(storage("s", **changes)), "space").level is level


def test_backup_storages_are_looked_at_for_backups_only() -> None:
    row = storage("pbs", type="pbs", content=frozenset({"backup"}))
    good = storage("local")
    assert "pve1/pbs" not in {one.subject for one in find(WISH, facts(good, row))}
    wish = replace(WISH, capabilities=("backup",), backup_storages=("pbs",))
    assert {one.check for one in find(wish, facts(good, row)) if one.subject == "pve1/pbs"} == {"content", "space"}
    one = the(replace(wish, backup_storages=("local",)), facts(good), "content")
    assert one.remedy == "Run: pvesm set local --content backup,images,import"


# --- privileges


def guided(capability: str, major: int, without: str = "") -> dict[str, dict[str, int]]:
    """The least that a capability needs, but one privilege."""
    paths = {
        "pool": "/pool/templates",
        "image_storage": "/storage/local",
        "disk_storage": "/storage/fast",
        "backup_storage": "/storage/pbs",
        "node": "/nodes/pve1",
        "bridge": "/sdn/zones/localnetwork/vmbr0",
    }
    return {
        paths[kind.value]: {name: int(kind.value == "pool") for name in names if name != without}
        for kind, names in role_privileges(major, [capability]).items()
    }


PLACES = replace(WISH, storages=("fast",), image_storages=("local",), backup_storages=("pbs",), pool="templates")
ROWS = (storage("fast"), storage("local"), storage("pbs", content=frozenset({"backup"})))


def decisive(capability: str, major: int) -> list[str]:
    """The privileges without which something fails: VM.GuestAgent.Unrestricted stands in for the others of its kind."""
    names = sorted({name for names in role_privileges(major, [capability]).values() for name in names})
    if "VM.GuestAgent.Unrestricted" not in names:
        return names
    return [name for name in names if not name.startswith("VM.GuestAgent.") or name.endswith(".Unrestricted")]


CASES = [
    (capability, major, privilege)
    for capability in CAPABILITIES
    for major in NEEDS
    for privilege in decisive(capability, major)
]


@pytest.mark.parametrize("major", NEEDS)
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_least_that_a_capability_needs_is_enough(capability: str, major: int) -> None:
    known = facts(*ROWS, permissions=guided(capability, major), nodes={"pve1": replace(GOOD, version=f"{major}.4.1")})
    one = the(replace(PLACES, capabilities=(capability,)), known, "privileges")
    assert (one.level, one.subject) == (Level.OK, f"capability {capability}")


@pytest.mark.parametrize(("capability", "major", "privilege"), CASES)
def test_one_privilege_less_is_found(capability: str, major: int, privilege: str) -> None:
    known = facts(
        *ROWS,
        auth_id="auto@pve!ci",
        permissions=guided(capability, major, without=privilege),
        nodes={"pve1": replace(GOOD, version=f"{major}.4.1")},
    )
    lacking = [
        one
        for one in found(replace(PLACES, capabilities=(capability,)), known, "privileges")
        if one.level is not Level.OK
    ]
    assert lacking
    for one in lacking:
        assert privilege in one.message
        assert f"for {capability}" in one.message
        assert privilege in one.remedy.partition("--privs ")[2].partition(" --append")[0]
        assert f"pveum acl modify {one.subject} --users auto@pve --tokens 'auto@pve!ci'" in one.remedy


def test_a_storage_that_was_only_guessed_is_a_warning_unless_it_is_the_last() -> None:
    granted = guided("templates", 9)
    wish = replace(PLACES, storages=(), image_storages=())
    granted["/storage/local"]["Datastore.AllocateSpace"] = 0
    rows = (storage("local"), storage("tank", type="zfspool", content=frozenset({"images"})))
    granted["/storage/tank"] = {"Datastore.Audit": 0}
    levels = {one.subject: one.level for one in found(wish, facts(*rows, permissions=granted), "privileges")}
    assert levels == {"/storage/tank": Level.WARNING, "capability templates": Level.OK}
    del granted["/storage/local"]["Datastore.AllocateSpace"]
    levels = {one.subject: one.level for one in found(wish, facts(*rows, permissions=granted), "privileges")}
    assert levels["capability templates"] is Level.ERROR


def test_without_a_place_nothing_is_proven() -> None:
    one = the(replace(WISH, networks=()), facts(storage("x", content=frozenset({"iso"}))), "privileges")
    assert one.level is Level.UNKNOWN
    assert one.remedy == "Set storages and image_storages and bridges"


# --- tags


@pytest.mark.parametrize(
    ("granted", "options", "level"),
    [
        ({"/": {"Sys.Modify": 1}}, {"user-tag-access": {"user-allow": "none"}}, Level.OK),
        ({"/": {"Sys.Audit": 1}}, {}, Level.OK),
        ({"/": {"Sys.Audit": 1}}, {"user-tag-access": {"user-allow": "list"}}, Level.ERROR),
        ({"/": {"Sys.Audit": 1}}, {"registered-tags": "prod;line-debian-13"}, Level.ERROR),
        ({"/": {"Sys.Audit": 1}}, {"registered-tags": ["prod"]}, Level.OK),
        ({}, {}, Level.UNKNOWN),
        ({"/": {"Sys.Modify": 1}}, Unanswered("no worker"), Level.UNKNOWN),
    ],
)
def test_tags(granted: dict[str, dict[str, int]], options: Any, level: Level) -> None:
    assert the(WISH, facts(permissions=granted, options=options), "tags").level is level


@pytest.mark.parametrize(
    ("style", "says"),
    [
        (None, "in lower case, sorted"),
        ("case-sensitive=1", "as they are written, sorted"),
        ({"ordering": "config", "case-sensitive": 0}, "in lower case, in the order given"),
    ],
)
def test_tag_style(style: Any, says: str) -> None:
    assert says in the(WISH, facts(options={"tag-style": style}), "tag_style").message


# --- vendors


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (Reached(200), Level.OK),
        (Reached(404), Level.ERROR),
        (Reached(405), Level.UNKNOWN),
        (Unanswered("no connection within 5 s"), Level.ERROR),
    ],
)
def test_the_way_of_the_controller(answer: Any, level: Level) -> None:
    wish = replace(WISH, images=(replace(IMAGE, sums_url=None, packed=True),))
    assert the(wish, facts(vendors={URL: answer}), "vendor").level is level


def test_the_way_of_a_node() -> None:
    wish = replace(WISH, images=(IMAGE,))
    known = facts(vendors={URL: Reached(), SUMS: Reached()})
    assert {one.level for one in found(wish, known, "vendor")} == {Level.OK}
    blocked = replace(known, nodes={"pve1": replace(GOOD, urls={URL: Unanswered("no route")})})
    (one,) = [one for one in found(wish, blocked, "vendor") if one.level is Level.ERROR]
    assert "transfer to upload" in one.remedy


def test_an_image_without_a_url() -> None:
    wish = replace(WISH, images=(ImageSource(id="rhel-9", url=None),))
    assert the(wish, facts(), "vendor").level is Level.WARNING


# --- the report


def sample(level: Level, subject: str = "pve1") -> Finding:
    remedy = "" if level is Level.OK else "Do this"
    return Finding(check="space", level=level, subject=subject, message="so it is", remedy=remedy)


def test_the_table_shows_what_is_not_in_order_and_counts_the_rest() -> None:
    rows = [sample(Level.ERROR, "pve1/local"), sample(Level.OK), sample(Level.OK), sample(Level.UNKNOWN)]
    assert table(rows) == [
        "error    pve1/local  space  so it is",
        "         -> Do this",
        "unknown  pve1        space  so it is",
        "         -> Do this",
        "ok       space (2)",
        "1 error, 0 warnings, 1 unknown, 2 in order",
    ]
    assert table([]) == ["0 errors, 0 warnings, 0 unknown, 0 in order"]


@pytest.mark.parametrize(
    ("fail_on", "level", "failed"),
    [
        ("error", Level.ERROR, True),
        ("error", Level.WARNING, False),
        ("warning", Level.WARNING, True),
        ("warning", Level.ERROR, True),
        ("warning", Level.UNKNOWN, False),
        ("never", Level.ERROR, False),
    ],
)
def test_what_fails(fail_on: Any, level: Level, failed: bool) -> None:
    result = report(replace(WISH, fail_on=fail_on), [sample(level)])
    assert result.get("failed", False) is failed
    assert result["ok"] is (level is not Level.ERROR)
    assert ("- pve1: so it is. Do this" in result.get("msg", "")) is failed


# --- the recorded server


class Recording:
    """Answers as the recorded 8.4 server did; what was not recorded is refused."""

    def __init__(self) -> None:
        exchanges = json.loads(RECORDED.read_text(encoding="utf-8"))["exchanges"]
        self.replies = {one["request"]["path"]: one["response"]["body"]["data"] for one in exchanges}
        self.replies |= {"/nodes/pve1/time": {"time": 1795441515}, "/nodes/pve1/version": self.replies["/version"]}

    def get(self, path: str, /, **params: Any) -> Any:
        if path not in self.replies:
            raise ApiError(ErrorKind.OTHER, f"not recorded: {path}\n", 500, "GET", path)
        return self.replies[path]


def test_the_answers_of_the_recorded_server() -> None:
    reader = Recording()
    permissions = reader.get("/access/permissions")
    seen = Cluster.from_resources(reader.get("/cluster/resources"))
    wish = replace(WISH, images=(IMAGE,))
    asked = what_to_ask(wish, seen, permissions)
    known = read_facts(
        reader, asked, cluster=seen, permissions=permissions, auth_id="root@pam!lab", now=lambda: 1795441500.0
    )
    assert known.quorate is True
    assert known.nodes["pve1"] == NodeFacts(
        version="8.4.21",
        bridges=frozenset({"eth0", "vmbr0"}),
        firmware="",
        clock=15.0,
        urls={URL: Unanswered("not recorded: /nodes/pve1/query-url-metadata")},
    )
    levels = {(one.check, one.level) for one in find(wish, known) if one.level is not Level.OK}
    assert levels == {("firmware", Level.UNKNOWN), ("vendor", Level.ERROR)}
