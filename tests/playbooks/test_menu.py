# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu on real terminals: whiptail, dialog and plain text, driven by keys only."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controller import Controller
from tests.support.screen import CTRL_C, DOWN, END, ENTER, ESCAPE, TAB, Screen, last_page

SECRET = "correct-horse-battery-3"
FRONTS = ["whiptail", "dialog", "plain"]

ACTIONS = {
    "version": 1,
    "groups": [{"id": "mine", "title": "Mine"}],
    "actions": [
        {
            "id": "greet",
            "title": "Greet",
            "help": "Says hello.",
            "group": "mine",
            "playbook": "../greet.yml",
            "target": "localhost",
            "danger": "none",
            "parameters": [
                {"name": "times", "title": "How often", "schema": {"type": "integer", "minimum": 1, "maximum": 3}},
                {"name": "word", "title": "Word", "secret": True, "schema": {"type": "string", "minLength": 4}},
            ],
        },
        {
            "id": "wipe",
            "title": "Wipe",
            "help": "Removes it all.",
            "group": "mine",
            "playbook": "../greet.yml",
            "target": "localhost",
            "danger": "destructive",
        },
        {
            "id": "wait",
            "title": "Wait",
            "help": "Takes its time.",
            "group": "mine",
            "playbook": "../wait.yml",
            "target": "localhost",
            "danger": "none",
        },
    ],
}


def playbook(*tasks: dict[str, object]) -> str:
    play = {"name": "Work", "hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": list(tasks)}
    return json.dumps([{**play, "vars": {"ansible_python_interpreter": sys.executable}}])


@pytest.fixture
def homelab(tmp_path: Path) -> Controller:
    found = Controller(tmp_path)
    (found.etc / "actions.d").mkdir()
    (found.etc / "actions.d" / "mine.yml").write_text(json.dumps(ACTIONS))
    greet = {"name": "Say hello", "ansible.builtin.debug": {"msg": "Hello {{ times | default('') }}!"}}
    (found.etc / "greet.yml").write_text(playbook(greet))
    script = f"trap 'echo cleaned > {tmp_path}/cleaned; exit 1' INT; echo up > {tmp_path}/up; sleep 60 & wait"
    (found.etc / "wait.yml").write_text(playbook({"name": "Wait", "ansible.builtin.shell": script}))
    return found


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name != "plain" and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


class Menu:
    """The menu on a screen, and how keys differ between fronts."""

    def __init__(self, homelab: Controller, front: str, **size: int) -> None:
        self.front = front
        command = homelab.command("menu", "--front", front)
        page = last_page if front == "plain" else str
        self.screen = Screen(command, homelab.environment(), page=page, **size)

    def choose(self, tag: str) -> None:
        self.screen.press(tag, ENTER)

    def back(self) -> None:
        self.screen.press(ENTER if self.front == "plain" else ESCAPE)

    def read(self) -> None:
        """Go on from a page of text."""
        self.screen.press(*("q", ENTER) if self.front == "plain" else ESCAPE)

    def no_by_default(self) -> None:
        self.screen.press(ENTER)

    def yes(self) -> None:
        if self.front == "plain":
            self.screen.press("y", ENTER)
        else:
            self.screen.press(TAB, ENTER)


@pytest.fixture
def menu(homelab: Controller, front: str) -> Iterator[Menu]:
    # What plain text says has to be on the screen as a whole.
    found = Menu(homelab, front, **({"lines": 60} if front == "plain" else {}))
    with found.screen as screen:
        screen.wait("What do you want to do?")
        yield found


def tag(screen: Screen, label: str) -> str:
    """The key of a line: letters depend on what else is in a list."""
    shown = screen.wait(label)
    found = re.search(rf"(?m)\s(\S+?)\s+{re.escape(label)}", shown)
    assert found, shown
    return found[1]


def arguments() -> list[bytes]:
    """The command lines of all processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found


@pytest.mark.slow
def test_a_form_checks_in_place_and_a_run_shows_what_came_out(homelab: Controller, menu: Menu) -> None:
    screen = menu.screen
    menu.choose("m")
    screen.wait("Mine", "Greet", "Wipe")
    menu.choose("g")
    screen.wait("Says hello.", "How often: (not set)", "Word: (not set)")
    menu.choose("h")
    screen.wait("A whole number from 1 to 3.")
    screen.press("7", ENTER)
    screen.wait("7 is not a whole number from 1 to 3.")
    if menu.front == "plain":
        screen.press("2", ENTER)
    else:
        # What was typed is there to be mended.
        screen.press("\x7f", "2", ENTER)
    screen.wait("How often: 2")
    menu.choose("w")
    screen.wait("A text.")
    screen.press(SECRET)
    if menu.front != "plain":
        screen.wait("***")
    assert not [line for line in arguments() if SECRET.encode() in line]
    screen.press(ENTER)
    screen.wait("Word: <set>")
    menu.choose("r")
    screen.wait("Greet: ok", "Say hello" if menu.front == "plain" else "begun")
    menu.read()
    screen.wait("How often: 2")
    for words in ("Wipe", "What do you want to do?"):
        menu.back()
        screen.wait(words)
    menu.choose("l")
    screen.wait("greet", "ok")
    menu.back()
    screen.wait("What do you want to do?")
    menu.choose("s")
    screen.wait("Nodes", "unknown")
    menu.read()
    screen.wait("What do you want to do?")
    menu.back()
    assert screen.end() == 0
    assert SECRET.encode() not in screen.raw
    for path, content in homelab.everything():
        assert SECRET.encode() not in content, path
    (run,) = homelab.runs()
    assert (run["status"], run["extra_vars"]) == ("ok", {"times": 2, "word": "<secret>"})


@pytest.mark.slow
def test_what_is_destructive_is_not_done_by_enter_nor_by_a_wrong_word(homelab: Controller, menu: Menu) -> None:
    screen = menu.screen
    menu.choose("m")
    screen.wait("Wipe")
    menu.choose("w")
    screen.wait("Removes it all.", "Run it")
    menu.choose("r")
    screen.wait("This cannot be undone.")
    menu.no_by_default()
    screen.wait("Run it", gone="This cannot")
    menu.choose("r")
    screen.wait("This cannot be undone.")
    menu.yes()
    screen.wait("Type wipe to go on.")
    screen.press("wype", ENTER)
    screen.wait("Run it", gone="Type wipe")
    assert not (homelab.state / "runs").exists()
    menu.choose("r")
    screen.wait("This cannot be undone.")
    menu.yes()
    screen.wait("Type wipe to go on.")
    screen.press("wipe", ENTER)
    screen.wait("Wipe: ok")
    assert len(homelab.runs()) == 1


@pytest.mark.slow
def test_going_back_everywhere_changes_nothing(homelab: Controller, menu: Menu) -> None:
    screen = menu.screen
    menu.choose("c")
    screen.wait("Configuration", "Nothing is wrong with it.")
    menu.choose(tag(screen, "Connection"))
    screen.wait("How the Proxmox VE API is reached.")
    menu.back()
    screen.wait("Configuration", "Nothing is wrong with it.")
    menu.back()
    screen.wait("What do you want to do?")
    menu.choose("m")
    screen.wait("Mine", "Greet")
    menu.choose("g")
    screen.wait("How often: (not set)")
    menu.choose("h")
    screen.wait("A whole number")
    menu.back()
    screen.wait("How often: (not set)")
    menu.back()
    screen.wait("Wipe")
    menu.back()
    screen.wait("What do you want to do?")
    menu.back()
    assert screen.end() == 0
    assert not (homelab.etc / "system.yml").exists()
    assert not (homelab.state / "runs").exists()


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_not_the_menu(homelab: Controller, menu: Menu) -> None:
    screen = menu.screen
    menu.choose("m")
    screen.wait("Wait")
    menu.choose("a")
    screen.wait("Takes its time.")
    menu.choose("r")
    end = time.monotonic() + 60
    while not (homelab.top / "up").exists():
        assert time.monotonic() < end
        # The program has to write to somebody who reads.
        screen.glance()
    screen.press(CTRL_C)
    screen.wait("Wait: canceled")
    menu.read()
    screen.wait("Takes its time.", "Run it")
    assert homelab.runs()[0]["status"] == "canceled"


@pytest.mark.slow
def test_a_terminal_that_goes_away_ends_the_run_in_steps(homelab: Controller, menu: Menu) -> None:
    screen = menu.screen
    menu.choose("m")
    screen.wait("Wait")
    menu.choose("a")
    screen.wait("Takes its time.")
    menu.choose("r")
    end = time.monotonic() + 60
    while not (homelab.top / "up").exists():
        assert time.monotonic() < end
        screen.glance()
    screen.hang_up()
    while homelab.runs()[0]["status"] == "running":
        assert time.monotonic() < end
    assert homelab.runs()[0]["status"] == "canceled"
    assert (homelab.top / "cleaned").exists(), "the module was asked first"


# --- configuration, sizes and terminals


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("whiptail") is None, reason="whiptail is not installed")
def test_a_setting_is_changed_by_its_form(homelab: Controller) -> None:
    menu = Menu(homelab, "whiptail", lines=43, columns=132)
    with menu.screen as screen:
        screen.wait("What do you want to do?")
        menu.choose("c")
        screen.wait("Configuration", "Nothing is wrong with it.")
        # It is below what the list shows at first.
        screen.press(END)
        menu.choose(tag(screen, "Logs"))
        screen.wait("What is written down about runs.")
        menu.choose(tag(screen, "Level: info"))
        screen.wait("Change it")
        menu.choose("c")
        screen.wait("warning", "error")
        menu.choose(tag(screen, "warning"))
        screen.wait("Write it?", "logging.level: warning")
        screen.press(ENTER)
        screen.wait("Level: warning")
    assert homelab.run("config", "get", "logging.level").stdout == "warning\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("whiptail") is None, reason="whiptail is not installed")
def test_a_long_list_scrolls_and_another_size_is_taken_up(homelab: Controller) -> None:
    for number in range(200):
        folder = homelab.state / "runs" / f"20261101T{number // 60:02}{number % 60:02}00Z-greet-{number:04x}"
        folder.mkdir(parents=True)
        facts = {"id": folder.name, "status": "ok", "action": "greet", "title": f"Greet {number}"}
        (folder / "run.json").write_text(json.dumps({**facts, "begin": f"2026-11-01T00:00:{number:03}"}))
    menu = Menu(homelab, "whiptail")
    with menu.screen as screen:
        screen.wait("What do you want to do?")
        menu.choose("l")
        screen.wait("The newest first.", "001")
        screen.press(*[DOWN] * 30)
        screen.wait("031", gone="001 ")
        screen.press(ENTER)
        screen.wait("Greet 169: ok")
        screen.resize(43, 132)
        screen.press(ESCAPE)
        shown = screen.wait("The newest first.", "031")
        assert max(len(line) for line in shown.splitlines()) > 90
        screen.press(ESCAPE)
        screen.wait("What do you want to do?")


@pytest.mark.parametrize(
    ("term", "size", "environ"),
    [
        ("dumb", {}, {}),
        ("linux", {"lines": 20, "columns": 70}, {"LINES": "50", "COLUMNS": "132"}),
        ("linux", {}, {"PATH": "/nonexistent"}),
    ],
    ids=["dumb terminal", "small terminal", "no program"],
)
@pytest.mark.slow
def test_what_cannot_draw_gets_plain_text(
    homelab: Controller, term: str, size: dict[str, int], environ: dict[str, str]
) -> None:
    with Screen(homelab.command("menu"), {**homelab.environment(), **environ}, term=term, **size) as screen:
        screen.wait("=== homelab ===", "1) ", "Number or letter, empty for back:")
        assert b"\x1b" not in screen.raw
        screen.press(ENTER)
        assert screen.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("term", ["linux", "vt220", "vt100"])
@pytest.mark.parametrize("name", ["whiptail", "dialog"])
def test_serial_consoles_and_no_colour(homelab: Controller, name: str, term: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    environ = {**homelab.environment(), "NO_COLOR": "1"}
    with Screen(homelab.command("menu", "--front", name), environ, term=term) as screen:
        screen.wait("What do you want to do?", "Quit")
        screen.press("q", ENTER)
        assert screen.end() == 0
        colours = [b"\x1b[3%dm" % number for number in range(1, 7)] + [b"\x1b[4%dm" % number for number in range(1, 7)]
        assert not [colour for colour in colours if colour in screen.raw]


def test_arguments_of_processes_can_be_seen() -> None:
    assert any(b"pytest" in line for line in arguments()), "a secret in them would be found"
