"""Flax modules: parameters and one call into `jaxcnn.functional` each."""

from jaxcnn.nn.chain import Activation, Chain, Flatten
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.deform import DeformConv
from jaxcnn.nn.depthwise import DepthwiseConv, SeparableConv
from jaxcnn.nn.local import ConvLocal
from jaxcnn.nn.partial import PartialConv
from jaxcnn.nn.pool import AvgPool, MaxPool, MinPool, SumPool, WindowPool
from jaxcnn.nn.subsampling import Subsampling
from jaxcnn.nn.table_conv import TableConv

__all__ = [
    "Activation",
    "AvgPool",
    "Chain",
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "DeformConv",
    "DepthwiseConv",
    "Flatten",
    "MaxPool",
    "MinPool",
    "PartialConv",
    "SeparableConv",
    "Subsampling",
    "SumPool",
    "TableConv",
    "WindowPool",
]
