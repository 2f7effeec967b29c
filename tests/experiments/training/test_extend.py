"""Runs that are gone on with for another number of epochs."""

import dataclasses

import pytest

from experiments.commands.command import UserError
from experiments.training.extend import check_epochs, extend
from experiments.training.recipe import Recipe
from experiments.training.runs import Run


@pytest.fixture
def run(tmp_path):
    """A folder of 4 epochs, of which 3 are done."""
    run = Run.create(tmp_path, {"epochs": 4, "seed": 1})
    for epoch in (1, 2, 3):
        run.add_metrics(epoch, loss=1.0)
    return run


@pytest.mark.parametrize(
    ("schedule", "epochs", "told"),
    [
        ("constant", 8, "extended from 4 epochs to 8: the rate stays as it was"),
        # cosine: half of 1 + cos(pi * done / epochs); the last step of 30 was the 30th of 40
        (
            "cosine",
            6,
            "extended from 4 epochs to 6: the rates of cosine are from here on those of a run of "
            "6 epochs: the next step has 5.0e-01, the last had 1.8e-01",
        ),
        (
            "cosine",
            3,
            "shortened from 4 epochs to 3: the rates of cosine are from here on those of a run of "
            "3 epochs: the next step has 0.0e+00, the last had 1.8e-01",
        ),
    ],
)
def test_what_happens_to_the_rates_is_said(run, schedule, epochs, told):
    before = Recipe(epochs=4, schedule=schedule, learning_rate=1.0)
    lines = []
    extend(run, before, dataclasses.replace(before, epochs=epochs), 10, lines.append)
    assert lines == [told]
    assert run.config() == {
        "epochs": epochs,
        "seed": 1,
        "extended": [{"epochs": 4, "until_step": 30}],
    }


def test_the_same_number_changes_nothing(run):
    extend(run, Recipe(epochs=4), Recipe(epochs=4), 10, pytest.fail)
    assert run.config() == {"epochs": 4, "seed": 1}


def test_fewer_than_were_done(run):
    check_epochs(run, 3)
    with pytest.raises(UserError, match=r"--epochs \(=2\) must be 3 or more: .* has done so many"):
        check_epochs(run, 2)
