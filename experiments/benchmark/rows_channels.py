"""Rows of convolutions whose channels are kept apart: depthwise and grouped."""

import functools

from experiments.benchmark.rows_conv import conv

depthwise = functools.partial(conv, family="depthwise")
grouped = functools.partial(conv, family="grouped")

depthwise("depthwise 3x3", (32, 32, 32, 128), (3, 3, 1, 128), feature_group_count=128, padding=1)
depthwise(
    "depthwise 3x3 strides 2", (32, 32, 32, 128), (3, 3, 1, 128), feature_group_count=128,
    strides=2, padding=1,
)  # fmt: skip
depthwise("depthwise 7x7", (8, 56, 56, 96), (7, 7, 1, 96), feature_group_count=96, padding=3)
depthwise("depthwise 31x31", (2, 56, 56, 32), (31, 31, 1, 32), feature_group_count=32, padding=15)
depthwise(
    "depthwise 5x5 dilated by 2", (8, 28, 28, 64), (5, 5, 1, 64), feature_group_count=64,
    kernel_dilation=2, padding=4,
)  # fmt: skip
depthwise(
    "depthwise 3x3, twice", (16, 28, 28, 64), (3, 3, 1, 128), feature_group_count=64, padding=1
)
depthwise("depthwise 1-D, 7 taps", (16, 1024, 64), (7, 1, 64), feature_group_count=64, padding=3)
depthwise(
    "depthwise 3-D 3x3x3", (2, 12, 24, 24, 32), (3, 3, 3, 1, 32), feature_group_count=32, padding=1
)
grouped("3x3, 32 groups of 4", (32, 32, 32, 128), (3, 3, 4, 128), feature_group_count=32, padding=1)
grouped("5x5, 2 groups of 48", (16, 27, 27, 96), (5, 5, 48, 256), feature_group_count=2, padding=2)
grouped("1x1, 4 groups of 64", (16, 28, 28, 256), (1, 1, 64, 256), feature_group_count=4)
grouped("1-D, 5 taps, 8 groups of 8", (16, 512, 64), (5, 8, 64), feature_group_count=8, padding=2)
