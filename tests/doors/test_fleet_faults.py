# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write of a fleet of two lines on two nodes goes wrong once, building, publishing and retiring alike."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import Identity, read_identity

from tests.support.site import Result, Site, file, state_of

NODES = ("pve1", "pve2")
ALL = ["alpha@pve1", "alpha@pve2", "beta@pve1", "beta@pve2"]
CODES = {"500": "something broke", "403": "Permission check failed (/somewhere, Some.Right)"}


class Write(t.NamedTuple):
    """A kind of write and how many of it a rebuild of the whole fleet sends."""

    name: str
    request: str
    count: int


BUILD = (
    Write("download", r"POST ^/nodes/[^/]+/storage/local/download-url$", 2),
    Write("create", r"POST ^/nodes/[^/]+/qemu$", 4),
    Write("resize", r"PUT ^/nodes/[^/]+/qemu/\d+/resize$", 4),
    Write("convert", r"POST ^/nodes/[^/]+/qemu/\d+/template$", 4),
    # Of a rebuild: the new generation is published, the old one retired.
    Write("publish and retire", r"PUT ^/nodes/[^/]+/qemu/\d+/config$", 8),
)
EACH_WRITE = pytest.mark.parametrize("write", BUILD, ids=lambda write: write.name)


def keep(site: Site, **options: t.Any) -> Result:
    """One run of the fleet; C(options) are the lines'.

    All generations are kept where nothing else is said: a VMID that is made anew within a second would show the tasks
    of its predecessor, and no run of a real server is that fast.
    """
    own = {name: value for name, value in site.line().items() if name not in ("node", "line", "allow_unverified")}
    own |= {"keep": 99, **options}
    lines = [{**own, "line": "alpha"}, {**own, "line": "beta", "memory": 3072}]
    whole = {"nodes": list(NODES), "allow_unverified": True, "workers": 4, "max_deletions": 99}
    return site.run("vm_template_fleet", {"lines": lines, **whole})


def works(site: Site, **options: t.Any) -> Result:
    result = keep(site, **options)
    assert not result.get("failed"), result["msg"]
    return result


def generations(site: Site) -> dict[str, list[tuple[int, Identity, str]]]:
    """VMs of the fleet by line@node: VMID, identity and state."""
    found: dict[str, list[tuple[int, Identity, str]]] = {}
    for vmid, vm in sorted(site.cluster.vms.items()):
        identity = read_identity(vmid, str(vm.config.get("description", "")))
        assert isinstance(identity, Identity), f"VM {vmid} bears no identity: {site.stock()}"
        found.setdefault(f"{identity.line}@{vm.node}", []).append((vmid, identity, state_of(vm)))
    return found


def assert_no_orphan(site: Site) -> None:
    """Every disk is in the config of a VM on its node."""
    for node in NODES:
        configs = " ".join(
            str(value) for vm in site.cluster.vms.values() if vm.node == node for value in vm.config.values()
        )
        disks = [volid for volid in site.cluster.volumes(node) if ":import/" not in volid]
        assert [volid for volid in disks if volid not in configs] == [], node


def assert_kept(site: Site) -> None:
    """Whatever went wrong, every line still has a whole current generation: publish comes before retire."""
    found = generations(site)
    assert sorted(found) == ALL
    for key, some in found.items():
        assert any(state == "current template" for _vmid, _identity, state in some), f"{key}: {some}"


def assert_in_order(site: Site) -> None:
    """One current generation of each line, of the newest build; the others retired; nothing else anywhere."""
    found = generations(site)
    assert sorted(found) == ALL
    for key, some in found.items():
        current = [identity for _vmid, identity, state in some if state == "current template"]
        assert [identity.source for identity in current] == [f"sha256:{site.digest}"], f"{key}: {some}"
        assert {state for _vmid, _identity, state in some} <= {"current template", "retired template"}, some
    stock = site.stock()
    assert not [item for item in stock if item.startswith(("lock", "task"))], stock
    assert all(f"local:import/{file(site.digest).rpartition('/')[2]}" in site.cluster.volumes(node) for node in NODES)
    assert_no_orphan(site)


def recovered(site: Site, **options: t.Any) -> None:
    """The next run finishes, the one after it writes nothing."""
    site.heal()
    works(site, **options)
    assert_in_order(site)
    idle = works(site, **options)
    assert idle["changed"] is False
    assert site.writes() == []


def strike(site: Site, effect: str, write: Write, nth: int, **options: t.Any) -> Result:
    """A rebuild of the whole fleet in which the nth write of a kind goes wrong."""
    site.new_image()
    method, _blank, path = write.request.partition(" ")
    site.faults.add(effect, method, path, nth=nth, **options)
    result = keep(site)
    site.faults.assert_all_fired()
    return result


def test_the_writes_that_are_swept_are_all_there_are(site: Site) -> None:
    works(site)
    site.new_image()
    works(site)
    assert len(site.writes()) == sum(write.count for write in BUILD)
    assert_in_order(site)


@EACH_WRITE
@pytest.mark.parametrize("effect", ["cut_before", "cut_after"])
def test_a_cut_connection_is_survived(site: Site, write: Write, effect: str) -> None:
    works(site)
    for nth in range(1, write.count + 1):
        result = strike(site, effect, write, nth)
        assert not result.get("failed"), f"{nth}: {result['msg']}"
        assert sorted(result["summary"]["built"]) == ALL
        site.heal()
        assert_in_order(site)
        idle = works(site)
        assert (idle["changed"], site.writes()) == (False, [])


@EACH_WRITE
@pytest.mark.parametrize("code", CODES)
def test_a_refused_write_stops_its_line_and_the_next_run_makes_it_good(site: Site, write: Write, code: str) -> None:
    works(site)
    for nth in range(1, write.count + 1):
        before = site.stock()
        result = strike(site, "status", write, nth, code=int(code), message=CODES[code])
        assert result["failed"]
        assert CODES[code] in result["msg"]
        hit = 2 if write.name == "download" else 1
        assert len(result["failures"]) == len(result["summary"]["failed"]) == hit
        assert len(result["summary"]["built"]) == len(ALL) - hit
        told = " ".join(result["left_behind"])
        new = [item for item in site.stock() if item not in before]
        for item in new:
            assert "building" not in item or f"VM {item.split()[1]}" in told, f"{item} is not said: {told}"
        assert_kept(site)
        assert_no_orphan(site)
        recovered(site)


@pytest.mark.parametrize("effect", ["cut_before", "cut_after", "500", "403"])
def test_a_first_build_is_made_good_too(site: Site, effect: str) -> None:
    """Where there was nothing before: each write of the run that builds the fleet, ids counted over all lines."""
    for write in BUILD[1:4]:
        for nth in (1, write.count):
            method, _blank, path = write.request.partition(" ")
            options = {"code": int(effect), "message": CODES[effect]} if effect in CODES else {}
            site.faults.add("status" if options else effect, method, path, nth=nth, **options)
            keep(site)
            site.faults.assert_all_fired()
            recovered(site)
            for vmid in list(site.cluster.vms):
                site.server.call(site.cluster.remove_vm, vmid)


@pytest.mark.parametrize("effect", ["cut_before", "cut_after", "500", "403"])
def test_a_former_generation_goes_in_the_end(site: Site, effect: str) -> None:
    """The destruction of what is beyond C(keep) goes wrong for one line: nothing current is touched, the rest goes."""
    works(site)
    site.new_image()
    works(site)
    options = {"code": int(effect), "message": CODES[effect]} if effect in CODES else {}
    site.faults.add("status" if options else effect, "DELETE", r"^/nodes/[^/]+/qemu/\d+$", nth=2, **options)
    result = keep(site, keep=1)
    site.faults.assert_all_fired()
    assert bool(result.get("failed")) is bool(options), result.get("msg")
    assert_kept(site)
    assert_no_orphan(site)
    recovered(site, keep=1)
    assert len(site.cluster.vms) == len(ALL)
