# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there, and what was declared, to what a report says of it. The time of day changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from .._model.cluster import GuestRow
from .._model.identity import TAG_LINE, State, tag_value
from .._model.report import ATTENTION, ORDER, Cell, GenerationFacts, LineReport, Notice, Report, Status, VmNote
from .._model.stock import Stock, current_of, previous_of
from .._model.template import Generation, TemplateLine
from .fleet import spread
from .standing import satisfies

PROOF_FAILED = "failed"
"""How the word of a proof begins that did not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a report is asked for. C(lines) is None where nothing is declared; C(max_age) in days."""

    title: str
    day: date
    lines: tuple[TemplateLine, ...] | None = None
    max_age: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Everything by C(line@node)."""

    wish: Wish
    stock: Stock
    generations: Mapping[str, list[Generation]]
    declared: Mapping[str, TemplateLine]
    homes: Mapping[str, str]
    """For declared lines on shared storage: the node that keeps it."""
    foreign: Mapping[str, tuple[int, ...]]
    unknown: frozenset[str]

    def is_offline(self, node: str) -> bool:
        row = self.stock.cluster.nodes.get(node)
        return row is not None and not row.online


def make_report(wish: Wish, stock: Stock) -> Report:
    """What there is to say, worst first."""
    view = _view(wish, stock)
    nodes = _nodes(view)
    lines = [_line(view, name, nodes) for name in _names(view)]
    lines = [line for line in lines if line.status is not Status.NONE]
    lines.sort(key=lambda line: (ORDER[line.status], line.line))
    cells = [cell for line in lines for cell in line.cells]
    counts = {status.value: sum(cell.status is status for cell in cells) for status in Status}
    gathered = {"vendor": stock.vendors, "clones": stock.clones, "sizes": stock.sizes}
    return Report(
        title=wish.title,
        day=wish.day.isoformat(),
        nodes=nodes,
        lines=tuple(lines),
        attention=tuple(_attention(lines)),
        unfinished=tuple(_note(g, _unfinished_reason(g)) for g in stock.generations if _is_unfinished(g)),
        foreign=tuple(sorted((_vm(one.row, one.reason) for one in stock.foreign), key=_place)),
        unknown=tuple(sorted((_vm(row, "its node is offline") for row in stock.unknown), key=_place)),
        problems=stock.problems,
        silent=tuple(_vendor_problems(lines)),
        gathered=tuple(name for name, found in gathered.items() if found is not None),
        summary={name: count for name, count in counts.items() if count and name != Status.NONE},
    )


def _view(wish: Wish, stock: Stock) -> _View:
    lines = wish.lines or ()
    kept = {(line.line, line.place.storage): line.place.node for line in spread(lines, stock.cluster)}
    keys = {line.key for line in spread(lines, stock.cluster)}
    foreign: dict[str, tuple[int, ...]] = {}
    for one in stock.foreign:
        key = f"{tag_value(one.row.tags, TAG_LINE)}@{one.row.node}"
        foreign[key] = (*foreign.get(key, ()), one.row.vmid)
    return _View(
        wish=wish,
        stock=stock,
        generations=stock.by_line(),
        declared={line.key: line for line in lines},
        homes={line.key: kept[line.line, line.place.storage] for line in lines if line.key not in keys},
        foreign=foreign,
        unknown=frozenset(f"{tag_value(row.tags, TAG_LINE)}@{row.node}" for row in stock.unknown),
    )


def _names(view: _View) -> list[str]:
    """Every line that is declared or there."""
    return sorted({key.rpartition("@")[0] for key in (*view.declared, *view.generations, *view.unknown)})


def _nodes(view: _View) -> tuple[str, ...]:
    """The nodes that lines are on or shall be on; all of them where there is no line."""
    used = {key.rpartition("@")[2] for key in (*view.declared, *view.generations, *view.unknown)}
    return tuple(sorted(used or view.stock.cluster.nodes))


def _line(view: _View, name: str, nodes: Sequence[str]) -> LineReport:
    keys = [f"{name}@{node}" for node in nodes]
    declared = [line for key in keys if (line := view.declared.get(key)) is not None and not line.absent]
    current = [found for key in keys if (found := current_of(view.generations.get(key, []))) is not None]
    shared = [found for found in current if _is_shared(view, found)]
    answers = [answer for key in keys if (answer := (view.stock.vendors or {}).get(key)) is not None]
    answered = [answer for answer in answers if answer.digest]
    image = next((line.image.id for line in declared), "")
    image = image or next((found.identity.image or found.identity.url for found in current), "")
    return LineReport(
        line=name,
        image=image,
        declared=None if view.wish.lines is None else bool(declared),
        hold=any(line.hold for line in declared),
        pin=next((line.pin for line in declared if line.pin is not None), None),
        vendor=next(iter(answered or answers), None),
        cells=tuple(_cell(view, name, node, shared) for node in nodes),
    )


def _cell(view: _View, name: str, node: str, shared: Sequence[Generation]) -> Cell:
    key = f"{name}@{node}"
    found = view.generations.get(key, [])
    current = current_of(found)
    previous = previous_of(found)
    home = view.homes.get(key) or next((one.row.node for one in shared if _reaches(view, node, one)), "")
    status, reason = _status(view, key, node, "" if current else home)
    return Cell(
        node=node,
        status=status,
        reason=reason,
        current=_facts(view, current) if current else None,
        previous=previous.vmid if previous else None,
        former=tuple(_facts(view, one) for one in found if one.state is State.RETIRED),
        unfinished=tuple(one.vmid for one in found if _is_unfinished(one)),
        foreign=view.foreign.get(key, ()),
        home=home if status is Status.ELSEWHERE else "",
    )


def _status(view: _View, key: str, node: str, home: str) -> tuple[Status, str]:
    found, line = view.generations.get(key, []), view.declared.get(key)
    if view.is_offline(node) and (line is not None or key in view.unknown):
        return Status.UNKNOWN, "offline"
    current = current_of(found)
    if view.wish.lines is not None and found and (line is None or line.absent):
        age = _old(current, view.wish.day) if current is not None else "no current generation"
        return Status.UNDECLARED, f"declared absent, {age}" if line is not None else age
    if current is not None:
        return _standing(view, key, current)
    if home and home != node:
        return Status.ELSEWHERE, f"on {home}"
    if not found and (line is None or line.absent):
        foreign = view.foreign.get(key)
        return (Status.FOREIGN, "only a foreign VM") if foreign else (Status.NONE, "")
    return _without_current(view, found, node)


def _without_current(view: _View, found: Sequence[Generation], node: str) -> tuple[Status, str]:
    if node not in view.stock.cluster.nodes:
        return Status.MISSING, f"the cluster has no node {node}"
    for one in found:
        if one.state is State.CURRENT:
            return Status.MISSING, f"VM {one.vmid} is no whole template: {', '.join(one.incomplete)}"
    for one in found:
        if _is_unfinished(one):
            return Status.UNFINISHED, f"VM {one.vmid}: {_unfinished_reason(one)}"
    return Status.MISSING, f"only former: VM {found[0].vmid}" if found else "not built yet"


def _standing(view: _View, key: str, current: Generation) -> tuple[Status, str]:
    """How a current generation stands; what was decided by a person goes before what time brings."""
    line = view.declared.get(key)
    old = _old(current, view.wish.day)
    stale = _stale(view, key, current)
    if current.identity.proof.startswith(PROOF_FAILED):
        return Status.FAILED, current.identity.proof.removeprefix(PROOF_FAILED).lstrip(": ")
    if line is not None and line.pin is not None:
        if not satisfies(line, current):
            return Status.PINNED, f"not at {line.pin} yet, {old}"
        return Status.PINNED, ", ".join(filter(None, (f"to {line.pin}", stale or old)))
    if line is not None and line.hold:
        return Status.HELD, stale or old
    withdrawn = _rolled_back_from(view.generations[key], current)
    if withdrawn is not None:
        return Status.HELD, f"rolled back from VM {withdrawn.vmid}, {stale or old}"
    return (Status.STALE, stale) if stale else (Status.CURRENT, old)


def _stale(view: _View, key: str, current: Generation) -> str:
    """Why a generation is stale, empty where it is not. A build that the vendor still offers does not age."""
    old = _old(current, view.wish.day)
    vendor = (view.stock.vendors or {}).get(key)
    if vendor is not None and vendor.newer is not None:
        return f"{old}, vendor newer" if vendor.newer else ""
    line = view.declared.get(key)
    limit = view.wish.max_age if line is None else line.refresh.max_age // 86400
    if line is not None and line.refresh.policy == "never":
        return ""
    _built, age = _age(current, view.wish.day)
    return f"{old}, {limit} d allowed" if age is None or age > limit else ""


def _rolled_back_from(generations: Iterable[Generation], current: Generation) -> Generation | None:
    """A newer generation that the line was rolled back from."""
    for one in generations:
        if one.identity.withdrawn and one.identity.generation > current.identity.generation:
            return one
    return None


def _is_unfinished(generation: Generation) -> bool:
    """As the planner of templates sees it: what was not published, or is no whole template and not a former one."""
    if generation.state in (State.BUILDING, State.CANDIDATE):
        return True
    return bool(generation.incomplete) and generation.state is not State.RETIRED


def _unfinished_reason(generation: Generation) -> str:
    identity = generation.identity
    if generation.state is State.CANDIDATE:
        return f"built {identity.built}, not published"
    if generation.state is not State.BUILDING:
        return f"no whole template: {', '.join(generation.incomplete)}"
    until = f", may be taken over after {identity.deadline}" if identity.deadline else ""
    roles = f", waits for its roles (run {identity.run})" if identity.paused else ""
    return f"begun {identity.built}{roles}{until}"


def _facts(view: _View, generation: Generation) -> GenerationFacts:
    built, age = _age(generation, view.wish.day)
    clones = (view.stock.clones or {}).get(generation.vmid)
    return GenerationFacts(
        vmid=generation.vmid,
        name=generation.config.name or "",
        generation=generation.identity.generation,
        state=generation.state.value if generation.state else None,
        built=built,
        age_days=age,
        build=generation.identity.source_build,
        source=generation.identity.source,
        proof=generation.identity.proof,
        size=(view.stock.sizes or {}).get(generation.vmid),
        clones=clones,
    )


def _age(generation: Generation, day: date) -> tuple[str | None, int | None]:
    """The UTC day that it was built on, and how many days ago that is."""
    try:
        built = datetime.fromisoformat(generation.identity.built)
    except ValueError:
        return None, None
    # A time without a zone was written as UTC.
    there = (built if built.tzinfo else built.replace(tzinfo=UTC)).astimezone(UTC).date()
    return there.isoformat(), (day - there).days


def _old(generation: Generation, day: date) -> str:
    _built, age = _age(generation, day)
    return "age not known" if age is None else f"{age} d"


def _storages(generation: Generation) -> set[str]:
    return {disk.storage for disk in generation.config.disks().values() if disk.is_base and disk.storage}


def _is_shared(view: _View, generation: Generation) -> bool:
    rows = [view.stock.cluster.storage(generation.row.node, storage) for storage in _storages(generation)]
    return bool(rows) and all(row is not None and row.shared for row in rows)


def _reaches(view: _View, node: str, generation: Generation) -> bool:
    return all(view.stock.cluster.storage(node, storage) is not None for storage in _storages(generation))


def _attention(lines: Sequence[LineReport]) -> list[Notice]:
    """Nodes that are offline, then one notice for a line and a status, worst first, with the reason of the oldest."""
    offline: dict[str, int] = {}
    notices = []
    for line in lines:
        places = [cell for cell in line.cells if cell.status not in (Status.NONE, Status.ELSEWHERE)]
        for cell in places:
            if cell.status is Status.UNKNOWN:
                offline[cell.node] = offline.get(cell.node, 0) + 1
        for status in ATTENTION:
            found = [cell for cell in places if cell.status is status is not Status.UNKNOWN]
            if status is Status.UNFINISHED:
                found += [cell for cell in places if cell.unfinished and cell.status not in (status, Status.MISSING)]
            if found:
                oldest = max(found, key=lambda cell: (cell.current.age_days or 0) if cell.current else 0)
                nodes = () if len(found) == len(places) else tuple(cell.node for cell in found)
                reason = oldest.reason if oldest.status is status else f"VM {oldest.unfinished[0]}"
                notices.append(Notice(status=status, line=line.line, nodes=nodes, reason=reason))
    notices.sort(key=lambda notice: ORDER[notice.status])
    silent = [
        Notice(status=Status.UNKNOWN, line="", nodes=(node,), reason=f"offline, {count} line{'s' if count > 1 else ''}")
        for node, count in sorted(offline.items())
    ]
    return [*silent, *notices]


def _vendor_problems(lines: Iterable[LineReport]) -> list[str]:
    """What vendors could not tell, each once with the lines that it concerns."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.vendor is not None and line.vendor.problem:
            found.setdefault(line.vendor.problem, []).append(line.line)
    return [f"{', '.join(names)}: {problem}" for problem, names in found.items()]


def _note(generation: Generation, reason: str) -> VmNote:
    row = generation.row
    return VmNote(vmid=row.vmid, name=row.name, node=row.node, line=generation.identity.line, reason=reason)


def _vm(row: GuestRow, reason: str) -> VmNote:
    return VmNote(vmid=row.vmid, name=row.name, node=row.node, line=tag_value(row.tags, TAG_LINE), reason=reason)


def _place(note: VmNote) -> tuple[str, int]:
    return (note.node, note.vmid)
