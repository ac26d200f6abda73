# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of what goes: tables for each rule, and what holds whatever is there."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import timedelta

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.cluster import Cluster
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import Digest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.prune import Named, PruneSurvey, tagged_lines
from ansible_collections.homelab.proxmox.plugins.module_utils._model.template import (
    ForeignVm,
    Generation,
    StoredImage,
    Unfinished,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.build import stored_filename, stored_id
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.image import split_name
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import Plan
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.prune import PruneWish, confirmation, plan_prune
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.steps import Destroy, RemoveImage
from hypothesis import given
from hypothesis import strategies as st

from tests.support.lines import EVERYTHING, IMAGE, NOW, RESOURCES, generation, guest, line

NODES = ("pve1", "pve2")
ONLINE = Cluster.from_resources([{**row, "status": "online"} if row["type"] == "node" else row for row in RESOURCES])


def made(name: str, vmid: int, node: str = "pve1", **changes: t.Any) -> Generation:
    """A generation of a line on a node."""
    one = generation(line(line=name, name=name), vmid, **changes)
    return replace(one, row=replace(one.row, node=node))


def survey(*generations: Generation, **changes: t.Any) -> PruneSurvey:
    """What was read; nothing hangs on anything."""
    facts = {
        "cluster": ONLINE,
        "generations": generations,
        "dependants": {one.vmid: () for one in generations},
        "permissions": EVERYTHING,
        "auth_id": "root@pam!t",
    }
    return PruneSurvey(**{**facts, **changes})


def wish(*names: str, node: str = "pve1", **changes: t.Any) -> PruneWish:
    """These lines stay on one node."""
    lines = tuple(line(line=name, name=name, node=node) for name in names)
    return PruneWish(**{"lines": lines, "max_deletions": 99, "max_image_deletions": 99, **changes})


def plan(wanted: PruneWish, read: PruneSurvey) -> Plan:
    return plan_prune(wanted, read, NOW)


def doomed(of: Plan) -> list[int]:
    return [step.generation.vmid for step in of.steps if isinstance(step, Destroy)]


def files(of: Plan) -> list[str]:
    return [step.volid for step in of.steps if isinstance(step, RemoveImage)]


def file(image: str, digest: str, stored: int = 0, storage: str = "local", suffix: str = "qcow2") -> StoredImage:
    short = digest.ljust(12, "0")
    return StoredImage(volid=f"{storage}:import/{image}-{short}.{suffix}", size=1, format="qcow2", stored=stored)


def test_lines_are_told_apart_by_name_and_node() -> None:
    here, there, other = made("alpha", 9000), made("alpha", 9001, "pve2", state=State.RETIRED), made("beta", 9002)
    found = plan(wish("alpha"), survey(here, there, other))
    assert [step.describe() for step in found.steps] == [
        "destroy VM 9001 on pve2: line alpha is not declared for pve2",
        "destroy VM 9002 on pve1: no line beta is declared",
    ]
    assert found.before.keys() == found.after.keys() == {"vm 9001", "vm 9002"}
    assert [key for key, _steps in found.tracks] == ["VM 9001 on pve2", "VM 9002 on pve1"]


def test_names_that_begin_alike_are_different_lines() -> None:
    assert doomed(plan(wish("debian-13"), survey(made("debian-13", 9000), made("debian-1", 9001)))) == [9001]


def test_the_tags_of_a_declared_line_protect_what_the_block_calls_another() -> None:
    """Where the two differ nobody can say what was meant."""
    one = made("beta", 9000)
    tags = (one.row.tags - {"line-beta"}) | {"line-alpha"}
    assert doomed(plan(wish("alpha"), survey(replace(one, row=replace(one.row, tags=frozenset(tags)))))) == []


@pytest.mark.parametrize(
    ("config", "clones", "reason"),
    [
        ({}, (120, 121), "clones hang on it: 120, 121"),
        ({"protection": 1}, (), "it is protected"),
        ({"lock": "backup"}, (), "it is locked (backup)"),
        ({}, None, "whether clones hang on it cannot be told: local-lvm does not list it"),
    ],
)
def test_what_stays_in_spite_of_it(config: dict[str, t.Any], clones: tuple[int, ...] | None, reason: str) -> None:
    dependants = {} if clones is None else {9000: clones}
    found = plan(wish(), survey(made("beta", 9000, config=config), dependants=dependants))
    assert found.steps == ()
    assert found.result["kept"] == [{"line": "beta", "vmid": 9000, "name": "beta", "node": "pve1", "reason": reason}]


@pytest.mark.parametrize(
    ("state", "here", "gone"),
    [
        (State.CURRENT, None, []),
        (State.CURRENT, State.RETIRED, []),
        (State.CURRENT, State.CURRENT, [9001]),
        (State.RETIRED, None, [9001]),
    ],
)
def test_the_last_current_generation_of_a_declared_line_waits(
    state: State, here: State | None, gone: list[int]
) -> None:
    there = made("alpha", 9001, "pve2", state=state)
    beside = [] if here is None else [made("alpha", 9000, state=here)]
    assert doomed(plan(wish("alpha"), survey(*beside, there))) == gone


def left(vmid: int = 9000, **changes: t.Any) -> Unfinished:
    deadline = changes.pop("deadline", (NOW - timedelta(minutes=1)).isoformat())
    config = {"template": None, "scsi0": f"local-lvm:vm-{vmid}-disk-0,size=3G", **changes.pop("config", {})}
    one = made("beta", vmid, state=State.BUILDING, deadline=deadline, config=config)
    return Unfinished(generation=replace(one, row=replace(one.row, **changes.pop("row", {}))), **changes)


LATER = (NOW + timedelta(minutes=1)).isoformat()


@pytest.mark.parametrize(
    ("unfinished", "reason"),
    [
        (left(), None),
        (left(deadline=LATER, owner_gone=True), None),
        (left(deadline=LATER), f"run place-9-9 may still build it, until {LATER}"),
        (left(running_task="UPID:x"), "run place-9-9 builds it, task UPID:x runs on it"),
        (left(owner_gone=True, running_task="UPID:x"), "run place-9-9 builds it, task UPID:x runs on it"),
        (left(config={"lock": "create"}), "it is locked (create)"),
        (left(config={"protection": 1}), "it is protected"),
        (left(row={"status": "running"}), "it is running"),
    ],
)
def test_an_unfinished_build_goes_by_the_rule_of_the_take_over(unfinished: Unfinished, reason: str | None) -> None:
    found = plan(wish("alpha"), survey(unfinished=(unfinished,)))
    assert doomed(found) == ([9000] if reason is None else [])
    assert [one["reason"] for one in found.result["kept"]] == ([] if reason is None else [reason])
    assert plan(wish("beta"), survey(unfinished=(unfinished,))).steps == ()


def test_what_is_no_template_any_more_is_reported_and_stays() -> None:
    broken = made("beta", 9000, config={"template": None})
    found = plan(wish(), survey(broken=(broken,)))
    assert found.steps == ()
    assert found.result["kept"][0]["reason"] == "it is no whole template any more (template)"
    assert plan(wish("beta"), survey(broken=(broken,))).result["kept"] == []


def test_foreign_and_unknown_of_declared_lines_are_not_told() -> None:
    alpha, beta = made("alpha", 120).row, made("beta", 121).row
    foreign = tuple(ForeignVm(row=row, reason="so") for row in (alpha, beta))
    found = plan(wish("alpha"), survey(foreign=foreign, unknown=(alpha, beta)))
    assert [one["vmid"] for one in found.result["foreign"]] == [121]
    assert [one["vmid"] for one in found.result["unknown"]] == [121]


def test_the_confirmation_counts_and_names() -> None:
    stored = {("pve1", "local"): (file("debian-13", "a"),)}
    found = plan(wish(image_ids=frozenset({"debian-13"}), images=True), survey(made("beta", 9000), images=stored))
    text = confirmation(found)
    assert text.startswith("confirm=False: 1 VM and 1 stored image would go: VM 9000 (beta) on pve1: no line beta")
    assert "local:import/debian-13-a00000000000.qcow2 on pve1" in text


def test_refusals_are_told_together_and_nothing_is_planned() -> None:
    stored = {("pve1", "local"): (file("debian-13", "a"), file("debian-13", "b"))}
    wanted = wish("alpha", node="pev1", images=True, max_deletions=0, max_image_deletions=0)
    read = survey(made("beta", 9000), images=stored, permissions={})
    found = plan(replace(wanted, image_ids=frozenset({"debian-13"})), read)
    assert [refusal.option for refusal in found.refusals] == [
        "nodes",
        "max_deletions",
        "max_image_deletions",
        "api_token_id",
        "api_token_id",
        "api_token_id",
    ]
    assert (found.steps, found.result["destroyed"], found.result["removed_images"]) == ((), [], [])


# --- images


@pytest.mark.parametrize(
    ("files_there", "gone"),
    [
        ([file("debian-13", "0" * 12)], []),
        ([file("debian-13", "a", 1), file("debian-13", "b", 2), file("debian-13", "c", 3)], ["a", "b"]),
        ([file("debian-13", "c", 1), file("debian-13", "b", 2)], ["c"]),
        ([file("debian-12", "a"), file("debian-12", "b")], ["a", "b"]),
        ([file("unknown", "a")], []),
        ([file("debian-12", "a", suffix="raw")], []),
        ([file("debian-12", "A")], []),
        ([file("debian-12", "a", storage="other")], []),
    ],
    ids=["in use", "newest stays", "by age", "undeclared", "unknown id", "format", "pattern", "storage"],
)
def test_which_files_go(files_there: list[StoredImage], gone: list[str]) -> None:
    """VM 9000 of the declared line was built from the digest 000000000000 of debian-13."""
    wanted = wish("alpha", images=True, image_ids=frozenset({"debian-12"}))
    found = plan(wanted, survey(made("alpha", 9000), images={("pve1", "local"): tuple(files_there)}))
    assert [split_name(volid.rpartition("/")[2])[1][0] for volid in files(found)] == gone


def test_what_a_line_is_pinned_to_stays() -> None:
    sha = Digest("sha256", "b" * 64)
    pinned = line(line="alpha", pin=f"sha256:{'a' * 64}", image=replace(IMAGE, digest=sha))
    stored = tuple(file("debian-13", letter * 12, age) for age, letter in enumerate("abcd"))
    found = plan(replace(wish(images=True), lines=(pinned,)), survey(images={("pve1", "local"): stored}))
    assert files(found) == [file("debian-13", "c" * 12).volid]


def test_a_name_is_ours_by_a_digest_that_a_block_records() -> None:
    """Blocks of own images hold a URL instead of an id."""
    own = made("beta", 9000, image="", source=f"sha256:{'e' * 64}")
    stored = {
        ("pve1", "local"): (file("appliance", "e" * 12),),
        ("pve2", "local"): (file("appliance", "f" * 12), file("other", "f" * 12)),
    }
    found = plan(wish(images=True), survey(own, images=stored))
    assert files(found) == [file("appliance", "e" * 12).volid, file("appliance", "f" * 12).volid]
    kept = plan(wish("beta", images=True), survey(own, images=stored))
    assert files(kept) == [file("appliance", "f" * 12).volid]


def test_stored_ids_are_those_of_stored_names() -> None:
    strange = replace(IMAGE, id="Über image (v2)~rc")
    name = stored_filename(strange, Digest("sha256", "a" * 64))
    assert split_name(name)[0] == stored_id(strange.id)


# --- whatever is there

LINES = ("alpha", "beta", "gamma", "alpha-2")
STATES = (State.CURRENT, State.RETIRED, State.CANDIDATE, None)


@st.composite
def sites(draw: st.DrawFn) -> tuple[PruneWish, PruneSurvey]:
    """Lines on nodes, generations of them and others in any state, clones, locks, and files."""
    pairs = draw(st.sets(st.tuples(st.sampled_from(LINES), st.sampled_from(NODES))))
    lines = tuple(line(line=name, name=name, node=node) for name, node in sorted(pairs))
    some = []
    for number in range(draw(st.integers(0, 7))):
        state = draw(st.sampled_from(STATES))
        config = draw(st.sampled_from([{}, {}, {"protection": 1}, {"lock": "backup"}]))
        digest = draw(st.sampled_from("abc")) * 64
        place = (draw(st.sampled_from(LINES)), 9000 + number, draw(st.sampled_from(NODES)))
        some.append(made(*place, state=state or State.CURRENT, config=config, source=f"sha256:{digest}"))
        if state is None:
            some[-1] = replace(some[-1], state=None)
    clones = {one.vmid: draw(st.sampled_from([(), (), (500,)])) for one in some if draw(st.booleans())}
    foreign = tuple(ForeignVm(row=replace(one.row, vmid=one.vmid + 500), reason="inherited") for one in some[:2])
    unknown = draw(st.sampled_from([(), (), (made("beta", 9900, "pve3").row,)]))
    digests = st.sampled_from(["a" * 12, "b" * 12, "c" * 12, "d" * 12])
    names = st.builds(file, st.sampled_from(["debian-13", "debian-12", "theirs"]), digests)
    images = {("pve1", "local"): tuple({one.volid: one for one in draw(st.lists(names, max_size=6))}.values())}
    wanted = PruneWish(lines=lines, images=True, image_ids=frozenset({"debian-12"}), max_deletions=99)
    return wanted, survey(*some, dependants=clones, foreign=foreign, unknown=unknown, images=images)


@given(sites())
def test_only_what_nothing_speaks_for_goes(site: tuple[PruneWish, PruneSurvey]) -> None:
    wanted, read = site
    found = plan(wanted, read)
    assert found.refusals == ()
    named = wanted.named
    gone = set(doomed(found))
    kept = {one["vmid"] for one in found.result["kept"]}
    beside = {one.vmid for one in read.generations if not named.has(one.identity.line, one.row.node)}
    assert gone | kept == beside, "what no line names goes, or is told with a reason"
    assert not gone & kept
    for one in read.generations:
        if one.vmid in gone:
            assert read.dependants[one.vmid] == ()
            assert not one.config.protection
            assert one.config.lock is None
    assert not gone & {one.row.vmid for one in read.foreign}
    for name in {one.line for one in wanted.lines}:
        had = [one for one in read.generations if one.identity.line == name and one.state is State.CURRENT]
        assert not had or any(one.vmid not in gone for one in had), f"declared line {name} lost its last current one"


@given(sites())
def test_no_file_goes_that_something_is_built_from(site: tuple[PruneWish, PruneSurvey]) -> None:
    wanted, read = site
    found = plan(wanted, read)
    gone, removed = set(doomed(found)), files(found)
    staying = {one.source.short for one in read.generations if one.vmid not in gone and one.source}
    assert not staying & {split_name(volid.rpartition("/")[2])[1] for volid in removed}
    assert len(removed) == len(set(removed))
    assert not any("theirs" in volid for volid in removed if "theirs" not in str(_proven(read)))
    if read.unknown:
        assert removed == []
    if wanted.lines:
        there = [one.volid for one in read.images["pve1", "local"] if "debian-13-" in one.volid]
        assert not there or set(there) - set(removed), "the newest file of the declared image stays"


def _proven(read: PruneSurvey) -> list[str]:
    """Files whose digest a block records."""
    recorded = {one.source.short for one in read.generations if one.source}
    volids = [one.volid for some in read.images.values() for one in some]
    return [volid for volid in volids if split_name(volid.rpartition("/")[2])[1] in recorded]


@given(sites())
def test_the_next_plan_after_all_went_is_empty(site: tuple[PruneWish, PruneSurvey]) -> None:
    wanted, read = site
    first = plan(wanted, read)
    gone, removed = set(doomed(first)), set(files(first))
    after = replace(
        read,
        generations=tuple(one for one in read.generations if one.vmid not in gone),
        images={key: tuple(one for one in some if one.volid not in removed) for key, some in read.images.items()},
    )
    again = plan(wanted, after)
    assert again.steps == ()
    assert again.result["kept"] == first.result["kept"]


def test_named_reads_lines_from_tags() -> None:
    named = Named(frozenset({("alpha", "pve1"), ("alpha", "pve2")}))
    assert tagged_lines(["line-a", "gen-1", "line-b.c"]) == ("a", "b.c")
    assert named.nodes_of("alpha") == ("pve1", "pve2")
    rows = Cluster.from_resources([guest(1, tags="web;line-alpha"), guest(2, tags="line-alpha", node="pve3")]).guests
    assert (named.covers(rows[1]), named.covers(rows[2])) == (True, False)
