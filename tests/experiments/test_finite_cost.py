"""`python -m experiments.finite_cost`, of a very small network."""

import re

import pytest

from experiments import data, lenet

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_prints_the_ratio_of_the_times(
    run_module, monkeypatch, make_tiny_model, tiny_data, tiny_recipe, capsys
):
    monkeypatch.setattr(data, "load", lambda name, data_dir: tiny_data)
    monkeypatch.setattr(lenet, "network", lambda: make_tiny_model)
    monkeypatch.setattr(lenet, "RECIPE", tiny_recipe)
    assert run_module("experiments.finite_cost", "--epochs", "2") == 0
    assert re.search(
        r"^CPU time of an epoch: \d+\.\d+ s without the check; with it \d+\.\d+ times that, "
        r"half of 2 pairs from \d+\.\d+ to \d+\.\d+\n",
        capsys.readouterr().out,
        re.MULTILINE,
    )
