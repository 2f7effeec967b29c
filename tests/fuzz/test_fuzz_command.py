"""The fuzzer's command: table, JSON, exit codes."""

import functools
import json
import sys

import pytest

from jaxcnn import reference
from tests.fuzz import peers


@pytest.fixture
def run(run_module):
    """The command line's options -> its exit code."""
    return functools.partial(run_module, "tests.fuzz")


def test_a_good_run(run, tmp_path, capsys):
    path = tmp_path / "new" / "fuzz.json"
    asked = ("--draws", "12", "--seed", "5", "--primitive", "space_to", "--no-torch")
    assert run(*asked, "--json", str(path)) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert lines["space_to_depth"] == lines["total"]
    assert "12 draws, 0 failures" in out and "--seed 5; python" in out
    written = json.loads(path.read_text())
    assert written["draws"] == 12 and written["failures"] == []
    figures = written["primitives"]["space_to_depth"]
    assert figures["valid"] + figures["invalid"] == 12
    assert set(written["primitives"]) == {"space_to_depth"} and "jax" in written["versions"]


def test_failures_are_collected(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reference, "space_to_depth", lambda inputs, *args, **options: -inputs)
    path = tmp_path / "fuzz.json"
    assert run("--draws", "12", "--primitive", "space_to", "--no-torch", "--json", str(path)) == 1
    failures = json.loads(path.read_text())["failures"]
    out, err = capsys.readouterr()
    assert len(failures) > 1 and all(f["line"] in out and f["line"] in err for f in failures)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--draws", "0"), "--draws (=0) must be at least 1"),
        (("--seed", "-1"), "--seed (=-1) must be at least 0"),
        (("--primitive", "relu"), "--primitive (=relu) is in no name; it must be part of one of "),
        (("--primitive", "convv"), "--primitive (=convv) is in no name, perhaps conv"),
    ],
)
def test_bad_options(run, arguments, message, capsys):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_without_torch(run, monkeypatch, capsys):
    monkeypatch.setattr(peers, "INSTALLED", False)
    assert run("--torch") == 2
    assert "needs PyTorch, which is not installed" in capsys.readouterr().err


def test_without_hypothesis(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert run("--draws", "1") == 2
    assert "pip install -e '.[test]'" in capsys.readouterr().err
