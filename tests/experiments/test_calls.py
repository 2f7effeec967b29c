"""Calls outside `jit`: both of a pair compute the same, and their times make the table."""

import jax
import numpy as np

from experiments.benchmark import calls, timing


def test_both_of_a_pair_compute_the_same(plain_jax):
    for name, (ours, peer) in calls.pairs().items():
        np.testing.assert_allclose(ours(), peer(), rtol=1e-5, atol=1e-5, err_msg=name)


def test_table(monkeypatch, capsys, plain_jax):
    found = {"a": timing.Timing((5e-5, 7e-5, 6e-5)), "b": timing.Timing((2.4e-4,))}
    monkeypatch.setattr(timing, "interleaved", lambda candidates, plan: found)
    calls.main(calls.Options(repeats=1))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert lines[0] == "| `conv`, lax's | 60 | 240 | 0.25 x |" and len(lines) == 4


def test_a_sample_calls_as_often_as_asked():
    counted = []

    def call():
        counted.append(1)
        return jax.numpy.zeros(3)

    sample = calls.sampler(call)
    counted.clear()
    assert sample(4) > 0 and len(counted) == 4
