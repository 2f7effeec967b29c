"""The primitives in PyTorch, with the layouts in which it is fast: channels last.

Arrays come and go in the benchmark's layouts and are converted before and after the clock runs:

    maps         (n, *spatial, channels)        (n, channels, *spatial), channels last in memory
    kernel       (*size, in / groups, out)      (out, in / groups, *size), likewise
    transposed   (*size, in / groups, out)      (in, out / groups, *size), flipped
    linear       (in, out)                      (out, in)
    plain        anything                       as it is

Whole numbers get 64 bits.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F


@dataclasses.dataclass(frozen=True)
class Peer:
    """A function, and the layouts of its arguments and its output."""

    call: Callable
    layouts: tuple
    output: str = "maps"


def to_torch(array, layout, dtype, device, options, copies=1):
    """A tensor in the layout that PyTorch wants, so many times along its first axis."""
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    tensor = tensor.to(torch.int64 if array.dtype.kind in "iu" else dtype)
    if copies > 1:
        tensor = tensor.repeat(copies, *[1] * (tensor.ndim - 1))
    rank = tensor.ndim - 2
    if layout == "maps":
        return tensor.permute(0, rank + 1, *range(1, rank + 1))
    if layout == "kernel":
        return _last(tensor.permute(rank + 1, rank, *range(rank)))
    if layout == "transposed":
        groups = options.get("feature_group_count", 1)
        tensor = tensor.flip(tuple(range(rank)))
        *size, per_group, features = tensor.shape
        tensor = tensor.reshape(*size, per_group, groups, features // groups)
        tensor = tensor.permute(rank + 1, rank, rank + 2, *range(rank))
        return _last(tensor.reshape(groups * per_group, features // groups, *size))
    if layout == "linear":
        return tensor.t().contiguous()
    return tensor


def from_torch(tensor, layout, options):
    """The array in the benchmark's layout; 16-bit floats as float32, which NumPy knows."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    rank = tensor.ndim - 2
    if layout == "maps":
        tensor = tensor.permute(0, *range(2, rank + 2), 1)
    elif layout == "kernel":
        tensor = tensor.permute(*range(2, rank + 2), 1, 0)
    elif layout == "transposed":
        groups = options.get("feature_group_count", 1)
        channels, features, *size = tensor.shape
        tensor = tensor.reshape(groups, channels // groups, features, *size)
        tensor = tensor.permute(*range(3, rank + 3), 1, 0, 2)
        tensor = tensor.reshape(*size, channels // groups, groups * features)
        tensor = tensor.flip(tuple(range(rank)))
    elif layout == "linear":
        tensor = tensor.t()
    return tensor.contiguous().cpu().numpy()


def _last(tensor):
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats.get(tensor.ndim, torch.contiguous_format))


def conv(inputs, kernel, *, strides, padding, kernel_dilation, feature_group_count):
    function = (F.conv1d, F.conv2d, F.conv3d)[len(strides) - 1]
    return function(inputs, kernel, None, strides, padding, kernel_dilation, feature_group_count)


def conv_transpose(inputs, kernel, *, strides, padding, output_padding, feature_group_count):
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(strides) - 1]
    return function(inputs, kernel, None, strides, padding, output_padding, feature_group_count)


def max_pool(inputs, *, window_shape, strides, padding, window_dilation):
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(strides) - 1]
    return function(inputs, window_shape, strides, padding, window_dilation)


def min_pool(inputs, **options):
    return -max_pool(-inputs, **options)


def avg_pool(inputs, *, window_shape, strides, padding, window_dilation, count_include_pad=True):
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(strides) - 1]
    return function(inputs, window_shape, strides, padding, count_include_pad=count_include_pad)


def sum_pool(inputs, *, window_shape, strides, padding, window_dilation):
    return F.avg_pool2d(inputs, window_shape, strides, padding, divisor_override=1)


def lp_pool(inputs, *, norm_order, window_shape, strides, padding, window_dilation):
    return F.lp_pool2d(inputs, norm_order, window_shape, strides)


def logsumexp_pool(inputs, **options):
    largest = inputs.detach().max()
    return sum_pool((inputs - largest).exp(), **options).log() + largest


def adaptive_pool(inputs, *, output_shape, reduce, squeeze=False):
    function = F.adaptive_avg_pool2d if reduce == "mean" else F.adaptive_max_pool2d
    outputs = function(inputs, output_shape)
    return outputs.flatten(1) if squeeze else outputs


def max_unpool(inputs, indices, *, window_shape):
    return F.max_unpool2d(inputs, indices, window_shape)


def unfold(inputs, *, window_shape):
    (n, channels), (kh, kw) = inputs.shape[:2], window_shape
    rows, columns = inputs.shape[2] - kh + 1, inputs.shape[3] - kw + 1
    patches = F.unfold(inputs, window_shape).reshape(n, channels, kh, kw, rows, columns)
    return patches.permute(0, 4, 5, 2, 3, 1)


def grey_dilation(inputs, kernel):
    patches = unfold(inputs, window_shape=kernel.shape[:2])
    return (patches + kernel).amax((3, 4)).permute(0, 3, 1, 2)


PEERS = {
    "conv": Peer(conv, ("maps", "kernel")),
    "conv_transpose": Peer(conv_transpose, ("maps", "transposed")),
    "max_pool": Peer(max_pool, ("maps",)),
    "min_pool": Peer(min_pool, ("maps",)),
    "avg_pool": Peer(avg_pool, ("maps",)),
    "sum_pool": Peer(sum_pool, ("maps",)),
    "lp_pool": Peer(lp_pool, ("maps",)),
    "logsumexp_pool": Peer(logsumexp_pool, ("maps",)),
    "adaptive_pool": Peer(adaptive_pool, ("maps",)),
    "max_unpool": Peer(max_unpool, ("maps", "maps")),
    "unfold": Peer(unfold, ("maps",), "plain"),
    "grey_dilation": Peer(grey_dilation, ("maps", "plain")),
}
