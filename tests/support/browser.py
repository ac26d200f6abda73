# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at pages with a browser: how wide they are, what is seen without scrolling, and whether their style applies."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

BROWSERS = ("chromium-headless-shell", "chromium")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--allow-file-access-from-files", "--virtual-time-budget=10000", "--dump-dom"),
)

# A window of a browser cannot be as narrow as a telephone, so the page is looked at in a frame. The page itself runs no
# script; this one asks for the frame's measures from outside.
WRAPPER = """<!doctype html><meta charset="utf-8"><body style="margin:0"><script>
const views = VIEWS, found = [];
function look() {
  if (found.length === views.length) {
    const result = document.createElement("pre");
    result.id = "result";
    result.textContent = JSON.stringify(found);
    document.body.replaceChildren(result);
    return;
  }
  const view = views[found.length], frame = document.createElement("iframe");
  frame.style.cssText = `width:${view.width}px;height:${view.height}px;border:0;display:block`;
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement, style = frame.contentWindow.getComputedStyle;
    const inside = [...page.querySelectorAll("*")].filter(one => !one.closest(".hide,thead,.chips"));
    found.push({
      wide: root.scrollWidth,
      room: root.clientWidth,
      beyond: inside.filter(one => one.getBoundingClientRect().right > root.clientWidth + 0.5)
        .map(one => one.outerHTML.slice(0, 99)),
      scrolls: [...page.querySelectorAll(".scroll")].filter(one => one.scrollWidth > one.clientWidth).length,
      seen: [...page.querySelectorAll(".chips li")].filter(one => one.getBoundingClientRect().bottom <= view.height)
        .map(one => one.textContent),
      told: page.querySelectorAll(".chips li").length,
      ground: style(page.body).backgroundColor,
      colour: style(page.body).color,
      heads: page.querySelectorAll("thead th").length,
    });
    frame.remove();
    look();
  };
  frame.src = view.page;
  document.body.append(frame);
}
look();
</script>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page in a frame of a size in CSS pixels."""

    page: Path
    width: int
    height: int = 800


def browser() -> str:
    """The browser of this machine. Without one the test is skipped, which CI takes for a failure."""
    for name in BROWSERS:
        if (path := shutil.which(name)) is not None:
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed")
    pytest.skip(f"none of {', '.join(BROWSERS)} is installed")


def look(views: t.Sequence[View], *, dark: bool = False) -> list[dict[str, t.Any]]:
    """What the browser measures of each view, in one start of it."""
    program = browser()
    wanted = [{"page": view.page.as_uri(), "width": view.width, "height": view.height} for view in views]
    with tempfile.TemporaryDirectory(prefix="browser-") as folder:
        wrapper = Path(folder) / "look.html"
        wrapper.write_text(WRAPPER.replace("VIEWS", json.dumps(wanted)), encoding="utf-8")
        scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        argv = [program, *OPTIONS, *scheme, f"--user-data-dir={folder}/profile", wrapper.as_uri()]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    result = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert result is not None, f"status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return t.cast(list[dict[str, t.Any]], json.loads(html.unescape(result[1])))
