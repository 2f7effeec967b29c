"""The house rules, executed: what every public function must say, and what no file may hold."""

import ast
import functools
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

from jaxcnn import analysis, functional, models, nn, reference, sharding, testing, visualize

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / "jaxcnn").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "experiments").rglob("*.py"), *(ROOT / "tests/fuzz").rglob("*.py")])
PACKAGES = (analysis, functional, models, nn, reference, visualize, sharding, testing)
FUNCTIONS = [
    pytest.param(getattr(package, name), id=f"{package.__name__}.{name}")
    for package in PACKAGES
    for name in package.__all__
    if inspect.isfunction(getattr(package, name))
]
BANNED_NAMES = {
    "lhs": "inputs",
    "rhs": "kernel",
    "stride": "strides",
    "groups": "feature_group_count",
    "dilation_rate": "kernel_dilation",
    "dilation": "kernel_dilation, input_dilation or window_dilation",
}
AS_LAX_DOES = {"conv_general_dilated"}  # keeps the names of the function that it stands in for


@functools.cache
def parsed(path: pathlib.Path) -> ast.Module:
    """A file's syntax tree, for every rule."""
    return ast.parse(path.read_text())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_docstring_names_every_argument(function):
    doc = inspect.getdoc(function) or ""
    assert doc.split("\n")[0].endswith("."), "the first line is a sentence"
    assert "Returns:" in doc
    for name in inspect.signature(function).parameters:
        assert re.search(rf"\b{name}\b", doc), f"`{name}` is not documented"


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if "functional." in f.id])
def test_public_functions_show_an_example_and_what_they_raise(function):
    doc = inspect.getdoc(function) or ""
    assert "Raises:" in doc and ">>>" in doc


@pytest.mark.parametrize("function", FUNCTIONS)
def test_names_are_the_house_names(function):
    if function.__name__ in AS_LAX_DOES:
        return
    for name in inspect.signature(function).parameters:
        assert name not in BANNED_NAMES, f"write {BANNED_NAMES[name]}"


@pytest.mark.parametrize(
    "package", [p for p in PACKAGES if p is not sharding], ids=lambda p: p.__name__
)
def test_all_is_sorted_and_complete(package):
    assert list(package.__all__) == sorted(package.__all__)
    defined = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value))
    }
    assert defined == {n for n in package.__all__ if callable(getattr(package, n))}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_library_files(path):
    tree = parsed(path)
    assert ast.get_docstring(tree) or not tree.body, "a file says what it holds"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"assert on line {node.lineno}"
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = node.id if isinstance(node, ast.Name) else node.attr
            assert name not in {"custom_vjp", "defvjp", "pickle"}, f"{name} on line {node.lineno}"
            # where a program will run is known when it is lowered, not when it is traced
            assert name != "default_backend", f"{name} on line {node.lineno}"
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__"


# What each package of jaxcnn may import of the others: those below it, which know nothing of it.
_PRIMITIVES = {"geometry", "lowering", "functional", "_checks", "_planning"}
_MODULES = {*_PRIMITIVES, "_modules", "nn"}
BELOW = {
    "geometry": set(),
    "lowering": {"geometry"},
    "_checks": {"geometry", "lowering"},
    "reference": {"geometry", "_checks"},
    "_planning": {"geometry", "lowering", "_checks"},
    "sharding": {"lowering", "_checks"},
    "functional": {"geometry", "lowering", "_checks", "_planning"},
    "_modules": {"geometry", "lowering", "_checks"},
    "nn": {*_PRIMITIVES, "_modules"},
    "models": _MODULES,
    "analysis": _MODULES,
    "visualize": {*_MODULES, "analysis"},
    "testing": {*_MODULES, "reference", "sharding"},
}


def imported(path: pathlib.Path) -> set[str]:
    """The full names of all that a file imports."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"relative import on line {node.lineno}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_package_imports_what_lies_below_it(path):
    package = path.relative_to(ROOT / "jaxcnn").parts[0].removesuffix(".py")
    below = BELOW.get(package, set())
    for name in imported(path):
        root, _, inside = name.partition(".")
        if root == "jaxcnn":
            assert inside.split(".")[0] in {package, *below}, f"{package} imports {name}"
        if package in ("geometry", "reference"):
            assert root != "jax", f"{package} imports {name}"


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_private_is_imported_from_another_package(path):
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    for name in imported(path):
        parts = name.split(".")
        if parts[0] not in ("jaxcnn", "experiments"):
            continue
        for number, part in enumerate(parts):
            owner = ".".join(parts[:number])  # the package whose own affair the name is
            own = f"{package}.".startswith(f"{owner}.")
            assert own or not part.startswith("_"), f"{package} imports {name}"


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 350, "does it hold two topics?"


@pytest.mark.parametrize("package", ["reference", "geometry"])
def test_imports_no_jax(package):
    code = f"import sys, jaxcnn.{package}; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
