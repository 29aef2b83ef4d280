"""Imports go one way, heavy libraries wait until they are used, and every import is a declared dependency."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("dataproc", "classifiers", "stages", "jobs")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in OURS
    for path in sorted((ROOT / package).rglob("*.py"))
}

# Layer -> layers it may import, itself apart. `dataproc` stands for the core modules dataproc/*.py.
ALLOWED = {
    "dataproc.kernels": set(),
    "dataproc": {"dataproc.kernels"},
    "dataproc.engines": {"dataproc", "dataproc.kernels"},
    "dataproc.tokens": {"dataproc", "dataproc.kernels"},
    "dataproc.loader": {"dataproc.tokens", "dataproc", "dataproc.kernels"},
    "classifiers": {"dataproc", "dataproc.kernels"},
    "stages": {"classifiers", "dataproc.tokens", "dataproc", "dataproc.kernels"},
}
ALLOWED["jobs"] = {*ALLOWED}

HEAVY = {
    "fastwarc",
    "fasttext",
    "gigatoken",
    "llvmlite",
    "numba",
    "pyspark",
    "ray",
    "resiliparse",
    "scipy",
    "tiktoken",
    "tokenizers",
    "torch",
    "trafilatura",
    "transformers",
}
"""Libraries that cost a tenth of a second or more to import."""


def layer(module: str) -> str:
    """Return the layer of one of our modules. Example: layer("dataproc.loader.batch") == "dataproc.loader"."""
    parts = module.split(".")
    inner = ".".join(parts[:2])
    return inner if inner in ALLOWED else parts[0]


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Yield the absolute names that a file imports; with lazy=False only those that run when the module is imported."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not lazy and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(node)):
            continue
        waiting.extend(ast.iter_child_nodes(node))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def our_module(name: str) -> str | None:
    """Return the module of ours that an imported name is or is in, None for others' names."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    here = layer(module)
    found = {our_module(name) for name in imports(MODULES[module])} - {None}
    wrong = {name for name in found if name and layer(name) != here and layer(name) not in ALLOWED[here]}
    assert not wrong, f"{module} is in layer {here} and must not import {sorted(wrong)}"


def test_nobody_names_an_engine() -> None:
    concrete = re.compile(r"dataproc\.engines\.\w+")
    users = {
        module
        for module, path in MODULES.items()
        if layer(module) != "dataproc.engines"
        and any(concrete.match(name) and our_module(name) != "dataproc.engines" for name in imports(path))
    }
    assert not users, "dataproc.engines.find_engine imports the one that is asked for"


def test_no_circles() -> None:
    graph = {
        module: {found for name in imports(path, lazy=False) if (found := our_module(name)) not in (None, module)}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", ["dataproc", "classifiers", "stages.registry", "jobs.cli", "dataproc.loader"])
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(loaded.split()).isdisjoint(HEAVY), module


def test_help_loads_no_arrow() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from jobs.cli import app\n"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(loaded.split()).isdisjoint({*HEAVY, "numpy", "pyarrow"})


def test_every_import_is_declared_and_every_dependency_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    core, optional = ({_distribution(line) for line in lines} for lines in (project["dependencies"], extras))
    owners = packages_distributions()
    imported: dict[str, set[str]] = {}  # distributions that may own a name -> modules of ours that import it
    for module, path in MODULES.items():
        for name in {name.split(".")[0] for name in imports(path)} - {*OURS, *sys.stdlib_module_names}:
            imported.setdefault(name, set()).add(module)
    named = {name: {_normalised(owner) for owner in owners.get(name, [name])} for name in imported}
    undeclared = {name: imported[name] for name, owner in named.items() if owner.isdisjoint(core | optional)}
    assert not undeclared
    assert not core - set().union(*named.values())


def _distribution(requirement: str) -> str:
    return _normalised(re.split(r"[\[<>=; ]", requirement)[0])


def _normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_the_rules_notice_what_they_forbid(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("import numba\ndef f():\n    from dataproc.loader import batch\n", encoding="utf-8")
    assert set(imports(source)) == {"numba", "dataproc.loader.batch"}
    assert set(imports(source, lazy=False)) == {"numba"}
    assert our_module("dataproc.errors.ConfigError") == "dataproc.errors"
    assert our_module("numba.njit") is None
    assert layer("dataproc.loader.batch") == "dataproc.loader"
    assert layer("dataproc.errors") == "dataproc"
    assert "dataproc.loader" not in ALLOWED["dataproc"]
