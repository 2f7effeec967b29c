"""Every example in a docstring and in the README runs and prints what it shows."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import jax
import pytest

import jaxcnn

ROOT = pathlib.Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(jaxcnn.__path__, "jaxcnn.")]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


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


def test_readme_examples(own_registry, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        expected = re.findall(r"#\s*->\s*(.*)", block)
        exec(compile(block, "README.md", "exec"), {})
        printed = capsys.readouterr().out.splitlines()
        assert [line.strip() for line in printed] == [line.strip() for line in expected]


def test_readme_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "README.md").read_text())
    assert named
    for path, test in named:
        assert f"\ndef {test}(" in (ROOT / path).read_text(), (path, test)
