"""Every module with a batch, and images, whose sizes are not known: shapes, errors and values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from tests.nn.modules import MODULES

# Modules that must know the sizes of an image, and what the error says.
KNOWN_SIZES = {
    "AdaptiveAvgPool": "adaptive_avg_pool: .* or divide by the number of windows",
    "AdaptiveMaxPool": "adaptive_max_pool: .* or divide by the number of windows",
    "AdaptiveMaxPoolWithIndices": "adaptive_max_pool_with_indices: .* or divide by the number",
    "ConvLocal": r"ConvLocal: `inputs` must have the spatial sizes \(5, 6\)",
    "FractionalMaxPool": "fractional_max_pool: .* sizes that are known when it is traced",
    "FractionalMaxPoolWithIndices": "fractional_max_pool_with_indices: .* that are known",
    "SpatialPyramidPool": "spatial_pyramid_pool: .* or divide by the number of windows",
}
SCOPE = export.SymbolicScope(["h >= 5", "w >= 6"])
GROUPS = 4  # the modules of a group share a program


def built(name, rng):
    """The call of a module in evaluation, and positive values of all that it holds."""
    module = MODULES[name][0](rngs=nnx.Rngs(0))
    module.eval()
    graph, state = nnx.split(module)

    def value(leaf):
        drawn = jnp.issubdtype(leaf.dtype, np.floating)
        return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype) if drawn else leaf

    return lambda state, *inputs: nnx.merge(graph, state)(*inputs), jax.tree.map(value, state)


def symbolic(name, sizes="h, w"):
    """The inputs of a module with any batch, and any height and width or those of the table."""
    given = MODULES[name][1]
    inputs = []
    for each in given:
        _, rows, columns, channels = each.shape
        text = f"b, {sizes or f'{rows}, {columns}'}, {channels}"
        shape = export.symbolic_shape(text, scope=SCOPE)
        inputs.append(jax.ShapeDtypeStruct(shape, each.dtype))
    return inputs


@pytest.mark.parametrize("name", MODULES)
def test_sizes_that_are_not_known_are_taken_or_refused(name, rng):
    call, state = built(name, rng)
    inputs = symbolic(name, sizes=None)
    for out in jax.tree.leaves(jax.eval_shape(call, state, *inputs)):
        assert out.shape[0] == inputs[0].shape[0]
    if name not in KNOWN_SIZES:
        out, *_ = jax.tree.leaves(jax.eval_shape(call, state, *symbolic(name)))
        assert out.shape[0] == inputs[0].shape[0]
        return
    with pytest.raises(ValueError, match=KNOWN_SIZES[name]):
        jax.eval_shape(call, state, *symbolic(name))


def filled(name, rng):
    """Three inputs of a module, larger than those of the table where any size is taken."""
    rows, columns = (5, 6) if name in KNOWN_SIZES else (7, 10)
    for given in MODULES[name][1]:
        shape = (3, rows, columns, given.shape[-1])
        if np.issubdtype(given.dtype, np.integer):  # where the maxima of windows of two lay
            places = 2 * np.arange(rows * columns, dtype=given.dtype).reshape(1, rows, columns, 1)
            yield np.broadcast_to(places, shape)
        else:
            yield rng.normal(size=shape).astype(given.dtype)


@pytest.mark.parametrize("group", range(GROUPS))
def test_what_is_exported_gives_what_the_module_gives(group, rng):
    names = sorted(MODULES)[group::GROUPS]
    calls, states = zip(*(built(name, rng) for name in names), strict=True)

    def outputs(states, inputs):
        return [call(s, *x) for call, s, x in zip(calls, states, inputs, strict=True)]

    sizes = [None if name in KNOWN_SIZES else "h, w" for name in names]
    exported = export.export(jax.jit(outputs))(
        states, [symbolic(*case) for case in zip(names, sizes, strict=True)]
    )
    inputs = [list(filled(name, rng)) for name in names]
    found, expected = exported.call(states, inputs), jax.jit(outputs)(states, inputs)
    for name, one, other in zip(names, found, expected, strict=True):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            # Sums of float32 in another order; the deformed positions feel it most.
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=name)
