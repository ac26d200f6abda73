# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of C(homelab)."""

from __future__ import annotations

import argparse

from .config_arguments import add_config

PROLOGUE = "One command for templates, guests and the platform on Proxmox VE."

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(prog="homelab", description=PROLOGUE, allow_abbrev=False)
    top.add_argument("--root", help="work below this folder instead of / (also HOMELAB_ROOT)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _running(commands)
    _looking(commands)
    add_config(commands)
    commands.add_parser("menu", help="the same with a menu", allow_abbrev=False).add_argument(
        "--front", choices=["whiptail", "dialog", "plain"], help="how it looks; the first that is there"
    )
    generate = commands.add_parser("generate", help="job templates and pages from the actions", allow_abbrev=False)
    generate.add_argument("what", choices=["awx", "semaphore", "docs"])
    generate.add_argument("folder")
    return top


def _running(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run an action", allow_abbrev=False)
    _action(run)
    run.add_argument("--inventory", "-i", action="append", default=[], metavar="PATH")
    run.add_argument("--yes", action="store_true", help="do what is destructive without asking")
    run.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    cancel = commands.add_parser("cancel", help="end a run", allow_abbrev=False)
    cancel.add_argument("run", nargs="?", help="its id or the beginning of it; the only one that runs")


def _looking(commands: Commands[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser("list", help="all actions", allow_abbrev=False)
    show = commands.add_parser("show", help="one action, and what would be run", allow_abbrev=False)
    _action(show)
    show.add_argument("--plan", action="store_true", help="what would be run, also without values")
    status = commands.add_parser("status", help="how things stand, from what the last runs found", allow_abbrev=False)
    logs = commands.add_parser("logs", help="the last runs, or one of them", allow_abbrev=False)
    logs.add_argument("run", nargs="?", help="its id, the beginning of it, or an action for its last run")
    logs.add_argument("--follow", "-f", action="store_true", help="until the run ends")
    logs.add_argument("--count", "-n", type=int, default=20, help="how many runs are listed")
    for one in (listing, show, status, logs):
        one.add_argument("--json", action="store_true", help="as JSON")


def _action(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", help="its id, as homelab list shows it")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may stand often"
    )
    command.add_argument(
        "--set-from",
        action="append",
        default=[],
        metavar="NAME=SOURCE",
        help="a parameter out of env:VARIABLE, file:PATH or - (a line of standard input), as secrets need it",
    )
    command.add_argument("--limit", default="", metavar="HOSTS", help="only these hosts of the inventory")
    command.add_argument("--check", action="store_true", help="only the plan; nothing is changed")
    command.add_argument("--diff", action="store_true", help="show what differs")
