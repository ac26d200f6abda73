# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a module's progress file to the lines that people read: few, and the same without a terminal."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime

EVERY_SECONDS = 10.0
EVERY_PERCENT = 10.0
LEAST_SECONDS = 2.0
"""Between two lines about how far a step is, however fast it is."""
PATIENCE = 1.0
"""Seconds after which a step is announced. One that has ended by then is one line, not two."""
LONGEST = 300
"""Characters of a text."""
WHOLE = 2**16
"""Bytes of a line; what is longer is not ours."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(slots=True)
class _Doing:
    """The step that a track is at; times are those of the clock that is given to Lines."""

    text: str
    began: str
    since: float
    announced: bool = False
    said: float = 0.0
    percent: float = 0.0


class Lines:
    """Decides what is said, and when. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._doing: dict[str, _Doing] = {}
        self._rest = b""

    def take(self, data: bytes, now: float) -> list[str]:
        """What to say about the next bytes of the file. A line that is not whole yet is kept for the next time."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-WHOLE:]
        said = [text for line in whole for text in self._line(line, now)]
        return said + self._announce(now)

    def _line(self, line: bytes, now: float) -> t.Iterator[str]:
        try:
            told = json.loads(line)
        except ValueError:
            return
        if not isinstance(told, dict):
            return
        track, event, text = (_clean(told.get(key)) for key in ("track", "event", "text"))
        doing = self._doing.get(track)
        if event == "begin":
            self._doing[track] = _Doing(text=text, began=_clean(told.get("time")), since=now)
        elif event == "progress" and doing is not None:
            yield from self._progress(track, doing, told, now)
        elif event in ("end", "failed"):
            self._doing.pop(track, None)
            took = _between(doing.began, _clean(told.get("time"))) if doing else ""
            yield f"{track}: {text}: {_ending(event, took)}"

    def _progress(self, track: str, doing: _Doing, told: dict[str, t.Any], now: float) -> t.Iterator[str]:
        percent = _number(told.get("percent"))
        further = percent is not None and percent - doing.percent >= EVERY_PERCENT
        silent = now - (doing.said or doing.since)
        if silent < LEAST_SECONDS or (silent < EVERY_SECONDS and not further):
            return
        doing.announced, doing.said, doing.percent = True, now, percent or 0.0
        how_far = "" if percent is None else f" {percent:.0f} %"
        yield f"{track}: {_clean(told.get('text'))} …{how_far}{_amount(told, now - doing.since)}"

    def _announce(self, now: float) -> list[str]:
        """The steps that are not over at once."""
        late = [(key, doing) for key, doing in self._doing.items() if not doing.announced]
        said = []
        for track, doing in late:
            if now - doing.since >= PATIENCE:
                doing.announced = True
                said.append(f"{track}: {doing.text} …")
        return said


def _ending(event: str, took: str) -> str:
    if event == "failed":
        return f"failed after {took}" if took else "failed"
    return f"done ({took})" if took and took != "0.0 s" else "done"


def _amount(told: dict[str, t.Any], seconds: float) -> str:
    """Such as C( (120 of 350 MiB)), or how long it has been going on where no sizes are known."""
    done, total = _number(told.get("bytes")), _number(told.get("total"))
    if done is None:
        return f" ({_duration(seconds)})"
    unit = _unit(total or done)
    size = _UNITS.index(unit)
    shown = _size(done, size)
    return f" ({shown} of {_size(total, size)} {unit})" if total else f" ({shown} {unit})"


def _unit(value: float) -> str:
    for unit in _UNITS:
        if value < 1000:
            return unit
        value /= 1024
    return _UNITS[-1]


def _size(value: float, exponent: int) -> str:
    scaled = value / 1024**exponent
    return f"{scaled:.1f}" if scaled < 10 and exponent else f"{scaled:.0f}"


def _between(first: str, last: str) -> str:
    try:
        return _duration(max(0.0, (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()))
    except (ValueError, TypeError):
        return ""


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _clean(value: object) -> str:
    """Text that cannot move the cursor, break the line, or fail to be encoded."""
    if not isinstance(value, str):
        return ""
    return _CONTROL.sub(" ", value)[:LONGEST].encode("utf-8", "replace").decode("utf-8")
