"""Every other pool as a module: the function's result, the function's options, checked early."""

import math
import pickle

import jax
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn import nn

WINDOW = dict(window_shape=(2, 3), strides=(2, 1), padding=((0, 1), (1, 1)))
CASES = [
    (nn.LogSumExpPool, F.logsumexp_pool, dict(**WINDOW, ceil_mode=True)),
    (nn.LpPool, F.lp_pool, dict(norm_order=2.5, **WINDOW)),
    (nn.LpPool, F.lp_pool, dict(norm_order=math.inf, window_shape=(2, 2))),
    (nn.AdaptiveAvgPool, F.adaptive_avg_pool, dict(output_shape=(3, None))),
    (nn.AdaptiveMaxPool, F.adaptive_max_pool, dict(output_shape=(3, 5))),
    (
        nn.AdaptiveMaxPoolWithIndices,
        F.adaptive_max_pool_with_indices,
        dict(output_shape=(None, 3)),
    ),
    (nn.GlobalAvgPool, F.global_avg_pool, dict(keepdims=True)),
    (nn.GlobalMaxPool, F.global_max_pool, dict(spatial_axes=(-3,))),
    (nn.SpatialPyramidPool, F.spatial_pyramid_pool, dict(levels=((2, 3), (1, 1)), reducer="avg")),
    (nn.BlurPool, F.blur_pool, dict(window_shape=(3, 4), strides=2)),
    (nn.BlurPool, F.blur_pool, dict(window_shape=(3, 4), padding="SAME", padding_mode="zeros")),
    (nn.MaxPoolWithIndices, F.max_pool_with_indices, dict(**WINDOW, padding_mode="reflect")),
    (nn.StochasticPool, F.stochastic_pool, dict(window_shape=(2, 3), deterministic=True)),
]


@pytest.mark.parametrize("module, function, options", CASES)
def test_modules_give_what_the_functions_give(module, function, options, rng):
    extra = dict(rngs=nnx.Rngs(0)) if module is nn.StochasticPool else {}
    pool = module(**options, **extra)
    inputs = jax.device_put(rng.normal(size=(2, 7, 8, 3)))
    jax.tree.map(np.testing.assert_array_equal, pool(inputs), function(inputs, **options))
    assert not jax.tree.leaves(nnx.state(pool, nnx.Param))
    copy = pickle.loads(pickle.dumps(pool))
    assert vars(copy).keys() == vars(pool).keys()


def test_max_unpool_takes_elements_back(rng):
    inputs = jax.device_put(rng.normal(size=(2, 7, 8, 3)))
    outputs, indices = nn.MaxPoolWithIndices((2, 2), 2)(inputs)
    restored = nn.MaxUnpool((2, 2), 2)(outputs, indices, (7, 8))
    assert restored.shape == inputs.shape
    kept = np.asarray(restored) != 0
    np.testing.assert_array_equal(np.asarray(restored)[kept], np.asarray(inputs)[kept])
    assert kept.sum() == outputs.size


def test_stochastic_pool_draws_in_training_and_not_in_evaluation(rng):
    pool = nn.StochasticPool((2, 2), 2, rngs=nnx.Rngs(dropout=0))
    inputs = jax.device_put(rng.random(size=(2, 8, 8, 3)))
    draw = nnx.jit(lambda m, x: m(x))
    first, second = (np.asarray(draw(pool, inputs)) for _ in range(2))
    assert np.any(first != second)
    assert np.isin(first, inputs).all()
    pool.eval()
    expected = F.stochastic_pool(inputs, (2, 2), 2, deterministic=True)
    np.testing.assert_allclose(pool(inputs), expected)
    pool.train()
    assert np.any(np.asarray(pool(inputs)) != np.asarray(expected))
    np.testing.assert_allclose(nnx.view(pool, deterministic=True)(inputs), expected)


def test_fractional_max_pool_draws_its_steps(rng):
    inputs = jax.device_put(rng.normal(size=(2, 9, 8, 3)))
    pool = nn.FractionalMaxPool((2, 2), (6, 5), rngs=nnx.Rngs(dropout=0))
    first, second = (np.asarray(pool(inputs)) for _ in range(2))
    assert first.shape == (2, 6, 5, 3) and np.any(first != second)
    outputs, indices = nn.FractionalMaxPoolWithIndices((2, 2), (6, 5), rngs=nnx.Rngs(0))(inputs)
    flat = np.asarray(inputs).reshape(2, 72, 3)
    taken = np.take_along_axis(flat, np.asarray(indices).reshape(2, 30, 3), 1)
    np.testing.assert_array_equal(outputs, taken.reshape(2, 6, 5, 3))


STREAM = dict(rngs=nnx.Rngs(0))
BAD = [
    (nn.LpPool, dict(norm_order=0, window_shape=(2,)), ValueError, "`norm_order` .=0. must be ab"),
    (nn.LpPool, dict(norm_order="2", window_shape=(2,)), TypeError, "`norm_order` .='2'. must be"),
    (nn.AdaptiveAvgPool, dict(output_shape=3), TypeError, "`output_shape` .=3. must be a tuple"),
    (nn.AdaptiveMaxPool, dict(output_shape=(0, 1)), ValueError, "`output_shape` .=0. must be at"),
    (nn.GlobalAvgPool, dict(spatial_axes="hw"), TypeError, "`spatial_axes` .='hw'. must be an int"),
    (nn.GlobalMaxPool, dict(keepdims=1), TypeError, "`keepdims` .=1. must be True or False"),
    (nn.GlobalMaxPool, dict(spatial_axes=(1.5,)), ValueError, "`spatial_axes` .=1.5. must be a wh"),
    (nn.SpatialPyramidPool, dict(levels=()), ValueError, "`levels` .=... must name at least one"),
    (nn.SpatialPyramidPool, dict(levels=3), TypeError, "`levels` .=3. must be a tuple of tuples"),
    (nn.SpatialPyramidPool, dict(levels=((1,),), reducer="sum"), ValueError, "`reducer` .='sum'"),
    (nn.BlurPool, dict(window_shape=3), TypeError, "`window_shape` .=3. must be a tuple"),
    (nn.BlurPool, dict(window_shape=(3,), padding_mode="none"), ValueError, "`padding_mode`"),
    (nn.BlurPool, dict(window_shape=(3,), padding=-1), ValueError, "`padding`.*negative"),
    (nn.MaxUnpool, dict(window_shape=(2, 2), strides=(1,)), ValueError, "`strides`.*got 1"),
    (nn.MaxUnpool, dict(window_shape=(2, 2), padding="no"), ValueError, "`padding` .='no'. must"),
    (nn.MaxPoolWithIndices, dict(window_shape=(2,), algorithm="shift"), ValueError, "`algorithm`"),
    (nn.StochasticPool, dict(window_shape=(2,), rngs=None), TypeError, "`rngs` must be flax.nnx"),
    (
        nn.StochasticPool,
        dict(window_shape=(2,), rngs=nnx.Rngs(params=0)),
        ValueError,
        "`rngs` must have a stream 'dropout'",
    ),
    (
        nn.StochasticPool,
        dict(window_shape=(2,), rng_collection=0, **STREAM),
        TypeError,
        "`rng_collection` .=0. must be the name",
    ),
    (
        nn.FractionalMaxPool,
        dict(window_shape=(2,), output_shape=(2, 2), **STREAM),
        ValueError,
        "`output_shape`.*as many entries",
    ),
]


@pytest.mark.parametrize("module, options, error, message", BAD)
def test_bad_options_are_refused_by_the_constructor(module, options, error, message):
    with pytest.raises(error, match=f"{module.__name__}: {message}"):
        module(**options)
