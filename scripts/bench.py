# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the benchmarks: GOALS=G7,G8 chooses, FULL=1 takes the large sizes, PEER_HEAD=path adds a newer peer.

Prints a table and writes build/bench.json. The exit status is 1 when a budget is missed or could not be measured, and 2
when GOALS names nothing that can be measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".venv" / "collections")]

import proxmoxer  # noqa: E402
import requests  # noqa: E402
from ansible_collections.homelab.proxmox.plugins.module_utils._pve.errors import ProxmoxError  # noqa: E402

from tests.benchmarks.lab import LATENCY, WORKERS, Lab  # noqa: E402
from tests.benchmarks.peer import VERSION, obtain  # noqa: E402
from tests.benchmarks.play import PlayError  # noqa: E402
from tests.benchmarks.registry import Benchmark, chosen, load  # noqa: E402
from tests.benchmarks.report import Row, failure, table, write_json  # noqa: E402

REPORT = ROOT / "build" / "bench.json"
UNMEASURED = (
    PlayError,
    ProxmoxError,
    proxmoxer.ResourceException,
    requests.RequestException,
    subprocess.TimeoutExpired,
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
)


def main(environment: Mapping[str, str]) -> int:
    """Measure what was asked for."""
    known = load()
    wanted, missing = chosen(environment.get("GOALS", ""), known)
    names = ", ".join(dict.fromkeys(one.goal for one in known))
    if missing:
        print(f"No benchmark for {', '.join(missing)}; there are {names}", file=sys.stderr)
    if not wanted:
        return 2
    started = time.monotonic()
    head = environment.get("PEER_HEAD")
    peer = obtain(ROOT / ".venv" / "peer")
    keep_to_loopback(environment)
    with Lab(peer, full=environment.get("FULL", "") not in ("", "0"), peer_head=Path(head) if head else None) as lab:
        rows = [row for one in wanted for row in measured(one, lab)]
    write_json(rows, REPORT)
    print(f"\n{table(rows)}\n")
    against = VERSION if peer.path else f"none ({peer.reason})"
    print(f"Peer: {against}. Answers take {LATENCY * 1000:g} ms, {WORKERS} workers.")
    print(f"{REPORT.relative_to(ROOT)} is written; {time.monotonic() - started:.0f} s in all.")
    return verdict(rows)


def measured(one: Benchmark, lab: Lab) -> Iterator[Row]:
    """The rows of one benchmark; trouble with it becomes a row, so that the others go on."""
    print(f"{one.goal}: {one.title}", flush=True)
    try:
        yield from one.measure(lab)
    except UNMEASURED as error:
        yield failure(one.goal, error)


def keep_to_loopback(environment: Mapping[str, str]) -> None:
    """Neither a proxy nor a CA bundle of the person's own may come between a client in this process and the server."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, [environment.get("NO_PROXY"), "127.0.0.1"]))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)


def verdict(rows: Sequence[Row]) -> int:
    """The exit status, with a line for what was missed."""
    missed = [f"{row.goal} {row.unit}" for row in rows if row.met is False]
    if missed:
        print(f"Not met: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
