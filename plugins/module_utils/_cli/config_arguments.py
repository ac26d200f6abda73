# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of C(homelab config)."""

from __future__ import annotations

import argparse

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_config(commands: Commands[argparse.ArgumentParser]) -> None:
    """C(homelab config) and its commands."""
    top = commands.add_parser("config", help="the layered configuration", allow_abbrev=False)
    inner = top.add_subparsers(dest="what", metavar="COMMAND", required=True)

    def command(name: str, text: str, *, json: bool = False, layer: bool = False, check: bool = False):  # type: ignore[no-untyped-def]
        one = inner.add_parser(name, help=text, allow_abbrev=False)
        if json:
            one.add_argument("--json", action="store_true", help="as JSON")
        if layer:
            text = "system (the default), user, profile:NAME or module:SECTION"
            one.add_argument("--layer", default="system", metavar="LAYER", help=text)
        if check:
            one.add_argument("--check", action="store_true", help="only what would differ")
        return one

    command("get", "one value, or everything", json=True).add_argument("key", nargs="?")
    command("explain", "who says what of a place", json=True).add_argument("key")
    command("validate", "whether it can be used", json=True)
    command("set", "have a layer say something", layer=True, check=True).add_argument(
        "values", nargs="+", metavar="KEY=VALUE", help="KEY=- reads one line of standard input, as secrets need it"
    )
    command("unset", "have a layer say nothing", layer=True, check=True).add_argument("keys", nargs="+", metavar="KEY")
    export = command("export", "everything as a profile without secrets")
    export.add_argument("name")
    export.add_argument("--output", "-o", metavar="FILE")
    imports = command("import", "an exported profile, or *.conf files of shell variables", layer=True, check=True)
    imports.add_argument("files", nargs="+", metavar="FILE")
    imports.add_argument("--name", help="another name for the profile")
    imports.add_argument(
        "--skip-unknown", action="store_true", help="leave out variables of *.conf that mean nothing here"
    )
    imports.add_argument("--activate", action="store_true", help="have the profile apply")
    command("backup", "keep what is there", layer=True).add_argument("--list", action="store_true", help="list them")
    command("restore", "what a backup holds", layer=True, check=True).add_argument("backup", metavar="ID")
