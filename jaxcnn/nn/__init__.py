"""Flax modules. Each holds its parameters and makes one call into `jaxcnn.functional`."""

from jaxcnn.nn.adaptive import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AdaptiveMaxPoolWithIndices,
    AdaptivePool,
)
from jaxcnn.nn.block import ConvBlock
from jaxcnn.nn.blur import BlurPool
from jaxcnn.nn.chain import Activation, Chain, Flatten
from jaxcnn.nn.context import ContextBlock, identity_init
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.convolutional import FullyConvolutional, convolutionalize
from jaxcnn.nn.deform import DeformConv
from jaxcnn.nn.dense import conv_to_dense, dense_to_conv
from jaxcnn.nn.depthwise import DepthwiseConv, SeparableConv
from jaxcnn.nn.global_pool import GlobalAvgPool, GlobalMaxPool, GlobalPool
from jaxcnn.nn.inverted import InvertedResidual
from jaxcnn.nn.local import ConvLocal
from jaxcnn.nn.norm import StandardizedConv, batch_norm
from jaxcnn.nn.partial import PartialConv
from jaxcnn.nn.pool import AvgPool, MaxPool, MinPool, SumPool, WindowPool
from jaxcnn.nn.pool_norms import LogSumExpPool, LpPool
from jaxcnn.nn.pool_random import FractionalMaxPool, FractionalMaxPoolWithIndices, StochasticPool
from jaxcnn.nn.pyramid import SpatialPyramidPool
from jaxcnn.nn.residual import (
    BasicBlock,
    BottleneckBlock,
    PaddedShortcut,
    PreActivationBlock,
    ResidualBlock,
)
from jaxcnn.nn.resize_conv import ResizeConv
from jaxcnn.nn.subsampling import Subsampling
from jaxcnn.nn.table_conv import TableConv
from jaxcnn.nn.unpool import MaxPoolWithIndices, MaxUnpool

__all__ = [
    "Activation",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AdaptiveMaxPoolWithIndices",
    "AdaptivePool",
    "AvgPool",
    "BasicBlock",
    "BlurPool",
    "BottleneckBlock",
    "Chain",
    "ContextBlock",
    "Conv",
    "ConvBlock",
    "ConvLocal",
    "ConvTranspose",
    "DeformConv",
    "DepthwiseConv",
    "Flatten",
    "FractionalMaxPool",
    "FractionalMaxPoolWithIndices",
    "FullyConvolutional",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GlobalPool",
    "InvertedResidual",
    "LogSumExpPool",
    "LpPool",
    "MaxPool",
    "MaxPoolWithIndices",
    "MaxUnpool",
    "MinPool",
    "PaddedShortcut",
    "PartialConv",
    "PreActivationBlock",
    "ResidualBlock",
    "ResizeConv",
    "SeparableConv",
    "SpatialPyramidPool",
    "StandardizedConv",
    "StochasticPool",
    "Subsampling",
    "SumPool",
    "TableConv",
    "WindowPool",
    "batch_norm",
    "conv_to_dense",
    "convolutionalize",
    "dense_to_conv",
    "identity_init",
]
