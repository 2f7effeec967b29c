"""Compiling and constructing beside plain Flax: one of each kind, in a process of its own."""

import pytest

from experiments.benchmark import alone, building, compiling


@pytest.mark.parametrize("kind", ["ours", "plain"])
def test_a_step_of_either_kind_is_compiled(kind):
    (seconds,) = alone.seconds(compiling.SCRIPT, "lenet5", kind, JAX_PLATFORMS="cpu")
    assert seconds > 0


def test_table(monkeypatch, capsys):
    times = {("lenet5", "ours"): [3.0, 2.0, 4.0], ("lenet5", "plain"): [2.0, 1.5, 9.0]}
    monkeypatch.setattr(alone, "seconds", lambda script, *which: [times[which].pop(0)])
    compiling.main(compiling.Options(networks=("lenet5",), rounds=3))
    assert capsys.readouterr().out.splitlines()[-1] == "| lenet5 | 3.0 | 2.0 | 1.50 |"


@pytest.mark.parametrize("kind", building.KINDS)
def test_a_network_of_each_kind_is_constructed(kind):
    first, again = alone.seconds(building.SCRIPT, "lenet5", kind, JAX_PLATFORMS="cpu")
    assert 0 < again < first


def test_table_of_networks(monkeypatch, capsys):
    times = {
        ("lenet5", "ours"): [[0.3, 0.02], [0.2, 0.01], [0.9, 0.02]],
        ("lenet5", "plain"): [[4.4, 0.03]] * 3,
    }
    monkeypatch.setattr(alone, "seconds", lambda script, *which: times[which].pop(0))
    building.main(building.Options(networks=("lenet5",), rounds=3))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "| lenet5 | 0.3 | 0.02 | 4.4 | 0.03 |"
