# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs by a token that may no more than the role C(access) grants for them, and by one that lacks something of it."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privilege_table import Kind
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.privileges import role_privileges

from tests.support.pve import FakeCluster, serve
from tests.support.vms import VmLab, add_line

USER, TOKEN = "auto@pve", "auto@pve!ci"
PATHS = {
    Kind.POOL: "/pool/templates",
    Kind.DISK_STORAGE: "/storage/local-lvm",
    Kind.BRIDGE: "/sdn/zones/localnetwork/vmbr0",
}
WISH: dict[str, t.Any] = {
    "pool": "templates",
    "memory": 4096,
    "cores": 4,
    "ciuser": "ops",
    "cipassword": "correct-horse-7",
    "net": [{"bridge": "vmbr0"}],
    "disks": [{"size": "8G"}, {"slot": "scsi2", "size": "1G"}],
    "started": True,
    "wait_for": "cloud_init",
}


@pytest.fixture(params=["8.4.21", "9.1.2", "9.2.0"])
def limited(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[VmLab]:
    """A lab whose token has the least privileges for clones; the line is in its pool."""
    cluster = FakeCluster(version=request.param)
    cluster.pools["templates"] = {9000}
    template = add_line(cluster)
    template.pool = "templates"
    cluster.add_user(USER)
    cluster.add_token(TOKEN, privsep=1)
    for kind, privileges in role_privileges(cluster.major, ["clones"]).items():
        cluster.add_role(kind.value, privileges)
        for who in (USER, TOKEN):
            cluster.grant(who, PATHS[kind], kind.value, propagate=int(kind is Kind.POOL))
    done = '{"v1": {"errors": []}}'
    cluster.guest_setup.append(lambda _vm, guest: guest.files.update({"/run/cloud-init/result.json": done}))
    with serve(cluster) as server:
        lab = VmLab(server)
        lab.login = {"api_token_id": TOKEN, "api_token_secret": cluster.access.secrets[TOKEN]}
        yield lab


def test_the_least_privileges_are_enough_for_the_whole_life_of_a_vm(limited: VmLab) -> None:
    made = limited.vm(**WISH)
    assert not made.get("failed"), made["msg"]
    assert not [entry for entry in limited.server.requests if entry.status >= 400]
    limited.settled(**WISH)
    changed = limited.vm(**{**WISH, "memory": 8192, "reboot": "when_required"})
    assert not changed.get("failed"), changed["msg"]
    found = limited.call("vm_info", {"addresses": True})
    assert [vm["name"] for vm in found["vms"]] == ["web1"]
    gone = limited.vm(state="absent", force_stop=True)
    assert not gone.get("failed"), gone["msg"]
    limited.assert_whole()


@pytest.mark.parametrize(
    ("kind", "privilege", "says"),
    [
        (Kind.POOL, "VM.Clone", "it lacks VM.Clone on /pool/templates, needed for clone"),
        (Kind.POOL, "VM.Config.Memory", "it lacks VM.Config.Memory on /pool/templates, needed for config_memory"),
        (Kind.POOL, "VM.PowerMgmt", "it lacks VM.PowerMgmt on /pool/templates, needed for start"),
        (Kind.DISK_STORAGE, "Datastore.AllocateSpace", "it lacks Datastore.AllocateSpace on /storage/local-lvm"),
        (Kind.BRIDGE, "SDN.Use", "it lacks SDN.Use on /sdn/zones/localnetwork/vmbr0"),
    ],
)
@pytest.mark.parametrize("limited", ["8.4.21"], indirect=True)
def test_a_missing_privilege_is_refused_before_a_clone_is_made(
    limited: VmLab, kind: Kind, privilege: str, says: str
) -> None:
    limited.cluster.access.roles[kind.value].discard(privilege)
    result = limited.vm(**WISH)
    assert says in result["msg"], result["msg"]
    assert "Run on a node: pveum role add" in result["msg"]
    assert limited.writes() == []
