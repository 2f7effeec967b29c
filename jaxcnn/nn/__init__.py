"""Flax modules: parameters and one call into `jaxcnn.functional` each."""

from jaxcnn.nn.chain import Activation, Chain, Flatten
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.conv_transpose import ConvTranspose
from jaxcnn.nn.pool import AvgPool, MaxPool, MinPool, SumPool, WindowPool
from jaxcnn.nn.subsampling import Subsampling
from jaxcnn.nn.table_conv import TableConv

__all__ = [
    "Activation",
    "AvgPool",
    "Chain",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "MaxPool",
    "MinPool",
    "Subsampling",
    "SumPool",
    "TableConv",
    "WindowPool",
]
