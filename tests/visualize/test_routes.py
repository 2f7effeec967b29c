"""Where a pool's gradient goes."""

import jax
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from jaxcnn import functional as F
from jaxcnn import visualize


def told(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def arrows(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]


def test_a_maximum_sends_all_to_the_first_of_equals():
    figure = visualize.pool_gradient("max_pool", [1.0, 3.0, 3.0, 2.0, 5.0, 1.0], (3,), padding=1)
    # What arrives: 1 + 2 + 3 at the first 3, 4 + 5 + 6 at the 5.
    assert told(figure)[-3:-1] == ["6", "15"]
    assert told(figure)[-1] == "gradient of the input 6"
    assert len(arrows(figure)) == 6
    figure.canvas.draw()


@pytest.mark.parametrize("op", ["max_pool", "min_pool", "avg_pool", "sum_pool"])
def test_numbers_are_those_of_the_primitive(rng, op):
    inputs = rng.permutation(30.0 * np.arange(30)).reshape(6, 5)
    cotangent = rng.integers(1, 9, (3, 2)).astype(float)
    options = dict(window_dilation=(1, 2), padding=((0, 1), (0, 0)))
    figure = visualize.pool_gradient(op, inputs, (2, 2), 2, cotangent=cotangent, **options)

    def pool(x):
        return getattr(F, op)(x[..., None], (2, 2), 2, **options)[..., 0]

    arrived = np.asarray(jax.jit(lambda x, c: jax.vjp(pool, x)[1](c)[0])(inputs, cotangent))
    shown = told(figure)
    numbers = shown[shown.index("gradient of the output 3×2") + 1 : -1]
    assert [float(number) for number in numbers] == pytest.approx(
        arrived[arrived != 0].round(2).tolist()
    )
    assert len(arrows(figure)) == 6


def test_title():
    figure = visualize.pool_gradient("avg_pool", np.ones((4, 4)), (2, 2), 2, title="Even shares")
    assert figure.axes[0].get_title() == "Even shares"


BAD = [
    (dict(op="blur_pool"), "`op` .*must be one of max_pool"),
    (dict(inputs=np.ones((2, 2, 1))), r"`inputs` must be a line or a plane.*\(2, 2, 1\)"),
    (dict(cotangent=np.ones((3, 3))), r"`cotangent` must have the shape of the output, \(2, 2\)"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_errors(options, message):
    arguments = dict(op="max_pool", inputs=np.ones((4, 4)), window_shape=(2, 2), strides=2)
    with pytest.raises(ValueError, match=f"pool_gradient: .*{message}"):
        visualize.pool_gradient(**(arguments | options))
