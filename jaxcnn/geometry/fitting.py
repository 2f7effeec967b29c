"""What a convolution reads along an axis: how its input is cut and padded to be exactly that."""

from typing import NamedTuple

from jaxcnn.geometry.sizes import dilated_size, effective_size, output_size
from jaxcnn.geometry.unknown import are_known, larger


class Fitted(NamedTuple):
    """One axis of a convolution, fitted: dilate, crop and pad the input, then convolve.

    Attributes:
      taps: (low, high) taps of the kernel that meet no pixel in any window and are cut off.
      rate: rate at which the input is dilated beforehand, 1 where it is not.
      crop: (low, high) pixels cut off; both the whole axis where no window reads the input.
      extra: (low, high) zeros added beforehand.
      padding: (low, high) amounts that the convolution itself adds.
      dilation: rate at which the convolution itself dilates its input.
    """

    taps: tuple[int, int]
    rate: int
    crop: tuple[int, int]
    extra: tuple[int, int]
    padding: tuple[int, int]
    dilation: int


def fitted(
    size: int,
    kernel_size: int,
    *,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    input_dilation: int,
) -> Fitted:
    """Fits one axis of a convolution, so that no derivative of it has a negative padding.

    Let inputs, taps and outputs span N = r*(n - 1) + 1, E = d*(k - 1) + 1 and O = s*(out - 1) + 1
    pixels. A convolution adds up x[i] * kernel[a] * g[j] wherever r*i + lo = d*a + s*j. It and its
    transposes, which JAX derives, differ in which of the three is the result, and their amounts are

        (x, kernel) to g:   lo, hi            (g, kernel) to x:   E - 1 - lo, E - 1 - hi
        (x, g) to kernel:   lo, hi            (kernel, g) to x:   O - 1 - lo, O - 1 - hi

    and so on, for the transposes of these are these again, if the windows end where the input does,
    N + lo + hi = O + E - 1. None is negative if 0 <= lo, hi <= min(E, O) - 1. XLA also exchanges
    inputs and kernel, where the kernel is larger, which gives the last of these amounts.

    So what an amount below 0 crops, and what no window reads, is cut off the input; taps that meet
    nothing but padding, which is where lo >= O, are cut off the kernel; and what is left above
    E - 1 is zeros that the input gets beforehand. An ordinary convolution has none of the three.
    With r > 1 pixels can be cut and added in steps of r alone. Where that misses the bounds, the
    input is dilated beforehand.

    Args:
      size: n, pixels of the input, which may be none.
      kernel_size: k, taps.
      stride: s.
      padding: (low, high) amounts around the dilated input; negative amounts crop.
      dilation: d, of the kernel.
      input_dilation: r.
    Returns:
      An axis that gives as many outputs as the one described, which must be at least 1. Where the
      size is not known, `extra` may crop, and there is an output even if none is described.

    >>> fitted(32, 3, stride=2, padding=(0, 1), dilation=1, input_dilation=1).padding
    (0, 1)
    >>> fitted(9, 2, stride=1, padding=(-1, 3), dilation=1, input_dilation=1)
    Fitted(taps=(0, 0), rate=1, crop=(1, 0), extra=(0, 2), padding=(0, 1), dilation=1)
    >>> fitted(1, 3, stride=1, padding=(1, 1), dilation=1, input_dilation=1)
    Fitted(taps=(1, 1), rate=1, crop=(0, 0), extra=(0, 0), padding=(0, 0), dilation=1)
    """
    wide, span = dilated_size(size, input_dilation), effective_size(kernel_size, dilation)
    count = output_size(wide, kernel_size, stride=stride, padding=padding, dilation=dilation)
    if not are_known(size, *padding):  # what to cut is not known: the input is padded beforehand
        reach = effective_size(larger(count, 1), stride)
        high = reach + span - 1 - wide - padding[0]
        return Fitted((0, 0), input_dilation, (0, 0), (padding[0], high), (0, 0), 1)
    reach = effective_size(count, stride)
    amounts = padding[0], reach + span - 1 - wide - padding[0]
    taps = _dead_taps(amounts[0], reach, dilation), _dead_taps(amounts[1], reach, dilation)
    if sum(taps) >= kernel_size or size == 0:  # zeros alone are read
        most = min(span, reach) - 1
        return Fitted((0, 0), 1, (size, size), (0, reach + span - 1 - 2 * most), (most, most), 1)
    amounts = amounts[0] - dilation * taps[0], amounts[1] - dilation * taps[1]
    most = min(span - dilation * sum(taps), reach) - 1
    for rate in (input_dilation, 1):
        steps = _steps(amounts[0], most, rate), _steps(amounts[1], most, rate)
        rest = amounts[0] - rate * steps[0], amounts[1] - rate * steps[1]
        if 0 <= min(rest) and max(rest) <= most:
            break
    crop, extra = (max(-steps[0], 0), max(-steps[1], 0)), (max(steps[0], 0), max(steps[1], 0))
    return Fitted(taps, input_dilation // rate, crop, extra, rest, rate)


def _dead_taps(amount: int, reach: int, dilation: int) -> int:
    """How many taps from one end on meet only the padding there: those a with d*a + O <= p."""
    return max((amount - reach) // dilation + 1, 0)


def _steps(amount: int, most: int, rate: int) -> int:
    """The least number of pixels to add, negative to crop, so that 0 <= rest <= `most` remain."""
    if amount < 0:
        return amount // rate
    return -(-max(amount - most, 0) // rate)
