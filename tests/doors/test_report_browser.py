# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report page in a browser: no overflow on wide and narrow screens, and what needs attention is seen at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import View, look
from tests.support.pve import FakeCluster
from tests.support.report_lab import HOSTILE, NODES, large_fleet
from tests.support.vendor import Vendor
from tests.support.workbench import open_bench

WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def pages(bench_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Fifty lines on three nodes: some in every state and with hostile names, and all of them stale or held."""
    found = {}
    for name, ages in (("every", None), ("stale", (45, 60))):
        folder = tmp_path_factory.mktemp(name)
        cluster = FakeCluster(nodes=NODES)
        with pytest.MonkeyPatch.context() as patch, open_bench(bench_vendor, folder, patch, cluster) as bench:
            given = large_fleet(bench, ages=ages)
            if ages:
                for line in given["lines"][::5]:
                    line["hold"] = True
            found[name] = folder / "report.html"
            result = bench.call("templates_report", {"path": str(found[name]), **given})
            assert result["changed"], result
    yield found


@pytest.fixture(scope="module")
def seen(pages: dict[str, Path]) -> dict[tuple[str, int], dict[str, Any]]:
    """What the browser measures of each page in each width."""
    views = {(name, width): View(page=page, width=width) for name, page in pages.items() for width in WIDTHS}
    return dict(zip(views, look(list(views.values())), strict=True))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["every", "stale"])
def test_the_page_is_as_wide_as_the_screen(seen: dict[tuple[str, int], dict[str, Any]], name: str, width: int) -> None:
    found = seen[name, width]
    # A scroll bar takes some of it.
    assert width - 20 <= found["room"] <= width
    assert found["wide"] == found["room"]
    assert found["beyond"] == []
    assert found["scrolls"] == 0


def test_all_that_is_stale_or_held_is_seen_without_scrolling(seen: dict[tuple[str, int], dict[str, Any]]) -> None:
    found = seen["stale", 1280]
    assert found["told"] == len(found["seen"]) == 50
    assert sum("30 d allowed" in text for text in found["seen"]) == 50


def test_attention_comes_before_all_else(seen: dict[tuple[str, int], dict[str, Any]]) -> None:
    for width in WIDTHS:
        found = seen["every", width]
        assert found["told"] == len(found["seen"]) == 15
    assert any(HOSTILE in text for text in seen["every", 1280]["seen"])


def test_the_style_applies_and_follows_the_theme(pages: dict[str, Path]) -> None:
    """The policy of the page lets no style in but the one whose digest it names."""
    view = View(page=pages["every"], width=1280)
    (light,), (dark,) = look([view]), look([view], dark=True)
    assert (light["ground"], light["colour"]) == ("rgb(247, 247, 245)", "rgb(28, 32, 36)")
    assert (dark["ground"], dark["colour"]) == ("rgb(19, 21, 24)", "rgb(228, 230, 232)")
