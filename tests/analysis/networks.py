"""Networks to count in, and what builds them without values."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn import analysis, nn


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def built(build, *args, **options):
    """A module without values."""
    return nnx.eval_shape(lambda: build(*args, **options, rngs=nnx.Rngs(0)))


def summary(model, *inputs, **options):
    return analysis.summary(model, *inputs, show=False, **options)


def several(count, build):
    """Modules of one kind in one, their parameters stacked."""

    @nnx.split_rngs(splits=count)
    @nnx.vmap(in_axes=(0,))
    def stacked(rngs):
        return build(rngs=rngs)

    return stacked


class Scanned(nnx.Module):
    """Layers one after another in a loop."""

    def __init__(self, build, count, *, rngs):
        self.layers = several(count, build)(rngs)

    def __call__(self, inputs):
        @nnx.scan(in_axes=(nnx.Carry, 0))
        def step(x, layer):
            return layer(x), None

        return step(inputs, self.layers)[0]


class Beside(nnx.Module):
    """Layers beside one another in a batch."""

    def __init__(self, build, count, *, rngs):
        self.layers = several(count, build)(rngs)

    def __call__(self, inputs):
        return nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.layers, inputs)


def conv(kind=nn.Conv, **options):
    return functools.partial(kind, 3, 3, (3, 3), **options)


def computes(function, *shapes):
    """A module that is `function` of its inputs and of parameters of these shapes."""

    class Computes(nnx.Module):
        def __init__(self, *, rngs):
            self.weights = nnx.List([nnx.Param(jnp.ones(sizes, jnp.float32)) for sizes in shapes])

        def __call__(self, inputs):
            return function(inputs, *(weight[...] for weight in self.weights))

    return Computes
