# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line that roles are baked into: stopped before the seal by one call, finished or given up by another."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible import template_door
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.builders import Script, isos
from tests.support.site import plain
from tests.support.workbench import KEY, Bench, Result

HOST_KEY = "ssh-ed25519 AAAAhostkey"
PROOF = {"clones": 1, "commands": [{"command": "cat /etc/baked"}]}
FINISH = [
    r"PUT /nodes/pve1/qemu/9000/config$",
    r"POST /nodes/pve1/qemu/9000/status/shutdown$",
    r"PUT /nodes/pve1/qemu/9000/config$",
    r"DELETE /nodes/pve1/storage/local/content/.*homelab-seed-9000\.iso$",
    r"POST /nodes/pve1/qemu/9000/template$",
    r"PUT /nodes/pve1/qemu/9000/config$",
]


@pytest.fixture
def script(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Script:
    found = Script(bench)
    found.steps(("agent", 0, ""))
    found.rules.append(("host-key %s", f"machine-id 1\nhost-key {HOST_KEY}\n"))
    runs = iter(range(1, 100))
    monkeypatch.setattr(template_door, "run_id", lambda: f"elsewhere-{next(runs)}-1")
    return found


def bake(bench: Bench, *, check: bool = False, **options: t.Any) -> Result:
    return bench.template(check=check, **{"bake_version": "1", **options})


def begin(bench: Bench, **options: t.Any) -> dict[str, t.Any]:
    """The builder of a bake that has begun."""
    result = bake(bench, stop_before="seal", **options)
    assert not result.get("failed"), result
    builder = result["template"]["builder"]
    assert isinstance(builder, dict), result
    return builder


def identity(bench: Bench, vmid: int = 9000) -> Identity:
    found = read_identity(vmid, bench.cluster.vms[vmid].config["description"])
    assert isinstance(found, Identity)
    return found


# ------------------------------------------------------------ the two calls


def test_it_stops_before_the_seal_and_says_how_to_get_in(bench: Bench, script: Script) -> None:
    planned = bake(bench, stop_before="seal", bake_keys=[KEY], check=True)
    assert bench.writes() == []
    assert planned["template"]["builder"] is None
    result = bake(bench, stop_before="seal", bake_keys=[KEY])
    assert planned["steps"] == result["steps"]
    assert result["changed"]
    assert result["template"]["current"] is None
    assert result["template"]["unfinished"] == [9000]
    assert result["template"]["builder"] == {
        "vmid": 9000,
        "node": "pve1",
        "generation": "20261123120000",
        "run": "elsewhere-2-1",
        # A minute for the run, a minute in hand, and two hours for the roles.
        "deadline": "2026-11-23T14:02:00+00:00",
        "addresses": ["10.0.35.40"],
        "host": "10.0.35.40",
        "user": "homelab-bake",
        "host_keys": [HOST_KEY],
    }
    assert bench.cluster.vms[9000].running
    assert bench.state(9000) == "building"
    assert identity(bench).paused == "seal"
    assert identity(bench).bake == "1"
    (seed,) = isos(bench)
    assert b"homelab-bake" in bench.cluster.volumes("pve1")[seed].path.read_bytes()


def test_the_second_call_seals_proves_and_publishes_it(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    planned = bake(bench, resume=run, check=True)
    assert bench.writes() == []
    result = bake(bench, resume=run)
    assert not result.get("failed"), result
    assert planned["steps"] == result["steps"]
    assert planned["diff"] == result["diff"]
    sent = [f"{one.method} {one.path}" for one in bench.writes() if "/agent/" not in one.path]
    assert len(sent) == len(FINISH), sent
    assert all(re.search(pattern, one) for pattern, one in zip(FINISH, sent, strict=True)), sent
    assert bench.state(9000) == "current"
    assert bench.cluster.vms[9000].template
    assert (identity(bench).paused, identity(bench).bake, identity(bench).deadline) == ("", "1", "")
    assert isos(bench) == []
    again = bake(bench, resume=run)
    assert again["changed"] is False, again
    assert bench.writes() == []


def test_a_proof_comes_before_the_publication(bench: Bench, script: Script) -> None:
    run = begin(bench, prove=PROOF)["run"]
    result = bake(bench, resume=run, prove=PROOF)
    assert not result.get("failed"), result
    assert identity(bench).proof.startswith("passed")


def test_where_nothing_is_needed_stopping_does_nothing(bench: Bench, script: Script) -> None:
    bake(bench, resume=begin(bench)["run"])
    again = bake(bench, stop_before="seal")
    assert again["changed"] is False
    assert again["template"]["builder"] is None
    assert bench.writes() == []
    assert bake(bench, stop_before="seal", memory=4096)["changed"]
    assert bench.put()["memory"] == "4096"


def test_a_changed_version_makes_the_line_outdated(bench: Bench, script: Script) -> None:
    bake(bench, resume=begin(bench)["run"])
    bench.later(hours=1)
    result = bake(bench, bake_version="2")
    assert result["changed"] is False
    assert "VM 9000 is outdated: the recipe changed" in plain(str(result["warnings"]))
    assert bench.writes() == []
    builder = begin(bench, bake_version="2")
    assert bench.state(9000) == "current"
    done = bake(bench, bake_version="2", resume=builder["run"])
    assert done["template"]["current"]["vmid"] == builder["vmid"] == 9001
    assert bench.state(9000) == "retired"


def test_without_a_generation_a_plain_call_is_refused(bench: Bench, script: Script) -> None:
    result = bake(bench)
    assert "bake_version='1': there is no current generation, and roles have to be baked into one" in result["msg"]
    assert "homelab.proxmox.templates_bake" in result["msg"]
    assert bench.writes() == []


def test_the_former_generations_go_when_it_is_published(bench: Bench, script: Script) -> None:
    for version in ("1", "2", "3"):
        run = begin(bench, bake_version=version, keep=2)["run"]
        assert bake(bench, bake_version=version, keep=2, resume=run)["changed"]
        bench.later(hours=1)
        assert bake(bench, bake_version=version, keep=2)["changed"] is False
    assert {vmid: bench.state(vmid) for vmid in bench.cluster.vms} == {9001: "retired", 9002: "current"}


def test_a_fixed_vmid_is_given_when_it_is_published(bench: Bench, script: Script) -> None:
    options = {"vmid": 9500}
    assert bake(bench, **options, resume=begin(bench, **options)["run"])["template"]["current"]["vmid"] == 9500
    bench.later(hours=1)
    run = begin(bench, **options, bake_version="2")["run"]
    assert bench.state(9500) == "current"
    done = bake(bench, **options, bake_version="2", resume=run)
    assert not done.get("failed"), done
    assert done["template"]["current"]["vmid"] == 9500
    assert sorted(bench.cluster.vms) == [9500]
    assert identity(bench, 9500).bake == "2"


# ---------------------------------------------------------- others, and time


def test_another_run_is_refused_by_name_until_the_deadline(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    bench.later(minutes=90)
    for options in ({"stop_before": "seal"}, {}, {"bake_version": None}):
        result = bake(bench, **options)
        assert f"VM 9000 was made by run {run} and waits for its roles" in result["msg"]
        assert f"abandon: '{run}' removes it. After 2026-11-23T14:02:00+00:00" in result["msg"]
        assert bench.writes() == []
    assert not bake(bench, resume=run).get("failed")


def test_after_the_deadline_the_next_run_takes_its_place(bench: Bench, script: Script) -> None:
    first = begin(bench)
    bench.later(hours=3)
    second = begin(bench)
    assert second["run"] != first["run"]
    assert sorted(bench.cluster.vms) == [second["vmid"]]
    late = bake(bench, resume=first["run"])
    assert f"was made by run {second['run']} and waits for its roles" in late["msg"]
    assert bench.cluster.vms[second["vmid"]].running
    assert not bake(bench, resume=second["run"]).get("failed")


def test_after_the_deadline_it_is_still_its_owners(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    bench.later(hours=3)
    assert bake(bench, resume=run)["template"]["current"]["vmid"] == 9000


def test_another_recipe_is_not_published_as_this_one(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    result = bake(bench, bake_version="2", resume=run)
    assert "bake_version='2': VM 9000 was begun with bake_version='1'" in result["msg"]
    result = bake(bench, disk={"size": "9G"}, resume=run)
    assert f"resume='{run}': VM 9000 was begun with bake_version='1' and recipe" in result["msg"]
    assert bench.writes() == []
    assert bench.cluster.vms[9000].running


def test_of_two_who_finish_at_once_the_first_has_it(
    bench: Bench, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has read the builder before the first took it over."""
    run = begin(bench)["run"]
    config, planned = bench.cluster.vms[9000].config, template_door.plan_found
    taken = config["description"].replace(run, "elsewhere-99-1").replace("paused: seal\n", "")

    def late(*found: t.Any) -> t.Any:
        plan = planned(*found)
        config["description"] = taken
        return plan

    monkeypatch.setattr(template_door, "plan_found", late)
    result = bake(bench, resume=run)
    assert "VM 9000 is being built by run elsewhere-99-1" in result["msg"]
    assert bench.cluster.vms[9000].running
    assert config["description"] == taken


# -------------------------------------------------------------- giving it up


def test_what_is_given_up_goes_and_nothing_else(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    planned = bake(bench, abandon=run, check=True)
    assert bench.writes() == []
    result = bake(bench, abandon=run)
    assert planned["steps"] == result["steps"] == ["destroy VM 9000 on pve1: a builder whose bake was given up"]
    assert bench.cluster.vms == {}
    assert isos(bench) == []
    again = bake(bench, abandon=run)
    assert again["changed"] is False
    assert f"no builder of run {run} waits here" in plain(str(again["warnings"]))


def test_who_has_lost_the_ticket_finds_it(bench: Bench, script: Script) -> None:
    begun = begin(bench)
    (found,) = bench.call("vm_template_info", {"line": "debian-13"})["templates"]
    assert found["waiting"] == {"run": begun["run"], "deadline": begun["deadline"]}
    assert not bake(bench, resume=found["waiting"]["run"]).get("failed")
    (found,) = bench.call("vm_template_info", {"line": "debian-13"})["templates"]
    assert (found["bake"], found["waiting"]) == ("1", None)


def test_a_removed_line_does_not_take_a_builder_at_work(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    result = bench.call("vm_template", {"line": "debian-13", "node": "pve1", "state": "absent"})
    assert f"was made by run {run} and waits for its roles" in result["msg"]
    bench.later(hours=3)
    assert bench.call("vm_template", {"line": "debian-13", "node": "pve1", "state": "absent"})["changed"]
    assert bench.cluster.vms == {}


# ------------------------------------------------------------- interruptions


@pytest.mark.parametrize("pattern", [r"/qemu$", r"/agent/exec$", r"/status/start$", r"/qemu/9000/config$"])
@pytest.mark.parametrize("fault", ["cut_before", "cut_after"])
def test_a_first_call_that_is_cut_leaves_nothing_or_says_it(
    bench: Bench, script: Script, fault: str, pattern: str
) -> None:
    bench.cluster.faults.add(fault, "POST" if "config" not in pattern else "PUT", pattern, times=None)
    hurt = bake(bench, stop_before="seal")
    bench.server.call(bench.cluster.faults.reset)
    if hurt.get("failed"):
        assert not bench.cluster.vms or "9000" in hurt["msg"], hurt["msg"]
        bench.later(hours=4)
        bake(bench, resume=begin(bench)["run"])
    else:
        bake(bench, resume=hurt["template"]["builder"]["run"])
    assert [bench.state(vmid) for vmid in bench.cluster.vms] == ["current"]
    assert isos(bench) == []


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        ("PUT", r"/qemu/9000/config$"),
        ("POST", r"/agent/exec$"),
        ("POST", r"/status/shutdown$"),
        ("POST", r"/template$"),
    ],
)
@pytest.mark.parametrize("fault", ["cut_before", "cut_after"])
def test_a_second_call_that_is_cut_is_finished_or_cleaned_up(
    bench: Bench, script: Script, fault: str, method: str, pattern: str
) -> None:
    run = begin(bench)["run"]
    bench.cluster.faults.add(fault, method, pattern, times=None)
    hurt = bake(bench, resume=run)
    bench.server.call(bench.cluster.faults.reset)
    bench.settle()
    if hurt.get("failed"):
        assert not bench.cluster.vms or "9000" in hurt["msg"], hurt["msg"]
        bench.later(hours=4)
        result = bake(bench, stop_before="seal")
        assert not result.get("failed"), result
        if result["template"]["builder"]:
            assert not bake(bench, resume=result["template"]["builder"]["run"]).get("failed")
    assert [bench.state(vmid) for vmid in bench.cluster.vms] == ["current"]
    assert isos(bench) == []
    assert bake(bench)["changed"] is False


def test_a_builder_that_roles_switched_off_is_started_again(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    bench.server.call(bench.cluster.halt, bench.cluster.vms[9000])
    result = bake(bench, resume=run)
    assert not result.get("failed"), result
    assert script.boots == [9000, 9000]
    assert bench.state(9000) == "current"


def test_what_is_not_sealed_is_told_and_goes(bench: Bench, script: Script) -> None:
    run = begin(bench)["run"]
    script.verdict = json.dumps({"ok": False, "checks": {"build_user": False}, "left": ""})
    bench.cluster.vms[9000].inside.on("base64", out=script.verdict)
    result = bake(bench, resume=run)
    assert "VM 9000 is not sealed (build_user)" in result["msg"]
    assert bench.cluster.vms == {}


# ------------------------------------------------------------------- a fleet


def test_a_fleet_bakes_its_lines_side_by_side(bench: Bench, script: Script) -> None:
    lines = [
        {"line": line, "image": "lab-13", "storage": "local-lvm", "bake_version": "1"} for line in ("alpha", "beta")
    ]

    def fleet(**more: t.Any) -> Result:
        return bench.call(
            "vm_template_fleet",
            {"lines": [{**one, **more} for one in lines], "nodes": ["pve1"], "catalog_files": [str(bench.catalog)]},
        )

    begun = fleet(stop_before="seal")
    assert not begun.get("failed"), begun
    assert begun["summary"]["waiting"] == ["alpha@pve1", "beta@pve1"]
    assert begun["summary"]["built"] == []
    (run,) = {one["builder"]["run"] for one in begun["templates"]}
    done = fleet(resume=run)
    assert not done.get("failed"), done
    assert done["summary"]["built"] == ["alpha@pve1", "beta@pve1"]
    assert fleet()["changed"] is False


# ------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bake_version": None, "stop_before": "seal"}, "stop_before='seal': name what the roles make"),
        ({"bake_version": None, "resume": "x"}, "resume='x': name what the roles make"),
        ({"bake_version": None, "bake_keys": [KEY]}, "bake_keys: name what the roles make"),
        ({"bake_version": "a b"}, "bake_version='a b': use letters"),
        ({"stop_before": "seal", "resume": "x"}, "stop_before, resume: a call is one part of a bake"),
        ({"bake_timeout": 5}, "bake_timeout=5: give 60 seconds or more"),
        ({"bake_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "bake_keys: "),
        ({"customize": {"users": [{"name": "homelab-bake"}]}}, "homelab-bake is the account of the bake"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_cannot_be_meant_are_told(bench: Bench, options: dict[str, t.Any], text: str) -> None:
    result = bake(bench, **options)
    assert text in result["msg"]
    assert "PRIVATE" not in result["msg"]
    assert bench.sent() == []
