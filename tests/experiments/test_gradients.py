"""The comparison's own machinery, and one row of every primitive through it."""

import csv
import doctest
import functools
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from experiments import command
from experiments.gradients import comparison, devices, register, registry
from experiments.gradients.comparison import compare_one
from jaxcnn.testing import GradientError

ROOT = Path(__file__).parents[2]

comparison.load()
PRIMITIVES = {name: next(iter(entry.cases.values())) for name, entry in registry.PRIMITIVES.items()}
pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def run(run_module, monkeypatch):
    """The command line's options -> its exit code."""
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])  # which the command adds to
    return functools.partial(run_module, "experiments.gradients")


@pytest.fixture
def softplus():
    """The documented example, run as a doctest."""
    finder, names = doctest.DocTestFinder(recurse=False), {}
    (example,) = finder.find(registry, globs=names)
    outcome = doctest.DocTestRunner().run(example, clear_globs=False)
    assert outcome.attempted >= 6 and outcome.failed == 0
    return example.globs["entry"]


@pytest.mark.parametrize("name", list(PRIMITIVES)[::4])
def test_first_case_of_a_primitive_agrees(name):
    """Of some: the suites of all primitives hold them against the same derivations."""
    row = compare_one(PRIMITIVES[name], PRIMITIVES[name].dtypes[0], transforms=False)
    assert row.passed, row.message
    assert {"rev", "fwd", "second"} <= set(row.errors)


def test_every_public_primitive_is_compared():
    """A primitive is added to the comparison together with its hand-derived gradient."""
    from jaxcnn import reference

    derived = {name.removesuffix("_vjp") for name in reference.__all__ if name.endswith("_vjp")}
    assert derived <= set(registry.PRIMITIVES)


def test_transforms_and_dtypes_of_the_example(softplus):
    assert list(softplus.cases) == ["plain", "sharp"]
    row = compare_one(softplus.cases["sharp"], "float64")
    assert row.passed and {"jit", "vmap x", "checkpoint", "scan"} <= set(row.errors)
    assert row.largest("vmap") == row.errors["vmap x"] and row.largest("nothing") is None
    low = compare_one(softplus.cases["plain"], "bfloat16")
    assert low.passed and set(low.errors) == {"rev", "fwd"}


def test_wrong_gradient_and_broken_function_fail_their_rows_alone():
    def broken(x):
        raise RuntimeError("no such kernel")

    entry = register("halved", lambda x: x * x, lambda c, x: c * x, dtypes=("float64",))
    entry.case("plain", (3, 2))
    register("broken", broken).case("plain", (2,))
    row = compare_one(entry.cases["plain"], "float64", transforms=False)
    assert not row.passed and re.search(r"`x` \(argument 0\).*6 of 6 elements differ", row.message)
    assert row.errors["rev"] == pytest.approx(1) and row.errors["differences"] < 1e-8
    register("undrawn", broken).case("plain", lambda rng, dtype: rng.no_such_draw())
    assert len(comparison.select("undrawn", ("float32",), algorithms=True)) == 1
    assert not compare_one(registry.PRIMITIVES["undrawn"].cases["plain"], "float32").passed
    row = compare_one(registry.PRIMITIVES["broken"].cases["plain"], "float32")
    assert not row.passed and row.message == "broken: RuntimeError: no such kernel"


def test_command_line_prints_and_writes(run, softplus, tmp_path, capsys):
    files = tmp_path / "new" / "rows.json", tmp_path / "rows.csv"
    code = run("--filter", "softplus: plain", "--no-transforms", "--workers", "1",
               "--json", str(files[0]), "--csv", str(files[1]))  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and lines[-1] == "3 of 3 rows agree"
    assert lines[0].split()[:5] == ["primitive", "case", "dtype", "by", "hand"]
    assert re.match(r"softplus +plain +float64 +\d\.\de-\d\d .* agrees", lines[1])
    rows = json.loads(files[0].read_text())
    assert [row["dtype"] for row in rows] == ["float64", "float32", "bfloat16"]
    assert rows[0]["passed"] and rows[0]["errors"]["rev"] < 1e-10
    with files[1].open(newline="") as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["rev"]) == pytest.approx(rows[1]["errors"]["rev"])
    assert table[1]["differences"] == "" and table[0]["passed"] == "True"


def test_ctrl_c_shows_and_keeps_what_was_done(run, softplus, tmp_path, monkeypatch, capsys):
    def stopped(rows, transforms, workers):
        yield compare_one(*rows[1], transforms=False)
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "compare", stopped)
    assert run("--filter", "softplus: plain", "--json", str(tmp_path / "rows.json")) == 130
    assert capsys.readouterr().out.endswith("1 of 1 rows agree; 2 were not run\n")
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["dtype"] == "float32"


def test_parts_make_the_whole(run, capsys):
    whole = comparison.select("conv_transpose")
    listed = []
    for part in ("1/3", "2/3", "3/3"):
        assert run("--filter", "conv_transpose", "--list", "--part", part) == 0
        listed += capsys.readouterr().out.splitlines()
    assert sorted(listed) == sorted(f"{c.primitive}: {c.name} ({dtype})" for c, dtype in whole)


def test_a_difference_exits_1_and_says_what_differs(run, capsys):
    register("halved", lambda x: x * x, lambda c, x: c * x, dtypes=("float64",)).case("a", (3, 2))
    assert run("--filter", "halved", "--no-transforms") == 1
    out = capsys.readouterr().out
    assert "DIFFERS" in out and "0 of 1 rows agree" in out
    assert "halved: a (float64)" in out and "all by the factor 2" in out


def test_modules_of_ones_own(run, tmp_path, monkeypatch, capsys):
    source = textwrap.dedent(
        """
        import jax.numpy as jnp
        import numpy as np

        from experiments.gradients import register

        register("sine", jnp.sin, lambda c, x: c * np.cos(x)).case("plain", (3,))
        """
    )
    (tmp_path / "ones_own_cases.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    options = ("--module", "ones_own_cases", "--filter", "sine", "--dtype", "float32")
    assert run(*options, "--list") == 0
    assert capsys.readouterr().out == "sine: plain (float32)\n"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--filter", "nothing"), r"--filter 'nothing' fits no row; there are: .*conv, .*max_pool"),
        (("--filter", "conv", "--dtype", "int8"), r"--dtype int8 fits no row; .* have: float64"),
        (("--module", "no_such_module"), r"--module no_such_module was not found; run from its"),
        (("--part", "4/3"), r"--part \(=4/3\) must be K/N, with K from 1 to N"),
        (("--part", "a"), r"--part \(=a\) must be K/N, with K from 1 to N"),
        (("--workers", "0"), r"--workers \(=0\) must be at least 1"),
        (("--filter", "dilate: 1-D", "--no-transforms", "--json", "/dev/null/rows.json"),
         r"/dev/null/rows.json cannot be written: .*; name another file"),
    ],
)  # fmt: skip
def test_bad_options_exit_2_with_one_message(run, arguments, match, capsys):
    assert run(*arguments) == 2
    assert re.search(match, capsys.readouterr().err)


def test_a_mistake_inside_a_module_is_shown_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "faulty_cases.py").write_text("import numpy.no_such_part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        comparison.load(["faulty_cases"])


def test_names_are_unique():
    entry = register("twice", np.sin).case("plain", (2,))
    with pytest.raises(ValueError, match=r"register: 'twice' is registered already"):
        register("twice", np.sin)
    with pytest.raises(ValueError, match=r"register: twice has a case 'plain' already"):
        entry.case("plain", (2,))


def test_draws():
    rng = np.random.default_rng(0)
    assert registry.normal(2, 3)(rng, np.dtype("complex64")).dtype == np.complex64
    assert np.ptp(np.diff(np.sort(registry.distinct(4, 5)(rng, np.dtype(float)).ravel()))) < 1e-12
    assert set(registry.tied(50)(rng, np.dtype(float))) == {-2, -1, 0, 1, 2}
    values = registry.uniform(50, low=2, high=3)(rng, np.dtype("float32"))
    assert values.dtype == np.float32 and values.min() >= 2 and values.max() <= 3
    assert registry.fixed([1.5])(rng, np.dtype("float32")).dtype == np.float32
    assert registry.fixed([True])(rng, np.dtype("float32")).dtype == bool


def test_each_case_by_every_algorithm_that_takes_it():
    names = {case.name for case, _ in comparison.select("max_pool: 2-D", ("float64",), True)}
    assert names >= {"2-D", "2-D by shift", "2-D by tree", "2-D by window"}
    chosen = [case for case, _ in comparison.select("conv: 1x1", ("float64",), True)]
    assert any(case.name.endswith(" by matmul") for case in chosen)
    assert not any(case.name.endswith(" by planes") for case in chosen)


def test_an_algorithm_that_breaks_is_a_row_that_differs():
    def breaks(x, *, algorithm="auto"):
        if algorithm == "shift":
            raise RuntimeError("no such kernel")
        if algorithm != "auto":
            raise ValueError("refused")
        return x

    register("breaks", breaks, dtypes=("float64",)).case("plain", (2, 3))
    rows = comparison.select("breaks", algorithms=True)
    assert [case.name for case, _ in rows] == ["plain", "plain by shift"]
    row = compare_one(*rows[1])
    assert not row.passed and row.message == "breaks: RuntimeError: no such kernel"


@pytest.mark.parametrize(
    ("element", "value", "match"),
    [
        (None, None, ""),
        (0, np.nan, "element .0,.*two devices nan, one device 1,"),
        (1, 0.0, "element .1,.*two devices 0, one device nan,"),
        (2, -np.inf, "two devices -inf, one device inf,"),
        (3, np.inf, "two devices inf, one device -inf,"),
        (4, 2 + 1e-6, "two devices 2.000001, one device 2,"),
    ],
)
def test_a_split_batch_is_held_element_by_element(monkeypatch, element, value, match):
    """NaN is held to be NaN, and infinity to be the same infinity, in values and gradients."""

    def split(problems):
        found = []
        for outputs, gradients in (devices.pulled(*problem) for problem in problems):
            moved = np.array(outputs)
            if element is not None:
                moved[element] = value
            found.append((moved, gradients))
        return found

    monkeypatch.setattr(devices, "values_and_gradients", split)
    numbers = np.array([1.0, np.nan, np.inf, -np.inf, 2.0])
    case = register("same", lambda x: x).case("extremes", registry.fixed(numbers)).cases["extremes"]
    if element is None:
        assert devices.check_split(case, [numbers]).largest("sharded") == 0
        return
    with pytest.raises(GradientError, match=match):
        devices.check_split(case, [numbers])


def test_a_gradient_of_a_split_batch_that_differs_fails_its_row(softplus, monkeypatch):
    def split(problems):
        ((outputs, gradients),) = (devices.pulled(*problem) for problem in problems)
        return [(outputs, {0: gradients[0] + 1e-6})]

    monkeypatch.setattr(devices, "can_split", lambda arrays: True)
    monkeypatch.setattr(devices, "values_and_gradients", split)
    row = compare_one(softplus.cases["plain"], "float64")
    assert not row.passed and 1e-7 < row.errors["sharded"] < 1e-5
    assert "two devices and one device differ in the gradient for argument 0" in row.message


def test_infinities_as_users_run():
    """The command as it is typed, in every column, those of two devices among them."""
    command = [sys.executable, "-m", "experiments.gradients", "--dtype", "float64"]
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "PYTHONPATH")}
    done = subprocess.run(
        [*command, "--filter", "max_pool: windows of the identity"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    *_, last = done.stdout.splitlines()
    assert (done.returncode, last) == (0, "1 of 1 rows agree"), done.stdout + done.stderr
    assert done.stdout.count(" - ") == 1  # there are no differences; two devices there are


def test_selection_by_name_and_by_part():
    names = {case.primitive for case, _ in comparison.select("conv")}
    assert names == {"conv"}
    assert {case.name for case, _ in comparison.select(": ceil")} >= {"ceil mode"}
    with pytest.raises(command.UserError, match="fits no row"):
        comparison.select("conv: no such case")
