"""Convolution, dilation and pooling as functions of arrays, channels last, for any rank."""

from jaxcnn.functional.blocks import depth_to_space, space_to_depth
from jaxcnn.functional.conv import conv
from jaxcnn.functional.depthwise import depthwise_conv, separable_conv
from jaxcnn.functional.dilate import dilate
from jaxcnn.functional.morphology import grey_dilation, grey_erosion
from jaxcnn.functional.patches import fold, unfold

__all__ = [
    "conv",
    "depth_to_space",
    "depthwise_conv",
    "dilate",
    "fold",
    "grey_dilation",
    "grey_erosion",
    "separable_conv",
    "space_to_depth",
    "unfold",
]
