# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a builder reports: the runner's status file, or its lines on the serial console."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LINE = re.compile(r"homelab-seed (\d+) (\{[^\r\n]*\})")
_POLYNOMIAL = 0x04C11DB7


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step that ended. C(seconds) is what it took, C(output) the end of what it wrote, at most 4 KiB."""

    number: int
    name: str
    status: int
    timed_out: bool
    seconds: int
    output: str

    @property
    def failed(self) -> bool:
        return self.status != 0

    def __str__(self) -> str:
        how = f"was stopped after {self.seconds} s" if self.timed_out else f"ended with status {self.status}"
        text = f"step {self.number}, {self.name}, {how}"
        return f"{text}:\n{self.output.rstrip()}" if self.output.strip() else f"{text} and wrote nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a builder is. C(result) is None while it works (or hangs, or was switched off)."""

    steps: int = 0
    ended: tuple[StepReport, ...] = ()
    running: str | None = None
    result: str | None = None
    """C(done) or C(failed)."""

    @property
    def failure(self) -> StepReport | None:
        """The step that failed; None when none did, or when its report was damaged on the serial line."""
        return next((step for step in self.ended if step.failed), None)


def parse_status(text: str, run: str) -> Progress:
    """The progress from the status file. Lines of another run, and one that is being written, do not count."""
    return _progress(text.splitlines(), run)


def parse_serial(text: str, run: str) -> Progress:
    """The same from the text of the serial console; lines into which the kernel wrote do not count."""
    lines = (match for match in _LINE.finditer(text))
    return _progress((match[2] for match in lines if int(match[1]) == cksum(match[2].encode())), run)


def _progress(lines: Any, run: str) -> Progress:
    steps, ended, running, result = 0, dict[int, StepReport](), None, None
    for record in _records(lines):
        if record.get("run") != run:
            continue
        event = record.get("event")
        if event == "start":
            steps = int(record["steps"])
        elif event == "begin":
            running = str(record["name"])
        elif event == "end":
            running = None
            ended[int(record["step"])] = _report(record)
        elif event == "finished":
            running, result = None, str(record["result"])
    return Progress(steps=steps, ended=tuple(ended[number] for number in sorted(ended)), running=running, result=result)


def _records(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("v") == 1 and _complete(record):
            yield record


_FIELDS: dict[str, dict[str, type]] = {
    "start": {"steps": int},
    "begin": {"step": int, "name": str},
    "end": {"step": int, "name": str, "status": int, "timed_out": bool, "seconds": int, "output": str},
    "finished": {"result": str},
}


def _complete(record: dict[str, Any]) -> bool:
    fields = _FIELDS.get(str(record.get("event")))
    return fields is not None and all(isinstance(record.get(name), kind) for name, kind in fields.items())


def _report(record: dict[str, Any]) -> StepReport:
    try:
        output = base64.b64decode(record["output"], validate=True)
    except binascii.Error:
        output = b""
    return StepReport(
        number=record["step"],
        name=record["name"],
        status=record["status"],
        timed_out=record["timed_out"],
        seconds=record["seconds"],
        output=output.decode("utf-8", "replace"),
    )


def cksum(data: bytes) -> int:
    """What POSIX's C(cksum) prints first: its CRC over the bytes and then over their number."""
    length = len(data)
    tail = length.to_bytes((length.bit_length() + 7) // 8, "little")
    crc = 0
    for byte in data + tail:
        crc ^= byte << 24
        for _bit in range(8):
            crc = ((crc << 1) ^ _POLYNOMIAL if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc ^ 0xFFFFFFFF
