"""Transposed convolution is the adjoint of convolution, to the last bit, for any options at all."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from jaxcnn import functional

per_axis = st.tuples(st.integers(1, 3), st.integers(1, 3))
pair = st.tuples(st.integers(-1, 3), st.integers(-1, 3))
names = st.sampled_from(["SAME", "SAME_LOWER", "VALID", "FULL", "REFLECT"])
modes = st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"])


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers, whose products and sums are exact."""
    return rng.integers(-4, 5, shape).astype(np.float64)


@settings(max_examples=8, derandomize=True, deadline=None, database=None)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel_size=per_axis,
    strides=per_axis,
    kernel_dilation=per_axis,
    padding=st.one_of(names, st.integers(0, 2), st.tuples(pair, pair)),
    padding_mode=modes,
    surplus=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.integers(1, 2),
)
def test_conv_transpose_is_the_adjoint_of_conv(
    sizes, kernel_size, strides, kernel_dilation, padding, padding_mode, surplus, groups
):
    surplus = tuple(
        q % max(s, d) for q, s, d in zip(surplus, strides, kernel_dilation, strict=True)
    )
    if padding in ("SAME", "SAME_LOWER"):  # their amounts belong to a size; that is m = n*s
        surplus = (0, 0)
    options = dict(
        strides=strides,
        kernel_dilation=kernel_dilation,
        padding=padding,
        padding_mode="zeros" if padding == "REFLECT" else padding_mode,
        feature_group_count=groups,
    )
    rng = np.random.default_rng(sum(sizes) + 10 * sum(strides))
    inputs = whole(rng, 2, *sizes, 2 * groups)
    kernel = whole(rng, *kernel_size, 3, 2 * groups)

    def transposed(x):
        return functional.conv_transpose(
            x, kernel, transpose_kernel=True, output_padding=surplus, **options
        )

    try:
        outputs = jax.eval_shape(transposed, inputs)
    except ValueError as error:  # negative amounts with a fill, or nothing left
        assert "`padding`" in str(error)
        reject()
    probe = whole(rng, *outputs.shape)
    kept = tuple(slice(n) for n in inputs.shape)

    @jax.jit
    def run(inputs, probe):
        convolved, pullback = jax.vjp(lambda y: functional.conv(y, kernel, **options), probe)
        widths = [(0, a - b) for a, b in zip(convolved.shape, inputs.shape, strict=True)]
        (pulled,) = pullback(jnp.pad(inputs, widths))
        (back,) = jax.linear_transpose(transposed, inputs)(probe)
        return transposed(inputs), pulled, convolved[kept], back

    outputs, pulled, convolved, back = jax.device_get(run(inputs, probe))
    assert (convolved * inputs).sum() == (outputs * probe).sum()
    np.testing.assert_array_equal(outputs, pulled)
    np.testing.assert_array_equal(back, convolved)
