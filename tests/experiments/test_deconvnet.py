"""The deconvnet's pictures: which parts of which images excite a map, and what of them."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import deconvnet
from experiments.commands import command
from jaxcnn import nn

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_the_part_that_excites_a_map_and_its_kernel_come_back(rng):
    conv = nn.Conv(1, 2, (3, 3), padding=1, rngs=nnx.Rngs(0))
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[1, :, 0, 0], kernel[:, 1, 0, 1] = 1, 1  # a row, a column
    conv.kernel[...] = jnp.asarray(kernel)
    features = nn.Chain(
        conv1=conv, relu1=nn.Activation("relu"), pool1=nn.MaxPool((2, 2), strides=2)
    )
    images = np.zeros((3, 8, 10, 1), np.float32)
    images[0, 5, 0:3], images[1, 1:4, 4], images[2, 2, 2] = 1, 0.9, 0.5
    shown, projected = deconvnet.patches(features, "relu1", jnp.asarray(images), 2)
    assert shown.shape == projected.shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(shown[0, 0], kernel[..., 0, 0])  # the row, around its middle
    np.testing.assert_array_equal(shown[1, 0], np.float32(0.9) * kernel[..., 0, 1])
    np.testing.assert_array_equal(projected[:, 0], kernel[..., 0, :].transpose(2, 0, 1))
    assert deconvnet.up_to(features, "conv1")(jnp.asarray(images)).shape == (3, 2)


def untrained(make, *examples, **options):
    """In place of the training, which has tests of its own."""
    network = make(nnx.Rngs(0))
    network.eval()
    return network, np.ones(1), ()


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    monkeypatch.setattr(deconvnet, "learn", untrained)
    commands = {"show": (deconvnet.Options, deconvnet.main)}
    options = ("--steps", "2", "--most", "1", "--run", str(tmp_path / "run"))
    assert command.run("deconvnet", commands, (*options, "--data-dir", str(few_digits))) == 0
    assert "conv2: 16 maps, each sees 14x14 pixels" in capsys.readouterr().out
    for name, maps, size in (("conv1", 6, 5), ("conv2", 16, 14)):
        shown = [ax.images[0].get_array() for ax in figures[name].axes if ax.images]
        assert len(shown) == 2 * maps  # a part of an image, and what of it excites the map
        assert {part.shape for part in shown} == {(size, size)}
        assert any(np.ptp(part) > 0 for part in shown)
    with pytest.raises(SystemExit):
        command.run("deconvnet", commands, ("--most", "0"))
    assert "--most (=0) must be 1 or more" in capsys.readouterr().err
