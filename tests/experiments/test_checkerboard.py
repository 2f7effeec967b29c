"""The checkerboard: its measure on known patterns, and which decoders draw it."""

import json

import numpy as np
import pytest

from experiments import checkerboard
from experiments.commands import command

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_energy_is_the_share_at_the_strides_frequencies(rng):
    board = np.indices((16, 24)).sum(0) % 2 * 2.0 - 1
    slow = np.sin(2 * np.pi * np.arange(24) / 24) * np.sqrt(2) + np.zeros((16, 1))
    images = np.stack([board, slow, board + slow, 5 + np.zeros_like(board)])
    shares = [float(checkerboard.energy(image[None], 4)) for image in images]
    np.testing.assert_allclose(shares, [1, 0, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(checkerboard.energy(images, 4), 1.5 / 4, atol=1e-6)
    noise = rng.normal(size=(50, 32, 32))
    np.testing.assert_allclose(checkerboard.energy(noise), 16 / 32**2, rtol=0.2)


@pytest.mark.parametrize("kind, equal, random", [
    ("transposed 3x3", 1, 1), ("transposed 4x4", 0, 1), ("resized, 3x3", 0, 0),
])  # fmt: skip
def test_decoders_of_a_constant(kind, equal, random):
    from flax import nnx

    ones = checkerboard.untrained(kind, 1, kernel_init=nnx.initializers.ones)
    drawn = checkerboard.untrained(kind, 2)
    assert ones.shape == (1, 32, 32) and drawn.shape == (2, 32, 32)
    np.testing.assert_allclose(checkerboard.energy(ones), equal, atol=1e-4)
    np.testing.assert_allclose(checkerboard.energy(drawn), random, atol=1e-4)


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    kind = "resized, 3x3"
    monkeypatch.setattr(checkerboard, "UPSAMPLING", {kind: checkerboard.UPSAMPLING[kind]})
    commands = {"measure": (checkerboard.Options, checkerboard.main)}
    options = ("--steps", "2", "--draws", "4", "--run", str(tmp_path / "run"))
    assert command.run("checkerboard", commands, (*options, "--data-dir", str(few_digits))) == 0
    assert "resized, 3x3     equal taps 0.00%  random taps 0.00%" in capsys.readouterr().out
    found = json.loads((tmp_path / "run/energies.json").read_text())
    assert set(found) == {kind, "digits"} and 0 < found["digits"]["trained"] < 0.05
    copies = figures["copies"].axes
    shown = {ax.get_ylabel().split("\n")[0]: ax.images[0].get_array() for ax in copies[::4]}
    assert list(shown) == ["digits", kind]
    assert all(np.ptp(picture) > 0 for picture in shown.values())
    assert copies[0].get_ylabel().endswith(f"{found['digits']['trained']:.1%}")
    flat = [ax.images[0].get_array() for ax in figures["constants"].axes]
    assert all(np.ptp(picture) < 1e-3 for picture in flat)  # taps that are drawn alike
    (curve, _) = figures["training"].axes[0].lines
    assert len(curve.get_ydata()) == 2 and np.all(curve.get_ydata() > 0)
    with pytest.raises(SystemExit):
        command.run("checkerboard", commands, ("--draws", "0"))
    assert "--draws (=0) must be 1 or more" in capsys.readouterr().err
