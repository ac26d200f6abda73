# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster does in the middle of a run: failing tasks, clashes, locks, quorum, nodes, space, reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.ordeal import Ordeal, on, recover, suffer
from tests.support.site import Site

CREATE, RESIZE, CONVERT = "POST /qemu$", "PUT /resize$", "POST /template$"
DOWNLOAD, PUBLISH = "POST /download-url$", "PUT /config$"
RACING = ("VM 9000 racing-client",)


def settled(site: Site) -> None:
    assert not site.keep().get("failed")


def fixed_id_freed(site: Site) -> Callable[[], object]:
    return lambda: site.cluster.remove_vm(9000)


FAILING_TASKS = [
    Ordeal(
        name="download",
        faults=(on("fail_task", DOWNLOAD, exitstatus="unable to open file", log=["line of the log"]),),
        says=("task download", "on node pve1 failed: unable to open file", "Nothing was left behind"),
        left=(),
    ),
    Ordeal(
        name="create",
        faults=(on("fail_task", CREATE, exitstatus="unable to create VM 9000 - out of luck", log=["line of the log"]),),
        says=("task qmcreate 9000 on node pve1 failed: unable to create VM 9000 - out of luck",),
        left=("image",),
    ),
    Ordeal(
        name="create with a dying worker",
        faults=(on("fail_task", CREATE, exitstatus="unexpected status", crash=True, log=["line of the log"]),),
        says=("task qmcreate 9000 on node pve1 failed", "VM 9000 on pve1 is locked (create)", "qm destroy 9000"),
        left=("image", "VM 9000 ?", "lock 9000 create"),
        # Nobody can tell whose it is: it stays, and the next run builds beside it.
        world=lambda site: lambda: (site.cluster.vms[9000].config.pop("lock"), site.cluster.remove_vm(9000)),
    ),
    Ordeal(
        name="create that has done its work",
        faults=(on("fail_task", CREATE, exitstatus="out of luck", done=True, log=["line of the log"]),),
        says=("task qmcreate 9000 on node pve1 failed: out of luck",),
        left=("image",),
    ),
    Ordeal(
        name="resize",
        faults=(on("fail_task", RESIZE, exitstatus="out of luck", log=["line of the log"]),),
        says=("task resize 9000 on node pve1 failed: out of luck", "Nothing was left behind"),
        left=("image",),
    ),
    Ordeal(
        name="convert",
        faults=(on("fail_task", CONVERT, exitstatus="out of luck", log=["line of the log"]),),
        says=("task qmtemplate 9000 on node pve1 failed: out of luck", "Nothing was left behind"),
        left=("image",),
    ),
    Ordeal(
        name="upload",
        door="image",
        options={"transfer": "upload"},
        faults=(on("fail_task", "POST /upload$", exitstatus="out of luck", log=["line of the log"]),),
        says=("task imgcopy on node pve1 failed: out of luck",),
        left=(),
    ),
]


@pytest.mark.parametrize("ordeal", FAILING_TASKS, ids=str)
def test_a_task_that_fails(site: Site, ordeal: Ordeal) -> None:
    result = suffer(site, ordeal)
    task = result["error"]["task"]
    assert task["upid"].startswith("UPID:pve1:")
    assert "line of the log" in task["log_tail"]


SPACE = [
    Ordeal(
        name="for the image",
        faults=(on("disk_full", DOWNLOAD, storage="local"),),
        says=("No space left on device", "image_storage='local': it has no space left", "Free some, or name another"),
        left=(),
    ),
    Ordeal(
        name="for the disk",
        faults=(on("disk_full", CREATE, storage="local-lvm"),),
        says=("No space left on device", "storage='local-lvm': it has no space left", "Free some, or name another"),
        left=("image",),
    ),
    Ordeal(
        name="for an image alone",
        door="image",
        faults=(on("disk_full", DOWNLOAD, storage="local"),),
        says=("No space left on device", ". storage='local': it has no space left"),
        left=(),
    ),
    Ordeal(
        name="for an upload",
        door="image",
        options={"transfer": "upload"},
        faults=(on("disk_full", "POST /upload$", storage="local"),),
        says=("No space left on device", ". storage='local': it has no space left"),
        left=(),
    ),
]

CLASHES = [
    Ordeal(
        name="early clash in a range",
        faults=(on("steal_vmid", CREATE),),
        survives=True,
        left=("image", *RACING, "current 9001"),
    ),
    Ordeal(
        name="late clash in a range",
        faults=(on("steal_vmid", CREATE, late=True),),
        survives=True,
        left=("image", *RACING, "current 9001"),
    ),
    Ordeal(
        name="early clash on a fixed id",
        options={"vmid": 9000},
        faults=(on("steal_vmid", CREATE),),
        world=fixed_id_freed,
        says=("already exists", "vmid=9000: another client took it", "Choose a free one, or give vmid_range instead"),
        left=("image", *RACING),
    ),
    Ordeal(
        name="late clash on a fixed id",
        options={"vmid": 9000},
        faults=(on("steal_vmid", CREATE, late=True),),
        world=fixed_id_freed,
        says=("already exists", "vmid=9000: another client took it", "Choose a free one, or give vmid_range instead"),
        left=("image", *RACING),
    ),
]

LOCKED = "Another operation holds the lock of VM 9000. Run again when it has ended"
LOCKS = [
    Ordeal(name="resize, released", faults=(on("lock", RESIZE, lasts=6),), survives=True),
    Ordeal(name="convert, released", faults=(on("lock", CONVERT, lasts=2),), survives=True),
    Ordeal(name="publish, released", faults=(on("lock", PUBLISH, lasts=2),), survives=True),
    Ordeal(
        name="in place, released",
        start=settled,
        options={"memory": 4096},
        faults=(on("lock", PUBLISH, lasts=2),),
        survives=True,
    ),
    Ordeal(
        name="resize, held",
        faults=(on("lock", RESIZE),),
        says=("VM is locked (backup)", LOCKED, "qm unlock 9000", "Left behind: VM 9000"),
        left=("image", "building 9000", "lock 9000 backup"),
    ),
    Ordeal(
        name="convert, held",
        faults=(on("lock", CONVERT),),
        says=("VM is locked (backup)", LOCKED, "qm unlock 9000", "Left behind: VM 9000"),
        left=("image", "building 9000", "lock 9000 backup"),
    ),
    Ordeal(
        name="publish, held",
        faults=(on("lock", PUBLISH),),
        says=("VM is locked (backup)", LOCKED, "qm unlock 9000", "complete but not published"),
        left=("image", "unpublished 9000", "lock 9000 backup"),
    ),
    Ordeal(
        name="in place, held",
        start=settled,
        options={"memory": 4096},
        faults=(on("lock", PUBLISH),),
        says=("VM is locked (backup)", LOCKED, "qm unlock 9000"),
        left=("image", "current 9000", "lock 9000 backup"),
    ),
]

QUORUM = "The cluster has too few nodes online to be written to (pvecm status). Run again when it has"
AWAY = [
    Ordeal(name="quorum, at once", faults=(on("lost_quorum", DOWNLOAD),), says=(QUORUM,), left=()),
    Ordeal(name="quorum, at create", faults=(on("lost_quorum", CREATE),), says=(QUORUM,), left=("image",)),
    Ordeal(
        name="quorum, at resize",
        faults=(on("lost_quorum", RESIZE),),
        says=(QUORUM, "VM 9000 on pve1, unfinished: it could not be removed", "no quorum"),
        left=("image", "building 9000"),
    ),
    Ordeal(
        name="quorum, at publish",
        faults=(on("lost_quorum", PUBLISH),),
        says=(QUORUM, "VM 9000 is complete but not published"),
        left=("image", "unpublished 9000"),
    ),
    Ordeal(
        name="quorum, in place",
        start=settled,
        options={"memory": 4096},
        faults=(on("lost_quorum", PUBLISH),),
        says=(QUORUM,),
        left=("image", "current 9000"),
    ),
    *(
        Ordeal(
            name=f"node, {how}, at resize",
            faults=(on("node_offline", RESIZE, how=how),),
            says=("node='pve1'", "Check that it is online, and run again", "VM 9000 on pve1, unfinished"),
            left=("image", "building 9000"),
        )
        for how in ("route", "hostname")
    ),
    Ordeal(
        name="node, at publish",
        faults=(on("node_offline", PUBLISH),),
        says=("node='pve1'", "Check that it is online, and run again", "VM 9000 is complete but not published"),
        left=("image", "unpublished 9000"),
    ),
]

BROKEN = {"code": 596, "reason": "Broken pipe"}
READS = [
    *(
        Ordeal(name=f"{code} of {path}", faults=(on("status", f"GET {path}", code=code, reason="x"),), survives=True)
        for code in (596, 599)
        for path in ("^/cluster/resources$", "^/access/permissions$", "/content$", "^/version$", "/config$")
    ),
    Ordeal(name="596 of every first poll", faults=(on("status", "GET /status$", times=3, **BROKEN),), survives=True),
    Ordeal(name="599 of polls", faults=(on("status", "GET /status$", nth=2, code=599, reason="x"),), survives=True),
    Ordeal(name="cut reads", faults=(on("cut_before", "GET /config$"),), survives=True),
    Ordeal(name="cut polls", faults=(on("cut_after", "GET /status$", times=2),), survives=True),
    Ordeal(
        name="a read that never comes through",
        faults=(on("status", "GET ^/version$", times=None, **BROKEN),),
        says=("GET /version", "Broken pipe"),
        left=(),
    ),
    Ordeal(
        name="an impossible read in the middle",
        faults=(on("status", "GET /config$", code=500, message="something broke"),),
        says=("GET /nodes/pve1/qemu/9000/config: something broke", "Nothing was left behind"),
        left=("image",),
    ),
]

DIGESTS = [
    Ordeal(name="publish, once", faults=(on("digest_bump", PUBLISH),), survives=True, left=("image", "current 9000")),
    Ordeal(name="resize, once", faults=(on("digest_bump", RESIZE),), survives=True),
    Ordeal(
        name="in place, once",
        start=settled,
        options={"memory": 4096},
        faults=(on("digest_bump", PUBLISH),),
        survives=True,
        left=("image", "current 9000"),
    ),
    Ordeal(
        name="publish, again and again",
        faults=(on("digest_bump", PUBLISH, times=None),),
        says=("file change by other user", "Somebody else keeps changing this VM", "complete but not published"),
        left=("image", "unpublished 9000"),
    ),
    Ordeal(
        name="in place, again and again",
        start=settled,
        options={"memory": 4096},
        faults=(on("digest_bump", PUBLISH, times=None),),
        says=("file change by other user", "Somebody else keeps changing this VM"),
        left=("image", "current 9000"),
    ),
]

OTHERS = [
    Ordeal(
        name="disk.size below the image's",
        only={"disk": {"size": "1G"}},
        # The disk of an image of one's own is known only when it is there.
        says=("disk.size='1G': the image's disk has 3G", "Set disk.size to 3G or more", "Nothing was left behind"),
        left=("image",),
    ),
]


@pytest.mark.parametrize(
    "ordeal", [*SPACE, *CLASHES, *LOCKS, *AWAY, *READS, *DIGESTS, *OTHERS], ids=lambda ordeal: ordeal.name
)
def test_in_the_middle_of_a_run(site: Site, ordeal: Ordeal) -> None:
    suffer(site, ordeal)


def test_a_task_is_not_registered_at_once(site: Site) -> None:
    """The status of a task right after its dispatch may be a 400."""
    site.cluster.missing_polls = 3
    assert site.keep()["changed"]
    refused = [entry for entry in site.server.requests if entry.path.endswith("/status") and entry.status == 400]
    assert len(refused) == 4 * site.cluster.missing_polls
    suffer(site, Ordeal(name="no such task", survives=True, left=("image", "current 9000")))


def test_a_task_that_is_never_registered_is_no_endless_wait(site: Site) -> None:
    site.cluster.missing_polls = 10**6
    result = site.keep()
    assert result["failed"]
    assert "no such task" in result["msg"]
    site.assert_named(result, [])
    site.cluster.missing_polls = 0
    recover(site, Ordeal(name="no such task"))
