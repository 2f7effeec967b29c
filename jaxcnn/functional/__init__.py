"""Convolution, dilation and pooling as functions of arrays, channels last, for any rank."""

from jaxcnn.functional.conv import conv

__all__ = ["conv"]
