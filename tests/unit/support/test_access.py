# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake's users, tokens, roles and permissions against what a real 8.4.21 answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakepve.model import PveError

from tests.support.pve import FakeCluster, schema
from tests.support.pve.access_model import Group, builtin_roles
from tests.support.pve_lab import AGENT_PRIVS, STORE_PRIVS, TOKEN, USER, build

VM = "/nodes/pve1/qemu/9450"
CONTENT = "/nodes/pve1/storage/local/content"
RECORDED = Path(__file__).parents[2] / "support" / "recorded"
MINIMAL = {"vmid": 9455, "pool": "templates", "name": "m", "scsi0": "local-lvm:0,import-from=local:import/i.qcow2"}
FULL = {
    "vmid": 9456, "pool": "templates", "name": "f", "memory": 64, "cores": 1, "ostype": "l26",
    "scsihw": "virtio-scsi-single", "scsi0": "local-lvm:0,import-from=local:import/i.qcow2,discard=on",
    "scsi1": "local-lvm:cloudinit", "ciuser": "ops", "ciupgrade": 0, "ipconfig0": "ip=dhcp", "agent": "enabled=1",
    "net0": "virtio,bridge=vmbr0", "serial0": "socket", "vga": "serial0", "boot": "order=scsi0", "tags": "a;b",
}  # fmt: skip
VZDUMP = {"vmid": 9450, "storage": "local", "mode": "stop", "compress": "zstd"}
BACKUP = "local:backup/vzdump-qemu-9450-2026_11_23-14_00_03.vma.zst"


def put(**params: object) -> tuple[str, str, dict]:
    return "PUT", f"{VM}/config", params


CALLS: dict[str, tuple[str, str, dict]] = {
    "resources": ("GET", "/cluster/resources", {}),
    "storages": ("GET", "/nodes/pve1/storage", {}),
    "storage status": ("GET", "/nodes/pve1/storage/local/status", {}),
    "content": ("GET", CONTENT, {}),
    "query-url": ("GET", "/nodes/pve1/query-url-metadata", {"url": "http://x/i.qcow2"}),
    "download-url": (
        "POST",
        "/nodes/pve1/storage/local/download-url",
        {"url": "http://x/i.qcow2", "content": "import", "filename": "i.qcow2"},
    ),
    "upload": ("POST", "/nodes/pve1/storage/local/upload", {}),
    "create minimal": ("POST", "/nodes/pve1/qemu", MINIMAL),
    "create full": ("POST", "/nodes/pve1/qemu", FULL),
    "config": ("GET", f"{VM}/config", {}),
    "pending": ("GET", f"{VM}/pending", {}),
    "dump": ("GET", f"{VM}/cloudinit/dump", {"type": "user"}),
    "current": ("GET", f"{VM}/status/current", {}),
    "memory": put(memory=96),
    "cores": put(cores=2),
    "cpu": put(cpu="x86-64-v2-AES"),
    "net0": put(net0="virtio,bridge=vmbr0,firewall=1"),
    "description": put(description="y", tags="c"),
    "name": put(name="lp2"),
    "onboot": put(onboot=0, protection=0),
    "agent": put(agent="enabled=1"),
    "ostype": put(ostype="l26"),
    "delete description": put(delete="description"),
    "boot": put(boot="order=scsi0"),
    "serial0": put(serial0="socket"),
    "vga": put(vga="serial0"),
    "scsihw": put(scsihw="virtio-scsi-pci"),
    "machine": put(machine="q35"),
    "rng0": put(rng0="source=/dev/urandom"),
    "attach iso": put(ide2="local:iso/s.iso,media=cdrom"),
    "eject": put(ide2="none,media=cdrom"),
    "delete ide2": put(delete="ide2"),
    "add cloud-init": put(ide0="local-lvm:cloudinit"),
    "delete cloud-init": put(delete="scsi1"),
    "ciuser": put(ciuser="o"),
    "ipconfig0": put(ipconfig0="ip=dhcp", nameserver="10.0.0.1"),
    "scsi0 options": put(scsi0="local-lvm:vm-9450-disk-0,discard=on"),
    "add disk": put(scsi3="local-lvm:1"),
    "delete unused0": put(delete="unused0"),
    "regenerate": ("PUT", f"{VM}/cloudinit", {}),
    "resize": ("PUT", f"{VM}/resize", {"disk": "scsi0", "size": "3G"}),
    "start": ("POST", f"{VM}/status/start", {}),
    "stop": ("POST", f"{VM}/status/stop", {}),
    "shutdown": ("POST", f"{VM}/status/shutdown", {"timeout": 2}),
    "ping": ("POST", f"{VM}/agent/ping", {}),
    "exec": ("POST", f"{VM}/agent/exec", {"command": ["/bin/true"]}),
    "file-read": ("GET", f"{VM}/agent/file-read", {"file": "/etc/hostname"}),
    "vzdump": ("POST", "/nodes/pve1/vzdump", VZDUMP),
    "vzdump prune": ("POST", "/nodes/pve1/vzdump", {**VZDUMP, "prune-backups": "keep-all=1"}),
    "delete backup": ("DELETE", f"{CONTENT}/{BACKUP}", {}),
    "delete iso": ("DELETE", f"{CONTENT}/local:iso/s.iso", {}),
    "delete import": ("DELETE", f"{CONTENT}/local:import/i.qcow2", {}),
    "template": ("POST", f"{VM}/template", {}),
    "clone linked": ("POST", f"{VM}/clone", {"newid": 9451, "pool": "templates"}),
    "clone full": ("POST", f"{VM}/clone", {"newid": 9452, "full": 1, "storage": "local-lvm", "pool": "templates"}),
    "delete": ("DELETE", VM, {"purge": 1}),
    "pools": ("GET", "/pools", {}),
    "pool": ("GET", "/pools/templates", {}),
    "nextid": ("GET", "/cluster/nextid", {}),
    "tasks": ("GET", "/nodes/pve1/tasks", {}),
}  # fmt: skip

V, L, S = "/vms/9450, ", "/storage/local, Datastore.", "/storage/local-lvm, Datastore.AllocateSpace"
BARE, IN_TASK = "", "task: "


def same(text: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, text)


# Privilege -> the calls that fail without it, with the text in the brackets (recorded, one privilege at a time).
TABLE: dict[str, dict[str, str]] = {
    "VM.Allocate": same(BARE, "create minimal", "create full", "clone linked", "clone full")
    | same(V + "VM.Allocate", "template", "delete"),
    "VM.Audit": same(V + "VM.Audit", "config", "pending", "dump", "current"),
    "VM.Backup": same(IN_TASK + V + "VM.Backup", "vzdump", "vzdump prune") | same(V + "VM.Backup", "delete backup"),
    "VM.Clone": same(V + "VM.Clone", "clone linked", "clone full"),
    "VM.Config.CDROM": same(
        V + "VM.Config.CDROM", "attach iso", "eject", "delete ide2", "add cloud-init", "delete cloud-init"
    ),
    "VM.Config.CPU": same(V + "VM.Config.CPU", "cores", "cpu") | same("/vms/9456, VM.Config.CPU", "create full"),
    "VM.Config.Cloudinit": same(V + "VM.Config.Cloudinit", "add cloud-init", "delete cloud-init", "regenerate"),
    "VM.Config.Disk": same(V + "VM.Config.Disk", "boot", "scsi0 options", "add disk", "delete unused0", "resize")
    | same("/vms/9456, VM.Config.Disk", "create full"),
    "VM.Config.HWType": same(V + "VM.Config.HWType", "serial0", "vga", "scsihw", "machine", "rng0")
    | same("/vms/9456, VM.Config.HWType", "create full"),
    "VM.Config.Memory": same(V + "VM.Config.Memory", "memory") | same("/vms/9456, VM.Config.Memory", "create full"),
    "VM.Config.Network": same(V + "VM.Config.Network", "net0") | same("/vms/9456, VM.Config.Network", "create full"),
    "VM.Config.Options": same(
        V + "VM.Config.Options", "description", "name", "onboot", "agent", "ostype", "delete description"
    )
    | same("/vms/9455, VM.Config.Options", "create minimal")
    | same("/vms/9456, VM.Config.Options", "create full"),
    "VM.Monitor": same(V + "VM.Monitor", "ping", "exec", "file-read"),
    "VM.PowerMgmt": same(V + "VM.PowerMgmt", "start", "stop", "shutdown"),
    "Pool.Audit": same("/pool/templates, Pool.Audit", "pool"),
    "Datastore.Allocate": same(L + "Allocate", "delete iso", "delete import", "vzdump prune"),
    "Datastore.AllocateSpace": same(
        S, "create minimal", "create full", "clone linked", "clone full", "add disk", "delete unused0"
    )
    | same(L + "AllocateSpace", "vzdump", "vzdump prune", "delete backup")
    | same(IN_TASK + S, "resize"),
    "Datastore.AllocateTemplate": same(L + "AllocateTemplate", "download-url", "upload"),
    "Datastore.Audit": {},
    "SDN.Use": same(
        "/sdn/zones/localnetwork/vmbr0, SDN.Use", "create full", "net0", "clone linked", "clone full"
    ),
    "Sys.AccessNetwork": same(BARE, "query-url", "download-url"),
}  # fmt: skip


def outcome(cluster: FakeCluster, user: str, method: str, path: str, params: dict) -> str | None:
    """None for a call that passes, else what the refusal names."""
    match = schema.match(cluster.major, path)
    try:
        verdict = cluster.judge(user, method, match, params)
    except PveError as exc:
        if exc.status != 403:
            return exc.message
        return exc.message.removeprefix("Permission check failed").strip(" ()")
    return IN_TASK + verdict.removeprefix("403 Permission check failed").strip(" ()") if verdict else None


def refused(cluster: FakeCluster, user: str = TOKEN) -> dict[str, str]:
    found = {name: outcome(cluster, user, *call) for name, call in CALLS.items()}
    return {name: text for name, text in found.items() if text is not None}


# ------------------------------------------------------------------ the table


@pytest.mark.parametrize("privilege", TABLE)
def test_without_one_privilege_exactly_these_calls_fail(privilege: str) -> None:
    assert refused(build(without=privilege)) == TABLE[privilege]


@pytest.mark.parametrize("privsep", [0, 1])
def test_with_all_privileges_every_call_passes(privsep: int) -> None:
    assert refused(build(privsep=privsep)) == {}


def test_root_may_everything_and_its_token_what_is_not_for_root_alone() -> None:
    cluster = build()
    cluster.add_token("root@pam!t", privsep=0)
    assert refused(cluster, "root@pam") == refused(cluster, "root@pam!t") == {}
    only_root = {"args": "-cpu host", "lock": "backup", "hookscript": "local:snippets/h", "ivshmem": "size=1"}
    for key, value in only_root.items():
        assert outcome(cluster, "root@pam!t", *put(**{key: value})) == f"only root can set '{key}' config"
        assert outcome(cluster, "root@pam", *put(**{key: value})) is None
    assert outcome(cluster, "root@pam!t", *put(delete="args")) == "only root can set 'args' config"


def test_absolute_import_paths_are_for_the_root_login_alone() -> None:
    cluster = build()
    cluster.add_token("root@pam!t", privsep=0)
    call = ("POST", "/nodes/pve1/qemu", {"vmid": 9460, "scsi0": "local-lvm:0,import-from=/tmp/x.qcow2"})
    text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 581."
    assert outcome(cluster, "root@pam!t", *call) == text
    assert outcome(cluster, "root@pam", *call) is None


@pytest.mark.parametrize(
    "call", [put(name="x", skiplock=1), ("DELETE", VM, {"skiplock": 1}), ("POST", f"{VM}/status/stop", {"skiplock": 1})]
)
def test_skiplock_is_refused_to_tokens(call: tuple[str, str, dict]) -> None:
    cluster = build()
    cluster.add_token("root@pam!t", privsep=0)
    match = schema.match(8, call[1])
    with pytest.raises(PveError) as info:
        cluster.judge("root@pam!t", call[0], match, call[2])
    assert (info.value.status, info.value.errors) == (400, {"skiplock": "Only root may use this option."})


def test_what_is_hidden_looks_missing_and_the_other_way_round() -> None:
    cluster = build()
    cluster.add_vm(9000, "foreign")
    for vmid in (9000, 7777):
        assert outcome(cluster, TOKEN, "GET", f"/nodes/pve1/qemu/{vmid}/config", {}) == f"/vms/{vmid}, VM.Audit"
    assert outcome(cluster, TOKEN, "POST", "/nodes/pve1/qemu", {"vmid": 9460, "name": "x"}) == BARE
    assert outcome(cluster, TOKEN, "POST", f"{VM}/clone", {"newid": 9461}) == BARE
    assert outcome(cluster, TOKEN, "POST", f"{VM}/clone", {"newid": 9461, "pool": "nosuch"}) == BARE
    assert outcome(cluster, TOKEN, "PUT", "/storage/local", {"nodes": "pve1"}) == "/storage, Datastore.Allocate"
    assert outcome(cluster, TOKEN, "GET", "/nodes/pve1/status", {}) == "/nodes/pve1, Sys.Audit"


def test_import_source_needs_read_access() -> None:
    cluster = build()
    cluster.access.acl.pop("/storage/local")
    texts = refused(cluster)
    assert texts["create minimal"] == "/storage/local, Datastore.AllocateSpace|Datastore.Audit"
    assert texts["content"] == "/storage/local, Datastore.Audit|Datastore.AllocateSpace"


def test_a_tagged_bridge_is_checked_by_its_vlan() -> None:
    cluster = build(without="SDN.Use")
    assert outcome(cluster, TOKEN, *put(net0="virtio,bridge=vmbr0,tag=5")) == "/sdn/zones/localnetwork/vmbr0/5, SDN.Use"


def test_the_older_pair_of_privileges_also_allows_downloads() -> None:
    cluster = build(without="Sys.AccessNetwork")
    cluster.add_role("Old", ["Sys.Audit", "Sys.Modify"])
    for who in (USER, TOKEN):
        cluster.grant(who, "/", "Old", propagate=0)
    assert outcome(cluster, TOKEN, *CALLS["download-url"]) is None


def test_storages_in_a_pool_take_its_datastore_privileges_but_bridges_do_not() -> None:
    cluster = build(without="Datastore.AllocateSpace")
    cluster.access.acl = {path: entry for path, entry in cluster.access.acl.items() if path == "/pool/templates"}
    cluster.access.roles["Guest"] |= {*STORE_PRIVS, "SDN.Use", "Sys.AccessNetwork"}
    assert outcome(cluster, TOKEN, *CALLS["create minimal"]) == S
    cluster.pool_info["templates"] = {"comment": None, "storage": {"local", "local-lvm"}}
    assert outcome(cluster, TOKEN, *CALLS["create minimal"]) is None
    assert outcome(cluster, TOKEN, *CALLS["create full"]) == "/sdn/zones/localnetwork/vmbr0, SDN.Use"


def test_version_9_asks_for_guest_agent_privileges() -> None:
    assert refused(build("9.1.4")) == {}
    texts = refused(build("9.1.4", without="VM.GuestAgent.Unrestricted"))
    assert texts == {"exec": V + "VM.GuestAgent.Unrestricted"}
    cluster = build("9.1.4")
    cluster.access.roles["Guest"] -= set(AGENT_PRIVS[9])
    assert outcome(cluster, TOKEN, *CALLS["ping"]) == V + "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted"


# ------------------------------------------------------------------ the model


def test_built_in_roles_are_those_of_8_4() -> None:
    exchanges = json.loads((RECORDED / "reads.json").read_text())["exchanges"]
    rows = next(entry for entry in exchanges if entry["request"]["path"] == "/access/roles")["response"]["body"]["data"]
    recorded = {row["roleid"]: frozenset(filter(None, row["privs"].split(","))) for row in rows if row.get("special")}
    assert builtin_roles(8) == recorded


def test_permissions_have_the_recorded_shape() -> None:
    cluster = build()
    found = cluster.access.effective(TOKEN)
    assert set(found) == {
        "/pool/templates", "/vms/9450", "/storage/local", "/storage/local-lvm", "/nodes/pve1", "/sdn/zones/localnetwork"
    }  # fmt: skip
    assert set(found["/vms/9450"].values()) == {0}
    assert set(found["/pool/templates"].values()) == {1}
    assert found["/nodes/pve1"] == {"Sys.AccessNetwork": 0}
    top = cluster.access.effective("root@pam")
    assert {"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"} <= set(top)
    assert top["/"] == dict.fromkeys(builtin_roles(8)["Administrator"], 1)


def test_a_separated_token_has_what_it_shares_with_its_user() -> None:
    cluster = build()
    cluster.add_token("auto@pve!bare", privsep=1)
    assert cluster.access.effective("auto@pve!bare") == {}
    cluster.grant("auto@pve!bare", "/", "Administrator")
    assert set(cluster.access.permissions("auto@pve!bare", "/nodes/pve1")) == {"Sys.AccessNetwork"}
    cluster.access.users[USER].tokens["bare"].privsep = 0
    assert cluster.access.effective("auto@pve!bare") == cluster.access.effective(USER)


def test_deeper_entries_replace_those_above_and_groups_count_last() -> None:
    cluster = FakeCluster()
    access = cluster.access
    cluster.add_user("u@pve")
    cluster.grant("u@pve", "/", "PVEAdmin")
    assert cluster.allowed("u@pve", "/vms/100", "VM.Allocate")
    cluster.grant("u@pve", "/vms", "PVEAuditor")
    assert not cluster.allowed("u@pve", "/vms/100", "VM.Allocate")
    cluster.grant("u@pve", "/vms/100", "NoAccess")
    assert access.permissions("u@pve", "/vms/100") == {}
    assert cluster.allowed("u@pve", "/vms/101", "VM.Audit")
    cluster.grant("u@pve", "/storage/a", "PVEDatastoreUser", propagate=0)
    assert access.permissions("u@pve", "/storage/a") == {"Datastore.Audit": 0, "Datastore.AllocateSpace": 0}


def test_no_access_on_a_pool_beats_other_grants() -> None:
    cluster = build()
    cluster.grant(USER, "/vms", "PVEVMAdmin")
    cluster.access.acl["/pool/templates"] = {("user", USER): {"NoAccess": 1}}
    assert cluster.access.permissions(USER, "/vms/9450") == {}


def test_group_members_get_the_roles_of_the_group() -> None:
    cluster = build()
    cluster.add_user("g@pve")
    cluster.access.groups["ops"] = Group(users={"g@pve"})
    cluster.access.set_acl("/vms", ("group", "ops"), "PVEVMUser", 1)
    assert cluster.allowed("g@pve", "/vms/9450", "VM.PowerMgmt")
