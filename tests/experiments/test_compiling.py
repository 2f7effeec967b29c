"""Compile times beside plain Flax: one step of each is compiled, in a process of its own."""

import pytest

from experiments.benchmark import alone, compiling


@pytest.mark.parametrize("kind", ["ours", "plain"])
def test_a_step_of_either_kind_is_compiled(kind):
    assert alone.seconds(compiling.SCRIPT, "lenet5", kind, JAX_PLATFORMS="cpu") > 0


def test_table(monkeypatch, capsys):
    times = {("lenet5", "ours"): [3.0, 2.0, 4.0], ("lenet5", "plain"): [2.0, 1.5, 9.0]}
    monkeypatch.setattr(alone, "seconds", lambda script, *which: times[which].pop(0))
    compiling.main(compiling.Options(networks=("lenet5",), rounds=3))
    assert capsys.readouterr().out.splitlines()[-1] == "| lenet5 | 3.0 | 2.0 | 1.50 |"
