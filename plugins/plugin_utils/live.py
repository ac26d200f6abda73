# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as Ansible does, and shows what it writes to its progress file meanwhile."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
import typing as t
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ansible import constants
from ansible.module_utils.parsing.convert_bool import BOOLEANS_FALSE
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from .progress_lines import Lines

SWITCH = "HOMELAB_PROXMOX_PROGRESS"
LOOK_EVERY = 0.3
"""Seconds."""
CHUNK = 2**20


class LiveAction(NormalAction):
    """Ansible's own way to run a module, with live progress where the module runs on this machine."""

    def _execute_module(
        self, module_name: str | None = None, module_args: Mapping[str, t.Any] | None = None, **rest: t.Any
    ) -> dict[str, t.Any]:
        arguments = dict(self._task.args if module_args is None else module_args)
        if not self._can_follow():
            return super()._execute_module(module_name=module_name, module_args=arguments, **rest)
        host = (rest.get("task_vars") or {}).get("inventory_hostname")
        with _file_of(arguments) as file, followed(file, f"[{host}] " if host else ""):
            return super()._execute_module(module_name=module_name, module_args=arguments, **rest)

    def _configure_module(self, *args: t.Any, **rest: t.Any) -> t.Any:
        """Ansible parses every file of the payload here, and keeps none of the trees.

        Meanwhile the garbage collector would walk all of Ansible's heap again and again, which was a third of the time
        for a hundred files.
        """
        with _no_collection():
            return super()._configure_module(*args, **rest)

    def _can_follow(self) -> bool:
        """Another user's module may not write our file, and one in the background is not waited for."""
        wanted = os.environ.get(SWITCH, "").strip().lower() not in BOOLEANS_FALSE
        local = self._connection.transport == "local" and not self._connection.become
        return bool(wanted and local and not self._task.async_val and not self._task.no_log)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection; what has no more references goes all the same."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _file_of(arguments: dict[str, t.Any]) -> Iterator[Path]:
    """The file that the user named, or a temporary one, which is put into the arguments."""
    if arguments.get("progress_file"):
        yield Path(os.path.expanduser(os.path.expandvars(str(arguments["progress_file"]))))
        return
    # Ansible removes this folder at its end, also when this process is killed.
    handle, name = tempfile.mkstemp(prefix="progress-", suffix=".jsonl", dir=constants.DEFAULT_LOCAL_TMP)
    os.close(handle)
    arguments["progress_file"] = name
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def followed(file: Path, prefix: str) -> Iterator[None]:
    """Show what is appended to the file from now on, until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(file, _size(file), prefix, over), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(file: Path, position: int, prefix: str, over: threading.Event) -> None:
    """Show the lines behind a position as they come, and those that came last."""
    display, lines = Display(), Lines()
    last = False
    while not last:
        last = over.wait(LOOK_EVERY)
        data = _read(file, position)
        position += len(data)
        for text in lines.take(data, time.monotonic()):
            try:
                # Standard output is buffered where it is no terminal, and may be JSON for another program.
                display.display(f"{prefix}{text}", stderr=True)
            except (OSError, ValueError):
                # The way to the screen is gone; the work is not.
                return


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _read(file: Path, position: int) -> bytes:
    try:
        # A pipe would be read by us instead of by whom it is for.
        if not file.is_file():
            return b""
        with file.open("rb") as stream:
            stream.seek(position)
            return stream.read(CHUNK)
    except OSError:
        return b""
