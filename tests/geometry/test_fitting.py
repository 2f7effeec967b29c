"""What a convolution reads along an axis, cut and padded: the same pixels, no negative amount."""

import itertools

import pytest

from jaxcnn import geometry
from jaxcnn.geometry.fitting import Fitted, fitted

SIZES, TAPS, STRIDES, DILATIONS = (0, 1, 2, 5), (1, 2, 4), (1, 2, 3), (1, 2)
AMOUNTS = (-7, -3, -2, -1, 0, 1, 2, 5)


def laid(pixels, rate, padding):
    """The axis that windows slide over: pixels `rate` apart, None for a zero."""
    spread = [None] * geometry.dilated_size(len(pixels), rate)
    spread[::rate] = pixels
    low, high = padding
    spread = [None] * low + spread + [None] * high
    return spread[max(-low, 0) : len(spread) - max(-high, 0)]


def read(axis, kernel_size, stride, dilation):
    """Which pixel each tap of each window meets."""
    span = geometry.effective_size(kernel_size, dilation)
    starts = range(0, len(axis) - span + 1, stride)
    return [[axis[start + tap * dilation] for tap in range(kernel_size)] for start in starts]


@pytest.mark.parametrize("input_dilation", [1, 2, 3])
def test_the_same_pixels_are_read(input_dilation):
    for size, kernel_size, stride, dilation, low, high in itertools.product(
        SIZES, TAPS, STRIDES, DILATIONS, AMOUNTS, AMOUNTS
    ):
        given = dict(stride=stride, dilation=dilation)
        wide = geometry.dilated_size(size, input_dilation)
        if geometry.output_size(wide, kernel_size, padding=(low, high), **given) < 1:
            continue
        fit = fitted(size, kernel_size, padding=(low, high), input_dilation=input_dilation, **given)
        pixels = laid(list(range(size)), fit.rate, (0, 0))
        pixels = pixels[fit.crop[0] : max(len(pixels) - fit.crop[1], fit.crop[0])]
        pixels = laid(laid(pixels, 1, fit.extra), fit.dilation, fit.padding)
        alive = kernel_size - sum(fit.taps)
        found = read(pixels, alive, stride, dilation)
        dead = [[None] * taps for taps in fit.taps]
        found = [dead[0] + window + dead[1] for window in found]
        expected = read(shifted(size, input_dilation, low, high), kernel_size, stride, dilation)
        assert found == expected, (size, kernel_size, given, low, high, fit)
        # what is left is read to its end, and no transpose has a negative amount
        span = geometry.effective_size(alive, dilation)
        reach = geometry.effective_size(len(found), stride)
        assert len(pixels) == span + reach - 1
        assert 0 <= min(fit.padding) and max(fit.padding) <= min(span, reach) - 1


def shifted(size, rate, low, high):
    """`laid` where one side may crop more than there is, into what the other side pads."""
    margin = 10
    far = laid(list(range(size)), rate, (margin, margin)) if size else [None] * 2 * margin
    return far[margin - low : len(far) - margin + high]


def test_what_is_ordinary_stays_as_it_is():
    for size, kernel_size, stride, padding in [
        (32, 3, 1, (1, 1)),
        (32, 3, 2, (0, 1)),
        (224, 7, 2, (3, 2)),
        (8, 2, 2, (0, 0)),
        (2, 3, 1, (1, 1)),
        (5, 5, 1, (4, 4)),
        (1, 1, 2, (0, 0)),
    ]:
        fit = fitted(
            size, kernel_size, stride=stride, padding=padding, dilation=1, input_dilation=1
        )
        assert fit == Fitted((0, 0), 1, (0, 0), (0, 0), padding, 1)
    # the last row of padding is read by no window
    assert fitted(224, 7, stride=2, padding=(3, 3), dilation=1, input_dilation=1) == Fitted(
        (0, 0), 1, (0, 0), (0, 0), (3, 2), 1
    )
    # windows 2 apart on inputs dilated by 2, as a strided convolution's transpose has them
    assert fitted(16, 4, stride=1, padding=(2, 2), dilation=1, input_dilation=2) == Fitted(
        (0, 0), 1, (0, 0), (0, 0), (2, 2), 2
    )
