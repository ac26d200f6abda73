# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection promises as a package: metadata, documentation, roles, the README, and the built artifact."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
FQCN = "homelab.proxmox"


def plugin_files(folder: str) -> list[Path]:
    return sorted(file for file in (ROOT / "plugins" / folder).glob("*.py") if file.stem != "__init__")


MODULES = plugin_files("modules")
DOCUMENTED = [*MODULES, *plugin_files("lookup"), *plugin_files("inventory"), *plugin_files("vars")]
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/tasks/main.yml"))
ROLE_FOLDERS = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def doc_texts(file: Path) -> dict[str, str]:
    """DOCUMENTATION, EXAMPLES and RETURN as written; a module must hold them as plain literals."""
    texts = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str() as text)):
                texts[name] = text
    return texts


def fragments(file: Path) -> list[str]:
    named = yaml.safe_load(doc_texts(file)["DOCUMENTATION"]).get("extends_documentation_fragment", [])
    return [named] if isinstance(named, str) else named


# --- metadata


def test_action_group_is_the_modules_that_talk_to_proxmox():
    group = load(ROOT / "meta" / "runtime.yml")["action_groups"]["all"]
    talking = [file.stem for file in MODULES if f"{FQCN}.connection" in fragments(file)]
    assert group == sorted(talking)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_action_group_is_documented_by_its_members_only(file):
    named = fragments(file)
    assert (f"{FQCN}.connection" in named) == (f"{FQCN}.attributes.actiongroup" in named)


def test_execution_environment_names_files_of_the_artifact():
    named = load(ROOT / "meta" / "execution-environment.yml")["dependencies"]
    assert set(named) == {"python", "system"}
    assert all((ROOT / path).is_file() for path in named.values())


def test_minimum_versions_are_the_same_everywhere():
    """The enforced minimum (deps.py), the documented one (the fragment) and the installed one are one number."""
    installed = dict(re.findall(r"^([\w.-]+)>=(\S+)$", (ROOT / "meta/ee-requirements.txt").read_text(), re.MULTILINE))
    enforced = (ROOT / "plugins/module_utils/_ansible/deps.py").read_text(encoding="utf-8")
    documented = (ROOT / "plugins/doc_fragments/requirements.py").read_text(encoding="utf-8")
    for text in (enforced, documented):
        for name, version in re.findall(r"\b([A-Za-z_]\w+) >= ([\d.]+)", text):
            if name != "python":
                assert installed.get(name) == version, f"{name} >= {version}"


def test_tools_of_the_tests_stay_out_of_the_artifact():
    """fakepve is AGPL: what is built on it is for tests and the demo only (docs/adr/0009)."""
    assert {"tests", "scripts", "requirements"} <= set(load(ROOT / "galaxy.yml")["build_ignore"])
    assert "fakepve" not in (ROOT / "meta" / "ee-requirements.txt").read_text(encoding="utf-8")


# --- documentation of modules and plugins


@pytest.mark.parametrize("file", DOCUMENTED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_plugin_is_documented_with_examples_by_full_name(file):
    texts = doc_texts(file)
    assert {"DOCUMENTATION", "EXAMPLES"} <= texts.keys()
    assert f"{FQCN}.{file.stem}" in texts["EXAMPLES"]
    # Sources of an inventory are whole files, so their examples are several documents.
    assert all(yaml.safe_load_all(texts["EXAMPLES"])), "examples are YAML that can be pasted"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_module_makes_its_promises(file):
    named = fragments(file)
    assert f"{FQCN}.attributes" in named
    documentation = yaml.safe_load(doc_texts(file)["DOCUMENTATION"])
    given = documentation.get("attributes", {})
    variants = {f"{FQCN}.attributes.declarative", f"{FQCN}.attributes.info_module"}
    assert variants & set(named) or {"check_mode", "diff_mode", "idempotent"} <= given.keys()
    for name, attribute in given.items():
        assert attribute["support"] == "full" or attribute.get("details"), f"{name} says why it is not full"
    assert file.stem.endswith("_info") == (f"{FQCN}.attributes.info_module" in named)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_module_documents_what_it_returns(file):
    returned = yaml.safe_load(doc_texts(file)["RETURN"])
    assert returned
    for name, value in returned.items():
        assert value.get("description"), name
        assert value.get("returned"), name
        assert value.get("type"), name


# --- roles


TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "path": (str,),
    "list": (list,),
    "dict": (dict,),
    "raw": (object,),
}


def fits(value: object, kind: str) -> bool:
    """Whether a literal default is of the type that its specification names; templates are known only at run time."""
    if isinstance(value, str) and "{{" in value:
        return True
    if isinstance(value, bool) and kind in {"int", "float"}:
        return False
    return isinstance(value, TYPES[kind])


def test_every_role_folder_is_a_role():
    assert ROLE_FOLDERS == ROLES


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_specification_equals_its_defaults(role):
    defaults = load(role / "defaults" / "main.yml") or {}
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})
    required = {name for name, option in options.items() if option.get("required")}
    assert options.keys() - required == defaults.keys(), "an option is either required or has a default"
    for name, value in defaults.items():
        option = options[name]
        kind = option.get("type", "str")
        # An empty string or nothing stands for "not set", whatever the type.
        assert value in (None, "") or fits(value, kind), f"{name}: {value!r} is no {kind}"
        assert option.get("default", value) == value, f"{name}: the specification names another default"
        assert option.get("description"), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_variables_carry_its_name(role):
    for name in load(role / "defaults" / "main.yml") or {}:
        assert name.startswith(f"{role.name}_"), name
    assert (role / "README.md").is_file()


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.stem)
def test_playbook_is_short(playbook):
    assert len(playbook.read_text(encoding="utf-8").splitlines()) <= 60


# --- README


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```[a-z]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_readme_names_exactly_two_setup_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line.split("#")[0].strip() for block in code_blocks(readme) for line in block.splitlines()]
    assert [line for line in commands if line.startswith("make ")] == ["make demo", "make test"]


def documented_options(name: str, folder: Path) -> set[str]:
    """The options of a module, those of the connection included."""
    listed = run("ansible-doc", "--json", f"{FQCN}.{name}", cwd=folder).stdout
    return set(json.loads(listed)[f"{FQCN}.{name}"]["doc"].get("options", {}))


def tasks_of_pages() -> list[tuple[str, str, dict[str, Any]]]:
    """Page, module and arguments of every task of the collection that a page shows."""
    found: list[tuple[str, str, dict[str, Any]]] = []

    def walk(page: str, value: Any) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if str(key).startswith(f"{FQCN}.") and isinstance(inner, dict):
                found.append((page, key.removeprefix(f"{FQCN}."), inner))
            elif isinstance(inner, dict | list):
                walk(page, inner)

    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md")]:
        for block in re.findall(r"^```ya?ml\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            walk(str(path.relative_to(ROOT)), yaml.safe_load(block))
    return found


@pytest.mark.parametrize(("page", "module", "arguments"), tasks_of_pages())
def test_task_on_a_page_uses_documented_options(page, module, arguments, tmp_path):
    assert arguments.keys() <= documented_options(module, tmp_path), page


def test_make_help_lists_what_contributing_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert named <= targets


def test_decision_records_are_all_in_the_reading_order():
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(file.name for file in folder.glob("0*.md"))
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("page", sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


# --- the artifact


def run(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One of Ansible's commands with its standard output; its error output is shown when it fails."""
    result = subprocess.run(
        [str(BIN / argv[0]), *argv[1:]],
        cwd=cwd,
        # Without PYTHONPATH, in which Ansible would look for collections too.
        env={**os.environ, "PYTHONPATH": "", "ANSIBLE_HOME": str(cwd / "ansible-home"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, f"{argv}:\n{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball that a release would publish."""
    folder = tmp_path_factory.mktemp("artifact")
    run("ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder), cwd=folder)
    (tarball,) = folder.glob("homelab-proxmox-*.tar.gz")
    return tarball


@pytest.fixture(scope="module")
def installed(artifact: Path) -> Path:
    """A collections path that holds nothing but the installed artifact."""
    path = artifact.parent / "collections"
    command = ("ansible-galaxy", "collection", "install", str(artifact), "--offline", "--no-deps", "-p", str(path))
    # With the checkout on the path there would be "nothing to do".
    run(*command, cwd=artifact.parent, ANSIBLE_COLLECTIONS_PATH=str(path))
    return path


@pytest.fixture
def ansible(installed: Path, tmp_path: Path):
    """Runs a command of Ansible that knows the collection from the installed artifact only."""

    def call(*argv: str) -> subprocess.CompletedProcess[str]:
        return run(*argv, cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed))

    return call


def members(artifact: Path) -> Iterator[str]:
    with tarfile.open(artifact) as tar:
        yield from (member.name for member in tar if member.isfile())


def test_artifact_carries_what_a_user_needs_and_no_tool(artifact):
    names = list(members(artifact))
    allowed = {"plugins", "roles", "playbooks", "meta", "docs", "inventory", "changelogs"}
    files = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "bootstrap.sh", "MANIFEST.json", "FILES.json"}
    strangers = [name for name in names if name.split("/")[0] not in allowed and name not in files]
    assert not strangers
    assert files <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_artifact_is_small(artifact):
    assert artifact.stat().st_size < 2_000_000


def test_installed_plugins_show_their_documentation(ansible):
    shown = json.loads(ansible("ansible-doc", "--metadata-dump", "--no-fail-on-errors", FQCN).stdout)["all"]
    for kind, files in (("module", MODULES), *((kind, plugin_files(kind)) for kind in ("lookup", "inventory", "vars"))):
        names = {name: doc for name, doc in shown.get(kind, {}).items() if name.startswith(FQCN)}
        assert names.keys() == {f"{FQCN}.{file.stem}" for file in files}, kind
        assert not [name for name, doc in names.items() if "error" in doc]


@pytest.mark.skipif(not (ROOT / "plugins/modules/cloud_image_info.py").exists(), reason="the module does not exist yet")
def test_installed_module_runs(ansible):
    result = ansible("ansible", "localhost", "-m", f"{FQCN}.cloud_image_info", "-a", '{"ids": ["debian-13"]}')
    assert result.stdout.startswith("localhost | SUCCESS")
    assert "debian-13" in result.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.stem)
def test_installed_playbook_is_found_by_its_full_name(ansible, playbook):
    ansible("ansible-playbook", f"{FQCN}.{playbook.stem}", "--syntax-check", "-i", "localhost,")
