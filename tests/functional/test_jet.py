"""Where `jax.experimental.jet` ends: right series where it has the rules, an error elsewhere."""

import jax
import numpy as np
import pytest
from jax.experimental.jet import jet

from jaxcnn import functional as F
from jaxcnn.testing import as_on

TAKEN = {
    "conv": lambda x, k: F.conv(x, k, strides=2, algorithm="direct"),
    "conv of one tap": lambda x, k: F.conv(x, k[:1, :1], algorithm="matmul"),
    "chosen by platform": lambda x, k: F.conv(x, k[:1, :1], strides=2),
    "conv_transpose": lambda x, k: F.conv_transpose(x, k, strides=2, algorithm="direct"),
    "as on a TPU": lambda x, k: F.conv_transpose(x, k, strides=(2, 1)),
    "avg_pool": lambda x, k: F.avg_pool(x, (2, 2), padding="SAME", algorithm="window"),
    "lp_pool": lambda x, k: F.lp_pool(x, 2, (2, 3), algorithm="window"),
    "unfold of a conv": lambda x, k: F.unfold(F.conv(x, k, algorithm="direct") ** 2, (2, 2)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_series(name, rng):
    function, platform = TAKEN[name], "tpu" if "TPU" in name else None
    x, k = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 2, 3, 4))
    dx, dk = rng.standard_normal(x.shape), rng.standard_normal(k.shape)

    @jax.jit
    def both(x, k, dx, dk):
        _, series = jet(function, (x, k), ((dx, 0 * dx), (dk, 0 * dk)))

        def slope(t):
            return jax.jvp(lambda t: function(x + t * dx, k + t * dk), (t,), (1.0,))[1]

        return series, jax.jvp(slope, (0.0,), (1.0,))

    with as_on(platform):
        found, expected = both(x, k, dx, dk)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool_with_indices(x, (2, 3))[0],  # was taken for a constant
        lambda x: F.max_pool(x, (2, 3)),
        lambda x: F.conv(x, x[0, :2, :2, :, None], algorithm="canonical"),
        lambda x: F.logsumexp_pool(x, (2, 2)),
    ],
)
def test_what_has_no_rule_raises(function, rng):
    x = rng.standard_normal((2, 6, 5, 3))
    with pytest.raises(Exception, match="optimization_barrier|unexpected tracer|process_primitive"):
        jet(function, (x,), ((x,),))
