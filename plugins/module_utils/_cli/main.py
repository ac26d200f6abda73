# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the arguments to the command, and from errors to exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .._actions.model import ActionError
from .._config.problems import ConfigError
from . import commands
from .arguments import parser
from .context import Context, make
from .exits import Exit, Trouble
from .speech import err

_STATUSES = {
    ActionError: Exit.USAGE,
    ConfigError: Exit.CONFIGURATION,
    KeyboardInterrupt: Exit.CANCELED,
}


def main(argv: Sequence[str]) -> int:
    """Do what the arguments say. Returns the exit status."""
    try:
        options = parser().parse_args(argv)
    except SystemExit as end:
        # argparse has said it all.
        return Exit.OK if end.code in (0, None) else Exit.USAGE
    try:
        return commands.COMMANDS[options.command](_context(options), options)
    except (ActionError, ConfigError, Trouble, KeyboardInterrupt) as error:
        status = error.status if isinstance(error, Trouble) else _STATUSES[type(error)]
        err(f"homelab: {str(error) or 'ended by the keyboard'}")
        return status
    except BrokenPipeError:
        # Whoever read the output has gone; nothing that is flushed at the end may complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _context(options: argparse.Namespace) -> Context:
    return make(os.environ, options.root, getattr(options, "inventory", []))
