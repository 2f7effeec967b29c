"""Docstrings and READMEs: examples run and print what they show; what READMEs name exists."""

import doctest
import fnmatch
import importlib.util
import operator
import pathlib
import pkgutil
import re

import jax
import pytest

import jaxcnn
from jaxcnn import functional

ROOT = pathlib.Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(jaxcnn.__path__, "jaxcnn.")]
ROOMS = ("jaxcnn", "tests", "experiments")
READMES = [
    ROOT / "README.md",
    *(p for room in ROOMS for p in sorted((ROOT / room).rglob("README.md"))),
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def relative(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def text(path: pathlib.Path) -> str:
    return path.read_text()


def blocks(path: pathlib.Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(path), re.DOTALL | re.MULTILINE)


def prose(path: pathlib.Path) -> str:
    """What is no code."""
    fenced = re.sub(r"^```.*?^```", "", text(path), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", fenced)


def headings(path: pathlib.Path) -> set[str]:
    """What links to the headings of a file end in."""
    titles = re.findall(r"^#+ (.*)", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(autouse=True)
def as_a_user_would():
    """32-bit floats and JAX's own promotion, as in a fresh interpreter."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        with jax.numpy_rank_promotion("allow"):
            yield


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(own_registry, name):
    report = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert report.failed == 0


@pytest.mark.parametrize("path", READMES, ids=relative)
def test_readme_examples(path, own_registry, capsys):
    for block in blocks(path, "python"):
        expected = re.findall(r"#\s*->\s*(.*)", block)
        exec(compile(block, relative(path), "exec"), {})
        printed = capsys.readouterr().out.splitlines()
        assert [line.strip() for line in printed] == [line.strip() for line in expected]


def test_readmes_have_examples():
    assert {relative(path): len(blocks(path, "python")) for path in READMES} == {
        "README.md": 2,
        "experiments/README.md": 0,
        "experiments/benchmark/README.md": 0,
        "jaxcnn/README.md": 2,
        "tests/README.md": 1,
    }


@pytest.mark.parametrize("path", READMES, ids=relative)
def test_links_of_readmes_lead_somewhere(path):
    links = re.findall(r"\]\(([^)\s]*)\)", prose(path))
    for link in links:
        to, _, anchor = link.partition("#")
        target = (path.parent / to).resolve() if to else path
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in headings(target), link
    assert links


@pytest.mark.parametrize("path", READMES, ids=relative)
def test_files_and_tests_that_readmes_name_exist(path):
    named = re.findall(
        r"(?<![\w./])((?:jaxcnn|tests|experiments)/[\w./]*\w)(?:::(\w+))?", text(path)
    )
    for file, test in named:
        if "NAME" in file:  # yours
            continue
        assert (ROOT / file).exists(), file
        assert not test or f"\ndef {test}(" in text(ROOT / file), f"{file}::{test}"
    assert named


@pytest.mark.parametrize("path", READMES, ids=relative)
def test_modules_and_names_that_readmes_name_exist(path):
    for module in re.findall(r"python -m ([\w.]*\w)", text(path)):
        if module != "experiments.NAME":
            assert importlib.util.find_spec(module), module
    packages = "|".join(name for _, name, _ in pkgutil.iter_modules(jaxcnn.__path__))
    for name in re.findall(rf"`(?:jaxcnn\.)?((?:{packages})\b[\w.]*\w)(?:`|\()", text(path)):
        operator.attrgetter(name)(jaxcnn)


def test_every_public_function_is_in_the_librarys_readme():
    named = re.findall(r"`(\w+\*?)`", text(ROOT / "jaxcnn" / "README.md"))
    for name in functional.__all__:
        assert any(fnmatch.fnmatchcase(name, entry) for entry in named), name


def test_front_page_is_short_and_holds_the_command_that_ci_runs():
    front = text(READMES[0])
    assert len(front.encode()) <= 12_000
    command = next(line for line in front.splitlines() if "-m pytest" in line)  # as `.ci/run` does
    setting_up, installing, testing = command.split(" && ")
    assert setting_up == "python3 -m venv .venv"
    assert installing.startswith(".venv/bin/pip install ") and ".[test]" in installing
    assert testing.startswith(".venv/bin/python -m pytest ")


def test_change_of_imports_from_flax():
    (diff,) = blocks(READMES[0], "diff")
    before, after = {}, {}
    for line in diff.splitlines():
        exec(line[1:], {"-": before, "+": after}[line[0]])
    public = [{name for name in names if not name.startswith("_")} for names in (before, after)]
    assert public[0] == public[1] and len(public[0]) == 5
    for name in public[0]:
        assert before[name].__module__.startswith("flax.")
        assert after[name].__module__.startswith("jaxcnn.")


def test_version_to_cite():
    assert f"\nversion: {jaxcnn.__version__}\n" in text(ROOT / "CITATION.cff")
