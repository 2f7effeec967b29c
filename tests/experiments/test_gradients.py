"""`python -m experiments.gradients`: its options, what it prints, writes and refuses."""

import csv
import functools
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jaxcnn.testing import register, select

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture
def run(run_module, monkeypatch):
    """The command line's options -> its exit code."""
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])  # which the command adds to
    return functools.partial(run_module, "experiments.gradients")


@pytest.fixture
def cubed():
    """A function of one's own."""
    register("cubed", lambda x: x**3, lambda c, x: 3 * c * x**2).case("plain", (3, 4))


def test_command_line_prints_and_writes(run, cubed, tmp_path, capsys):
    files = tmp_path / "new" / "rows.json", tmp_path / "rows.csv"
    code = run("--filter", "cubed: plain", "--no-transforms", "--workers", "1",
               "--json", str(files[0]), "--csv", str(files[1]))  # fmt: skip
    first, begins, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Holds autodiff against") and begins == "comparing, 3 rows"
    lines = [line for line in lines if not re.search(" s$|left$", line)]  # what lasts
    assert code == 0 and "3 of 3 rows agree" in lines
    assert lines[0].split()[:5] == ["primitive", "case", "dtype", "by", "hand"]
    assert re.match(r"cubed +plain +float64 +\d\.\de-\d\d .* agrees", lines[1])
    rows = json.loads(files[0].read_text())
    assert [row["dtype"] for row in rows] == ["float64", "float32", "bfloat16"]
    assert rows[0]["passed"] and rows[0]["errors"]["rev"] < 1e-10
    with files[1].open(newline="") as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["rev"]) == pytest.approx(rows[1]["errors"]["rev"])
    assert table[1]["differences"] == "" and table[0]["passed"] == "True"


def test_parts_make_the_whole(run, capsys):
    whole = select("conv_transpose")
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

        from jaxcnn.testing import register

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
        (("--filter", "nothing"), r"--filter \(='nothing'\) fits no row; .*: .*conv, .*max_pool"),
        (("--filter", "max_pol"), r"fits no row, perhaps max_pool, .*; there are: "),
        (("--filter", "conv", "--dtype", "int8"),
         r"--dtype \(=\('int8',\)\) fits no row; .* have: float64"),
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


def test_a_mistake_inside_a_module_is_shown_as_it_is(run, tmp_path, monkeypatch):
    (tmp_path / "faulty_cases.py").write_text("import numpy.no_such_part\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        run("--module", "faulty_cases", "--list")


def test_infinities_as_users_run():
    """The command as it is typed, in every column, those of two devices among them."""
    command = [sys.executable, "-m", "experiments.gradients", "--dtype", "float64"]
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "PYTHONPATH")}
    done = subprocess.run(
        [*command, "--filter", "max_pool: windows of the identity"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "1 of 1 rows agree" in lines, done.stdout + done.stderr
    assert done.stdout.count(" - ") == 1  # there are no differences; two devices there are
