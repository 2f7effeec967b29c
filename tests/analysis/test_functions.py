"""What functions see, read in their Jaxprs, held against where their Jacobians are not zero."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import analysis, functional, nn

pytestmark = pytest.mark.usefixtures("plain_promotion")  # Flax's average pool divides by integers


def sizes_of(*layers):
    """The field of functions one after another over (9, 12)."""
    chain = nn.Chain(**{f"layer{number}": layer for number, layer in enumerate(layers)})
    field = analysis.receptive_field(chain, (2, 9, 12, 8))
    return field and (field.size, field.strides, field.start, field.output_shape)


SAME = ((1, 1), (1, 1), (0, 0), (9, 12))
POINTWISE = [
    *(nnx.relu, nnx.glu, nnx.softmax, nnx.hard_swish),
    lambda x: jnp.where(x > 0, x, jnp.expm1(x)),
    lambda x: (x - x.mean(-1, keepdims=True)) @ np.ones((8, 5), np.float32),
    lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
    lambda x: jnp.concatenate([x, -x], -1).reshape(*x.shape[:-1], 2, -1).max(-1),
    jax.jit(jax.checkpoint(jnp.tanh)),
    lambda x: lax.while_loop(lambda x: True, jnp.sin, x),
    lambda x: jnp.sort(x, -1),
    lambda x: x[..., [3, 1]],
    lambda x: (
        functional.depth_to_space(functional.space_to_depth(x[:, :8], (2, 2)), (2, 2))
        if x.shape[1] == 8
        else x
    ),
]


@pytest.mark.parametrize("function", POINTWISE)
def test_functions_of_a_pixel_leave_the_field(function):
    assert sizes_of(function) == SAME


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
        (functools.partial(nnx.softmax, axis=1), ((9, 1), (0, 1), (0, 0), (9, 12))),
        (lambda x: jnp.swapaxes(x, 1, 2), SAME),
        (lambda x: x.mean((1, 2)), None),
        (lambda x: x - x.mean((1, 2), keepdims=True), None),
        (lambda x: x.reshape(len(x), -1), None),
        (lambda x: jax.nn.dot_product_attention(*[x.reshape(2, 108, 2, 4)] * 3), None),
        (lambda x: jnp.fft.fft2(x, axes=(1, 2)).real, None),
        (lambda x: x[:, jnp.argmax(x[0, :, 0, 0])][:, None] + x.mean((2,), keepdims=True), None),
        (lambda x: nnx.GroupNorm(8, num_groups=2, rngs=nnx.Rngs(0))(x), None),
    ],
)
def test_functions_of_windows_have_theirs(function, expected):
    assert sizes_of(function) == expected
    assert sizes_of(nnx.relu, function, lambda x: x + 1) == expected


RNG = np.random.default_rng(0)
KERNELS = {c: RNG.uniform(0.5, 1, size=(3, 3, c, 2)).astype(np.float32) for c in (2, 8)}
SPACE = np.zeros((1, 16, 15, 2), np.float32)
conv = functools.partial(functional.conv, kernel=KERNELS[2])


def in_windows(function, size):
    """Tokens of windows of pixels, each by itself, laid out again."""

    def tokens(x):
        n, h, w, c = x.shape
        cut = x.reshape(n, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
        y = function(cut.reshape(-1, size * size, c))
        y = y.reshape(n, h // size, w // size, size, size, c).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, h, w, c)

    return tokens


def attention(x):
    scores = jax.nn.softmax(jnp.einsum("nic,njc->nij", x, x))
    return jnp.einsum("njc,nij->nic", x, scores)


def outer(x):
    return jnp.einsum("...i,...j->...ij", x, x) + np.eye(2, dtype=np.float32)[None, None, None]


def patches(x):
    n, h, w, c = x.shape
    cut = x.reshape(n, h // 3, 3, w // 3, 3, c).transpose(0, 1, 3, 2, 4, 5)
    return (cut.reshape(n, -1, 9 * c) @ np.ones((9 * c, 2), np.float32)).reshape(
        n, h // 3, w // 3, 2
    )


EXACT = {
    "mirrored": functools.partial(conv, padding_mode="reflect"),
    "around": functools.partial(conv, padding_mode="circular"),
    "transposed": functools.partial(functional.conv_transpose, kernel=KERNELS[2], strides=2),
    "lax's transposed": lambda x: lax.conv_transpose(x, KERNELS[2], (3, 2), "SAME"),
    "dilated": functools.partial(conv, input_dilation=2, kernel_dilation=(1, 2), strides=(3, 1)),
    "a list of shifts": functools.partial(
        functional.depthwise_conv, kernel=KERNELS[2][..., :1], algorithm="shift"
    ),
    "blur": lambda x: functional.blur_pool(x, (3, 3), 2),
    "adaptive": lambda x: functional.adaptive_avg_pool(x, (5, 7)),
    "linear": lambda x: conv(jax.image.resize(x, (1, 24, 48, 2), "linear")),
    "cubic": lambda x: jax.image.resize(x, (1, 18, 9, 2), "cubic"),
    "smaller": lambda x: jax.image.resize(x, (1, 5, 7, 2), "nearest"),
    "resized": lambda x: functional.resize_conv(x, KERNELS[2], scale=2, method="linear"),
    "repeated": lambda x: conv(jnp.repeat(jnp.repeat(x, 2, 1), 3, 2)),
    "rolled": lambda x: jnp.roll(x, (2, -1), (1, 2)) + conv(x),
    "turned": lambda x: conv(x[:, ::-1]),
    "blocks": lambda x: functional.conv(functional.space_to_depth(x, (2, 2)), KERNELS[8]),
    "blocks, pooled": lambda x: nnx.avg_pool(functional.space_to_depth(x, (2, 2)), (3, 2)),
    "spread": lambda x: functional.depth_to_space(jnp.concatenate([conv(x)] * 2, -1), (2, 2)),
    "attention in windows": in_windows(attention, 3),
    "patches": patches,
    "loop": lambda x: lax.scan(lambda y, _: (conv(y), y), x, None, length=2)[0],
    "branch": lambda x: lax.cond(True, conv, lambda y: y, x),
    "batch": lambda x: jax.vmap(conv)(x),
    "windows of lax": lambda x: lax.reduce_window(
        x, 0.0, lax.add, (1, 2, 3, 1), (1, 2, 1, 1), ((0, 0), (1, 0), (2, 0), (0, 0)),
        (1, 2, 1, 1), (1, 3, 2, 1),
    ),
    "taken": lambda x: x[:, 2:9].at[:, 1:3].add(1.0)[:, np.array([5, 0, 0, 3])],
    "tiled": lambda x: conv(jnp.tile(x, (1, 2, 1, 1)))[:, :8],
    "multiplied": lambda x: conv(x).at[:, 1:3].multiply(2.0).at[:, 4].max(0.5).at[:, 5].min(9.5),
    "unstacked": lambda x: jnp.stack([a + b for a, b in pairwise(jnp.unstack(x, axis=1))], 1),
    "written": lambda x: lax.dynamic_update_slice(SPACE, conv(x), (0, 3, 2, 0)),
    "sums of columns": lambda x: jnp.broadcast_to(jnp.cumsum(x, 2)[:, :, 11:], (1, 12, 7, 2)),
    "by whole columns": lambda x: x * conv(x).sum(1, keepdims=True),
    "of a loop": lambda x: lax.map(lambda row: row * x.sum(1), x.swapaxes(0, 1)).swapaxes(0, 1),
    "matrices of pixels": lambda x: jnp.linalg.det(outer(x))[..., None],
    "solutions of pixels": lambda x: jnp.linalg.inv(outer(x)).sum(-1),
    "sliced": lambda x: lax.dynamic_slice(x, (0, 3, 2, 0), (1, 5, 4, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_units_see_where_the_jacobian_is_not_zero(name):
    function = EXACT[name]
    image = RNG.uniform(1, 2, size=(1, 12, 12, 2)).astype(np.float32)
    field = analysis.receptive_field(function, image)
    jacobian = jax.jit(jax.jacobian(lambda x: function(x)[0].sum(-1)))(image)[:, :, 0]
    seen = np.asarray((jacobian != 0).any(-1))
    assert field.output_shape == seen.shape[:2]
    for unit in np.ndindex(seen.shape[:2]):
        where = [np.flatnonzero(seen[unit].any(1 - axis)) for axis in range(2)]
        spans = tuple((w[0], w[-1] + 1) if len(w) else (0, 0) for w in where)
        found = field.sees(unit)
        empty = not seen[unit].any()  # along one axis a unit may see what it does not along both
        assert empty or found == spans, unit


def test_a_function_that_would_change_a_module_is_refused():
    norm = nnx.BatchNorm(8, rngs=nnx.Rngs(0))
    before = np.array(norm.mean[...])
    with pytest.raises(TypeError, match="must not change the module that it holds"):
        analysis.receptive_field(lambda x: norm(x), (2, 9, 12, 8))
    np.testing.assert_array_equal(norm.mean[...], before)
