# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One VM: cloned, kept, changed in place, replaced, removed; and left alone where it is not ours."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.identity import State

from tests.support.vms import GENERATION, LINE, NEWER, VmLab, add_line
from tests.support.workbench import KEY, Bench, warnings_of


def clone_by_hand(lab: VmLab, newid: int = 120, name: str = "web1", **config: t.Any) -> t.Any:
    values = {"node": "pve1", "vmid": 9000, "newid": newid, "name": name, "full": 0}
    lab.server.call(lab.cluster._qm_clone, values, "root@pam")
    lab.heal()
    lab.cluster.vms[newid].config.update(config)
    return lab.cluster.vms[newid]


# --- cloning


def test_a_linked_clone_of_the_newest_current_generation(lab: VmLab) -> None:
    add_line(lab.cluster, 9005, generation=NEWER, state=State.RETIRED)
    made = lab.make(memory=4096, tags=["web"])
    assert made.vmid == 100
    assert made.node == "pve1"
    assert made.config["scsi0"].startswith("local-lvm:vm-100-disk-0")
    assert made.config["memory"] == "4096"
    assert made.config["tags"] == f"gen-{GENERATION};line-{LINE};state-clone;web"
    assert f"line: {LINE}\ngeneration: {GENERATION}" in made.config["description"]
    assert "origin: 9000" in made.config["description"]
    assert made.status == "stopped"
    lab.assert_whole("web1")
    lab.settled(memory=4096, tags=["web"])


def test_what_is_not_declared_stays_as_the_template_has_it(lab: VmLab) -> None:
    made = lab.make()
    assert made.config["description"].startswith("A template\n\n```homelab")
    assert "linux" in made.config["tags"].split(";")
    assert (made.config["memory"], made.config["cores"], made.config["ciuser"]) == ("2048", 2, "debian")
    made.config["memory"] = "3000"
    lab.settled()


@pytest.mark.parametrize("options", [{"full": True}, {"storage": "fast"}, {"full": True, "storage": "ceph"}])
def test_a_full_clone_on_the_storage_that_is_named(lab: VmLab, options: dict[str, t.Any]) -> None:
    made = lab.make(**options)
    storage = options.get("storage", "local-lvm")
    assert all(str(made.config[key]).startswith(f"{storage}:") for key in ("scsi0", "scsi1"))
    assert "9000" not in made.config["scsi0"]
    lab.assert_whole("web1")
    lab.settled(**options)


def test_a_template_on_shared_storage_is_cloned_to_another_node(lab: VmLab) -> None:
    add_line(lab.cluster, 9010, line="shared", storage="ceph")
    made = lab.make(line="shared", node="pve3")
    assert made.node == "pve3"
    assert made.config["scsi0"].startswith("ceph:")
    lab.settled(line="shared", node="pve3")


def test_a_template_that_is_no_line_is_cloned_by_vmid_or_name(lab: VmLab) -> None:
    disk = lab.cluster.allocate("pve2", "local-lvm", 800, 1024**3, name="base-800-disk-0")
    lab.cluster.add_vm(800, "golden", node="pve2", config={"scsi0": f"{disk},size=1G"}, template=True)
    for name, template in (("one", "800"), ("two", "golden")):
        result = lab.vm(name=name, line=None, template=template)
        assert result["vm"]["template"] == 800, result
        assert result["vm"]["line"] is None
        assert lab.named(name)[0].config["tags"] == "state-clone"
        assert lab.vm(name=name, line=None, template=template)["changed"] is False


def test_a_template_whose_disks_allow_no_linked_clone_is_copied(lab: VmLab) -> None:
    disk = lab.cluster.allocate("pve1", "thick", 800, 1024**3, name="vm-800-disk-0")
    lab.cluster.add_vm(800, "golden", config={"scsi0": f"{disk},size=1G"}, template=True)
    result = lab.vm(line=None, template="golden")
    assert result["diff"]["after"]["web1"]["full"] is True, result
    lab.assert_whole("web1")


def test_without_a_node_the_one_with_most_memory_is_taken_among_those_that_reach_the_line(lab: VmLab) -> None:
    add_line(lab.cluster, 9001, node="pve2")
    memory = {"pve1": 1, "pve2": 5, "pve3": 8}
    node_row = lab.cluster.node_row
    lab.cluster.node_row = lambda name, user: {**node_row(name, user), "mem": (8 - memory[name]) * 1024**3}
    assert lab.make().node == "pve2"
    big = lab.fleet({"name": "big", "memory": 4096}, {"name": "next"})
    assert [vm["node"] for vm in big["vms"]] == ["pve2", "pve1"] or big["vms"][0]["node"] == "pve2"


def test_vms_of_one_tag_are_spread_evenly_and_stay_where_they_are(lab: VmLab) -> None:
    for number, node in enumerate(("pve2", "pve3"), start=1):
        add_line(lab.cluster, 9000 + number, node=node)
    names = [f"w{number}" for number in range(5)]
    wanted = [{"name": name, "spread": "workers"} for name in names]
    first = lab.fleet(*wanted)
    nodes = [vm["node"] for vm in first["vms"]]
    assert sorted(nodes.count(node) for node in set(nodes)) == [1, 2, 2]
    assert all("workers" in vm.config["tags"].split(";") for vm in lab.guests())
    sixth = lab.vm(name="w5", spread="workers")
    nodes.append(sixth["vm"]["node"])
    assert sorted(nodes.count(node) for node in set(nodes)) == [2, 2, 2]
    assert lab.fleet(*wanted)["changed"] is False


def test_a_fixed_vmid_is_taken_and_an_occupied_one_refused(lab: VmLab) -> None:
    assert lab.make(vmid=150).vmid == 150
    refused = lab.vm(name="web2", vmid=150)
    assert "VM web2: vmid=150: it is VM web1 on pve1. Give a free vmid" in refused["msg"]
    other = lab.vm(vmid=151)
    assert "vmid=151: it is there as VM 150. Set vmid to 150" in other["msg"]
    assert lab.writes() == []


def test_a_full_block_is_refused_before_anything_is_touched(lab: VmLab) -> None:
    lab.make(vmid_range="300-300")
    full = lab.vm(name="web2", vmid_range="300-300")
    assert "vmid_range='300-300': every VMID of it is taken" in full["msg"]
    assert lab.writes() == []


def test_a_fixed_address_of_the_template_is_not_inherited_silently(lab: VmLab) -> None:
    lab.cluster.vms[9000].config["ipconfig0"] = "ip=192.0.2.9/24,gw=192.0.2.1"
    refused = lab.vm()
    assert "the template VM 9000 has the fixed address ip=192.0.2.9/24,gw=192.0.2.1 in ipconfig0" in refused["msg"]
    assert lab.writes() == []
    made = lab.make(ipconfig=[{"ip": "dhcp"}])
    assert made.config["ipconfig0"] == "ip=dhcp"


def test_two_vms_with_one_address_or_one_vmid_are_refused(lab: VmLab) -> None:
    address = [{"ip": "192.0.2.9/24"}]
    result = lab.fleet(
        {"name": "one", "ipconfig": address, "vmid": 200}, {"name": "two", "ipconfig": address, "vmid": 200}
    )
    assert "VM two: vmid=200: it is declared for VM one as well" in result["msg"]
    assert "VM two: ipconfig='192.0.2.9': VM one has the same address" in result["msg"]
    assert result["summary"]["created"] == ["one"]
    lab.assert_whole("one")


# --- drift


def test_drift_is_repaired_in_place_and_shown(lab: VmLab) -> None:
    options = {"memory": 4096, "cores": 2, "description": "Text", "tags": ["web"], "onboot": True, "protection": True}
    made = lab.make(**options)
    made.config |= {"memory": "1024", "description": made.config["description"].replace("Text", "Other")}
    made.config["tags"] += ";extra"
    result = lab.vm(**options)
    assert result["diff"]["before"]["web1"] == {
        "memory": "1024",
        "tags": sorted([f"gen-{GENERATION}", f"line-{LINE}", "state-clone", "web", "extra"]),
        "description": "Other",
    }
    assert result["diff"]["after"]["web1"]["memory"] == "4096"
    assert lab.writes() == [f"PUT /nodes/pve1/qemu/{made.vmid}/config"]
    lab.settled(**options)


def test_network_devices_keep_their_mac_addresses(lab: VmLab) -> None:
    made = lab.make(net=[{"bridge": "vmbr0"}, {"bridge": "vmbr0", "tag": 5}])
    macs = [made.config[key].partition(",")[0] for key in ("net0", "net1")]
    assert macs[0] != "virtio=BC:24:11:00:00:01"
    lab.vm(net=[{"bridge": "vmbr0", "tag": 20}])
    assert made.config["net0"] == f"{macs[0]},bridge=vmbr0,tag=20"
    assert "net1" not in made.config
    lab.settled(net=[{"bridge": "vmbr0", "tag": 20}])
    lab.vm(net=[{"bridge": "vmbr0", "macaddr": "BC:24:11:AA:BB:CC"}])
    assert made.config["net0"] == "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0"


def test_disks_grow_move_and_come_and_never_shrink(lab: VmLab) -> None:
    made = lab.make(disks=[{"size": "8G"}])
    assert "size=8G" in made.config["scsi0"]
    more = [{"size": "10G", "storage": "fast", "ssd": True}, {"slot": "virtio1", "size": "2G"}]
    result = lab.vm(disks=more)
    assert result["steps"] == [
        "change scsi0, virtio1 of VM 100 (web1)",
        "move scsi0 of VM 100 (web1) to fast",
        "grow scsi0 of VM 100 (web1) to 10G",
    ]
    assert made.config["scsi0"].startswith("fast:")
    assert {"ssd=1", "size=10G"} <= set(made.config["scsi0"].split(","))
    # A disk without a storage of its own comes to where the system disk was.
    assert made.config["virtio1"].startswith("local-lvm:vm-100-disk-")
    assert not [key for key in made.config if key.startswith("unused")]
    lab.assert_whole("web1")
    lab.settled(disks=more)
    shrunk = lab.vm(disks=[{"size": "9G"}])
    assert "disks.size='9G': scsi0 has 10G, and disks only grow. Set size to 10G or more" in shrunk["msg"]
    taken = lab.vm(disks=[{"slot": "scsi1", "size": "9G"}])
    assert "disks.slot='scsi1': there is the cloud-init drive" in taken["msg"]
    nothing = lab.vm(disks=[{"slot": "scsi4"}])
    assert "disks.size=None: there is no disk in scsi4 yet" in nothing["msg"]
    assert lab.writes() == []


def test_cloud_init_is_told_and_a_password_is_never_shown(lab: VmLab) -> None:
    options = {
        "ciuser": "ops",
        "cipassword": "correct-horse-7",
        "sshkeys": [KEY],
        "ipconfig": [{"ip": "192.0.2.11/24", "gw": "192.0.2.1"}],
        "nameserver": ["192.0.2.53"],
        "ciupgrade": False,
    }
    result = lab.vm(**options)
    assert result["vm"]["address"] == "192.0.2.11"
    made = lab.named("web1")[0]
    assert made.config["cipassword"].startswith("$5$")
    assert "correct-horse-7" not in str(result)
    assert "cipassword" not in [entry for entry in lab.sent() if "clone" in entry]
    lab.settled(**options)
    assert lab.vm(**options, cipassword_update="always")["changed"] is True
    assert lab.vm(**{**options, "nameserver": [], "sshkeys": []})["diff"]["after"]["web1"] == {
        "nameserver": None,
        "sshkeys": None,
    }


def test_what_needs_a_reboot_is_said_and_done_only_when_allowed(lab: VmLab) -> None:
    made = lab.make(memory=2048, started=True)
    said = lab.vm(memory=4096, tags=["web"])
    assert (said["vm"]["pending"], said["vm"]["reboot_required"]) == (["memory"], True)
    assert made.config["memory"] == "2048"
    still = lab.settled(memory=4096)
    assert still["vm"]["reboot_required"] is True
    done = lab.vm(memory=4096, reboot="when_required")
    assert done["steps"] == ["reboot VM 100 (web1)"]
    assert done["vm"]["reboot_required"] is False
    assert made.config["memory"] == "4096"
    lab.settled(memory=4096, reboot="when_required")
    live = lab.vm(memory=4096, tags=["db"], reboot="when_required")
    assert live["steps"] == ["change tags of VM 100 (web1)"]
    both = lab.vm(memory=8192, reboot="when_required")
    assert both["steps"][1] == "reboot VM 100 (web1), if its changes need it"
    assert made.config["memory"] == "8192"


def test_started_is_kept_and_left_alone_where_it_is_not_said(lab: VmLab) -> None:
    made = lab.make()
    assert made.status == "stopped"
    assert lab.vm(started=True)["diff"]["after"]["web1"] == {"status": "running"}
    assert made.status == "running"
    lab.settled()
    lab.settled(started=True)
    lab.vm(started=False)
    assert made.status == "stopped"
    lab.settled(started=False)


def test_a_guest_that_does_not_shut_down_is_switched_off_only_with_force_stop(lab: VmLab) -> None:
    made = lab.make(started=True, agent={"enabled": False})
    made.acpi = False
    failed = lab.vm(started=False, shutdown_timeout=5)
    assert "The guest did not shut down: raise shutdown_timeout, or set force_stop=true" in failed["msg"]
    assert made.status == "running"
    lab.vm(started=False, force_stop=True)
    assert made.status == "stopped"


def test_a_vm_stays_on_its_node_and_that_is_said(lab: VmLab) -> None:
    lab.make(node="pve1")
    result = lab.vm(node="pve2")
    assert result["changed"] is False
    (warning,) = warnings_of(result)
    assert "VM 100 stays on node pve1, although pve2 is declared" in warning


def test_a_vm_joins_its_pool_and_moves_to_another(lab: VmLab) -> None:
    lab.cluster.pools |= {"web": set(), "db": set()}
    made = lab.make(pool="web")
    assert made.pool == "web"
    lab.settled(pool="web")
    result = lab.vm(pool="db")
    assert result["diff"] == {"before": {"web1": {"pool": "web"}}, "after": {"web1": {"pool": "db"}}}
    assert (made.pool, result["vm"]["pool"]) == ("db", "db")
    lab.settled(pool="db")
    assert "pool='nosuch': there is no such pool" in lab.vm(pool="nosuch")["msg"]


# --- whose it is


def test_a_vm_that_somebody_else_made_is_left_alone(lab: VmLab) -> None:
    foreign = clone_by_hand(lab)
    before = dict(foreign.config)
    refused = lab.vm(memory=4096)
    assert "VM 120 on pve1 has this name, and its identity block was inherited from VM 9000" in refused["msg"]
    assert "Set adopt=true" in refused["msg"]
    absent = lab.vm(state="absent", adopt=True)
    assert "It is left alone" in absent["msg"]
    assert lab.writes() == []
    assert foreign.config == before


def test_adopt_takes_a_vm_over_with_everything_that_is_declared(lab: VmLab) -> None:
    lab.cluster.add_vm(130, "web1", config={"memory": "512", "net0": "virtio=BC:24:11:00:00:07,bridge=vmbr0"})
    result = lab.vm(adopt=True, memory=1024)
    assert result["steps"] == ["adopt, and set memory, tags, description of VM 130 (web1)"]
    assert result["vm"]["ours"] is True
    assert result["vm"]["line"] is None
    lab.assert_whole("web1")
    lab.settled(adopt=True, memory=1024)


def test_what_is_adopted_keeps_its_password_and_has_to_have_room_for_the_block(lab: VmLab) -> None:
    vm = lab.cluster.add_vm(130, "web1", config={"cipassword": "$5$old", "description": "x" * 8150})
    refused = lab.vm(adopt=True, cipassword="correct-horse-7")
    assert "description='xxxxxxxxxxxxxxxxxxxx…': the description has 8150 characters" in refused["msg"]
    vm.config["description"] = "short"
    assert lab.vm(adopt=True, cipassword="correct-horse-7")["changed"] is True
    assert vm.config["cipassword"] == "$5$old"


def test_a_configuration_that_cannot_be_understood_is_refused_and_listed(lab: VmLab) -> None:
    lab.make().config["net0"] = "virtio=no-mac,bridge=vmbr0"
    refused = lab.vm(net=[{"bridge": "vmbr0"}])
    assert "its configuration, or that of its template, cannot be understood: net" in refused["msg"]
    assert lab.call("vm_info", {})["vms"][0]["macs"] == {}


def test_a_clone_by_hand_that_is_adopted_knows_its_line(lab: VmLab) -> None:
    clone_by_hand(lab)
    result = lab.vm(adopt=True)
    assert (result["vm"]["line"], result["vm"]["generation"]) == (LINE, GENERATION)
    lab.settled()


def test_builders_and_templates_are_never_adopted(lab: VmLab) -> None:
    vm = clone_by_hand(lab)
    vm.config["description"] = vm.config["description"].replace(
        "vmid: 9000\nrole: template", "vmid: 120\nrole: builder"
    )
    refused = lab.vm(adopt=True)
    assert f"VM 120 on pve1 cannot be taken over: it is a builder of line {LINE}" in refused["msg"]


def test_two_vms_of_one_name_are_refused_with_both_vmids_unless_one_is_named(lab: VmLab) -> None:
    lab.make()
    clone_by_hand(lab)
    refused = lab.vm()
    assert "name='web1': VM 100 on pve1 and VM 120 on pve1 have this name" in refused["msg"]
    assert lab.vm(vmid=100)["changed"] is False


def test_a_vm_on_a_node_that_is_offline_is_not_made_again(lab: VmLab) -> None:
    add_line(lab.cluster, 9001, node="pve2")
    lab.make(node="pve1")
    lab.cluster.nodes["pve1"]["online"] = False
    refused = lab.vm(node=None)
    assert "VM 100 may be it, and its node pve1 is offline" in refused["msg"]
    assert lab.writes() == []


# --- replacement and removal


def test_a_newer_generation_is_said_and_followed_only_on_request(lab: VmLab) -> None:
    made = lab.make(memory=4096, started=True)
    mac, vmid = made.config["net0"].partition(",")[0], made.vmid
    lab.cluster.vms[9000].config["tags"] = lab.cluster.vms[9000].config["tags"].replace("current", "retired")
    add_line(lab.cluster, 9001, generation=NEWER)
    said = lab.settled(memory=4096)
    assert said["vm"]["newest"] == NEWER
    running = lab.vm(memory=4096, replace=True)
    assert "replace=True: VM 100 on pve1 runs" in running["msg"]
    result = lab.vm(memory=4096, replace=True, force_stop=True)
    assert result["steps"][:2] == [
        "stop VM 100 (web1)",
        "destroy VM 100 (web1) on pve1, with its place in backup jobs, replication and HA: "
        "replaced by a clone of VM 9001",
    ]
    again = lab.cluster.vms[vmid]
    assert again is not made
    assert (again.config["net0"].partition(",")[0], again.status) == (mac, "running")
    assert f"generation: {NEWER}" in again.config["description"]
    lab.assert_whole("web1")
    lab.settled(memory=4096, replace=True, force_stop=True)


def test_another_line_is_said_and_followed_only_on_request(lab: VmLab) -> None:
    lab.make()
    add_line(lab.cluster, 9001, line="debian-14")
    said = lab.vm(line="debian-14")
    assert said["changed"] is False
    assert f"came from line {LINE}, not line debian-14; replace=true makes it anew" in str(warnings_of(said))
    assert lab.vm(line="debian-14", replace=True)["vm"]["line"] == "debian-14"


def test_absent_asks_for_everything_that_could_be_lost(lab: VmLab) -> None:
    made = lab.make(started=True, protection=True)
    refused = lab.vm(state="absent")
    assert "VM 100 on pve1 is protected. Set protection=false first" in refused["msg"]
    assert "VM 100 on pve1 runs. Shut it down first (started=false), or set force_stop=true" in refused["msg"]
    assert lab.writes() == []
    lab.vm(protection=False)
    gone = lab.vm(state="absent", force_stop=True)
    assert gone["vm"]["status"] == "absent"
    assert gone["diff"] == {"before": {"web1": {"state": "present"}}, "after": {"web1": {"state": "absent"}}}
    assert made.vmid not in lab.cluster.vms
    (destroyed,) = [entry for entry in lab.server.writes() if entry.method == "DELETE"]
    assert destroyed.params == {"purge": "1"}
    lab.assert_whole()
    assert lab.vm(state="absent")["changed"] is False


def test_a_fleet_does_not_remove_more_than_it_may(lab: VmLab) -> None:
    names = [f"w{number}" for number in range(4)]
    lab.fleet(*({"name": name} for name in names))
    gone = [{"name": name, "state": "absent"} for name in names]
    refused = lab.fleet(*gone, max_deletions=3)
    assert "this run would destroy 4 VMs: 100 (w0), 101 (w1), 102 (w2), 103 (w3)" in refused["msg"]
    assert lab.writes() == []
    assert lab.fleet(*gone, max_deletions=4)["summary"]["removed"] == names
    lab.assert_whole()


def test_one_vm_that_is_refused_or_fails_does_not_hinder_the_others(lab: VmLab) -> None:
    lab.cluster.faults.add("fail_task", "POST", "/9000/clone$", nth=2, exitstatus="clone failed: out of luck")
    result = lab.fleet({"name": "w0"}, {"name": "w1"}, {"name": "w2", "line": "nosuch"}, workers=1)
    assert result["failed"]
    assert "w1: task qmclone 9000 on node pve1 failed: clone failed: out of luck" in result["msg"]
    assert "VM w2: line='nosuch': there is no current generation of it that can be seen" in result["msg"]
    summary = result["summary"]
    assert (summary["created"], summary["failed"], summary["refused"]) == (["w0"], ["w1"], ["w2"])
    lab.assert_whole("w0")


# --- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "no_name"}, "name='no_name': it must be a DNS name of 63 characters at most"),
        ({"template": "9000"}, "template='9000': a VM is cloned from a line or from a template"),
        ({"node": "pve1", "nodes": ["pve2"]}, "nodes=['pve2']: node='pve1' says where already"),
        ({"full": False, "storage": "fast"}, "storage='fast': a linked clone lives beside its template"),
        ({"started": False, "wait_for": "ssh"}, "wait_for='ssh': a VM that is not started comes to nothing"),
        ({"tags": ["state-mine"]}, "tags='state-mine': tags that begin with"),
        ({"spread": "two words"}, "spread=['two words']: tags: 'two words' is not one tag"),
        ({"vmid_range": "5-10"}, "vmid_range='5-10': write first-last within 100-"),
        ({"vmid": 5}, "vmid=5: Proxmox VE takes 100 to"),
        ({"disks": [{"slot": "disk1"}]}, "disks[0].slot='disk1': name a slot such as scsi0"),
        ({"disks": [{"size": "1G"}, {"size": "2G"}]}, "disks[1].slot='scsi0': it is declared twice"),
        ({"disks": [{"size": "12 GB"}]}, "disks[0].size='12 GB': '12 GB' is no size"),
        ({"startup": "first"}, "startup='first': write it as order=1,up=30,down=60"),
        ({"ha": {"managed": False, "state": "started"}}, "ha.managed=False: what HA is to do says nothing then"),
        ({"ha": {"state": "stopped"}, "started": True}, "started=True: ha.state=stopped wants the opposite"),
        ({"ipconfig": [{"ip": "192.0.2.300/24"}]}, "ipconfig[0]="),
        ({"sshkeys": ["no key"]}, "sshkeys='…': sshkeys, line 1: no OpenSSH public key"),
        ({"memory": 8}, "memory=8: Proxmox VE takes 16 or more"),
        ({"wait_timeout": 0}, "wait_timeout=0: it is seconds, 1 at least"),
        ({"ssh_port": 70000}, "ssh_port=70000: it must be 1 to 65535"),
    ],
)
def test_options_that_cannot_be_meant_are_told_before_anything_is_asked(
    lab: VmLab, options: dict[str, t.Any], message: str
) -> None:
    result = lab.vm(**options)
    assert result["failed"]
    assert message in result["msg"]
    assert lab.sent() == []


def test_all_problems_of_a_fleet_are_told_together(lab: VmLab) -> None:
    result = lab.fleet({"name": "a_b"}, {"name": "w1", "memory": 1}, {"name": "w1"}, workers=0)
    for text in ("vms[0].name='a_b'", "vms[1].memory=1", "workers=0: it must be 1 at least"):
        assert text in result["msg"]
    assert "vms: w1 is declared twice" in lab.fleet({"name": "w1"}, {"name": "w1"})["msg"]
    assert lab.sent() == []


def test_a_range_for_all_of_a_fleet_is_told_once_and_one_of_a_vm_with_its_place(lab: VmLab) -> None:
    for_all = lab.fleet({"name": "w1"}, {"name": "w2"}, vmid_range="9-1")["msg"]
    assert for_all == "vmid_range='9-1': write first-last within 100-999999999, such as 100-999"
    assert lab.fleet({"name": "w1"}, {"name": "w2", "vmid_range": "9-1"})["msg"].startswith("vms[1].vmid_range='9-1'")


# --- beside templates


def test_clones_keep_their_generation_alive_and_trouble_no_run_of_their_line(bench: Bench) -> None:
    """On LVM-thin, which forgets whose clone a volume is, the tags tell; VMs of ours are nobody's strangers."""
    origin = bench.build().vmid
    for name in ("web1", "web2"):
        assert bench.call("vm", {"name": name, "line": LINE})["vm"]["template"] == origin
    idle = bench.template()
    assert (idle["changed"], idle["template"]["foreign"], warnings_of(idle)) == (False, [], [])
    assert [entry for entry in bench.sent() if "/config" in entry] == [f"GET /nodes/pve1/qemu/{origin}/config"]
    bench.later(hours=1)
    renewed = bench.template(disk={"size": "10G"}, keep=1)
    (kept,) = renewed["template"]["kept"]
    assert kept["reason"] == "clones hang on it: 100, 101"
    assert bench.state(origin) == "retired"
    told = bench.call("vm", {"name": "web1", "line": LINE})
    assert told["vm"]["newest"] == renewed["template"]["current"]["generation"]
    pruned = bench.call("vm_template_prune", {"lines": [], "allow_no_lines": True}, check=True)
    assert not pruned.get("failed"), pruned["msg"]
    assert pruned["foreign"] == []
    assert origin in [one["vmid"] for one in pruned["kept"]]
