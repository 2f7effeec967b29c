"""Each way to put maxima back, for any indices: against the reference, with duplicates and gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import geometry, reference
from jaxcnn.lowering import choices, unpool_tiles
from jaxcnn.lowering.unpool import UNPOOL_ALGORITHMS
from jaxcnn.lowering.unpool_shift import in_own_window
from tests.helpers import generator

# name: sizes of the values, window_shape, strides, padding, dilation
CASES = {
    "1d tiles": ((7,), (3,), 3, 0, 1),
    "1d gaps": ((5,), (2,), 3, ((1, 0),), 1),
    "2d tiles": ((3, 4), (2, 3), (2, 3), 0, 1),
    "2d overlapping": ((4, 5), (3, 2), (2, 1), ((1, 1), (0, 1)), 1),
    "2d dilated": ((3, 4), (2, 3), (1, 2), ((1, 0), (2, 2)), 2),
    "3d": ((2, 3, 2), (1, 3, 2), (1, 1, 2), 0, 1),
}


def windows_of(case):
    sizes, window_shape, strides, padding, dilation = CASES[case]
    return geometry.unpooled_windows(
        sizes, window_shape, strides=strides, padding=padding, dilation=dilation
    )


def indices_of(rng, windows, kind):
    """In their own windows, several in one place, or anywhere, out of range too."""
    pixels = int(np.prod(windows.sizes))
    if kind == "anywhere":
        return rng.integers(-2, pixels + 2, (2, *windows.output_shape, 3))
    plane = np.arange(pixels, dtype=float).reshape((1, *windows.sizes, 1))
    if kind == "alike":  # the largest is the same for many windows
        plane = (plane * 7 + 3) % pixels
    inputs = np.broadcast_to(plane, (2, *windows.sizes, 3))
    inputs = inputs if kind == "alike" else rng.permuted(inputs, axis=1)
    _, indices = reference.max_pool_with_indices(
        inputs,
        windows.window_shape,
        strides=windows.strides,
        padding=windows.padding,
        window_dilation=windows.dilation,
    )
    return indices


@pytest.mark.parametrize("kind", ["own", "alike", "anywhere"])
@pytest.mark.parametrize("case", CASES)
def test_every_way_agrees_with_the_reference(case, kind):
    windows, rng = windows_of(case), generator(case + kind)
    indices = indices_of(rng, windows, kind)
    assert bool(in_own_window(jnp.asarray(indices), windows)) == (kind != "anywhere")
    values = rng.standard_normal(indices.shape)
    cotangent = rng.standard_normal((2, *windows.sizes, 3))
    pixels = cotangent[0, ..., 0].size
    inside = np.where((indices < 0) | (indices >= pixels), pixels, indices)
    expected = np.zeros((2, pixels + 1, 3))
    gradient = np.zeros((2, values[0, ..., 0].size, 3))
    pulled = np.concatenate([cotangent.reshape(2, pixels, 3), np.zeros((2, 1, 3))], 1)
    flat, named = values.reshape(gradient.shape), inside.reshape(gradient.shape)
    for image, channel in np.ndindex(2, 3):
        last = {u: i for i, u in enumerate(named[image, :, channel])}  # the last stays
        for u, i in last.items():
            expected[image, u, channel] = flat[image, i, channel]
            gradient[image, i, channel] = pulled[image, u, channel]
    expected = expected[:, :pixels].reshape(cotangent.shape)
    for name, place in UNPOOL_ALGORITHMS.items():
        if name == "tiles" and not unpool_tiles.takes(windows):
            continue

        @jax.jit
        def run(values, cotangent, indices, place=place):
            outputs, pullback = jax.vjp(lambda x: place(x, indices, windows), values)
            _, moved = jax.jvp(lambda x: place(x, indices, windows), (values,), (2 * values,))
            return outputs, pullback(cotangent)[0], moved

        outputs, pulled_back, moved = run(values, cotangent, indices)
        np.testing.assert_array_equal(outputs, expected, err_msg=name)
        np.testing.assert_array_equal(moved, 2 * expected, err_msg=name)
        np.testing.assert_array_equal(pulled_back, gradient.reshape(values.shape), err_msg=name)


@pytest.mark.parametrize("platform, case, name", [
    ("cpu", "2d tiles", "scatter"),
    ("cuda", "2d overlapping", "shift"),
    ("tpu", "2d tiles", "tiles"),
    ("tpu", "1d gaps", "tiles"),
    ("tpu", "2d overlapping", "scatter"),
    ("other", "2d tiles", "scatter"),
])  # fmt: skip
def test_choices(platform, case, name):
    assert choices.unpool_choice(platform, windows_of(case)).algorithm == name
    long = geometry.unpooled_windows((3,), (40,), strides=2)
    assert choices.unpool_choice("cuda", long).algorithm == "sort"


def test_nothing_is_scattered_on_a_gpu():
    windows = windows_of("2d tiles")
    indices = jnp.asarray(indices_of(generator("scatter"), windows, "own"))

    def program(values, cotangent):
        place = UNPOOL_ALGORITHMS["shift"]
        outputs, pullback = jax.vjp(lambda x: place(x, indices, windows), values)
        return outputs, pullback(cotangent)

    shapes = indices.shape, (2, *windows.sizes, 3)
    assert "scatter" not in jax.jit(program).lower(*map(np.ones, shapes)).as_text()
