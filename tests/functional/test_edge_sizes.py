"""Sizes at the edge: empty batches, one pixel, windows of one pixel, of all and of one more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import reference
from jaxcnn.testing import primitives

# Now, before another test registers functions of its own.
FIRST_CASES = {name: next(iter(p.cases.values())) for name, p in primitives().items()}

SIZE, CHANNELS = 5, 2


def taps(count, *channels):
    """A kernel with as many taps, the same in every call."""
    return np.random.default_rng(count).standard_normal((count, *channels))


# name -> the call for pixels (*batch, n, 2), a window of k taps, strides; of `functional` and of
# `reference` alike
WINDOWED = {
    "conv": lambda f, x, k, s: f.conv(x, taps(k, 2, 3), strides=s, padding="VALID"),
    "depthwise_conv": lambda f, x, k, s: f.depthwise_conv(
        x, taps(k, 2, 2), strides=s, padding="VALID"
    ),
    "separable_conv": lambda f, x, k, s: f.separable_conv(
        x, taps(k, 2, 1), taps(1, 2, 3), strides=s, padding="VALID"
    ),
    "conv_local": lambda f, x, k, s: f.conv_local(
        x,
        np.broadcast_to(taps(k, 2, 3), ((SIZE - k) // s + 1, k, 2, 3)),
        strides=s,
        padding="VALID",
    ),
    "partial_conv": lambda f, x, k, s: f.partial_conv(
        x, taps(k, 2, 3), np.arange(x.shape[-2])[:, None] % 2, strides=s, padding="VALID"
    )[0],
    "deform_conv": lambda f, x, k, s: f.deform_conv(
        x,
        taps(k, 2, 3),
        np.full((*x.shape[:-2], (x.shape[-2] - k) // s + 1, k), 0.3),
        strides=s,
        padding="VALID",
    ),
    "grey_dilation": lambda f, x, k, s: f.grey_dilation(x, taps(k, 2), strides=s, padding="VALID"),
    "grey_erosion": lambda f, x, k, s: f.grey_erosion(x, taps(k, 2), strides=s, padding="VALID"),
    "unfold": lambda f, x, k, s: f.unfold(x, (k,), strides=s),
    "max_pool": lambda f, x, k, s: f.max_pool(x, (k,), s),
    "min_pool": lambda f, x, k, s: f.min_pool(x, (k,), s),
    "avg_pool": lambda f, x, k, s: f.avg_pool(x, (k,), s),
    "sum_pool": lambda f, x, k, s: f.sum_pool(x, (k,), s),
    "lp_pool": lambda f, x, k, s: f.lp_pool(x, 3, (k,), s),
    "logsumexp_pool": lambda f, x, k, s: f.logsumexp_pool(x, (k,), s),
    "max_pool_with_indices": lambda f, x, k, s: f.max_pool_with_indices(x, (k,), s)[1],
    "stochastic_pool": lambda f, x, k, s: f.stochastic_pool(x, (k,), s, deterministic=True),
    "blur_pool": lambda f, x, k, s: f.blur_pool(x, (k,), s, padding="VALID"),
    "pool": lambda f, x, k, s: (
        f.pool(x, 0.0, jnp.add, (k,), s) if f is F else reference.sum_pool(x, (k,), s)
    ),
}
# pixels, taps, strides: windows of one, all pixels, strides beyond the window, one pixel alone
GEOMETRIES = ((SIZE, 1, 1), (SIZE, SIZE, 1), (SIZE, SIZE, 7), (SIZE, 2, 3), (1, 1, 4))


def test_windows_of_one_of_all_and_strides_beyond_them(rng):
    pixels = rng.standard_normal((3, SIZE, CHANNELS))

    @jax.jit
    def run(pixels):
        return {
            name: [call(F, pixels[:, :n], k, s) for n, k, s in GEOMETRIES if fits(name, n)]
            for name, call in WINDOWED.items()
        }

    for name, found in run(pixels).items():
        geometries = [geometry for geometry in GEOMETRIES if fits(name, geometry[0])]
        for (n, k, s), outputs in zip(geometries, found, strict=True):
            assert outputs.shape[1] == (n - k) // s + 1, (name, n, k, s)
            expected = WINDOWED[name](reference, pixels[:, :n], k, s)
            np.testing.assert_allclose(outputs, expected, atol=1e-12, err_msg=f"{name} {n, k, s}")


def fits(name, n):
    return n == SIZE or name != "conv_local"  # whose kernel says how many windows there are


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_one_larger_than_the_image_is_refused(name):
    if name == "conv_local":
        match = r"conv_local: `kernel`"
        call = lambda: F.conv_local(  # noqa: E731
            np.ones((5, 2)), np.ones((1, 6, 2, 3)), padding="VALID"
        )
    else:
        match = rf"{name}: `(kernel|window_shape|depthwise_kernel)` .*spans 6.*"
        call = lambda: WINDOWED[name](F, np.ones((SIZE, CHANNELS)), SIZE + 1, 1)  # noqa: E731
    with pytest.raises(ValueError, match=match):
        call()


# Their samples are options here, drawn for a batch of two.
DRAWN = ("stochastic_pool", "fractional_max_pool", "fractional_max_pool_with_indices")


def test_empty_batches_come_out_empty_with_gradients_of_zero():
    """The first case of each primitive, which has a batch of two, all of them as one program."""
    cases, arguments, rng = {}, {}, np.random.default_rng(0)
    for name in FIRST_CASES.keys() - set(DRAWN):
        cases[name] = FIRST_CASES[name]
        arrays = [np.asarray(draw(rng, np.dtype(np.float32))) for draw in cases[name].draws]
        if name == "max_unpool":  # whose case has no batch
            arrays = [array[None].repeat(2, 0) for array in arrays]
        arguments[name] = [array[:0] if array.shape[:1] == (2,) else array for array in arrays]

    @jax.jit
    def run(arguments):
        results = {}
        for name, case in cases.items():

            def loss(*arrays, fn=case.fn):
                outputs = jax.tree.leaves(fn(*arrays))[0]
                return outputs.sum(), outputs

            floats = [i for i, array in enumerate(arguments[name]) if array.dtype == jnp.float32]
            results[name] = jax.grad(loss, floats, has_aux=True)(*arguments[name])
        return results

    for name, (gradients, outputs) in run(arguments).items():
        assert outputs.shape[0] == 0, name
        assert not any(np.asarray(gradient).any() for gradient in gradients), name
    assert len(cases) > 30
