"""Windows taken apart into stages, and pools that are made in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, geometry, reference
from jaxcnn.lowering.pool_stages import stages

LARGE = dict(window_shape=(7, 6), strides=(1, 2), padding=((4, 2), (0, 3)))


def test_axes_go_together_while_their_taps_are_few():
    windows = geometry.windows(
        (9, 20, 16, 8), (2, 3, 5, 4), strides=(1, 2, 1, 2), padding=((0, 1), (2, 0), (1, 1), (0, 0))
    )
    parts = stages(windows, 20)
    assert [part.window_shape for part in parts] == [(1, 1, 5, 4), (2, 3, 1, 1)]
    assert [part.strides for part in parts] == [(1, 1, 1, 2), (1, 2, 1, 1)]
    assert parts[0].sizes == windows.sizes and parts[0].output_shape == (9, 20, 14, 3)
    assert parts[1].sizes == (9, 20, 14, 3) and parts[1].output_shape == windows.output_shape
    assert [part.padding[1] for part in parts] == [(0, 0), (2, 0)]
    assert stages(windows, 120) == [windows]
    assert len(stages(windows, 1)) == 4


@pytest.mark.parametrize(
    "name, algorithm",
    [
        ("max_pool", "at_once"),
        ("min_pool", "at_once"),
        ("sum_pool", "stages"),
        ("logsumexp_pool", "at_once"),
    ],
)
def test_large_windows_agree_with_the_reference(name, algorithm, rng):
    inputs = rng.integers(-4, 4, (2, 9, 12, 3)).astype(float)  # with ties
    inputs[0, 2:8, 3:9] = -np.inf if name != "sum_pool" else 0
    outputs, pull = jax.vjp(
        jax.jit(lambda x: getattr(functional, name)(x, **LARGE, algorithm=algorithm)), inputs
    )
    cotangent = rng.standard_normal(outputs.shape)
    wanted = getattr(reference, name)(inputs, **LARGE)
    (gradient,) = getattr(reference, f"{name}_vjp")(cotangent, inputs, **LARGE)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-12)
    np.testing.assert_allclose(pull(cotangent)[0], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("algorithm", ["at_once", "native"])
def test_gradients_of_16_bits_are_added_in_float32(algorithm, dtype):
    plane = np.zeros((41, 41, 1), dtype)
    plane[20, 20] = 1  # the largest of all 441 windows
    pull = jax.vjp(lambda x: functional.max_pool(x, (21, 21), algorithm=algorithm), plane)[1]
    (gradient,) = pull(jnp.ones((21, 21, 1), dtype))
    np.testing.assert_array_equal(gradient, 441 * plane)


def test_log_sum_exps_share_what_is_infinite(rng):
    inputs = rng.standard_normal((1, 6, 5, 2))
    inputs[0, 1, 1], inputs[0, 2, 2] = np.inf, np.inf
    inputs[0, 4:, 2:] = -np.inf
    outputs, pull = jax.vjp(
        lambda x: functional.logsumexp_pool(x, (2, 3), algorithm="at_once"), inputs
    )
    cotangent = rng.standard_normal(outputs.shape)
    np.testing.assert_allclose(outputs, reference.logsumexp_pool(inputs, (2, 3)), rtol=1e-12)
    (gradient,) = reference.logsumexp_pool_vjp(cotangent, inputs, (2, 3))
    np.testing.assert_allclose(pull(cotangent)[0], gradient, rtol=1e-10, atol=1e-12)
