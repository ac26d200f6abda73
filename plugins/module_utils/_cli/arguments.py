# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of C(homelab)."""

from __future__ import annotations

import argparse

PROLOGUE = "One command for templates, guests and the platform on Proxmox VE."


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(prog="homelab", description=PROLOGUE, allow_abbrev=False)
    top.add_argument("--root", help="work below this folder instead of / (also HOMELAB_ROOT)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _run(commands)
    _list(commands)
    return top


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run an action", allow_abbrev=False)
    run.add_argument("action", help="its id, as homelab list shows it")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may stand often")
    run.add_argument("--limit", default="", metavar="HOSTS", help="only these hosts of the inventory")
    run.add_argument("--inventory", "-i", action="append", default=[], metavar="PATH")
    run.add_argument("--check", action="store_true", help="only the plan; nothing is changed")
    run.add_argument("--diff", action="store_true", help="show what differs")
    run.add_argument("--yes", action="store_true", help="do what is destructive without asking")
    run.add_argument("--json", action="store_true", help="the result as JSON on standard output")


def _list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser("list", help="all actions", allow_abbrev=False)
    listing.add_argument("--json", action="store_true")
