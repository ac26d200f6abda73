# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one page that loads nothing, and as JSON."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from .._model.report import Cell, GenerationFacts, LineReport, Notice, Report, Status, VmNote
from .._model.size import GIB
from .markup import Markup, el, join, text
from .report_style import STYLE

WORDS: Mapping[Status, tuple[str, str]] = {
    Status.FAILED: ("Failed proof", "The current generation did not hold its last proof of boot."),
    Status.MISSING: ("Missing", "The line is declared, or was there, and has no current generation."),
    Status.UNKNOWN: ("Unknown", "The node is offline, so nobody can tell what is on it."),
    Status.UNFINISHED: ("Unfinished", "A build that is not published: it runs, or it was left."),
    Status.STALE: ("Stale", "The vendor has another image. Where it was not asked: older than allowed."),
    Status.HELD: ("Held", "Kept as it is, by hold or by a rollback, whatever the vendor has."),
    Status.PINNED: ("Pinned", "Kept at one build."),
    Status.UNDECLARED: ("Undeclared", "It is there, and nobody declares it: a candidate for pruning."),
    Status.FOREIGN: ("Foreign", "Only a VM that looks like a generation is there, such as a clone made by hand."),
    Status.CURRENT: ("Current", "As it should be."),
    Status.ELSEWHERE: ("Elsewhere", "On a storage that the nodes share; the named node has it."),
}
_SHORT = 30
"""Characters of a fact that is not broken over two lines."""
_META = re.compile(rb'<meta name="homelab-report" content="([^"]*)">')


def page(report: Report) -> bytes:
    """The page. It has no script, takes no style but its own, and is allowed to load nothing."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    short = json.dumps({"day": report.day, "summary": report.summary}, separators=(",", ":"))
    head = (
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name_="homelab-report", content=short),
        el("title", f"{report.title}, {report.day}"),
        el("style", Markup(STYLE)),
    )
    body = (_header(report), el("main", *_sections(report)), _legend(report))
    whole = el("html", el("head", *head), "\n", el("body", join(*body, by="\n")), lang="en")
    return f"<!doctype html>\n{whole}\n".encode()


def data(report: Report) -> bytes:
    """The report as JSON, in the order of the page."""
    # Without ensure_ascii half of a surrogate pair in a name could not be written.
    return (json.dumps(as_plain(report), indent=2) + "\n").encode()


def as_plain(report: Report) -> dict[str, t.Any]:
    """The report in the types of JSON; the cells of a line by their node."""
    plain = asdict(report)
    for line, whole in zip(plain["lines"], report.lines, strict=True):
        line["status"] = whole.status.value
        line["nodes"] = {cell.pop("node"): cell for cell in line.pop("cells")}
    return plain


def summary_of(page: bytes | None) -> dict[str, t.Any]:
    """Day and summary of a page that was written earlier; empty where the file is no such page."""
    found = _META.search(page[:4000]) if page else None
    try:
        told = json.loads(html.unescape(found[1].decode())) if found else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _header(report: Report) -> Markup:
    tally = [
        el("li", el("span", f"{count} {WORDS[Status(name)][0].lower()}", class_=f"st {name}"))
        for name, count in report.summary.items()
    ]
    beside = [(report.foreign, "foreign VM"), (report.unfinished, "unfinished build")]
    tally += [el("li", f"{len(found)} {_plural(found, word)}") for found, word in beside if found]
    asked = "vendors asked" if "vendor" in report.gathered else "vendors not asked"
    counted = f"{len(report.lines)} {_plural(report.lines, 'line')} on {len(report.nodes)} "
    facts = f"{report.day} (UTC) · {counted}{_plural(report.nodes, 'node')} · {asked}"
    return el("header", el("h1", _name(report.title)), el("p", facts, class_="dim"), el("ul", *tally, class_="tally"))


def _sections(report: Report) -> Iterable[Markup]:
    yield _attention(report)
    if report.lines:
        yield _section("lines", "Lines and nodes", len(report.lines), _matrix(report))
    yield from _notes("unfinished", "Unfinished builds", report.unfinished)
    yield from _notes("unknown", "On offline nodes", report.unknown)
    yield from _notes("foreign", "Foreign VMs", report.foreign)
    unsaid = (*report.problems, *report.silent)
    if unsaid:
        listed = el("ul", *(el("li", _name(problem)) for problem in unsaid), class_="plain")
        yield _section("silent", "Not found out", len(unsaid), listed)


def _section(anchor: str, title: str, count: int, content: Markup, *classes: str) -> Markup:
    head = el("h2", title, " ", el("span", count, class_="few"), id=f"h-{anchor}")
    card = el("div", content, class_=" ".join(("card", *classes)))
    return el("section", head, card, aria_labelledby=f"h-{anchor}")


def _attention(report: Report) -> Markup:
    anchors = {line.line: f"line-{number}" for number, line in enumerate(report.lines)}
    groups = []
    for status in dict.fromkeys(notice.status for notice in report.attention):
        notices = [notice for notice in report.attention if notice.status is status]
        label = el(
            "h3", el("span", WORDS[status][0], class_=f"st {status}"), " ", el("span", len(notices), class_="few")
        )
        chips = el("ul", *(_chip(notice, anchors.get(notice.line)) for notice in notices), class_="chips")
        groups.append(el("div", label, chips, class_="group"))
    nothing = el("p", "Nothing: every line is current." if report.lines else "There are no template lines.")
    return _section("look", "Needs attention", len(report.attention), join(*(groups or [nothing])), "look")


def _chip(notice: Notice, anchor: str | None) -> Markup:
    at = ", ".join(notice.nodes)
    if anchor is None:
        names = [el("b", _name(at))]
    else:
        names = [el("a", _name(notice.line), href=f"#{anchor}", title=notice.line)]
        names += [el("span", _name(at), class_="at")] if at else []
    why = el("span", _name(notice.reason), class_="why", title=notice.reason) if notice.reason else None
    return el("li", *names, why)


def _matrix(report: Report) -> Markup:
    asked = "vendor" in report.gathered
    heads = ["Line", *(["Vendor has"] if asked else []), *report.nodes]
    # The roles are named because a table that is laid out as blocks, on narrow screens, would lose them.
    top = el("tr", *(el("th", _name(head), scope="col", role="columnheader") for head in heads), role="row")
    rows = [_row(line, number, asked=asked) for number, line in enumerate(report.lines)]
    table = el(
        "table",
        el("caption", "Lines, and how they stand on each node. Those that need attention come first.", class_="hide"),
        el("thead", top, role="rowgroup"),
        el("tbody", join(*rows, by="\n"), role="rowgroup"),
        role="table",
    )
    return el("div", table, class_="scroll", role="region", aria_labelledby="h-lines", tabindex=0)


def _row(line: LineReport, number: int, *, asked: bool) -> Markup:
    said = ["held"] if line.hold else []
    said += [f"pinned to {line.pin}"] if line.pin is not None else []
    said += ["not declared"] if line.declared is False else []
    below = " · ".join(filter(None, [line.image if line.image != line.line else "", *said]))
    head = el("th", _name(line.line), _sub(below), scope="row", role="rowheader")
    vendor = [_vendor(line)] if asked else []
    return el("tr", head, *vendor, *(_cell(cell) for cell in line.cells), id=f"line-{number}", role="row")


def _vendor(line: LineReport) -> Markup:
    answer = line.vendor
    if answer is None:
        return el("td", el("span", "not asked", class_="dim"), role="cell", data_of="vendor")
    if not answer.digest:
        return el("td", el("span", "not known", class_="dim"), role="cell", data_of="vendor")
    name = answer.build or answer.digest.rpartition(":")[2][:12]
    return el("td", _name(name), role="cell", class_="num", data_of="vendor")


def _cell(cell: Cell) -> Markup:
    if cell.status is Status.NONE:
        nothing = (el("span", "–", aria_hidden="true"), el("span", "not here", class_="hide"))
        return el("td", *nothing, class_="empty dim", role="cell", data_of=cell.node)
    word = el("span", WORDS[cell.status][0], class_=f"st {cell.status}")
    line = [word, " ", el("span", _name(cell.reason), class_="dim") if cell.reason else None]
    facts = _generation(cell.current, cell.status) if cell.current is not None else []
    return el("td", *line, _sub(" · ".join([*facts, *map(_unbroken, _beside(cell))])), role="cell", data_of=cell.node)


def _generation(found: GenerationFacts, status: Status) -> list[str]:
    facts = [f"VM {found.vmid}"]
    if found.size is not None:
        facts.append(_gib(found.size))
    if found.clones:
        facts.append(f"{len(found.clones)} {_plural(found.clones, 'clone')}")
    facts = [_unbroken(fact) for fact in facts]
    if found.build:
        facts.insert(1, found.build)
    if status is not Status.FAILED:
        proof = f"proof {found.proof}" if found.proof else "no proof"
        facts.append(_unbroken(proof) if len(proof) < _SHORT else proof)
    return facts


def _beside(cell: Cell) -> Iterable[str]:
    if cell.former:
        hanging = sum(len(one.clones or ()) for one in cell.former)
        clones = f" with {hanging} {'clone' if hanging == 1 else 'clones'}" if hanging else ""
        yield f"{len(cell.former)} former{clones}"
    if cell.unfinished and cell.status is not Status.UNFINISHED:
        yield f"unfinished: VM {cell.unfinished[0]}"
    if cell.foreign:
        yield f"{len(cell.foreign)} foreign"


def _notes(anchor: str, title: str, notes: Sequence[VmNote]) -> Iterable[Markup]:
    if not notes:
        return
    heads = ("VM", "Name", "Node", "Line", "Why")
    top = el("tr", *(el("th", head, scope="col", role="columnheader") for head in heads), role="row")
    rows = [
        el(
            "tr",
            el("th", note.vmid, scope="row", role="rowheader", class_="num"),
            *(
                el("td", _name(value), role="cell", data_of=head.lower())
                for head, value in zip(heads[1:], (note.name, note.node, note.line, note.reason), strict=True)
            ),
            role="row",
        )
        for note in notes
    ]
    caption = el("caption", title, class_="hide")
    table = el("table", caption, el("thead", top), el("tbody", join(*rows, by="\n")), role="table")
    place = el("div", table, class_="scroll", role="region", aria_labelledby=f"h-{anchor}", tabindex=0)
    yield _section(anchor, title, len(notes), place)


def _legend(report: Report) -> Markup:
    used = [status for status in WORDS if status.value in report.summary]
    parts = [join(el("dt", el("span", WORDS[s][0], class_=f"st {s}")), el("dd", WORDS[s][1])) for s in used]
    return (
        el("footer", el("section", el("h2", "What the words mean", id="h-words"), el("dl", *parts)))
        if parts
        else text("")
    )


def _name(value: object) -> Markup:
    """A text from outside; it may be written from right to left without turning what stands beside it."""
    return el("bdi", value)


def _sub(value: str) -> Markup | None:
    return el("span", _name(value), class_="sub") if value else None


def _unbroken(fact: str) -> str:
    """Lines break between facts, not within a short one."""
    return fact.replace(" ", "\u00a0")


def _plural(found: Sequence[t.Any], word: str) -> str:
    return word if len(found) == 1 else f"{word}s"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}".removesuffix(".0") + " GiB"
