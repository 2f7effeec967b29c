"""Receptive fields, theoretical and effective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from matplotlib.patches import Rectangle

from jaxcnn import functional as F
from jaxcnn import visualize


def network(rng):
    """5x5, pool 2, 3x3 dilated by 2: a unit sees 5 + 1 + 2*2*2 = 14 pixels."""
    first, second = rng.normal(size=(5, 5, 2, 3)), rng.normal(size=(3, 3, 3, 4))

    @jax.jit
    def maps(x):
        x = F.max_pool(jnp.maximum(F.conv(x, first, padding="VALID"), 0), (2, 2), 2)
        return F.conv(x, second, padding="VALID", kernel_dilation=2)

    return maps


def box(figure):
    (patch,) = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return patch.get_y() + 0.5, patch.get_x() + 0.5, patch.get_height(), patch.get_width()


def test_the_theoretical_field_is_that_of_the_arithmetic(rng):
    images = rng.normal(size=(3, 28, 26, 2))
    figure = visualize.receptive_field(network(rng), images, unit=(3, 1))
    # Nothing is padded: unit i starts at pixel 2*i.
    assert box(figure) == (6, 2, 14, 14)
    energy = figure.axes[0].images[0].get_array()
    assert energy.shape == (28, 26) and energy.max() == 1
    outside = energy.copy()
    outside[6:20, 2:16] = 0
    assert not outside.any() and energy[6:20, 2:16].any()
    assert figure.axes[0].get_title().startswith("Receptive field, unit (3, 1): 14×14 pixels")
    figure.canvas.draw()


def test_padding_cuts_the_field_at_the_edge():
    kernel = jax.device_put(np.ones((3, 3, 1, 1)))
    images = np.ones((1, 6, 6, 1))
    figure = visualize.receptive_field(lambda x: F.conv(x, kernel), images, unit=(0, 5), channel=0)
    assert box(figure) == (0, 4, 2, 2)


def test_a_classifier_sees_everything(rng):
    weights = rng.normal(size=(20, 3))
    classifier = jax.jit(lambda x: x.reshape(len(x), -1) @ weights)
    figure = visualize.receptive_field(classifier, rng.normal(size=(2, 5, 4, 1)), channel=1)
    assert box(figure) == (0, 0, 5, 4)


BAD = [
    (dict(inputs=np.ones((6, 6, 1))), r"`inputs` must be \(n, height, width, channels\)"),
    (dict(inputs=np.ones((1, 6, 6, 1), int)), r"`inputs` must be .* floats.* int64 \(1, 6, 6, 1\)"),
    (dict(function=lambda x: (x, x)), r"`function` must give \(n, \*out, features\)"),
    (dict(unit=(6, 0)), r"`unit` \(=\(6, 0\)\) must be a place in maps of sizes \(6, 6\)"),
    (dict(unit=(1,)), r"`unit` \(=\(1,\)\) must be a place"),
    (dict(channel=2), r"`channel` \(=2\) must be below the 1 features"),
    (dict(function=lambda x: x.sum()), r"`function` must give \(n, \*out, features\)"),
    (dict(function=jnp.zeros_like), "`function` must depend on its inputs"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_errors(options, message):
    arguments = dict(function=lambda x: 2 * x, inputs=np.ones((1, 6, 6, 1)))
    with pytest.raises(ValueError, match=f"receptive_field: .*{message}"):
        visualize.receptive_field(**(arguments | options))


def test_a_unit_is_a_tuple():
    with pytest.raises(TypeError, match="receptive_field: `unit` .=3. must be a tuple"):
        visualize.receptive_field(lambda x: 2 * x, np.ones((1, 6, 6, 1)), unit=3)


class Plain(nnx.Module):
    """Plain Flax, whose compiled maximum drops a NaN."""

    def __init__(self, rngs):
        self.first = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.second = nnx.Conv(2, 2, (3, 3), rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.max_pool(nnx.relu(self.first(x)), (2, 2), (2, 2))).mean((1, 2))


def test_the_field_of_a_layer_of_plain_flax(rng):
    images = rng.normal(size=(2, 16, 14, 1)).astype(np.float32)
    figure = visualize.receptive_field(Plain(nnx.Rngs(0)), images, layer="second")
    assert figure.axes[0].get_title().startswith("Receptive field, unit (4, 3): 8×8 pixels")
    assert box(figure) == (5, 3, 8, 8)  # (3 - 1) * 2 + 4 pixels from 2 * (4 - 1) - 1 on


def test_what_no_jaxpr_shows_is_found_by_a_nan():
    @jax.custom_jvp
    def unknown(x):
        return jax.pure_callback(lambda x: x[:, 1:], x[:, 1:], x)

    unknown.defjvp(lambda x, t: (unknown(*x), t[0][:, 1:]))
    figure = visualize.receptive_field(unknown, np.ones((1, 4, 3, 1), np.float32), unit=(1, 2))
    assert box(figure) == (2, 2, 1, 1)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="`layer` .='third'. must be the path .* first"):
        visualize.receptive_field(Plain(nnx.Rngs(0)), np.ones((1, 8, 8, 1), "f4"), layer="third")
