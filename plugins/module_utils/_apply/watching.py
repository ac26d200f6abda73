# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching one track at work: its steps, how far its tasks, its downloads and its uploads have come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .._images.urls import display_url
from .._model.image import CloudImage, ResolvedImage
from .._plan.plan import Step
from .._plan.steps import (
    Adopt,
    Build,
    Configure,
    Convert,
    Customise,
    Destroy,
    FetchImage,
    Pause,
    Prove,
    Publish,
    Release,
    RemoveImage,
    Resume,
    Retire,
    Seal,
    Settle,
)
from .._pve.client import Client
from .._pve.errors import ProxmoxError
from .._pve.upid import Upid
from .images import Fetcher, Local
from .progress import Event, Progress, Told

OnBytes = Callable[[str, int, "int | None"], None]
"""Told of a stage (C(download), C(unpack), C(verify)), the bytes done and the bytes in all, where known."""

WatchedFetcher = Callable[[ResolvedImage, CloudImage, OnBytes], Local]
"""As Fetcher, and tells how far it is."""

LOOK_AFTER = 3.0
"""Seconds that a task has to last before its log is looked at."""
LOOK_EVERY = 5.0
"""Seconds between two looks at the log of a task."""
BYTES_EVERY = 1.0
"""Seconds between two reports of a transfer that this machine does itself."""

_PHASES = {
    "download": "download",
    "imgcopy": "store",
    "imgdel": "delete",
    "qmcreate": "import",
    "resize": "grow the disk",
    "qmtemplate": "convert to a template",
    "qmclone": "clone",
    "qmdestroy": "destroy",
}
"""What the types of tasks are called here."""

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
# Recorded on PVE 8.4 of a create with import-from; the same line comes from qemu-img for clones.
_TRANSFERRED = re.compile(r"transferred ([\d.]+) ([KMGTP]?i?B) of ([\d.]+) ([KMGTP]?i?B) \(([\d.]+)%\)")
# wget's words (recorded) and, since Proxmox VE runs it with dots of 1 MiB, 32 of which are a line with a percentage:
# " 32768K ........ ........ ........ ........ 18% 45.2M 5s".
_LENGTH = re.compile(r"Length: (\d+)\b")
_DOTS = re.compile(r"\s*\d+K[ .,]*\s(\d{1,3})%")


class Reading:
    """How far a task is, from the lines of its log as they come."""

    def __init__(self) -> None:
        self.percent: float | None = None
        self.done: int | None = None
        self.total: int | None = None
        self.next = 0
        """The first line that is not whole yet: the last one may still be written."""

    def take(self, lines: Sequence[str]) -> None:
        """The lines from C(next) on."""
        for line in lines:
            if found := _TRANSFERRED.match(line):
                done, done_unit, total, total_unit, percent = found.groups()
                self.percent = float(percent)
                self.done = int(float(done) * _UNITS.get(done_unit, 1))
                self.total = int(float(total) * _UNITS.get(total_unit, 1))
            elif found := _LENGTH.match(line):
                self.total = int(found[1])
            elif found := _DOTS.match(line):
                self.percent = float(found[1])
                self.done = None if self.total is None else int(self.total * self.percent / 100)
        self.next += max(0, len(lines) - 1)


class Watch:
    """Tells of one track. A track is one thread's, so nothing here is shared but what C(note) needs.

    The tasks of C(client) are watched; it is otherwise the client that was given. C(polled) and C(sent) are what it
    calls back.
    """

    def __init__(self, client: Client, progress: Progress, track: str) -> None:
        self.client = client.watched(self) if progress.wanted else client
        self._progress = progress
        self._clock = client.clock
        self._track = track
        self._step: Step | None = None
        self._begun = False
        self._task: Upid | None = None
        self._reading = Reading()
        self._due = 0.0
        self._stage = ""

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Tell of a step from its beginning to its end. One that may have to wait for its turn begins by itself."""
        self._step, self._begun, self._stage = step, False, ""
        if not isinstance(step, FetchImage | Build | Customise | Prove | Settle):
            self.begin()
        try:
            yield
        except BaseException:
            # The error may quote what the server was sent, so its words are left to the result.
            self._tell("failed", title(step))
            raise
        if self._begun:
            self._tell("end", title(step))

    def begin(self) -> None:
        """The step under way has got its turn."""
        if self._step is not None and not self._begun:
            self._begun = True
            self._tell("begin", title(self._step))

    def note(self, text: str) -> None:
        """What goes on inside the step under way."""
        self._tell("progress", text)

    def fetching(self, fetch: WatchedFetcher) -> Fetcher:
        """The same, telling of it."""
        return lambda source, image: fetch(source, image, self.fetched)

    def fetched(self, stage: str, done: int, total: int | None) -> None:
        """This machine downloads or unpacks an image, within the time that the run has."""
        self.client.deadline.check(f"the {stage} of an image to this machine")
        self._bytes(f"{stage} to this machine" if stage == "download" else stage, done, total)

    def sent(self, done: int, total: int) -> None:
        """This machine uploads a file."""
        self._bytes("upload", done, total)

    def polled(self, upid: Upid, status: Mapping[str, Any]) -> None:
        """A task is still waited for; now and then its log is looked at."""
        now = self._clock.monotonic()
        if upid != self._task:
            self._task, self._reading, self._due = upid, Reading(), now + LOOK_AFTER
        if now < self._due or status.get("status") == "stopped":
            return
        self._due = now + LOOK_EVERY
        reading = self._reading
        try:
            reading.take(self.client.glance_at_log(upid, reading.next))
        except ProxmoxError:
            # Whether the task goes well is found out by its status.
            self._due = now + 10 * LOOK_EVERY
        phase = _PHASES.get(upid.type, upid.type)
        self._tell("progress", phase, percent=reading.percent, done=reading.done, total=reading.total)

    def _bytes(self, text: str, done: int, total: int | None) -> None:
        now = self._clock.monotonic()
        if text == self._stage and now < self._due:
            return
        self._stage, self._due = text, now + BYTES_EVERY
        percent = round(100 * done / total, 1) if total else None
        self._tell("progress", text, percent=percent, done=done, total=total)

    def _tell(
        self,
        event: Event,
        text: str,
        *,
        percent: float | None = None,
        done: int | None = None,
        total: int | None = None,
    ) -> None:
        if self._step is not None and self._progress.wanted:
            told = Told(
                track=self._track,
                event=event,
                step=described(self._step),
                text=text,
                percent=percent,
                bytes=done,
                total=total,
            )
            self._progress.tell(told)


def described(step: Step) -> str:
    """The step's description; signed URLs carry secrets, which the file must not."""
    text = step.describe()
    return text.replace(step.source.url, display_url(step.source.url)) if isinstance(step, FetchImage) else text


def title(step: Step) -> str:
    """A step in a few words."""
    words = _TITLES.get(type(step))
    return words(step) if words is not None else step.describe()


_TITLES: Mapping[type, Callable[[Any], str]] = {
    FetchImage: lambda step: f"{step.via} {step.filename} to {step.storage}",
    RemoveImage: lambda step: f"delete {step.volid}",
    Build: lambda step: "build a VM" if step.line.customize is not None else "build a template",
    Customise: lambda step: "customise it",
    Pause: lambda step: "stop before the seal",
    Resume: lambda step: f"take over VM {step.generation.vmid}",
    Seal: lambda step: "seal it",
    Convert: lambda step: "convert it to a template",
    Prove: lambda step: "prove that it boots",
    Publish: lambda step: f"publish VM {step.generation.vmid}" if step.generation else "publish it as current",
    Configure: lambda step: f"change VM {step.vmid}",
    Settle: lambda step: f"clone it to VM {step.vmid}",
    Release: lambda step: f"remove the original of VM {step.vmid}",
    Retire: lambda step: f"retire VM {step.generation.vmid}",
    Adopt: lambda step: f"adopt VM {step.identity.vmid}",
    Destroy: lambda step: f"destroy VM {step.generation.vmid}",
}
