# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot lab for tests: one cluster with real VMs, one image, one vendor that publishes it.

A boot takes one minute without KVM on idle cores and ten on a busy machine, so tests share guests (see lab.freeze) and
there is one lab for all. Without the programs the tests are skipped; under CI=true that is a failure.
"""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.boot import Images, LabCluster, images, tools
from tests.support.boot.chain import Baked, Chain
from tests.support.boot.site import BootSite
from tests.support.pve import serve
from tests.support.vendor import serve_vendor

# Lines of a serial port that tell where a boot got stuck.
TAIL = 40


@pytest.fixture(scope="session")
def programs() -> None:
    """Skips where a program is missing, and says which package brings it."""
    missing = tools.missing()
    if missing:
        text = f"the boot lab needs the packages {' '.join(missing)}"
        pytest.fail(text) if os.environ.get("CI") == "true" else pytest.skip(text)


@pytest.fixture(scope="session")
def debian(programs: None) -> Images:
    """The lab's images."""
    return images()


@pytest.fixture(scope="session")
def site(debian: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootSite]:
    """The lab that all boot tests share."""
    with serve_vendor() as vendor, serve(LabCluster()) as server:
        yield BootSite(server, vendor, debian, tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def chain(site: BootSite) -> Iterator[Chain]:
    """The line that is built, baked, proved and published, once for all tests and in the background."""
    chain = Chain(site)
    yield chain
    chain.close()


@pytest.fixture(scope="session")
def baked(chain: Chain) -> Baked:
    """What became of that line."""
    return chain.baked()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the end of the chain comes last: other tests use the core that it leaves idle."""
    items.sort(key=lambda item: "baked" in getattr(item, "fixturenames", ()))


@pytest.fixture
def small(programs: None, tmp_path: Path) -> Iterator[t.Any]:
    """A lab of one's own, for tests that boot nothing."""
    with serve(LabCluster(home=tmp_path / "disks", logs=tmp_path / "serial")) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the end of every serial port with a failure."""
    report: t.Any = yield
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, BootSite):
        for log in sorted(site.lab.logs.glob("*.log")):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
            report.sections.append((f"serial port of VM {log.stem}", tail))
    return report
