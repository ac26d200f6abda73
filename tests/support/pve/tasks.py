# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker tasks: UPIDs, their lasting, their logs, and the calls that read them."""

from __future__ import annotations

import asyncio
import typing as t

from fakepve.model import PveError, TaskError
from fakepve.routing import param_error

from .wire import Answer, now

Body = t.Callable[[list[str]], t.Awaitable[None]]
UPID_FORM = r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:"


class TasksMixin:
    """Mixin of FakeCluster.

    ``durations``: {task type: real seconds it takes}, ``"*"`` for the others (default 0: the task has ended before
    its UPID is answered, downloads excepted). ``missing_polls`` / ``running_polls``: that many status reads of every
    new task answer 400 "no such task" / "running" although it has ended; the node's list does not show such a task,
    or as running, which counts as a status read.
    """

    def _init_tasks(self) -> None:
        self.durations: dict[str, float] = {"*": 0.0}
        self.missing_polls = 0
        self.running_polls = 0
        # Records of ended tasks in the order of their ends, as /var/log/pve/tasks/index.
        self.archive: list[dict[str, t.Any]] = []
        # Real seconds a request waits for a task that should be over at once.
        self.inline_wait = 0.5
        self.workers: set[asyncio.Task] = set()

    def _routes_zz_tasks(self) -> list[tuple[str, str, t.Callable]]:
        node = "/nodes/{node}/tasks"
        return [
            ("GET", node, self._tasks_of_node),
            ("GET", node + "/{upid}/status", self._task_state),
            ("GET", node + "/{upid}/log", self._task_lines),
            ("DELETE", node + "/{upid}", self._task_stop),
            ("GET", "/cluster/tasks", self._tasks_of_cluster),
        ]

    # ------------------------------------------------------------------ run

    async def run_task(self, node: str, kind: str, ident: t.Any, user: str, body: Body) -> str:
        """Start a worker, return its UPID; ``body(log)`` writes the log and raises TaskError or PveError to fail."""
        upid, pid, start = self._upid(node, kind, ident, user)
        record: dict[str, t.Any] = {
            "upid": upid, "node": node, "pid": pid, "pstart": pid * 7, "starttime": start, "type": kind,
            "id": str(ident), "user": user.partition("!")[0], "status": "running", "log": [], "owner": user,
            "missing": self.missing_polls, "running": self.running_polls,
        }  # fmt: skip
        if "!" in user:
            record["tokenid"] = user.partition("!")[2]
        self.tasks[upid] = record
        self.tasklog.append(record)
        seconds = self.durations.get(kind, self.durations.get("*", 0.0))
        worker = asyncio.ensure_future(self._work(record, body, seconds))
        self.workers.add(worker)
        worker.add_done_callback(self.workers.discard)
        if not seconds:
            await asyncio.wait({worker}, timeout=self.inline_wait)
        return upid

    async def task(self, node, ttype, tid, user, body, vm=None, lock=True, log=()):  # noqa: PLR0917 - fakepve's
        """fakepve's own tasks (containers) in terms of run_task."""

        async def adapted(lines: list[str]) -> None:
            lines.extend(log)
            note = await body()
            if note:
                lines.append(note)

        return await self.run_task(node, ttype, tid, user, adapted)

    async def _work(self, record: dict[str, t.Any], body: Body, seconds: float) -> None:
        status = "OK"
        try:
            async with self.worker_slot(record):
                await asyncio.sleep(seconds / 2)
                # What can be seen of the work while it goes on, where there is such.
                getattr(body, "begin", bool)()
                await asyncio.sleep(seconds / 2)
                await body(record["log"])
            if record.get("warnings"):
                status = f"WARNINGS: {record['warnings']}"
        except (TaskError, PveError) as exc:
            status = (exc.message if isinstance(exc, PveError) else str(exc)).rstrip("\n")
        except asyncio.CancelledError:
            status = "received interrupt"
        record.update(status="stopped", exitstatus=status, endtime=now())
        last = {"O": "TASK OK", "W": f"TASK {status}"}[status[0]] if ended_well(status) else f"TASK ERROR: {status}"
        record["log"].append(last)
        self.archive.append(record)

    def worker_slot(self, record: dict[str, t.Any]) -> t.AsyncContextManager:
        """A hook around a worker's run, for limits."""
        return _Open()

    def running_tasks(self) -> list[str]:
        """UPIDs of the tasks that are under way."""
        return [upid for upid, record in self.tasks.items() if record["status"] == "running"]

    # ----------------------------------------------------------------- reads

    def _record(self, v: dict, user: str) -> dict[str, t.Any]:
        """The task of a UPID that ``user`` may see (its owner, or Sys.Audit on the node)."""
        upid, node = v["upid"], v["node"]
        parts = upid.split(":")
        if len(parts) != 9 or parts[0] != "UPID":
            raise param_error(upid="unable to parse worker upid")
        record = self.tasks.get(upid)
        if record is None or record["node"] != node:
            raise param_error(upid="no such task")
        if not self._owns(user, record):
            self.require(user, "/nodes/" + node, "Sys.Audit")
        return record

    @staticmethod
    def _owns(user: str, record: dict[str, t.Any]) -> bool:
        """A user owns its own tasks and those of its tokens; a token only its own."""
        return user in (record["owner"], record["user"])

    async def _task_state(self, v: dict, user: str) -> dict[str, t.Any]:
        record = self._record(v, user)
        if record["missing"] > 0:
            record["missing"] -= 1
            raise param_error(upid="no such task")
        shown = shown_fields(record, ("upid", "node", "pid", "pstart", "starttime", "type", "id", "user", "tokenid"))
        if record["running"] > 0:
            record["running"] -= 1
            return {**shown, "status": "running"}
        return {**shown, **shown_fields(record, ("status", "exitstatus"))}

    async def _task_lines(self, v: dict, user: str) -> Answer:
        lines = self._record(v, user)["log"] or ["no content"]
        start, limit = v.get("start", 0), v.get("limit", 50)
        rows = [{"n": number, "t": text} for number, text in enumerate(lines, 1)]
        return Answer(rows[start : start + limit] if limit else rows[start:], {"total": len(rows)})

    async def _task_stop(self, v: dict, user: str) -> None:
        record = self._record(v, user)
        if not self._owns(user, record):
            self.require(user, "/nodes/" + record["node"], "Sys.Modify")
        record["stop"] = True

    async def _tasks_of_node(self, v: dict, user: str) -> Answer:
        """As PVE::API2::Tasks node_tasks: the running ones, first begun first, then the archive, last ended first."""
        node, audit, source = v["node"], self.allowed(user, "/nodes/" + v["node"], "Sys.Audit"), v.get("source")
        rows = []
        if source in ("active", "all"):
            running = [record for record in self.tasklog if seems_running(record)]
            rows += [active_row(record) for record in running if audit or user == record["owner"]]
        if source != "active":
            ended = [record for record in reversed(self.archive) if not seems_running(record)]
            rows += [archived_row(record) for record in ended if audit or self._owns(user, record)]
        hidden = {record["upid"] for record in self.tasklog if record["node"] != node or record.get("missing")}
        rows = [row for row in rows if row["upid"] not in hidden]
        for record in self.tasklog:
            if record["upid"] not in hidden:
                record["running"] = max(0, record.get("running", 0) - 1)
        rows = [row for row in rows if wanted(row, v)]
        start, limit = v.get("start", 0), v.get("limit", 50)
        return Answer(rows[start : start + limit], {"total": len(rows)})

    async def _tasks_of_cluster(self, v: dict, user: str) -> list[dict[str, t.Any]]:
        rows = []
        for record in reversed(self.tasklog):
            # A token does not see its own tasks here: the list compares users without token ids (recorded).
            if not (user == record["user"] or self.allowed(user, "/nodes/" + record["node"], "Sys.Audit")):
                continue
            row = shown_fields(record, ("upid", "node", "starttime", "endtime", "type", "id", "user", "tokenid"))
            if "exitstatus" in record:
                row.update(status=record["exitstatus"], saved="1")
            rows.append(row)
        return rows[:25]


class _Open:
    """An async context that holds nothing."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_exc: object) -> None:
        return None


def ended_well(status: str) -> bool:
    return status == "OK" or status.startswith("WARNINGS: ")


def shown_fields(record: dict[str, t.Any], names: t.Iterable[str]) -> dict[str, t.Any]:
    return {name: record[name] for name in names if name in record}


def seems_running(record: dict[str, t.Any]) -> bool:
    return record["status"] == "running" or record.get("running", 0) > 0


def archived_row(record: dict[str, t.Any]) -> dict[str, t.Any]:
    """A line of the index: the user without the token's name (recorded)."""
    names = ("upid", "node", "pid", "pstart", "starttime", "endtime", "type", "id", "user", "tokenid")
    return {**shown_fields(record, names), "status": record["exitstatus"]}


def active_row(record: dict[str, t.Any]) -> dict[str, t.Any]:
    """A line of the list of running tasks: the user as in the UPID, with the token's name."""
    names = ("upid", "node", "pid", "pstart", "starttime", "type", "id")
    return {**shown_fields(record, names), "user": record["owner"], "saved": "0", "status": "RUNNING"}


def wanted(row: dict[str, t.Any], v: dict) -> bool:
    """Does a row pass the filters of GET /nodes/{node}/tasks? They look at a running one before it is named RUNNING."""
    states = str(v.get("statusfilter") or "ok,warning,error,unknown").replace(";", ",").lower().split(",")
    if v.get("errors"):
        states = ["warning", "error", "unknown"]
    return all((
        str(v.get("vmid") or row["id"]) == row["id"],
        row["type"] == (v.get("typefilter") or row["type"]),
        (v.get("userfilter") or "").lower() in row["user"].lower(),
        int(v.get("since") or 0) <= row["starttime"] <= int(v.get("until") or row["starttime"]),
        status_class(row["status"] if "endtime" in row else "") in states,
    ))  # fmt: skip


def status_class(status: str) -> str:
    """As PVE::Tools::upid_normalize_status_type."""
    if status in ("", "unexpected status"):
        return "unknown"
    return "ok" if status == "OK" else "warning" if status.startswith("WARNINGS: ") else "error"
