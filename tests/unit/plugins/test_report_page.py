# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report page: its structure, that it loads nothing, and that no name becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.markup import el, join, text
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.report_page import WORDS, data, page, summary_of
from ansible_collections.homelab.proxmox.plugins.module_utils._ansible.report_style import STYLE
from ansible_collections.homelab.proxmox.plugins.module_utils._model.report import (
    Cell,
    GenerationFacts,
    LineReport,
    Notice,
    Report,
    Status,
    VmNote,
)
from ansible_collections.homelab.proxmox.plugins.module_utils._model.stock import VendorAnswer

HOSTILE = [
    '<script>alert("1")</script>',
    "'\"><img src=http://evil.example/x onerror=alert(1)>",
    "</style><link rel=stylesheet href=//evil.example>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "\u202egnp.exe\x00\x1b[31m\u200b\ud800",
    "a" * 500,
]
META = b'<meta name="homelab-report" content="%s">'
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags with their attributes, and the text of what can be seen; everything that is opened must be closed."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def facts(name: str = "web") -> GenerationFacts:
    return GenerationFacts(
        vmid=9001,
        name=name,
        generation="20261120000000",
        state="current",
        built="2026-11-20",
        age_days=3,
        build=name,
        source=name,
        proof=name,
        size=3 << 30,
        clones=(120, 121),
    )


def report(name: str = "debian-13") -> Report:
    """A report in which every text is the given one, with every status."""
    cells = [Cell(node=f"{name}{number}", status=status, reason=name) for number, status in enumerate(Status)]
    cells[0] = Cell(node=name, status=Status.STALE, reason=name, current=facts(name), former=(facts(),), foreign=(7,))
    note = VmNote(vmid=9001, name=name, node=name, line=name, reason=name)
    vendor = VendorAnswer(build=name, digest="sha256:00", newer=True)
    row = LineReport(line=name, image="image", declared=False, hold=True, pin=name, vendor=vendor, cells=tuple(cells))
    return Report(
        title=name,
        day="2026-11-23",
        nodes=tuple(cell.node for cell in cells),
        lines=(row,),
        attention=(
            Notice(status=Status.UNKNOWN, line="", nodes=(name,), reason=name),
            Notice(status=Status.STALE, line=name, nodes=(name,), reason=name),
        ),
        unfinished=(note,),
        foreign=(note,),
        unknown=(note,),
        problems=(name,),
        silent=(name,),
        gathered=("vendor",),
        summary={status.value: 1 for status in WORDS},
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup(name: str) -> None:
    tame, hostile = Page(page(report())), Page(page(report(name)))
    assert [tag for tag, _attributes in hostile.tags] == [tag for tag, _attributes in tame.tags]
    assert [set(attributes) for _tag, attributes in hostile.tags] == [set(found) for _tag, found in tame.tags]
    shown = "".join(hostile.texts)
    assert (name if name.isprintable() else "\ufffdgnp.exe\ufffd\ufffd[31m\ufffd\ufffd") in shown


@pytest.mark.parametrize("name", ["debian-13", *HOSTILE])
def test_the_page_loads_nothing_and_runs_nothing(name: str) -> None:
    found = Page(page(report(name)))
    assert {tag for tag, _attributes in found.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "div", "span", "p"),
        *("h1", "h2", "h3", "ul", "li", "dl", "dt", "dd", "a", "b", "bdi"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    }
    assert not {key for _tag, attributes in found.tags for key in attributes if key in ("src", "style", "srcset")}
    assert not {key for _tag, attributes in found.tags for key in attributes if key.startswith("on")}
    assert all(re.fullmatch(r"#line-\d+", str(one["href"])) for one in found.all("a"))
    assert not re.search(r"url\(|@import|http|//", STYLE)


def test_the_policy_allows_the_page_s_own_style_only() -> None:
    content = page(report())
    (policy,) = (one["content"] for one in Page(content).all("meta") if "http-equiv" in one)
    (style,) = re.findall(r"<style>(.*?)</style>", content.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_tables_are_tables_with_heads() -> None:
    found = Page(page(report()))
    assert len(found.all("table")) == len(found.all("caption")) == 4
    assert {one.get("scope") for one in found.all("th")} == {"row", "col"}
    assert all("role" in one for one in found.all("td"))
    ids = [attributes["id"] for _tag, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes["aria-labelledby"] for _tag, attributes in found.tags if "aria-labelledby" in attributes}
    assert named <= set(ids)
    assert {one["href"] for one in found.all("a")} <= {f"#{name}" for name in ids}
    assert found.all("html") == [{"lang": "en"}]


def test_every_status_is_a_word_beside_its_colour() -> None:
    found = "".join(Page(page(report())).texts)
    for word, meaning in WORDS.values():
        assert found.lower().count(word.lower()) >= 2, word
        assert meaning in found
    assert set(WORDS) == set(Status) - {Status.NONE}
    for status in WORDS:
        assert re.search(rf"\.{status}\b", STYLE), status


def test_what_a_cell_says_of_its_generation() -> None:
    found = "".join(Page(page(report())).texts).replace("\u00a0", " ")
    assert "VM 9001 · debian-13 · 3 GiB · 2 clones · proof debian-13 · 1 former with 2 clones · 1 foreign" in found


def test_an_empty_fleet_has_a_page() -> None:
    found = Page(page(Report(title="Fleet", day="2026-11-23", nodes=("pve1",), lines=(), attention=())))
    assert "There are no template lines." in found.texts
    assert found.all("table") == []


@pytest.mark.parametrize("name", ["debian-13", *HOSTILE])
def test_the_json_says_the_same(name: str) -> None:
    found = json.loads(data(report(name)))
    (row,) = found["lines"]
    assert (row["line"], row["status"], found["day"]) == (name, "missing", "2026-11-23")
    assert row["nodes"][name]["current"]["clones"] == [120, 121]
    assert found["attention"][1] == {"status": "stale", "line": name, "nodes": [name], "reason": name}


def test_an_older_page_tells_its_summary() -> None:
    assert summary_of(page(report())) == {"day": "2026-11-23", "summary": {status.value: 1 for status in WORDS}}


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\xfe", META % b"{", META % b"7"],
)
def test_what_is_no_such_page_tells_nothing(content: bytes | None) -> None:
    assert summary_of(content) == {}


def test_markup_is_escaped_once() -> None:
    assert el("td", "<", el("b", "&"), None, "", title='"', class_=None) == '<td title="&quot;">&lt;<b>&amp;</b></td>'
    assert text(text("<")) == "&lt;"
    assert join("<", 7, by="&") == "&lt;&amp;7"


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    digits = colour.lstrip("#")
    digits = "".join(sign * 2 for sign in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_can_be_read(theme: int) -> None:
    """At least 4.5 to 1, the level AA of WCAG 2 for small text."""
    blocks = re.findall(r":root\{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", blocks[theme]))
    for name in ("text", "dim", "red", "amber", "violet", "blue", "green", "link"):
        for ground in ("bg", "card", "head"):
            one, other = sorted((luminance(colours[name]), luminance(colours[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, f"{name} on {ground}"
