# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of docs/adr/0001: who may import whom, what a layer never does, and how long things may become.

Each rule is a function from one parsed file to its violations, so that a rule can be tried on a sample as well as on
the collection (a rule that finds nothing anywhere would prove nothing).
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGINS = ROOT / "plugins"
COLLECTION = ("ansible_collections", "homelab", "proxmox", "plugins")
DOOR_FOLDERS = ("modules", "action", "lookup", "inventory", "filter", "callback", "vars", "connection")
DOC_NAMES = {"DOCUMENTATION", "EXAMPLES", "RETURN"}

MAX_DOOR, MAX_FUNCTION, MAX_FILE = 150, 50, 400


@dataclass(frozen=True)
class Layer:
    """What the files of one folder may import besides the standard library and one another."""

    layers: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    pure: bool = False
    """No I/O of any kind: no files, no network, no clock."""
    reads_only: bool = False


def layer(layers: str = "", libraries: str = "", *, pure: bool = False, reads_only: bool = False) -> Layer:
    return Layer(frozenset(layers.split()), frozenset(libraries.split()), pure, reads_only)


ALL_BELOW = "_model _pve _images _seed _read _plan _apply _config _actions _release"

LAYERS = {
    "_model": layer(pure=True),
    "_pve": layer(libraries="requests proxmoxer requests_toolbelt urllib3 yaml"),
    "_images": layer("_model", "requests urllib3 zstandard jsonschema yaml"),
    "_seed": layer("_model", "pycdlib jsonschema", pure=True),
    "_read": layer("_pve _model", reads_only=True),
    "_plan": layer("_model", pure=True),
    "_apply": layer("_pve _read _images _seed _plan _model"),
    "_config": layer(libraries="jsonschema yaml"),
    "_actions": layer(libraries="jsonschema yaml"),
    "_release": layer(libraries="jsonschema yaml"),
    "_cli": layer("_config _actions", "ansible_runner jsonschema yaml"),
    "_ansible": layer(ALL_BELOW, "ansible yaml"),
    "plugin_utils": layer(libraries="ansible"),
}

# A door takes its arguments apart with _model, and composes one reader, one planner and one executor.
DOOR = layer("_ansible _model _read _images _plan _apply", "ansible")
# What runs inside of Ansible itself may use its plugins; a module, which may run elsewhere, must not.
INSIDE = layer("_ansible _model _read _images _plan _apply _config plugin_utils", "ansible")
ONE_OF = (("_read", "_images"), ("_plan",), ("_apply",))

IMPURE_MODULES = {"asyncio", "concurrent", "fcntl", "ftplib", "glob", "http", "io", "logging", "multiprocessing", "os"}
IMPURE_MODULES |= {
    "pathlib",
    "random",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
}
IMPURE_MODULES |= {"tempfile", "threading", "time", "urllib.request"}
# A file that is memory.
PURE_NAMES = {("io", "BytesIO")}
WRITES = {"allow_writes", "delete", "post", "put", "submit", "upload", "write_config"}


@dataclass(frozen=True)
class Source:
    """One parsed file; C(parts) is its path below plugins/, without the suffix."""

    parts: tuple[str, ...]
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        return "/".join(self.parts)

    @property
    def layer(self) -> str | None:
        if self.parts[0] == "plugin_utils":
            return "plugin_utils"
        return self.parts[1] if self.parts[0] == "module_utils" and len(self.parts) > 2 else None

    @property
    def is_door(self) -> bool:
        return self.parts[0] in DOOR_FOLDERS and self.parts[-1] != "__init__"

    def rules(self) -> Layer | None:
        if self.is_door:
            return DOOR if self.parts[0] == "modules" else INSIDE
        return LAYERS.get(self.layer) if self.layer else None


def sources() -> list[Source]:
    files = sorted(PLUGINS.rglob("*.py"))
    return [Source(file.relative_to(PLUGINS).with_suffix("").parts, file.read_text(encoding="utf-8")) for file in files]


def imports(source: Source) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and full dotted name of everything imported, relative names resolved below plugins/."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                module = (*COLLECTION, *source.parts[: -node.level], *module)
            for alias in node.names:
                yield node.lineno, (*module, alias.name)


def own_layer(name: tuple[str, ...]) -> tuple[str, ...] | None:
    """C(("_pve", "client", ...)) for an import of the collection's own utils, else None."""
    if name[: len(COLLECTION)] != COLLECTION:
        return None
    rest = name[len(COLLECTION) :]
    return rest[1:] if rest[:1] == ("module_utils",) else rest


def forbidden_imports(source: Source) -> Iterator[str]:
    rules = source.rules()
    if rules is None:
        return
    for line, name in imports(source):
        own = own_layer(name)
        if own is not None:
            if own[0] not in rules.layers | {source.layer}:
                yield f"{source.name}:{line}: imports {'.'.join(own)}"
        elif name[0] not in sys.stdlib_module_names | rules.libraries:
            yield f"{source.name}:{line}: imports {'.'.join(name)}"


def impure_code(source: Source) -> Iterator[str]:
    rules = source.rules()
    if rules is None or not rules.pure:
        return
    for line, name in imports(source):
        if name not in PURE_NAMES and (name[0] in IMPURE_MODULES or ".".join(name[:2]) in IMPURE_MODULES):
            yield f"{source.name}:{line}: {'.'.join(name)} does I/O or reads the clock"
    for node in ast.walk(source.tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in {"open", "print", "input"}:
            yield f"{source.name}:{node.lineno}: {called.id}()"
        if isinstance(called, ast.Attribute) and called.attr in {"now", "utcnow", "today"}:
            yield f"{source.name}:{node.lineno}: reads the clock; take the time as an argument"


def writes_of_readers(source: Source) -> Iterator[str]:
    rules = source.rules()
    if rules is None or not rules.reads_only:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            yield f"{source.name}:{node.lineno}: .{node.func.attr}() in a layer that only reads"


def many_of_one_kind(source: Source) -> Iterator[str]:
    """A door that needs two planners has two nouns."""
    if not source.is_door:
        return
    used = [own for _line, name in imports(source) if (own := own_layer(name)) is not None and len(own) > 1]
    for kind in ONE_OF:
        # The class Plan and its like are the vocabulary; a planner is a file of its own.
        files = {f"{own[0]}/{own[1]}" for own in used if own[0] in kind} - {"_plan/plan", "_apply/outcome"}
        files -= {"_images/errors"}
        if len(files) > 1:
            yield f"{source.name}: uses {', '.join(sorted(files))}; one of {' or '.join(kind)} is enough for one noun"


def check_mode_questions(source: Source) -> Iterator[str]:
    """Check mode is decided in _ansible/run.py and nowhere else."""
    if source.parts == ("module_utils", "_ansible", "run"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == "check_mode":
            yield f"{source.name}:{node.lineno}: asks for check_mode"


def module_endings(source: Source) -> Iterator[str]:
    """Modules end in _ansible only, so that every failure has the same fields."""
    if source.layer == "_ansible":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"fail_json", "exit_json"}:
            yield f"{source.name}:{node.lineno}: calls {node.attr}"


def broad_excepts(source: Source) -> Iterator[str]:
    """Catching everything is for cleaning up: the handler ends with a bare C(raise)."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(kind is None or getattr(kind, "id", "") in {"Exception", "BaseException"} for kind in caught)
        last = node.body[-1]
        if broad and not (isinstance(last, ast.Raise) and last.exc is None):
            yield f"{source.name}:{node.lineno}: catches everything and goes on"


def code_lines(source: Source) -> int:
    """Lines of the file without DOCUMENTATION, EXAMPLES and RETURN."""
    lines = len(source.text.splitlines())
    for node in source.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id in DOC_NAMES for target in targets):
            lines -= (node.end_lineno or node.lineno) - node.lineno + 1
    return lines


def oversized(source: Source) -> Iterator[str]:
    functions = [n for n in ast.walk(source.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > MAX_FUNCTION:
            yield f"{source.name}:{function.lineno}: {function.name} has {length} lines; at most {MAX_FUNCTION}"
    is_data = not functions and not any(isinstance(n, ast.ClassDef) for n in ast.walk(source.tree))
    is_fragment = source.parts[0] == "doc_fragments"
    limit = MAX_DOOR if source.is_door else MAX_FILE
    if not is_data and not is_fragment and (length := code_lines(source)) > limit:
        yield f"{source.name}: {length} lines of code; at most {limit}"


def headless(source: Source) -> Iterator[str]:
    if not source.text.strip():
        return
    if "SPDX-License-Identifier: GPL-3.0-or-later" not in "\n".join(source.text.splitlines()[:5]):
        yield f"{source.name}: no licence line at its head"
    if len(source.tree.body) > 1 and "\nfrom __future__ import annotations\n" not in source.text:
        yield f"{source.name}: does not import annotations from __future__"


RULES = (
    forbidden_imports,
    impure_code,
    writes_of_readers,
    many_of_one_kind,
    check_mode_questions,
    module_endings,
    broad_excepts,
    oversized,
    headless,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_collection_keeps_the_rule(rule):
    found = [violation for source in sources() for violation in rule(source)]
    assert not found, "\n" + "\n".join(found)


def test_every_folder_of_utils_is_a_known_layer():
    folders = {source.layer for source in sources() if source.layer}
    assert folders <= LAYERS.keys()
    loose = [
        s.name for s in sources() if s.parts[0] == "module_utils" and len(s.parts) == 2 and s.parts[1] != "__init__"
    ]
    assert not loose, "a file directly in module_utils belongs into a layer"


def test_no_layer_is_above_itself():
    """The table itself has no circle, and nobody below the doors may import _ansible."""

    def reachable(name: str, path: tuple[str, ...] = ()) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        for lower in LAYERS[name].layers:
            reachable(lower, (*path, name))

    for name in LAYERS:
        reachable(name)
    assert not any("_ansible" in rules.layers for rules in LAYERS.values())


VIOLATIONS = [
    (forbidden_imports, "module_utils/_plan/x", "from .._pve.client import Client"),
    (
        forbidden_imports,
        "module_utils/_plan/x",
        "from ansible_collections.homelab.proxmox.plugins.module_utils._pve import x",
    ),
    (forbidden_imports, "module_utils/_pve/x", "from ansible.module_utils.basic import AnsibleModule"),
    (forbidden_imports, "module_utils/_apply/x", "from .._ansible.run import run"),
    (forbidden_imports, "modules/x", "import requests"),
    (forbidden_imports, "modules/x", "from ..module_utils._pve.client import Client"),
    (forbidden_imports, "lookup/x", "def f():\n    from proxmoxer import ProxmoxAPI"),
    (forbidden_imports, "modules/x", "from ..plugin_utils.live import LiveAction"),
    (forbidden_imports, "plugin_utils/x", "from ..module_utils._pve.client import Client"),
    (impure_code, "module_utils/_model/x", "import time"),
    (impure_code, "module_utils/_plan/x", "from urllib.request import urlopen"),
    (impure_code, "module_utils/_plan/x", "import datetime\ndatetime.datetime.now()"),
    (impure_code, "module_utils/_model/x", "open('x')"),
    (impure_code, "module_utils/_seed/x", "from io import FileIO"),
    (writes_of_readers, "module_utils/_read/x", "client.post('/nodes')"),
    (
        many_of_one_kind,
        "modules/x",
        "from ..module_utils._plan.a import plan\nfrom ..module_utils._plan.b import plan as other",
    ),
    (check_mode_questions, "modules/x", "if module.check_mode: pass"),
    (module_endings, "modules/x", "module.fail_json(msg='no')"),
    (broad_excepts, "modules/x", "try: pass\nexcept Exception: pass"),
    (broad_excepts, "modules/x", "try: pass\nexcept (OSError, BaseException) as e: raise RuntimeError from e"),
    (oversized, "module_utils/_pve/x", "def f():\n" + "    pass\n" * MAX_FUNCTION),
    (oversized, "modules/x", "def f(): pass\n" + "x = 1\n" * MAX_DOOR),
    (oversized, "module_utils/_pve/x", "def f(): pass\n" + "x = 1\n" * MAX_FILE),
    (headless, "modules/x", "x = 1\ny = 2"),
]


@pytest.mark.parametrize(("rule", "place", "text"), VIOLATIONS, ids=lambda value: getattr(value, "__name__", None))
def test_rule_finds_its_violation(rule, place, text):
    assert list(rule(Source(tuple(place.split("/")), text)))


INNOCENT = [
    (forbidden_imports, "module_utils/_plan/x", "from .._model.image import Digest\nfrom .plan import Plan\nimport re"),
    (forbidden_imports, "modules/x", "from ansible.module_utils.basic import AnsibleModule"),
    (forbidden_imports, "action/x", "from ..plugin_utils.live import LiveAction"),
    (impure_code, "module_utils/_model/x", "from urllib.parse import quote"),
    (impure_code, "module_utils/_seed/x", "from io import BytesIO"),
    (impure_code, "module_utils/_pve/x", "import time"),
    (
        many_of_one_kind,
        "modules/x",
        "from ..module_utils._plan.plan import Plan\nfrom ..module_utils._plan.image import plan, want",
    ),
    (broad_excepts, "modules/x", "try: pass\nexcept BaseException:\n    clean()\n    raise"),
    (oversized, "module_utils/_images/data", "x = 1\n" * 2 * MAX_FILE),
    (oversized, "modules/x", 'DOCUMENTATION = """' + "\n" * 2 * MAX_DOOR + textwrap.dedent('"""\ndef f(): pass')),
]


@pytest.mark.parametrize(("rule", "place", "text"), INNOCENT, ids=lambda value: getattr(value, "__name__", None))
def test_rule_leaves_the_innocent_alone(rule, place, text):
    assert not list(rule(Source(tuple(place.split("/")), text)))
