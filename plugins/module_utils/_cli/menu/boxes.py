# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""whiptail and dialog: one program for each screen, which gets the terminal and answers through a pipe.

Nothing that is secret is an argument; arguments can be seen by everybody on the machine. Long texts go through files.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .screens import Item, Meter, terminal_size

OK, CANCEL = 0, 1
"""Exit statuses; Esc is 255, which means the same as Cancel here: back."""
LEAST = (24, 80)
_RC = "use_colors = OFF\nuse_shadow = OFF\n"


class Boxes:
    """The screens as boxes. C(program) is whiptail or dialog, which differ in names of options only."""

    def __init__(self, program: str, environ: Mapping[str, str], folder: Path) -> None:
        self.name = program
        self._folder = folder
        self._environ = {name: value for name, value in environ.items() if name not in ("LINES", "COLUMNS")}
        if environ.get("NO_COLOR"):
            self._environ["NEWT_MONO"] = "1"
        if environ.get("NO_COLOR") and program == "dialog":
            rc = folder / "dialogrc"
            rc.write_text(_RC, encoding="ascii")
            self._environ["DIALOGRC"] = str(rc)

    def choose(self, title: str, text: str, items: Sequence[Item], start: str = "") -> str | None:
        height, width, room = self._size(text, len(items))
        marked = next((item.tag for item in items if item.value == start), "")
        options = ["--default-item", marked] if marked else []
        lines = [part for item in items for part in (item.tag, self._cut(item.label, width - 12))]
        answer = self._run(
            title, [*options, *self._cancel("Back"), *self._box("menu", text, height, width, room), *lines]
        )
        return next((item.value for item in items if item.tag == answer), None)

    def pick(self, title: str, text: str, items: Sequence[Item], chosen: Iterable[str]) -> list[str] | None:
        height, width, room = self._size(text, len(items))
        on = set(chosen)
        lines = [
            part
            for item in items
            for part in (item.tag, self._cut(item.label, width - 16), "on" if item.value in on else "off")
        ]
        options = ["--separate-output", *self._cancel("Back")]
        answer = self._run(title, [*options, *self._box("checklist", text, height, width, room), *lines])
        if answer is None:
            return None
        tags = answer.splitlines()
        return [item.value for item in items if item.tag in tags]

    def ask(self, title: str, text: str, value: str = "", *, secret: bool = False) -> str | None:
        height, width, _room = self._size(text, 0)
        kind = "passwordbox" if secret else "inputbox"
        # A value that looks like an option would be taken for one.
        filled = [value] if value and not secret and not value.startswith("-") else []
        insecure = ["--insecure"] if secret and self.name == "dialog" else []
        options = [*insecure, *self._cancel("Back")]
        return self._run(title, [*options, *self._box(kind, text, height + 2, width), *filled])

    def confirm(self, title: str, text: str, *, default: bool) -> bool:
        height, width, _room = self._size(text, 0)
        options = [] if default else ["--defaultno"]
        return self._run(title, [*options, *self._box("yesno", text, height, width)]) is not None

    def show(self, title: str, text: str) -> None:
        lines, columns = self._screen()
        path = self._folder / "text"
        path.write_text(text, encoding="utf-8")
        long = sum(1 + len(line) // (columns - 10) for line in text.splitlines()) > lines - 10
        options = ["--exit-label", "Back"]
        if self.name == "whiptail":
            # Where a text scrolls, Enter is taken by the text; Esc always goes back.
            options = ["--scrolltext", "--ok-button", "Back (Esc)"] if long else ["--ok-button", "Back"]
        self._run(title, [*options, "--textbox", str(path), str(lines - 4), str(columns - 6)])
        path.unlink()

    @contextmanager
    def meter(self, title: str) -> Iterator[Meter]:
        _height, width, _room = self._size("", 0)
        command = [self.name, "--title", title, "--gauge", " ", "9", str(width), "0"]
        before = termios.tcgetattr(0)
        # Ctrl-C is for us: it asks the run to end, and what draws the screen has to stay.
        process = subprocess.Popen(
            command,
            env=self._environ,
            stdin=subprocess.PIPE,
            text=True,
            preexec_fn=_ignore_interrupts,  # noqa: PLW1509
        )
        try:
            yield _Gauge(process, width)
        finally:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            process.wait()
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, before)

    def _run(self, title: str, arguments: list[str]) -> str | None:
        """What was answered, None for back."""
        reader, writer = os.pipe()
        command = [self.name, "--title", title, "--output-fd", str(writer), *arguments]
        with (
            os.fdopen(reader, encoding="utf-8", errors="replace") as stream,
            # The program draws on the terminal that we have.
            subprocess.Popen(command, env=self._environ, pass_fds=[writer]) as process,
        ):
            os.close(writer)
            answer = stream.read()
        return answer.removesuffix("\n") if process.returncode == OK else None

    def _box(self, kind: str, text: str, height: int, width: int, room: int | None = None) -> list[str]:
        sizes = [str(height), str(width), *([] if room is None else [str(room)])]
        return [f"--{kind}", self._plain(text), *sizes]

    def _cancel(self, word: str) -> list[str]:
        return ["--cancel-button" if self.name == "whiptail" else "--cancel-label", word]

    def _screen(self) -> tuple[int, int]:
        size = terminal_size()
        return max(size.lines, 10), max(size.columns, 40)

    def _size(self, text: str, items: int) -> tuple[int, int, int]:
        """Height, width and the lines for items, for the screen as it is now."""
        lines, columns = self._screen()
        width = min(columns - 4, 100)
        words = sum(1 + len(line) // (width - 4) for line in text.splitlines()) if text else 0
        room = max(1, min(items, lines - words - 10))
        return min(lines - 2, words + (room if items else 0) + 8), width, room

    def _plain(self, text: str) -> str:
        """Both take \\n in a text for a new line, and a text that begins with a hyphen for an option."""
        return (" " + text if text.startswith("-") else text).replace("\\", "\\\\" if self.name == "dialog" else "\\")

    def _cut(self, text: str, width: int) -> str:
        text = text if len(text) <= width else text[: width - 1] + "…"
        return self._plain(text) or " "


class _Gauge:
    def __init__(self, process: subprocess.Popen[str], width: int) -> None:
        self._process, self._width = process, width

    def update(self, percent: int, text: str) -> None:
        _let_interrupt()
        shown = text[: self._width - 8] or " "
        stream = self._process.stdin
        # Where it was ended from outside, the work goes on.
        with suppress(BrokenPipeError):
            if stream is not None:
                stream.write(f"XXX\n{percent}\n{shown}\nXXX\n")
                stream.flush()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _let_interrupt() -> None:
    """Have Ctrl-C make a signal, which both programs switch off, and neither reads the key."""
    # The terminal may be gone.
    with suppress(termios.error):
        mode = termios.tcgetattr(0)
        if not mode[3] & termios.ISIG or mode[6][termios.VINTR] != b"\x03":
            mode[3] |= termios.ISIG
            mode[6][termios.VINTR] = b"\x03"
            termios.tcsetattr(0, termios.TCSANOW, mode)


@contextmanager
def boxes(program: str, environ: Mapping[str, str]) -> Iterator[Boxes]:
    """The screens, with a folder of their own for texts."""
    with tempfile.TemporaryDirectory(prefix="homelab-menu-") as folder:
        yield Boxes(program, environ, Path(folder))


def usable(program: str, environ: Mapping[str, str]) -> bool:
    """Whether it is there and the terminal is one for it."""
    lines, columns = LEAST
    size = terminal_size()
    fits = size.lines >= lines and size.columns >= columns
    return fits and environ.get("TERM", "dumb") not in ("dumb", "unknown", "") and shutil.which(program) is not None
