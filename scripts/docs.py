# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a page for every module, plugin and role from its own documentation: build/docs/html/index.html."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PAGES = ROOT / "build" / "docs"

# Without intersphinx: the pages of others are not needed, and no network is.
CONF = """\
project = "homelab.proxmox"
copyright = "the homelab.proxmox contributors"
extensions = ["sphinx_antsibull_ext"]
html_theme = "alabaster"
html_copy_source = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
# Labels of Ansible's own pages; antsibull-docs lints ours.
suppress_warnings = ["ref.ref"]
"""


def main() -> int:
    """Write the sources, then the pages. Returns the status of the first command that failed."""
    sources = PAGES / "rst"
    shutil.rmtree(PAGES, ignore_errors=True)
    # antsibull-docs refuses a folder that others could write to.
    sources.mkdir(parents=True)
    sources.chmod(0o755)
    (sources / "conf.py").write_text(CONF, encoding="utf-8")
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv" / "collections"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    generate = ["antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
    for command in (
        [*generate, "--dest-dir", str(sources), "homelab.proxmox"],
        ["sphinx-build", "-q", "-b", "html", str(sources), str(PAGES / "html")],
    ):
        status = subprocess.run([str(BIN / command[0]), *command[1:]], env=env, check=False).returncode
        if status:
            return status
    print(f"{(PAGES / 'html' / 'index.html').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
