# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is in a file: values or problems come of it, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.homelab.proxmox.plugins.module_utils._config.check import check_layer
from ansible_collections.homelab.proxmox.plugins.module_utils._config.coerce import coerce_text
from ansible_collections.homelab.proxmox.plugins.module_utils._config.documents import Document, parse
from ansible_collections.homelab.proxmox.plugins.module_utils._config.legacy import read_conf
from ansible_collections.homelab.proxmox.plugins.module_utils._config.load import load
from ansible_collections.homelab.proxmox.plugins.module_utils._config.paths import find_paths
from ansible_collections.homelab.proxmox.plugins.module_utils._config.problems import ConfigError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

PIECES = st.sampled_from(
    [
        "a",
        "templates",
        "keep",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "#",
        "'",
        '"',
        "\\",
        "&x ",
        "*x",
    ]
    + [
        "!",
        "!!int ",
        "!vault ",
        "|",
        ">",
        "<<",
        "? ",
        "---\n",
        "...\n",
        "%",
        "0644",
        "no",
        "~",
        "\t",
        "\x07",
        "\x85",
        "é",
    ]
    + ["$", "`", "(", ")", ";", "=", "A=", "export ", "12:30", ".inf", "$remove", "$replace", "ref"]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ref", "$remove", "$replace", "line", "keep", "lines", "templates"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(text=TEXTS)
@example(text='a: "\\UFFFFFFFF"')
@example(text='a: "\\ud800"')
@example(text="a: " + "[" * 3000)
@example(text="a: !!int ''")
@example(text="a: !!int x")
@example(text="a: !!float x")
@example(text="a: !!bool x")
@example(text="a: !!null x")
@example(text="? {a: 1}\n: 1")
@example(text="!!map {a: 1}")
@example(text="<<: {a: {<<: 1}}")
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    document = parse(text, "f.yml")
    assert isinstance(document.data, dict)
    assert document.problems or json.dumps(document.data) is not None
    check_layer(document, "system", "f.yml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(system=JSON, user=JSON)
def test_any_values_are_merged_or_a_problem(tmp_path: Path, system: Any, user: Any) -> None:
    paths = find_paths({}, tmp_path)
    texts = {paths.system_file: json.dumps(system), paths.user_file: json.dumps(user)}
    found = load(paths, {}, texts=texts)
    found.shown()
    for key, _said in found.leaves():
        found.explain(key)
    assert isinstance(found.variables(), dict)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_any_shell_file_is_assignments_or_a_problem(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_conf(path)
    except ConfigError as error:
        assert all(problem.line is None or problem.line >= 1 for problem in error.problems)
    else:
        assert all(one.name.isidentifier() for one in found)


@given(text=TEXTS, key=st.sampled_from(["keep", "lines", "nodes", "defaults", "allow_eol", "signature"]))
def test_any_text_of_a_survey_is_a_value_or_a_problem(text: str, key: str) -> None:
    try:
        value = coerce_text(("templates", key), text)
    except ConfigError:
        return
    check_layer(Document(data={"templates": {key: value}}), "environment", "X")
