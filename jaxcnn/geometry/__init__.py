"""Where windows lie: padding, output sizes and overhang, in plain integers.

Every size in the library is worked out here, for convolution and for pooling alike, and nothing
here knows an array. A size may also be an expression that stands for one (`unknown`). Along one
axis, a window of k taps, d pixels apart, spans e = d*(k - 1) + 1 pixels; it starts at every s-th
pixel of the padded input, so that

    out = floor((n + p_lo + p_hi - e) / s) + 1
"""

from jaxcnn.geometry.integers import IntPerAxis, axes_tuple, per_axis, whole_number, whole_size
from jaxcnn.geometry.inverse import transposed_windows, unpooled_windows
from jaxcnn.geometry.padding import (
    PADDING_MODES,
    PADDING_NAMES,
    Padding,
    Pairs,
    fill_and_amounts,
    resolve_padding,
)
from jaxcnn.geometry.sizes import (
    adaptive_windows,
    dilated_size,
    effective_size,
    fractional_starts,
    output_size,
    resized_sizes,
)
from jaxcnn.geometry.sliding import Windows, refuse_window_in_padding, windows
from jaxcnn.geometry.unknown import Size, are_known, larger, smaller, surely_below

__all__ = [
    "IntPerAxis",
    "PADDING_MODES",
    "PADDING_NAMES",
    "Padding",
    "Pairs",
    "Size",
    "Windows",
    "adaptive_windows",
    "are_known",
    "axes_tuple",
    "dilated_size",
    "effective_size",
    "fill_and_amounts",
    "fractional_starts",
    "larger",
    "output_size",
    "per_axis",
    "refuse_window_in_padding",
    "resized_sizes",
    "resolve_padding",
    "smaller",
    "surely_below",
    "transposed_windows",
    "unpooled_windows",
    "whole_number",
    "whole_size",
    "windows",
]
