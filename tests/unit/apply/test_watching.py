# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a track: what is read of a running task, how often, and what is told of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.progress import SILENCE, Told
from ansible_collections.homelab.proxmox.plugins.module_utils._apply.watching import Reading, Watch, title
from ansible_collections.homelab.proxmox.plugins.module_utils._model.image import CloudImage, Digest, ResolvedImage
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.plan import Step
from ansible_collections.homelab.proxmox.plugins.module_utils._plan.steps import FetchImage, RemoveImage
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.client import Client
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ConnectionFailed
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.upid import Upid
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.wire import Reply, Upload
from ansible_collections.homelab.proxmox.tests.support.scripted import FakeClock

IMPORT = Upid.parse("UPID:pve1:0000784E:000A5FFE:6B0444CB:qmcreate:9200:root@pam!lab:")
DOWNLOAD = Upid.parse("UPID:pve1:00007632:000A487E:6B04448F:download:debian.qcow2:root@pam!lab:")
MIB, GIB = 2**20, 2**30

# The header as recorded on PVE 8.4, with the size of a real image, and wget's rows of 32 dots of 1 MiB.
WGET = [
    "downloading https://cloud.example.org/debian.qcow2 to /var/lib/vz/import/debian.qcow2",
    "--2026-11-23 13:50:07--  https://cloud.example.org/debian.qcow2",
    "Connecting to cloud.example.org:443... connected.",
    "HTTP request sent, awaiting response... 200 OK",
    "Length: 367001600 (350M) [application/octet-stream]",
    "Saving to: '/var/lib/vz/import/debian.qcow2.tmp_dwnl.30258'",
    "     0K ........ ........ ........ ........  9% 45.2M 7s",
    " 32768K ........ ........ ........ ........ 18% 51.0M 6s",
    " 65536K ........ ........ ........ ........ 27% 49.8M 5s",
]
QEMU_IMG = [
    "create full clone of drive (local:import/debian.qcow2)",
    '  Logical volume "vm-9200-disk-0" created.',
    "transferred 0.0 B of 2.0 GiB (0.00%)",
    "transferred 335.1 MiB of 2.0 GiB (16.36%)",
]
URL = "https://cloud.example.org/debian.qcow2"
IMAGE = CloudImage(
    id="a", name="A", family="", os_family="", release="", variant="", arch="x86_64", url=None, url_kind="none"
)
REMOVE = RemoveImage(node="pve1", storage="local", volid="local:import/old.qcow2")


def fetch_step(url: str = URL) -> FetchImage:
    source = ResolvedImage(url=url, digest=Digest("sha256", "0" * 64), verification="https")
    return FetchImage(node="pve1", storage="local", filename="debian.qcow2", image=IMAGE, source=source, via="download")


class Listener:
    """Keeps what is told."""

    wanted = True

    def __init__(self) -> None:
        self.told: list[Told] = []

    def tell(self, told: Told) -> None:
        self.told.append(told)

    @property
    def events(self) -> list[str]:
        return [told.event for told in self.told]


class OneTask:
    """A server with one task that lasts C(seconds) and whose log is C(log(seconds))."""

    identity = "root@pam!lab"

    def __init__(self, seconds: float, log: Callable[[float], Any]) -> None:
        self.clock = FakeClock()
        self.seconds = seconds
        self.log = log
        self.looks: list[tuple[float, int]] = []
        """When the log was read, and from which line on."""

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float,
        upload: Upload | None = None,
    ) -> Reply:
        now = self.clock.monotonic()
        if path.endswith("/status"):
            over = now >= self.seconds
            return Reply(200, "OK", {"status": "stopped", "exitstatus": "OK"} if over else {"status": "running"})
        start = int((params or {})["start"])
        self.looks.append((now, start))
        lines = self.log(now)
        if isinstance(lines, Exception):
            raise lines
        if isinstance(lines, Reply):
            return lines
        rows = [{"n": number, "t": line} for number, line in enumerate(lines, start=1)]
        return Reply(200, "OK", rows[start:], len(rows))


def watch_task(server: OneTask, upid: Upid) -> tuple[Listener, Client]:
    """Wait for the task within a step that is watched."""
    listener = Listener()
    client = Client(server, clock=server.clock)
    watch = Watch(client, listener, "debian-13@pve1")
    with watch.step(REMOVE):
        assert watch.client.wait(upid).ok
    return listener, client


def test_the_log_of_a_short_task_is_not_read() -> None:
    server = OneTask(2.5, lambda _now: QEMU_IMG)
    listener, _client = watch_task(server, IMPORT)
    assert server.looks == []
    assert listener.events == ["begin", "end"]


def test_the_log_of_a_long_task_is_read_now_and_then_and_counts_as_polls() -> None:
    server = OneTask(60.0, lambda _now: QEMU_IMG)
    listener, client = watch_task(server, IMPORT)
    times = [time for time, _start in server.looks]
    assert times[0] >= 3.0
    assert min(later - earlier for earlier, later in zip(times, times[1:], strict=False)) >= 4.999
    assert 10 <= len(times) <= 12
    assert client.requests.reads == client.requests.writes == 0
    assert client.requests.polls > len(times)
    assert listener.events == ["begin", *["progress"] * len(times), "end"]


def test_only_new_lines_are_read_and_the_last_one_again() -> None:
    server = OneTask(12.0, lambda now: WGET[: 7 if now < 5 else 9])
    listener, _client = watch_task(server, DOWNLOAD)
    assert [start for _time, start in server.looks] == [0, 6]
    told = [(told.text, told.percent, told.bytes, told.total) for told in listener.told if told.event == "progress"]
    total = 350 * MIB
    assert told == [("download", 9.0, int(total * 0.09), total), ("download", 27.0, int(total * 0.27), total)]


def test_a_log_that_tells_no_percentage_still_shows_life() -> None:
    listener, _client = watch_task(OneTask(5.0, lambda _now: ["no content"]), IMPORT)
    (told,) = [told for told in listener.told if told.event == "progress"]
    assert (told.text, told.percent, told.bytes, told.total) == ("import", None, None, None)


@pytest.mark.parametrize(
    "trouble",
    [Reply(403, "Permission check failed"), Reply(599, "Too many redirections"), ConnectionFailed("cut", sent=True)],
)
def test_a_log_that_cannot_be_read_disturbs_nothing(trouble: Any) -> None:
    server = OneTask(120.0, lambda _now: trouble)
    listener, _client = watch_task(server, IMPORT)
    assert listener.events[-1] == "end"
    # One attempt at a time, and then a long pause.
    assert 2 <= len(server.looks) <= 4


def test_when_nobody_listens_nothing_is_asked() -> None:
    server = OneTask(60.0, lambda _now: QEMU_IMG)
    client = Client(server, clock=server.clock)
    watch = Watch(client, SILENCE, "debian-13@pve1")
    with watch.step(REMOVE):
        watch.client.wait(IMPORT)
    assert watch.client is client
    assert server.looks == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (QEMU_IMG, (16.36, int(335.1 * MIB), 2 * GIB)),
        (QEMU_IMG[:3], (0.0, 0, 2 * GIB)),
        (["transferred 2.0 GiB of 2.0 GiB (100.00%)"], (100.0, 2 * GIB, 2 * GIB)),
        (WGET[:6], (None, None, 350 * MIB)),
        (WGET, (27.0, int(350 * MIB * 0.27), 350 * MIB)),
        # Recorded of a file below 1 MiB.
        ([*WGET[:6], "     0K" + " " * 36 + "100%  206M=0.001s"], (100.0, 350 * MIB, 350 * MIB)),
        # A row that is being written.
        ([*WGET, " 98304K ........ ...."], (27.0, int(350 * MIB * 0.27), 350 * MIB)),
        (["Length: unspecified [application/octet-stream]"], (None, None, None)),
        (["100%", "", "K 5%", "transferred ? of ? (?%)"], (None, None, None)),
    ],
)
def test_reading_a_log(lines: list[str], expected: tuple[Any, ...]) -> None:
    reading = Reading()
    reading.take(lines)
    assert (reading.percent, reading.done, reading.total) == expected


# --- steps


def watch() -> tuple[Watch, Listener]:
    listener = Listener()
    clock = FakeClock()
    server = OneTask(0.0, lambda _now: [])
    return Watch(Client(server, clock=clock), listener, "debian-13@pve1"), listener


def test_a_failed_step_is_told_without_the_words_of_the_error() -> None:
    found, listener = watch()
    with pytest.raises(RuntimeError), found.step(REMOVE):
        raise RuntimeError("cipassword: 'geheim' is too short")
    assert listener.events == ["begin", "failed"]
    assert not [told for told in listener.told if "geheim" in repr(told)]


def test_a_step_that_waits_for_its_turn_begins_when_it_has_it() -> None:
    found, listener = watch()
    with found.step(fetch_step()):
        assert listener.events == []
        found.begin()
        found.begin()
        assert listener.events == ["begin"]
    assert listener.events == ["begin", "end"]


def test_a_step_that_another_track_did_is_not_told() -> None:
    found, listener = watch()
    with found.step(fetch_step()):
        pass
    assert listener.events == []


def test_a_signed_url_is_not_written() -> None:
    found, listener = watch()
    with found.step(fetch_step("https://user:geheim@cloud.example.org/debian.qcow2?sig=geheim")):
        found.begin()
    (begin, _end) = listener.told
    assert "geheim" not in repr(listener.told)
    assert "https://cloud.example.org/debian.qcow2?sig=***" in begin.step


def test_transfers_of_this_machine_are_told_once_a_second() -> None:
    listener = Listener()
    server = OneTask(0.0, lambda _now: [])
    found = Watch(Client(server, clock=server.clock), listener, "debian-13@pve1")

    def fetch(_source: object, _image: object, progress: Callable[[str, int, int | None], None]) -> Path:
        for done in range(32):
            progress("download", done * MIB, 32 * MIB)
            server.clock.advance(0.125)
        return Path("/nowhere")

    step = fetch_step()
    with found.step(step):
        found.begin()
        found.fetching(cast(Any, fetch))(step.source, step.image)
        found.sent(16 * MIB, 32 * MIB)
    told = [(told.text, told.percent) for told in listener.told if told.event == "progress"]
    assert told == [
        ("download to this machine", 0.0),
        ("download to this machine", 25.0),
        ("download to this machine", 50.0),
        ("download to this machine", 75.0),
        ("upload", 50.0),
    ]


class Unheard:
    """A step of a kind that has no short name yet."""

    def describe(self) -> str:
        return "do something new"


def test_every_step_has_a_title() -> None:
    assert title(fetch_step()) == "download debian.qcow2 to local"
    assert title(REMOVE) == "delete local:import/old.qcow2"
    assert title(cast(Step, Unheard())) == "do something new"
