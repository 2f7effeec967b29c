"""Every exported module once: how it is built, what it is called with."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn import nn


def images(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


SIZE = (3, 2)
ROW = images(2, 5, 6, 4)
POOLED = images(2, 5, 3, 4), images(2, 5, 3, 4, dtype=jnp.int32)

# Those with parameters: built with `rngs` and initialisers by name; the inputs; and every
# initialiser, with the parameter that it draws and the parameter's number of axes.
KERNEL, BIAS = ("kernel", 4), ("bias", 1)
LAYER = {"kernel_init": [KERNEL], "bias_init": [BIAS]}
LEARNT = {
    "Conv": (functools.partial(nn.Conv, 4, 6, SIZE), (ROW,), LAYER),
    "ConvTranspose": (functools.partial(nn.ConvTranspose, 4, 6, SIZE, 2), (ROW,), LAYER),
    "ConvLocal": (
        functools.partial(nn.ConvLocal, 4, 6, SIZE, (5, 6)),
        (ROW,),
        {"kernel_init": [("kernel", 6)], "bias_init": [("bias", 3)]},
    ),
    "DeformConv": (functools.partial(nn.DeformConv, 4, 6, SIZE), (ROW,), LAYER),
    "DepthwiseConv": (functools.partial(nn.DepthwiseConv, 4, SIZE, multiplier=2), (ROW,), LAYER),
    "PartialConv": (
        functools.partial(nn.PartialConv, 4, 6, SIZE),
        (ROW, images(2, 5, 6, 1)),
        LAYER,
    ),
    "ResizeConv": (functools.partial(nn.ResizeConv, 4, 6, SIZE), (ROW,), LAYER),
    "SeparableConv": (
        functools.partial(nn.SeparableConv, 4, 6, SIZE, multiplier=2),
        (ROW,),
        {"kernel_init": [("depthwise_kernel", 4), ("pointwise_kernel", 4)], "bias_init": [BIAS]},
    ),
    "StandardizedConv": (functools.partial(nn.StandardizedConv, 4, 6, SIZE), (ROW,), LAYER),
    "Subsampling": (
        functools.partial(nn.Subsampling, 4, (2, 2)),
        (ROW,),
        {"coefficient_init": [("coefficient", 1)], "bias_init": [BIAS]},
    ),
    "TableConv": (
        functools.partial(nn.TableConv, 4, ((0, 1), (1, 2, 3)), SIZE),
        (ROW,),
        {"kernel_init": [("kernel", 3)], "bias_init": [BIAS]},
    ),
    "ConvBlock": (functools.partial(nn.ConvBlock, 4, 6, SIZE), (ROW,), {"kernel_init": [KERNEL]}),
    "BasicBlock": (
        functools.partial(nn.BasicBlock, 4, 6, 2, zero_init=True),
        (ROW,),
        {"kernel_init": [KERNEL]},
    ),
    "BottleneckBlock": (
        functools.partial(nn.BottleneckBlock, 4, 2, 2),
        (ROW,),
        {"kernel_init": [KERNEL]},
    ),
    "PreActivationBlock": (
        functools.partial(nn.PreActivationBlock, 4, 6),
        (ROW,),
        {"kernel_init": [KERNEL]},
    ),
    "InvertedResidual": (
        functools.partial(nn.InvertedResidual, 4, 4),
        (ROW,),
        {"kernel_init": [KERNEL]},
    ),
    "ContextBlock": (functools.partial(nn.ContextBlock, 4, dilations=(1, 2)), (ROW,), {}),
}


def _read_on(rngs):
    network = nnx.Module()
    network.features = nn.Chain(conv=nn.Conv(4, 3, SIZE, rngs=rngs))
    network.classifier = nn.Chain(
        flatten=nn.Flatten(), fc=nnx.Linear(5 * 6 * 3, 2, rngs=rngs), relu=nn.Activation("relu")
    )
    return nn.convolutionalize(network, (5, 6, 4))


def double(array):
    """A layer that is a function."""
    return array * 2


def _plain(build, *args, **options):
    """A module that wants no random numbers."""
    return lambda rngs: build(*args, **options)


# Those without, and those that hold others.
OTHERS = {
    "Activation": (_plain(nn.Activation, "gelu"), (ROW,)),
    "AdaptiveAvgPool": (_plain(nn.AdaptiveAvgPool, (2, 3)), (ROW,)),
    "AdaptiveMaxPool": (_plain(nn.AdaptiveMaxPool, (2, None)), (ROW,)),
    "AdaptiveMaxPoolWithIndices": (_plain(nn.AdaptiveMaxPoolWithIndices, (2, 3)), (ROW,)),
    "AvgPool": (_plain(nn.AvgPool, (2, 2)), (ROW,)),
    "BlurPool": (_plain(nn.BlurPool, (2, 3)), (ROW,)),
    "Chain": (
        lambda rngs: nn.Chain(conv=nn.Conv(4, 6, SIZE, rngs=rngs), double=double),
        (ROW,),
    ),
    "Flatten": (_plain(nn.Flatten), (ROW,)),
    "FractionalMaxPool": (functools.partial(nn.FractionalMaxPool, (2, 2), (3, 4)), (ROW,)),
    "FractionalMaxPoolWithIndices": (
        functools.partial(nn.FractionalMaxPoolWithIndices, (2, 2), (3, 4)),
        (ROW,),
    ),
    "FullyConvolutional": (_read_on, (ROW,)),
    "GlobalAvgPool": (_plain(nn.GlobalAvgPool), (ROW,)),
    "GlobalMaxPool": (_plain(nn.GlobalMaxPool), (ROW,)),
    "LogSumExpPool": (_plain(nn.LogSumExpPool, (2, 2)), (ROW,)),
    "LpPool": (_plain(nn.LpPool, 2, (2, 2)), (ROW,)),
    "MaxPool": (_plain(nn.MaxPool, (2, 2)), (ROW,)),
    "MaxPoolWithIndices": (_plain(nn.MaxPoolWithIndices, (2, 2)), (ROW,)),
    "MaxUnpool": (_plain(nn.MaxUnpool, (1, 2), (1, 2)), POOLED),
    "MinPool": (_plain(nn.MinPool, (2, 2)), (ROW,)),
    "PaddedShortcut": (_plain(nn.PaddedShortcut, 4, 6, 2), (ROW,)),
    "SpatialPyramidPool": (_plain(nn.SpatialPyramidPool, ((1, 1), (2, 3))), (ROW,)),
    "StochasticPool": (functools.partial(nn.StochasticPool, (2, 2)), (ROW,)),
    "SumPool": (_plain(nn.SumPool, (2, 2)), (ROW,)),
}
BASES = {"AdaptivePool", "GlobalPool", "ResidualBlock", "WindowPool"}
MODULES = {**{name: row[:2] for name, row in LEARNT.items()}, **OTHERS}
