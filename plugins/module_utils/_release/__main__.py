# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python3 -m _release COMMAND), from the folder above: what the bootstrap and the role controller call.

Only the standard library is needed. Results are one line of JSON; errors are one line, with status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from dataclasses import asdict
from pathlib import Path

from .build import Wanted, make, state
from .errors import ReleaseError
from .home import Home
from .source import look, pack


def main(argv: t.Sequence[str] | None = None) -> int:
    """Run one command."""
    options = _parser().parse_args(argv)
    try:
        sys.stdout.write(json.dumps(options.command(options), sort_keys=True) + "\n")
    except (ReleaseError, OSError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="_release", description="Releases of the controller.")
    commands = parser.add_subparsers(required=True)
    for name, function, words in (
        ("look", _look, "what a folder would become, and whether it is there already; changes nothing"),
        ("pack", _pack, "write the collection of a folder into an archive"),
        ("make", _make, "have the release of a folder"),
        ("switch", _switch, "make a finished release the current one"),
        ("surplus", _surplus, "releases that may go; changes nothing"),
        ("prune", _prune, "remove them"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(command=function)
        command.add_argument("--root", type=Path, default=Path("/opt/homelab"))
        if name in {"look", "pack", "make"}:
            command.add_argument("--source", type=Path, required=True)
            command.add_argument("--commit", default="")
        if name == "pack":
            command.add_argument("--to", type=Path, required=True)
        if name == "make":
            command.add_argument("--python", default=sys.executable)
            command.add_argument("--wheels", type=Path)
            command.add_argument("--collections", type=Path)
        if name == "switch":
            command.add_argument("--name", required=True)
        if name in {"surplus", "prune"}:
            command.add_argument("--keep", type=int, default=3)
    return parser


def _look(options: argparse.Namespace) -> dict[str, t.Any]:
    source = look(options.source, options.commit)
    home = Home(options.root)
    said = asdict(source) | {"name": source.name, "state": state(home, source), "current": home.current_name()}
    return said | {"folder": str(source.folder), "path": str(home.release(source.name))}


def _pack(options: argparse.Namespace) -> dict[str, t.Any]:
    source = look(options.source, options.commit)
    pack(source, options.to)
    return {"name": source.name, "digest": source.digest}


def _make(options: argparse.Namespace) -> dict[str, t.Any]:
    source = look(options.source, options.commit)
    home = Home(options.root)
    changed = make(home, Wanted(source, options.python, options.wheels, options.collections))
    return {"changed": changed, "name": source.name, "path": str(home.release(source.name))}


def _switch(options: argparse.Namespace) -> dict[str, t.Any]:
    home = Home(options.root)
    with home.lock():
        before = home.current_name()
        return {"changed": home.switch(options.name), "before": before, "after": options.name}


def _surplus(options: argparse.Namespace) -> dict[str, t.Any]:
    return {"surplus": Home(options.root).surplus(options.keep)}


def _prune(options: argparse.Namespace) -> dict[str, t.Any]:
    home = Home(options.root)
    with home.lock():
        removed = home.surplus(options.keep)
        for name in removed:
            home.remove(name)
    return {"changed": bool(removed), "removed": removed}


if __name__ == "__main__":
    raise SystemExit(main())
