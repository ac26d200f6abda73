# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each recording found on the server when it began, and what happened between its exchanges."""

from __future__ import annotations

import functools
import typing as t

from . import images
from .cluster import FakeCluster
from .recording import load
from .vm import Vm

Scene = t.Callable[[FakeCluster], None]
KEY = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMRXd4PolxJgEknmxum7bMWDQ%2FHl2qSp%2Bn6MKO0gUq8G%20lab%40pve-lab"
SECRET = "00000000-1111-2222-3333-444444444444"
AUTO, LOOP = "auto@pve", "loop@pve"
STORE = ("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit")
CONFIG = ("CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options")
PLAIN = ("Allocate", "Audit", "Backup", "Clone", "Monitor", "PowerMgmt")
GUEST = (*(f"VM.{name}" for name in PLAIN), *(f"VM.Config.{name}" for name in CONFIG), "Pool.Audit")
# The builder of the customise recording: its config as created by exchange 5.
BUILDER = {
    "memory": "1024", "ostype": "l26", "scsihw": "virtio-scsi-single", "agent": "enabled=1", "serial0": "socket",
    "vga": "serial0", "boot": "order=scsi0", "tags": "debian;build", "description": "lab builder",
    "meta": "creation-qemu=7.2.22,ctime=1795442294", "vmgenid": "0aed2af7-ce22-44d1-93e8-7bc91f984825",
    "smbios1": "uuid=9de5acbe-74b8-4496-8437-0ec0f77b5a0b",
}  # fmt: skip
# The VM of the loop over privileges, as exchange 179 made it and 182-210 changed it.
LOOPED = {
    **BUILDER, "name": "lp2", "memory": "96", "cores": 2, "tags": "c", "description": "y", "machine": "q35",
    "net0": "virtio=BC:24:11:4D:F3:01,bridge=vmbr0,firewall=1", "ciuser": "ops2", "scsihw": "virtio-scsi-pci",
}  # fmt: skip


def server_of_the_recordings() -> FakeCluster:
    """Node pve1 with template 9000, imported images and the token root@pam!lab."""
    cluster = FakeCluster()
    cluster.add_token("root@pam!lab", privsep=0, secret=SECRET)
    for name in ("debian-12-lab", "empty2g", "up"):
        cluster.put_file(f"local:import/{name}.qcow2", images.qcow2())
    # The real one holds a Debian system; its size is all that the recordings show.
    cluster.volumes()["local:import/debian-12-lab.qcow2"].size = 785_842_176
    cluster.put_file("local:iso/up.iso", bytes(196_640))
    cluster.put_file("local:vztmpl/alpine-3.18-lab_20230607_amd64.tar.gz", bytes(1_032_455))
    disks = {"scsi0": "local-lvm:base-9000-disk-0,size=2G", "scsi1": "local-lvm:vm-9000-cloudinit,media=cdrom"}
    config = {"memory": "1024", "tags": "debian;template", "serial0": "socket", "boot": "order=scsi0", **disks}
    cluster.add_vm(9000, "debian-12", template=True, config=config)
    cluster.allocate("pve1", "local-lvm", 9000, 2 * images.GIB, name="base-9000-disk-0")
    cluster.allocate("pve1", "local-lvm", 9000, 4 * 1024**2, name="vm-9000-cloudinit")
    return cluster


# ------------------------------------------------------------------ small acts


def vm(cluster: FakeCluster, vmid: int, name: str, gib: int = 3, pool: str = "templates", **config: t.Any) -> Vm:
    """A VM with a disk on local-lvm, as one of the steps that were not recorded made it."""
    cluster.remove_vm(vmid)
    disk = {"scsi0": f"local-lvm:vm-{vmid}-disk-0,discard=on,size={gib}G,ssd=1"}
    made = cluster.add_vm(vmid, name, pool=pool, config={**disk, **config, "name": name})
    cluster.allocate("pve1", "local-lvm", vmid, gib * images.GIB, name=f"vm-{vmid}-disk-0")
    if "scsi1" in config:
        cluster.allocate("pve1", "local-lvm", vmid, 4 * 1024**2, name=f"vm-{vmid}-cloudinit")
    return made


def run(cluster: FakeCluster, vmid: int) -> Vm:
    """Start a VM without leaving a task."""
    if not cluster.vms[vmid].running:
        cluster.boot(cluster.vms[vmid])
    return cluster.vms[vmid]


def limited_user(cluster: FakeCluster, user: str, guest: t.Iterable[str] = GUEST, without: str = "") -> None:
    """A user and its token with the least privileges; the pool role is the only one that may differ."""
    if user not in cluster.access.users:
        cluster.add_user(user)
    if cluster.access.token(f"{user}!ci") is None:
        cluster.add_token(f"{user}!ci", privsep=1, secret=SECRET)
    prefix = user.partition("@")[0]
    roles = {"Guest": [*guest], "Store": [*STORE], "Net": ["SDN.Use"], "Node": ["Sys.AccessNetwork"]}
    for role, privs in roles.items():
        cluster.add_role(f"{prefix}{role}", [priv for priv in privs if priv != without])
    for who in (user, f"{user}!ci"):
        cluster.grant(who, "/pool/templates", f"{prefix}Guest")
        for storage in ("local", "local-lvm"):
            cluster.grant(who, f"/storage/{storage}", f"{prefix}Store")
        cluster.grant(who, "/sdn/zones/localnetwork", f"{prefix}Net")
        cluster.grant(who, "/nodes/pve1", f"{prefix}Node")


def refuse(cluster: FakeCluster, vmid: int, times: int) -> None:
    """The agent is not up for that many calls."""
    cluster.vms[vmid].inside.refusals = times


# ------------------------------------------------------- template-life and others


def pvestatd_round(cluster: FakeCluster) -> None:
    """From here on the list of resources lags behind."""
    cluster.limits.resources_lag = 3600.0
    cluster.broadcast()


def past_tasks(cluster: FakeCluster) -> None:
    """The node has worked before: the tasks of the list itself."""
    (listed,) = (one for one in load("reads") if one.request["path"] == "/cluster/tasks")
    for row in reversed(listed.response["body"]["data"]):
        owner = f"{row['user']}!{row['tokenid']}" if "tokenid" in row else row["user"]
        record = {**row, "owner": owner, "exitstatus": row["status"], "status": "stopped", "pid": 1, "pstart": 1}
        cluster.tasklog.append(record)
        cluster.archive.append(record)


def limited_token(cluster: FakeCluster) -> None:
    cluster.add_token("low@pve!lim", privsep=1, secret=SECRET)


# --------------------------------------------------------------------- customise


def second_builder(cluster: FakeCluster) -> None:
    """9402 was made like 9400, but its runcmd fails; it runs."""
    cluster.put_file("local:iso/cust-build-9402.iso", bytes(376_832))
    iso = "local:iso/cust-build-9402.iso,media=cdrom,size=368K"
    vm(cluster, 9402, "cust-build-9402", **BUILDER, ide2=iso, net0="virtio=BC:24:11:00:94:02,bridge=vmbr0")
    run(cluster, 9402)


def agent_of_9402_again(cluster: FakeCluster) -> None:
    """The guest was started again, and one program has been read already."""
    run(cluster, 9402).inside.wedged = False


def listed_vms(cluster: FakeCluster) -> None:
    """Exchange 78 sees the VM of the loop and a second clone."""
    vm(cluster, 9450, **LOOPED)
    vm(cluster, 9412, **CLONE, name="web-9412")
    run(cluster, 9412)
    run(cluster, 9411)


CLONE = {**BUILDER, "memory": "768", "tags": "debian;template", "scsi1": "local-lvm:vm-9412-cloudinit,media=cdrom"}


def silent_guest(cluster: FakeCluster) -> None:
    """9470 runs an empty disk: neither agent nor ACPI."""
    guest = run(cluster, 9470)
    guest.acpi = False
    guest.inside.refusals = 10**6


def no_agent(cluster: FakeCluster) -> None:
    run(cluster, 9470).config.pop("agent", None)


def silent_guest_without_agent(cluster: FakeCluster) -> None:
    no_agent_again = run(cluster, 9470)
    no_agent_again.acpi = False


def clones_of_9402(cluster: FakeCluster) -> None:
    extra = {
        "scsi1": "local-lvm:vm-9422-cloudinit,media=cdrom,size=4M", "ciuser": "ops", "ciupgrade": 0, "sshkeys": KEY,
        "searchdomain": "lab.test", "nameserver": "10.99.0.1",
    }  # fmt: skip
    vm(cluster, 9422, "web-9422", **{**BUILDER, "memory": "768", **extra})
    run(cluster, 9422)
    run(cluster, 9421)


def self_sealed_clone(cluster: FakeCluster) -> None:
    vm(cluster, 9424, "web-9424", **BUILDER)
    run(cluster, 9424)


def only_the_first_template(cluster: FakeCluster) -> None:
    """Exchange 162 was made after the lab had been cleaned."""
    for vmid in [vmid for vmid in cluster.vms if vmid != 9000]:
        cluster.remove_vm(vmid)
    for volid in list(cluster.volumes()):
        if ":iso/" in volid and volid != "local:iso/up.iso":
            cluster.free(volid, "pve1")


def powered_off(cluster: FakeCluster) -> None:
    vm(cluster, 9403, "cust-build-9403", **{**BUILDER, "cores": 1})
    for vmid, cores in ((9400, 2), (9402, 1)):
        vm(cluster, vmid, f"cust-build-{vmid}", **{**BUILDER, "cores": cores})
        cluster.vms[vmid].config.pop("lock", None)


def the_loop(cluster: FakeCluster) -> None:
    """loop@pve with two builders in the pool that run; their seeds still lie on local."""
    for name in ("cust-build-9400", "cust-build-9402"):
        cluster.put_file(f"local:iso/{name}.iso", bytes(376_832))
    cluster.remove_vm(9403)
    limited_user(cluster, LOOP)
    for vmid in (9400, 9402):
        run(cluster, vmid)


async def after_resize_and_start(cluster: FakeCluster) -> None:
    """Between 212 and 213: resize to 3G and start."""
    looped = {"node": "pve1", "vmid": 9450}
    await cluster._qm_resize({**looped, "disk": "scsi0", "size": "3G"}, f"{LOOP}!ci")
    await cluster._power_start(looped, f"{LOOP}!ci")


async def template_of_the_loop(cluster: FakeCluster) -> None:
    """Between 227 and 228: the conversion."""
    await cluster._qm_template({"node": "pve1", "vmid": 9450}, f"{LOOP}!ci")


def without(cluster: FakeCluster, privilege: str) -> None:
    """The loop without one privilege, and its VM as each round has it."""
    limited_user(cluster, LOOP, without=privilege)
    disk = {"scsi1": "local-lvm:vm-9450-cloudinit,media=cdrom"}
    vm(cluster, 9450, **{**LOOPED, **disk})


def without_vm(cluster: FakeCluster, privilege: str) -> None:
    without(cluster, privilege)
    cluster.remove_vm(9450)


def pool_role_only(cluster: FakeCluster) -> None:
    """One role on the pool, which also carries the storage privileges; nothing on the storages."""
    cluster.add_role("LoopDisk", STORE[1:])
    forget_grants(cluster)
    cluster.remove_vm(9450)
    cluster.add_role("LoopPool", [*GUEST, *STORE, "SDN.Use", "Sys.AccessNetwork"])
    for who in (LOOP, f"{LOOP}!ci"):
        cluster.grant(who, "/pool/templates", "LoopPool")


def forget_grants(cluster: FakeCluster) -> None:
    for who in (("user", LOOP), ("token", f"{LOOP}!ci")):
        cluster.access.forget(who)


def network_access(cluster: FakeCluster) -> None:
    for who in (LOOP, f"{LOOP}!ci"):
        cluster.grant(who, "/nodes/pve1", "loopNode", propagate=0)
    cluster.remove_vm(9480)


def audit_and_modify(cluster: FakeCluster) -> None:
    forget_grants(cluster)
    cluster.add_role("LoopRoot", ["Sys.Audit", "Sys.Modify"])
    for who in (LOOP, f"{LOOP}!ci"):
        cluster.grant(who, "/pool/templates", "LoopPool")
        cluster.grant(who, "/", "LoopRoot", propagate=0)
    cluster.free("local:import/lp-pool.qcow2", "pve1")
    cluster.remove_vm(9480)
    cluster.remove_vm(9400)
    for vmid in (9403, 9411, 9412, 9414, 9421, 9422):
        vm(cluster, vmid, f"left-{vmid}")


def read_already(cluster: FakeCluster, vmid: int) -> None:
    cluster.vms[vmid].inside.results.clear()


P = functools.partial
CUSTOMISE: dict[int, Scene] = {
    4: P(limited_user, user=AUTO),
    8: P(refuse, vmid=9400, times=2),
    15: P(refuse, vmid=9400, times=1),
    28: second_builder,
    67: lambda cluster: cluster.put_file("local:iso/lp-b3bf3c.iso", bytes(65_536)),
    72: lambda cluster: cluster.put_file("local:snippets/lab.yaml", b"#cloud-config\n{}\n"),
    78: listed_vms,
    96: agent_of_9402_again,
    98: P(read_already, vmid=9402),
    123: silent_guest,
    125: no_agent,
    126: silent_guest_without_agent,
    131: clones_of_9402,
    157: self_sealed_clone,
    162: only_the_first_template,
    165: powered_off,
    166: the_loop,
    213: after_resize_and_start,
    228: template_of_the_loop,
    295: pool_role_only,
    303: network_access,
    308: audit_and_modify,
}
for _number, _privilege in {
    249: "VM.Audit", 252: "VM.Backup", 253: "VM.Clone", 254: "VM.Config.CDROM", 256: "VM.Config.CPU",
    257: "VM.Config.Cloudinit", 260: "VM.Config.Disk", 262: "Datastore.Allocate", 265: "Datastore.AllocateSpace",
    270: "Datastore.AllocateTemplate", 272: "SDN.Use", 274: "Sys.AccessNetwork", 277: "VM.Config.HWType",
    279: "VM.Config.Memory", 281: "VM.Config.Network", 283: "VM.Config.Options", 284: "VM.Monitor", 291: "VM.PowerMgmt",
    294: "Pool.Audit",
}.items():  # fmt: skip
    CUSTOMISE[_number] = P(without, privilege=_privilege)
for _number, _privilege in {
    247: "VM.Allocate", 255: "VM.Config.CPU", 259: "VM.Config.Disk", 264: "Datastore.AllocateSpace",
    269: "Datastore.AllocateTemplate", 271: "SDN.Use", 276: "VM.Config.HWType", 278: "VM.Config.Memory",
    280: "VM.Config.Network", 282: "VM.Config.Options",
}.items():  # fmt: skip
    CUSTOMISE[_number] = P(without_vm, privilege=_privilege)
SCENES: dict[str, dict[int, Scene]] = {
    "template-life": {11: pvestatd_round, 81: lambda cluster: cluster.broadcast()},
    "reads": {20: past_tasks},
    "refusals": {40: limited_token},
    "customise": CUSTOMISE,
}
# refusals#37 was sent with a wrong secret.
SECRETS: dict[str, dict[int, str]] = {"refusals": {37: "wrong"}}
