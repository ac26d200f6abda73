# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault does to the request it hits.

An effect gets the request as a Call and may answer it, plan the end of its task, or change the cluster and return how
to undo that. Its keyword arguments are those of ``Faults.add``.
"""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass, field

from aiohttp import web
from fakepve.model import PveError

from .taskplan import TaskPlan
from .wire import refusal

Undo = t.Callable[[], None]
NO_SPACE = "copy failed: qemu-img: error while writing at byte 0: No space left on device"


@dataclass
class Call:
    """One API request on its way through the faults; ``path`` is decoded and without the /api2/json prefix."""

    cluster: t.Any
    request: web.Request
    path: str
    params: dict[str, t.Any]
    node: str | None
    # Filled by effects:
    plan: TaskPlan | None = None
    answer: web.StreamResponse | None = None
    cut: bool = False
    cut_after: bool = False
    hold_after: float = 0.0
    undo: list[Undo] = field(default_factory=list)

    def vmid(self, vmid: int | None) -> int:
        """The VM an effect is about: the one given, else the one a request makes or names."""
        named = self.path.split("/")
        in_path = next((part for part in named if part.isdigit()), None)
        found = vmid or self.params.get("newid") or self.params.get("vmid") or in_path
        if not found:
            raise ValueError(f"no VM in {self.path}")
        return int(found)


# ------------------------------------------------------------- the connection


async def cut_before(call: Call) -> None:
    """Close the connection; the request is not processed."""
    call.cut = True


async def cut_after(call: Call) -> None:
    """Process the request, then close the connection without an answer."""
    call.cut_after = True


async def delay(call: Call, seconds: float) -> None:
    """Process the request after ``seconds`` (real ones)."""
    await call.cluster.faults.hold(call.cluster, seconds)


async def hang(call: Call, seconds: float = 3600.0, after: bool = False) -> None:
    """Keep the connection without an answer for ``seconds``, then close it; ``after``: the request was processed."""
    if after:
        call.cut_after, call.hold_after = True, seconds
    else:
        await call.cluster.faults.hold(call.cluster, seconds)
        call.cut = True


async def status(
    call: Call, code: int, message: str = "", reason: str | None = None, errors: dict[str, str] | None = None
) -> None:
    """Answer this instead of processing; 401 and 59x have no body, ``reason`` may differ from ``message``."""
    call.answer = refusal(call.request, code, message or reason or "", errors)
    if reason is not None:
        call.answer.set_status(code, reason)


# ------------------------------------------------------------------- the task


async def fail_task(
    call: Call, exitstatus: str, log: t.Sequence[str] = (), done: bool = False, crash: bool = False
) -> None:
    """The task of this request fails; ``done``: after its work, ``crash``: and its lock stays."""
    call.plan = TaskPlan(exitstatus, tuple(log), run=done, crash=crash, known=frozenset(call.cluster.vms))


async def hang_task(call: Call) -> None:
    """The task of this request stays running until ``faults.release()``."""
    call.plan = TaskPlan(release=call.cluster.faults.let_go)


# ------------------------------------------------------------------ the guests


async def lock(call: Call, vmid: int | None = None, lock: str = "backup") -> None:
    """Another operation holds the VM's lock."""
    target = call.vmid(vmid)
    call.cluster.snapshot_lock(target, lock)
    call.undo.append(lambda: target in call.cluster.vms and call.cluster.unlock(target))


async def steal_vmid(
    call: Call, vmid: int | None = None, late: bool = False, name: str = "racing-client", instead: bool = False
) -> None:
    """Another client makes a VM of that id: before this request, or (``late``, clones) while its task runs.

    The thief is refused as well where somebody has been faster, unless it destroys that VM first (``instead``).
    """
    target = call.vmid(vmid)

    def appear() -> None:
        if instead or target not in call.cluster.vms:
            call.cluster.add_vm(target, name)

    if not late:
        appear()
        return
    text = f"unable to create VM {target}: config file already exists"
    call.plan = TaskPlan(text, known=frozenset(call.cluster.vms), then=appear)


async def digest_bump(call: Call, vmid: int | None = None) -> None:
    """Somebody else writes the VM's config; what changes is vmgenid, which no declaration mentions."""
    call.cluster.vms[call.vmid(vmid)].config["vmgenid"] = str(uuid.uuid4())


# ----------------------------------------------------------------- the cluster


async def node_offline(call: Call, node: str | None = None, how: str = "route") -> None:
    """The node is gone; its requests are answered by ``how``: route (595), timeout (596), hostname (500)."""
    name = node or call.node
    if name is None:
        raise ValueError(f"no node in {call.path}")
    call.cluster.set_node_offline(name)
    call.cluster.faults.unreachable[name] = how

    def back() -> None:
        call.cluster.set_node_offline(name, False)
        call.cluster.faults.unreachable.pop(name, None)

    call.undo.append(back)


async def lost_quorum(call: Call) -> None:
    """/etc/pve is read-only: every write is refused."""
    call.cluster.lose_quorum()
    call.undo.append(call.cluster.regain_quorum)


async def disk_full(call: Call, storage: str) -> None:
    """The storage has no space left: it says so, and the task of this request fails."""
    store = call.cluster.storages[storage]
    before = store.get("occupied", 0)
    store["occupied"] = 1 << 60
    call.undo.append(lambda: store.update(occupied=before))
    if call.path.endswith("/clone"):
        text = f"clone failed: {NO_SPACE}"
    elif call.path.endswith("/qemu"):
        text = f"unable to create VM {call.vmid(None)} - {NO_SPACE}"
    else:
        text = NO_SPACE
    call.plan = TaskPlan(text, known=frozenset(call.cluster.vms))


async def expire_ticket(call: Call) -> None:
    """Every login ticket ends now; the request itself gets the 401."""
    call.cluster.expire_tickets()


async def drop_privilege(call: Call, privilege: str) -> None:
    """An administrator takes a privilege out of every role."""
    roles = call.cluster.access.roles
    holders = [name for name, privs in roles.items() if privilege in privs]
    for name in holders:
        roles[name].discard(privilege)

    def give_back() -> None:
        for name in holders:
            roles.get(name, set()).add(privilege)

    call.undo.append(give_back)


EFFECTS: dict[str, t.Callable[..., t.Awaitable[None]]] = {
    effect.__name__: effect
    for effect in (
        cut_before, cut_after, delay, hang, status, fail_task, hang_task, lock, steal_vmid, digest_bump, node_offline,
        lost_quorum, disk_full, expire_ticket, drop_privilege,
    )
}  # fmt: skip


def unreachable(request: web.Request, node: str, how: str) -> web.Response:
    """The answer to a request for a node that is gone."""
    if how == "hostname":
        detail = f"failed to get address info for: {node}: Name or service not known"
        return refusal(request, 500, f"hostname lookup '{node}' failed - {detail}")
    code, reason = {"route": (595, "No route to host"), "timeout": (596, "Connection timed out")}[how]
    return refusal(request, code, reason)


def no_quorum() -> PveError:
    """What a write gets without quorum."""
    return PveError(500, "cluster not ready - no quorum?")
