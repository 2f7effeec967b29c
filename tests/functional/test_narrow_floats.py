"""Maxima and minima of floats of 8 bits and less, most of which have no infinity to pad with."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import reference

DTYPES = [
    name
    for name in dir(ml_dtypes)
    if name.startswith(("float4", "float8")) and hasattr(jnp, name)
    # scales without signs and zero, and two that jaxtyping does not know
    if name not in ("float8_e8m0fnu", "float8_e4m3", "float8_e3m4")
]
SAME = dict(window_shape=(3,), strides=1, padding="SAME")
SAMPLES = np.full((2, 1), 0.3, np.float32)
# name -> the call; of `functional` and of `reference` alike, for pixels (7, 2)
MAXIMA = {
    "max_pool": lambda f, x: f.max_pool(x, **SAME),
    "adaptive_max_pool": lambda f, x: f.adaptive_max_pool(x, (3,)),
    "adaptive_max_pool_with_indices": lambda f, x: f.adaptive_max_pool_with_indices(x, (5,))[0],
    "max_pool_with_indices": lambda f, x: f.max_pool_with_indices(x, **SAME)[0],
    "fractional_max_pool": lambda f, x: f.fractional_max_pool(x, (3,), (3,), samples=SAMPLES),
    "global_max_pool": lambda f, x: f.global_max_pool(x[None])[0],
    "grey_dilation": lambda f, x: f.grey_dilation(x, np.zeros((3, 2), x.dtype)),
    "spatial_pyramid_pool": lambda f, x: f.spatial_pyramid_pool(x, ((1,), (2,))),
    "lp_pool": lambda f, x: f.lp_pool(x, np.inf, **SAME),
    "pool": lambda f, x: (
        f.pool(x, -np.inf, jnp.maximum, **SAME) if f is F else f.max_pool(x, **SAME)
    ),
}
MINIMA = {
    "min_pool": lambda f, x: f.min_pool(x, **SAME),
    "grey_erosion": lambda f, x: f.grey_erosion(x, np.zeros((3, 2), x.dtype)),
    "pool": lambda f, x: (
        f.pool(x, np.inf, jnp.minimum, **SAME) if f is F else f.min_pool(x, **SAME)
    ),
}
BY_NAME = {
    f"{function}, {algorithm}": (
        functools.partial(getattr(F, function), algorithm=algorithm, **SAME),
        functools.partial(getattr(reference, function), **SAME),
    )
    for function in ("max_pool", "min_pool")
    for algorithm in ("tree", "window")
}
CALLS = {
    f"{kind} of {name}": (functools.partial(call, F), functools.partial(call, reference))
    for kind, calls in (("largest", MAXIMA), ("least", MINIMA))
    for name, call in calls.items()
} | BY_NAME


@pytest.mark.parametrize("dtype", DTYPES)
def test_padding_never_wins_and_the_gradient_goes_to_the_winner(dtype):
    """All pixels lie on the side of zero that the reducer likes least; in a channel they differ."""
    steps = np.array([[5, 1], [2, 6], [0, 4], [3, 0], [6, 2], [1, 3], [4, 5]])
    values = np.array([0.5, 1, 1.5, 2, 3, 4, 6])[steps]  # the narrowest dtype has these too
    pixels = {name: values if "min_" in name or "least" in name else -values for name in CALLS}
    narrow = np.dtype(getattr(ml_dtypes, dtype))

    @jax.jit
    def run(pixels):
        found = {}
        for name, (call, _) in CALLS.items():
            outputs, pullback = jax.vjp(call, pixels[name])
            found[name] = outputs, pullback(jnp.ones_like(outputs))[0]
        return found

    found = run({name: array.astype(narrow) for name, array in pixels.items()})
    for name, (_, by_hand) in CALLS.items():
        (outputs, gradient), x = found[name], pixels[name]
        assert outputs.dtype == gradient.dtype == narrow, name
        expected = np.asarray(by_hand(x))
        np.testing.assert_array_equal(np.float64(outputs), expected, name)
        # the derivative of a sum of maxima counts how often each pixel is one
        side = -1 if "lp_pool" in name else 1
        counts = [(expected.reshape(-1, 2) == side * row).sum(0) for row in x]
        np.testing.assert_array_equal(np.float64(gradient), side * np.array(counts), name)
