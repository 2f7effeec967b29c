"""Pools as modules give what the functions give, and refuse bad options when built."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, nn

OPTIONS = dict(
    window_shape=(2, 3), strides=(2, 1), padding=((0, 1), (1, 1)), window_dilation=(1, 2)
)


@pytest.mark.parametrize(
    "module, function, extra",
    [
        (nn.MaxPool, functional.max_pool, dict(ceil_mode=True)),
        (nn.MinPool, functional.min_pool, dict(padding_mode="reflect")),
        (nn.SumPool, functional.sum_pool, dict(algorithm="window")),
        (nn.AvgPool, functional.avg_pool, dict(count_include_pad=False)),
        (nn.AvgPool, functional.avg_pool, dict(divisor_override=-3, ceil_mode=True)),
    ],
)
def test_modules_hand_their_options_on(module, function, extra, rng):
    inputs = jnp.asarray(rng.normal(size=(2, 7, 8, 3)))
    pool = module(**OPTIONS, **extra)
    np.testing.assert_array_equal(pool(inputs), function(inputs, **OPTIONS, **extra))
    assert not jax.tree.leaves(nnx.state(pool))
    assert pickle.loads(pickle.dumps(pool)).window_shape == (2, 3)
    assert f"{module.__name__}(" in repr(pool)


def test_defaults_are_those_of_flax(rng):
    inputs = jnp.asarray(rng.normal(size=(2, 7, 8, 3)))
    np.testing.assert_array_equal(nn.MaxPool((2, 2))(inputs), nnx.max_pool(inputs, (2, 2)))
    np.testing.assert_array_equal(
        nn.AvgPool((2, 3))(inputs), functional.avg_pool(inputs, (2, 3), (1, 1))
    )


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(window_shape=2), TypeError, r"`window_shape` \(=2\) must be a tuple"),
        (dict(window_shape=(2, 0)), ValueError, "`window_shape` .=0. must be at least 1"),
        (dict(strides=(1, 2, 3)), ValueError, "`strides`.*2 spatial axes, got 3"),
        (dict(strides=1.5), ValueError, "`strides` .=1.5. must be a whole number"),
        (dict(padding="CIRCULAR"), ValueError, "`padding` .='CIRCULAR'. is no padding"),
        (dict(padding="some"), ValueError, "`padding` .='some'. must be one of"),
        (dict(padding=-1), ValueError, "`padding` .=-1. must not be negative"),
        (dict(padding=((0, 1), (-1, 0))), ValueError, "`padding`.*must not be negative"),
        (dict(padding_mode="mirror"), ValueError, "`padding_mode` .='mirror'. must be one of"),
        (dict(window_dilation=0), ValueError, "`window_dilation` .=0. must be at least 1"),
        (dict(ceil_mode=1), TypeError, "`ceil_mode` .=1. must be True or False"),
        (dict(algorithm="slow"), ValueError, "`algorithm` .='slow'. must be one of auto"),
        (dict(algorithm=None), TypeError, "`algorithm` .=None. must be a string"),
    ],
)
@pytest.mark.parametrize("module", [nn.MaxPool, nn.AvgPool])
def test_bad_options_are_refused_by_the_constructor(module, options, error, message):
    with pytest.raises(error, match=f"(?s){module.__name__}: {message}"):
        module(**{"window_shape": (2, 2), **options})


def test_bad_divisors_are_refused_by_the_constructor():
    with pytest.raises(ValueError, match="AvgPool: `divisor_override` .=0. must not be 0"):
        nn.AvgPool((2,), divisor_override=0)
    with pytest.raises(TypeError, match="AvgPool: `count_include_pad`"):
        nn.AvgPool((2,), count_include_pad=1)
