# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback plugin for the benchmarks: every task's result with the moment at which Ansible knew it."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: timeline
type: aggregate
short_description: Writes results with their times to the file that BENCH_TIMELINE names
description: One JSON object per line, with task, status, at (seconds of the monotonic clock) and result.
"""


class CallbackModule(CallbackBase):
    """Loaded from ANSIBLE_CALLBACK_PLUGINS, beside the usual output."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "timeline"

    def _note(self, status: str, result: t.Any) -> None:
        path = os.environ.get("BENCH_TIMELINE")
        if not path:
            return
        entry = {"task": result.task.get_name(), "status": status, "at": time.monotonic(), "result": result.result}
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry, default=str) + "\n")

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._note("ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._note("failed", result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._note("skipped", result)
