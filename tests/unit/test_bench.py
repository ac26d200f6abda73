# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of what benchmarks report, and the choice of goals; nothing is measured here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import registry
from tests.benchmarks.goals.fleet import extrapolated
from tests.benchmarks.lab import Counts
from tests.benchmarks.report import Row, at_most, failure, in_turns, table, write_json

ROWS = [
    at_most("G8", 11, "non-poll requests", 12, peer=22, note="one line"),
    at_most("G14", 3, "answers >= 400", 0, note="one line"),
    Row(goal="G7", value=2.0, unit="s", note="no budget"),
]


def test_the_json_is_a_list_of_objects_with_the_agreed_keys(tmp_path: Path) -> None:
    write_json(ROWS, tmp_path / "build" / "bench.json")
    found = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert [set(row) for row in found] == [{"goal", "value", "unit", "peer", "ratio", "met", "budget", "note"}] * 3
    assert found[0] == {
        "goal": "G8", "value": 11, "unit": "non-poll requests", "peer": 22, "ratio": 2.0, "met": True,
        "budget": "<= 12", "note": "one line",
    }  # fmt: skip
    assert [row["met"] for row in found] == [True, False, None]
    assert (found[1]["peer"], found[1]["ratio"]) == (None, None)


def test_the_table_tells_what_was_missed_and_each_note_once() -> None:
    text = table(ROWS)
    lines = text.splitlines()
    assert lines[0].split() == ["goal", "what", "here", "peer", "ratio", "budget", "met"]
    assert [line.split()[-1] for line in lines[2:5]] == ["yes", "NO", "-"]
    assert text.count("one line") == 1 and text.count("[1]") == 3
    assert lines[-1] == "[2] no budget"


def test_a_time_is_the_median_of_ratios_of_pairs() -> None:
    row = in_turns("G8", "s", [(1.0, 30.0), (2.0, 40.0), (4.0, 41.0)], least=20)
    assert (row.value, row.peer, row.ratio, row.met, row.budget) == (2.0, 40.0, 20.0, True, "ratio >= 20")
    assert in_turns("G8", "s", [(1.0, 10.0)], least=20).met is False
    assert in_turns("G8", "s", [(1.0, 10.0)]).met is None


def test_the_time_of_fifty_lines_lies_on_the_straight_line_through_fewer() -> None:
    assert extrapolated([(6, 4.0), (24, 13.0)], 50) == 26.0
    assert extrapolated([(50, 30.0)], 50) == 30.0
    assert extrapolated([], 50) is None


def test_without_a_peer_there_is_neither_ratio_nor_verdict() -> None:
    row = in_turns("G8", "s", [(1.0, None), (3.0, None)], least=20)
    assert (row.value, row.peer, row.ratio, row.met) == (2.0, None, None, None)


def test_what_could_not_be_measured_has_not_met_its_budget() -> None:
    row = failure("G8", ValueError("two\nlines"))
    assert (row.value, row.met, row.note) == (None, False, "ValueError: two lines")


def test_requests_are_sorted_into_polls_listings_configs_and_the_rest() -> None:
    node = "/nodes/{node}"
    counts = Counts(
        (
            ("GET", "/cluster/resources", 200),
            ("GET", "/access/permissions", 200),
            ("GET", f"{node}/qemu/{{vmid}}/config", 200),
            ("GET", f"{node}/storage/{{storage}}/content", 200),
            ("POST", f"{node}/qemu", 200),
            ("GET", f"{node}/tasks/{{upid}}/status", 200),
            ("GET", f"{node}/tasks", 200),
            ("GET", f"{node}/qemu/{{vmid}}/status/current", 500),
        ),
        connections=1,
        in_flight=1,
    )
    assert (counts.writes, counts.polls, counts.non_polls) == (1, 2, 6)
    assert (counts.other_reads, counts.configs, counts.listings) == (3, 1, 1)
    assert counts.refused == ["500 to GET /nodes/{node}/qemu/{vmid}/status/current"]


@pytest.fixture(scope="module")
def known() -> list[registry.Benchmark]:
    return registry.load()


def test_every_goal_about_one_template_has_a_benchmark(known: list[registry.Benchmark]) -> None:
    goals = [one.goal for one in known]
    assert {"G7", "G8", "G8b", "G11", "G12", "G14"} <= set(goals)
    assert goals == sorted(goals, key=lambda goal: (int(goal[1:].rstrip("b")), goal))
    assert all(one.title for one in known)


@pytest.mark.parametrize(
    ("goals", "expected", "missing"),
    [
        ("G8,G12", ["G8", "G12"], []),
        (" g8b , G98", ["G8b"], ["G98"]),
        ("G99", [], ["G99"]),
    ],
)
def test_goals_choose(known: list[registry.Benchmark], goals: str, expected: list[str], missing: list[str]) -> None:
    chosen, unknown = registry.chosen(goals, known)
    # Several files may measure one goal.
    assert (list(dict.fromkeys(one.goal for one in chosen)), unknown) == (expected, missing)


def test_no_goals_means_all(known: list[registry.Benchmark]) -> None:
    assert registry.chosen("", known) == (known, [])
