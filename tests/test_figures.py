"""Figures of this folder's README that can be counted without a run are what the code has now."""

import pathlib
import re
import runpy

import jax
import pytest

from jaxcnn import functional
from jaxcnn.testing import algorithms, primitives, select

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "tests" / "README.md").read_text()


def holds(sentence, *counted):
    """Asserts that the README has the sentence, once, with these numbers in place of each #."""
    pattern = re.escape(sentence).replace(r"\#", r"([\d,]+)")
    (found,) = re.finditer(pattern, README)
    assert found.groups() == tuple(f"{number:,}" for number in counted), sentence


def names(path):
    """What a test file defines."""
    return runpy.run_path(str(ROOT / "tests" / path))


@pytest.fixture(scope="module")
def by_algorithm():
    """`algorithms.by_algorithm`, which is asked for each case once."""
    computed, found = algorithms.by_algorithm, {}

    def once(case, arrays):
        key = case.primitive, case.name
        if key not in found:
            found[key] = list(computed(case, arrays))
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, "by_algorithm", once)
        yield


def test_rows_of_the_gradient_comparison(by_algorithm):
    rows, every = select(), select(algorithms=True)
    holds("its # rows", len(rows))
    holds("# rows with `--algorithms`", len(every))


@pytest.mark.parametrize("every_case", [False, True])
def test_cases_on_eight_devices(by_algorithm, monkeypatch, every_case):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.delenv("JAXCNN_EVERY_CASE", raising=False)
    if every_case:
        monkeypatch.setenv("JAXCNN_EVERY_CASE", "1")
    ways = names("lowering/test_split_batches.py")["ways"]
    count = sum(len(ways(name)) for name in primitives())
    sentence = "one case for each primitive, and one for each algorithm, # |"
    holds("# cases on 8 simulated devices" if every_case else sentence, count)


def test_functions_that_are_drawn():
    holds("random calls of all # functions", len(functional.__all__) - 1)  # `plan` runs none


def test_edges():
    found = names("functional/test_edges.py")
    holds("# functions in value and gradient, # pinned results",
          len(found["CASES"]), len(found["STATED"]))  # fmt: skip


def test_edge_sizes():
    found = names("functional/test_edge_sizes.py")
    windowed, geometries = len(found["WINDOWED"]), len(found["GEOMETRIES"])
    empty = len(found["FIRST_CASES"].keys() - set(found["DRAWN"]))
    holds("# functions in # geometries each, # refusals, # empty batches",
          windowed, geometries, windowed, empty)  # fmt: skip


def test_huge_sizes():
    found = names("functional/test_huge_sizes.py")
    holds("# functions and options, # refusals", len(found["HUGE"]), len(found["REFUSED"]))
    holds("with # programs", len(found["SHAPES"]))


def test_hostile_files():
    holds("# files, made by the suite", len(names("experiments/test_hostile_files.py")["FILES"]))


def test_kills():
    holds("# kills, and", names("experiments/test_kill.py")["KILLS"])
