"""What functions among the layers of a chain see, read in their Jaxprs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import analysis, functional, nn

pytestmark = pytest.mark.usefixtures("plain_promotion")  # Flax's average pool divides by integers


def sizes_of(*layers):
    """The field of functions one after another over (9, 12)."""
    chain = nn.Chain(**{f"layer{number}": layer for number, layer in enumerate(layers)})
    field = analysis.receptive_field(chain, (9, 12))
    return field and (field.size, field.strides, field.start, field.output_shape)


SAME = ((1, 1), (1, 1), (0, 0), (9, 12))
POINTWISE = [
    *(nnx.relu, nnx.gelu, nnx.silu, nnx.elu, nnx.glu, nnx.softmax, nnx.hard_swish, nnx.sigmoid),
    functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
    lambda x: jnp.where(x > 0, x, jnp.expm1(x)),
    lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
    lambda x: (
        (x - x.mean(-1, keepdims=True)) @ np.ones((7, 5), np.float32) if x.shape[-1] == 7 else x
    ),
    lambda x: jnp.concatenate([x, -x], -1).reshape(*x.shape[:-1], 2, -1).max(-1),
    jax.jit(jax.checkpoint(jnp.tanh)),
]


@pytest.mark.parametrize("function", POINTWISE)
def test_functions_of_a_pixel_leave_the_field(function):
    assert sizes_of(function) == SAME
    assert sizes_of(nn.Activation(function)) == SAME


@pytest.mark.parametrize(
    "function, expected",
    [
        (
            functools.partial(nnx.max_pool, window_shape=(2, 3), strides=(2, 1)),
            ((2, 3), (2, 1), (0, 0), (4, 10)),
        ),
        (
            functools.partial(nnx.avg_pool, window_shape=(3, 3), padding="SAME"),
            ((3, 3), (1, 1), (-1, -1), (9, 12)),
        ),
        (
            functools.partial(functional.max_pool, window_shape=(3, 2), strides=2),
            ((3, 2), (2, 2), (0, 0), (4, 6)),
        ),
        (lambda x: x[:, ::2, 1:], ((1, 1), (2, 1), (0, 1), (5, 11))),
        (
            lambda x: jnp.pad(x, ((0, 0), (2, 0), (0, 1), (0, 0)))[:, :9, :12] + x,
            ((3, 1), (1, 1), (-2, 0), (9, 12)),
        ),
        (lambda x: x.mean((1, 2)), None),
        (lambda x: x - x.mean((1, 2), keepdims=True), None),
        (lambda x: x.reshape(len(x), -1), None),
    ],
)
def test_functions_of_windows_have_theirs(function, expected):
    assert sizes_of(function) == expected
    assert sizes_of(nnx.relu, function, lambda x: x + 1) == expected


@pytest.mark.parametrize(
    "function, reason",
    [
        (lambda x: jnp.roll(x, 1, 1), "`concatenate` along pixels"),
        (lambda x: x - x.mean(1, keepdims=True), "a sum over some axes of pixels and not"),
        (functools.partial(nnx.softmax, axis=1), "a sum over some axes of pixels and not"),
        (lambda x: jnp.cumsum(x, 2), "a sum over some axes of pixels and not"),
        (lambda x: jnp.swapaxes(x, 1, 2), "another order of axes"),
        (lambda x: jnp.fft.fft(x, axis=1).real, "`fft`"),
        (lambda x: functional.space_to_depth(x[:, 1:], (2, 2)), "`reshape` of pixels"),
        (lambda x: jnp.ones_like(x), "none of its input"),
        (lambda x: (x, x), "more than one array"),
        (lambda x: jnp.sort(x.reshape(2, 9, 6, 2, -1), axis=3), "`reshape` of pixels"),
        (lambda x: jnp.dot(x, "no"), r"no maps of \(2, 9, 12\) and any channels: TypeError"),
    ],
)
def test_functions_of_which_is_unknown_what_they_see_are_refused(function, reason):
    with pytest.raises(TypeError, match=f"`model` holds .*, of which is unknown.*{reason}.*any fu"):
        sizes_of(function)


def test_a_function_is_named_where_it_is_refused():
    with pytest.raises(TypeError, match="receptive_field: `model` holds roll, of which is unknown"):
        sizes_of(functools.partial(jnp.roll, shift=1, axis=1))
    with pytest.raises(TypeError, match="receptive_field: `model` .=3. must be a layer or a fun"):
        analysis.receptive_field(3, (9, 12))
    norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))
    before = np.array(norm.mean[...])
    with pytest.raises(TypeError, match="must not change the module that it holds"):
        sizes_of(lambda x: norm(x))
    np.testing.assert_array_equal(norm.mean[...], before)
