"""Where windows lie: padding, output sizes and overhang, in plain integers.

Every size in the library is worked out here, for convolution and for pooling alike, and nothing
here knows an array. Along one axis, a window of k taps, d pixels apart, spans e = d*(k - 1) + 1
pixels; it starts at every s-th pixel of the padded input, so that

    out = floor((n + p_lo + p_hi - e) / s) + 1
"""

import dataclasses
import math
import numbers
import operator
from collections.abc import Sequence

IntPerAxis = int | Sequence[int]
Pairs = tuple[tuple[int, int], ...]
Padding = str | int | Sequence[int | Sequence[int]]

PADDING_NAMES = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def whole_number(function: str, argument: str, value: object, minimum: int | None = None) -> int:
    """Returns `value` as an int.

    Raises:
      TypeError: `value` is no number known before tracing (a bool is none).
      ValueError: `value` is not whole, or below `minimum`.
    """
    label = f"{function}: `{argument}` (={value!r})"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            raise ValueError(f"{label} must be a whole number; write an int")
        raise TypeError(f"{label} must be an int, got {type(value).__name__}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except Exception:
        raise TypeError(
            f"{label} must be an int known before tracing, got {type(value).__name__}; "
            "mark it static under jit"
        ) from None
    if minimum is not None and number < minimum:
        raise ValueError(f"{label} must be at least {minimum}")
    return number


def per_axis(
    function: str, argument: str, value: object, rank: int, *, minimum: int | None = 1
) -> tuple[int, ...]:
    """Returns one int per spatial axis from an int (meant for all axes) or a sequence of ints."""
    if _is_sequence(value):
        entries = tuple(value)  # type: ignore[arg-type]
        if len(entries) != rank:
            raise ValueError(
                f"{function}: `{argument}` (={value!r}) must be one int for all axes or one for "
                f"each of the {rank} spatial axes, got {len(entries)}"
            )
        return tuple(whole_number(function, argument, entry, minimum) for entry in entries)
    return (whole_number(function, argument, value, minimum),) * rank


def axes_tuple(
    function: str, argument: str, value: object, *, minimum: int = 1, allow_none: bool = False
) -> tuple[int, ...]:
    """Returns one int per spatial axis where the argument itself sets the number of axes.

    An int would leave that number open and is refused, and so is an empty sequence. With
    `allow_none` an entry None is kept as -1, which the caller replaces by that axis's size.
    """
    if not _is_sequence(value):
        hint = f"; for two axes write ({value}, {value})" if isinstance(value, int) else ""
        raise TypeError(
            f"{function}: `{argument}` (={value!r}) must be a tuple with one int per spatial axis"
            f"{hint}"
        )
    entries = tuple(value)  # type: ignore[arg-type]
    if not entries:
        raise ValueError(
            f"{function}: `{argument}` (={value!r}) must name at least one spatial axis"
        )
    return tuple(
        -1 if entry is None and allow_none else whole_number(function, argument, entry, minimum)
        for entry in entries
    )


def _is_sequence(value: object) -> bool:
    """Whether `value` lists entries axis by axis: a tuple, a list, a NumPy vector."""
    if isinstance(value, (str, bytes)):
        return False
    return isinstance(value, Sequence) or (
        hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0
    )


def effective_size(size: int, dilation: int) -> int:
    """Pixels from the first tap to the last of a window of `size` taps: d*(k - 1) + 1."""
    return dilation * (size - 1) + 1


def dilated_size(size: int, dilation: int) -> int:
    """Size of an axis with `dilation - 1` zeros between neighbours."""
    return effective_size(size, dilation) if size else 0


def output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Number of windows along one axis: floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1.

    With `ceil_mode` the division rounds up, so that a last window may hang over the end; one that
    would start beyond the input and its low padding is dropped, as in PyTorch.

    Returns:
      The size, 0 or below where not one window fits.

    >>> output_size(7, 3, stride=2)
    3
    >>> (
    ...     output_size(6, 3, stride=2, padding=(1, 1)),
    ...     output_size(6, 3, stride=2, padding=(1, 1), ceil_mode=True),
    ... )
    (3, 4)
    """
    room = size + sum(padding) - effective_size(kernel_size, dilation)
    if room < 0 and not ceil_mode:
        return 0
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + padding[0]:
        count -= 1
    return max(count, 0)


def adaptive_windows(size: int, count: int) -> tuple[tuple[int, int], ...]:
    """(start, end) of `count` windows that cover an axis: floor(i n / m) to ceil((i + 1) n / m).

    Neighbours share a pixel where n is no multiple of m; with m > n some windows are equal.

    >>> adaptive_windows(7, 3)
    ((0, 3), (2, 5), (4, 7))
    >>> adaptive_windows(2, 5)
    ((0, 1), (0, 1), (0, 2), (1, 2), (1, 2))
    """
    return tuple((i * size // count, -(-(i + 1) * size // count)) for i in range(count))


def fractional_starts(size: int, kernel_size: int, count: int) -> tuple[int, ...]:
    """The earliest starts of `count` randomly spaced windows: floor(i*alpha), the last n - k.

    With alpha = (n - k) / (count - 1) and u in [0, 1), window i starts at floor((i + u)*alpha) -
    floor(u*alpha), which is floor(i*alpha) or one more; the last window starts at n - k.

    >>> fractional_starts(9, 2, 5)
    (0, 1, 3, 5, 7)
    """
    room = size - kernel_size
    return (*(i * room // (count - 1) for i in range(count - 1)), room)


@dataclasses.dataclass(frozen=True, slots=True)
class Windows:
    """How windows lie along the spatial axes; hashable, so that it may be static under jit.

    Attributes:
      sizes: the input's spatial sizes.
      window_shape: taps of a window.
      strides: pixels between the starts of neighbouring windows.
      padding: (low, high) pixels added around the dilated input; negative amounts crop.
      dilation: pixels between neighbouring taps.
      input_dilation: pixels between neighbouring input pixels.
      output_shape: number of windows.
    """

    sizes: tuple[int, ...]
    window_shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.sizes)

    @property
    def dilated_sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the input once it is dilated, before padding."""
        return tuple(map(dilated_size, self.sizes, self.input_dilation))

    @property
    def effective_shape(self) -> tuple[int, ...]:
        """Pixels that a window spans along each axis."""
        return tuple(map(effective_size, self.window_shape, self.dilation))

    @property
    def fitted_padding(self) -> Pairs:
        """The padding after which the last window ends exactly at the end.

        Its high amounts are larger than `padding`'s where the last window hangs over (`ceil_mode`),
        and smaller, even negative, where the strides leave pixels that no window reaches.
        """
        return tuple(
            (low, (count - 1) * s + e - n - low)
            for n, (low, _), count, s, e in zip(
                self.dilated_sizes,
                self.padding,
                self.output_shape,
                self.strides,
                self.effective_shape,
                strict=True,
            )
        )

    def with_unit_axis(self) -> "Windows":
        """The same windows with an axis of one pixel and one tap before the others."""
        return Windows(
            *(
                (one, *getattr(self, field.name))
                for field, one in zip(
                    dataclasses.fields(self), (1, 1, 1, (0, 0), 1, 1, 1), strict=True
                )
            )
        )

    def trailing(self, count: int) -> "Windows":
        """The windows along the last `count` axes alone."""
        return Windows(*(getattr(self, f.name)[-count:] for f in dataclasses.fields(self)))

    def padded(self) -> "Windows":
        """The same windows over an input that is dilated and padded already."""
        sizes = tuple(
            n + low + high for n, (low, high) in zip(self.dilated_sizes, self.padding, strict=True)
        )
        return dataclasses.replace(
            self,
            sizes=sizes,
            padding=((0, 0),) * self.rank,
            input_dilation=(1,) * self.rank,
        )

    def transposed(self) -> "Windows":
        """The windows of the transposed convolution: a stride-1 one over the dilated input.

        It slides the flipped kernel over pixels that lie `strides` apart, under the padding that
        completes this one's to e - 1. Its output has this one's `sizes`.
        """
        return Windows(
            sizes=self.output_shape,
            window_shape=self.window_shape,
            strides=(1,) * self.rank,
            padding=tuple(
                (e - 1 - low, e - 1 - high)
                for e, (low, high) in zip(self.effective_shape, self.fitted_padding, strict=True)
            ),
            dilation=self.dilation,
            input_dilation=self.strides,
            output_shape=self.sizes,
        )

    def tap_in_input(self, axis: int, tap: int) -> list[bool]:
        """For every window along `axis`, whether its `tap` falls on the input (else: padding)."""
        size, (low, _) = self.dilated_sizes[axis], self.padding[axis]
        start = tap * self.dilation[axis] - low
        return [0 <= start + i * self.strides[axis] < size for i in range(self.output_shape[axis])]

    def tap_counts(self, axis: int, *, include_padding: bool) -> list[int]:
        """For every window along `axis`, how many taps fall on the input, or on it and its padding.

        What hangs over the padding under `ceil_mode` is never counted.
        """
        low, high = self.padding[axis] if include_padding else (0, 0)
        first, last = -low, self.dilated_sizes[axis] + high
        counts = []
        for i in range(self.output_shape[axis]):
            start = i * self.strides[axis] - self.padding[axis][0]
            taps = range(start, start + self.effective_shape[axis], self.dilation[axis])
            counts.append(sum(first <= tap < last for tap in taps))
        return counts


def windows(
    function: str,
    sizes: Sequence[int],
    window_shape: Sequence[int],
    *,
    strides: object = 1,
    padding: object = "VALID",
    dilation: object = 1,
    input_dilation: object = 1,
    ceil_mode: bool = False,
    crop: bool = False,
    window_argument: str = "window_shape",
    dilation_argument: str = "window_dilation",
) -> Windows:
    """Checks all options that decide where windows lie and returns them worked out.

    Args:
      function: the caller's name, for messages.
      sizes: spatial sizes of the input.
      window_shape: taps per axis, checked already.
      strides: int or one per axis.
      padding: any form of the contract but the fills "CIRCULAR" and "REFLECT".
      dilation: int or one per axis, of the window.
      input_dilation: int or one per axis; padding strings are worked out on the dilated input.
      ceil_mode: whether a last window may hang over the end.
      crop: whether negative amounts are taken (they crop) or refused.
      window_argument: what the caller calls `window_shape`.
      dilation_argument: what the caller calls `dilation`.
    Raises:
      ValueError: an entry is out of range, or a window does not fit into the padded input.
      TypeError: an entry is no int.
    """
    rank = len(window_shape)
    sizes, window_shape = tuple(sizes), tuple(window_shape)
    _refuse_empty_axis(function, sizes)
    strides = per_axis(function, "strides", strides, rank)
    dilation = per_axis(function, dilation_argument, dilation, rank)
    input_dilation = per_axis(function, "input_dilation", input_dilation, rank)
    dilated = tuple(map(dilated_size, sizes, input_dilation))
    pairs = resolve_padding(function, padding, dilated, window_shape, strides, dilation, crop=crop)
    counts = tuple(
        output_size(n, k, stride=s, padding=pair, dilation=d, ceil_mode=ceil_mode)
        for n, k, s, pair, d in zip(dilated, window_shape, strides, pairs, dilation, strict=True)
    )
    if min(counts) < 1:
        axis = counts.index(min(counts))
        received = ", ".join(
            f"{name} {value}"
            for name, value in (
                ("spatial sizes", sizes),
                (window_argument, window_shape),
                ("strides", strides),
                (dilation_argument, dilation),
                ("padding", pairs),
            )
        )
        raise ValueError(
            f"{function}: `{window_argument}` (={window_shape}) spans "
            f"{effective_size(window_shape[axis], dilation[axis])} pixels along spatial axis {axis}"
            f", more than the {dilated[axis] + sum(pairs[axis])} of the padded input; received "
            f"{received}; pad more or take a smaller window"
        )
    return Windows(sizes, window_shape, strides, pairs, dilation, input_dilation, counts)


def _refuse_empty_axis(function: str, sizes: tuple[int, ...]) -> None:
    """Raises ValueError where a spatial axis has no pixel."""
    for axis, size in enumerate(sizes):
        if size < 1:
            raise ValueError(
                f"{function}: `inputs` must have no empty spatial axis; received spatial sizes "
                f"{sizes}, axis {axis} is empty (only batch axes may be)"
            )


def transposed_windows(
    function: str,
    sizes: Sequence[int],
    window_shape: Sequence[int],
    *,
    strides: object = 1,
    padding: object = "SAME",
    dilation: object = 1,
    output_padding: object = 0,
    output_shape: object = None,
    crop: bool = False,
) -> Windows:
    """Returns the windows of the convolution that a transposed one transposes.

    That convolution takes m pixels to the n given here, and the transposed one takes n back to m:

        m = (n - 1)*s + e - p_lo - p_hi + output_padding

    "SAME", "SAME_LOWER", "CAUSAL" and "REFLECT", under which a convolution gives ceil(m / s), stand
    for m = n*s; "VALID" stands for n*s + max(e - s, 0); "FULL" for what its amounts give.

    Args:
      function: the caller's name, for messages.
      sizes: n, spatial sizes of what the transposed convolution takes.
      window_shape: taps per axis, checked already.
      strides: int or one per axis.
      padding: of the convolution; "REFLECT" stands for ((e - 1)//2, e//2).
      dilation: int or one per axis, of the window.
      output_padding: pixels added at the end, below max(strides, dilation).
      output_shape: m, in place of `output_padding`; "SAME" and "SAME_LOWER" are worked out on it.
      crop: whether negative amounts are taken or refused.
    Returns:
      Windows with `sizes` m and `output_shape` n; where output_padding is at least the stride,
      only the first n windows of those that would fit.
    Raises:
      ValueError: an entry is out of range, or no convolution takes `output_shape` to `sizes`.
      TypeError: an entry is no int.

    >>> [transposed_windows("f", (5,), (3,), strides=2, padding=p).sizes for p in (0, 1, 2)]
    [(11,), (9,), (7,)]
    """
    rank = len(window_shape)
    sizes, window_shape = tuple(sizes), tuple(window_shape)
    _refuse_empty_axis(function, sizes)
    strides = per_axis(function, "strides", strides, rank)
    dilation = per_axis(function, "kernel_dilation", dilation, rank)
    spans = tuple(map(effective_size, window_shape, dilation))
    name = padding.upper() if isinstance(padding, str) else ""
    same = name in ("SAME", "SAME_LOWER")
    default = tuple(map(operator.mul, sizes, strides))
    if name == "VALID":
        default = tuple(m + max(e - s, 0) for m, e, s in zip(default, spans, strides, strict=True))
    if name == "REFLECT":
        pairs = tuple(((e - 1) // 2, e // 2) for e in spans)
    else:
        pairs = resolve_padding(
            function, padding, default, window_shape, strides, dilation, crop=crop
        )
    # The sizes that a convolution with this padding takes to `sizes`. Those past a stride's worth
    # are reached by dropping windows, for which the amounts must not depend on the size.
    smallest = tuple(
        (n - 1) * s + (1 if same else e - sum(pair))
        for n, s, e, pair in zip(sizes, strides, spans, pairs, strict=True)
    )
    choices = strides if same else tuple(map(max, strides, dilation))
    if not name or name == "FULL":
        default = smallest
    extra = _output_padding(function, output_padding, strides, dilation, rank)
    if output_shape is not None:
        if any(extra):
            raise ValueError(
                f"{function}: `output_padding` (={output_padding!r}) must be 0 beside "
                f"`output_shape` (={output_shape!r}), which says the same; leave one of them out"
            )
        default = per_axis(function, "output_shape", output_shape, rank)
        for axis, (m, low, count) in enumerate(zip(default, smallest, choices, strict=True)):
            if not low <= m < low + count:
                fits = ", ".join(str(size) for size in range(low, low + count) if size > 0)
                raise ValueError(
                    f"{function}: `output_shape` (={output_shape!r}) must be a size that the "
                    f"convolution takes to {sizes[axis]} along spatial axis {axis}: "
                    f"{fits or 'none'}; received spatial sizes {sizes}, kernel {window_shape}, "
                    f"strides {strides}, kernel_dilation {dilation}, padding {padding!r}"
                )
        if same:
            pairs = resolve_padding(function, padding, default, window_shape, strides, dilation)
    outputs = tuple(map(operator.add, default, extra))
    if min(outputs) < 1:
        raise ValueError(
            f"{function}: `padding` (={padding!r}) must leave an output, got spatial sizes "
            f"{outputs}; received spatial sizes {sizes}, kernel {window_shape}, strides {strides}, "
            f"kernel_dilation {dilation}; pad less"
        )
    ones = (1,) * rank
    return Windows(outputs, window_shape, strides, pairs, dilation, ones, sizes)


def _output_padding(
    function: str,
    output_padding: object,
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    rank: int,
) -> tuple[int, ...]:
    """Returns `output_padding` per axis if it is below the stride or the dilation everywhere."""
    extra = per_axis(function, "output_padding", output_padding, rank, minimum=0)
    for axis, (pixels, s, d) in enumerate(zip(extra, strides, dilation, strict=True)):
        if pixels >= max(s, d):
            raise ValueError(
                f"{function}: `output_padding` (={output_padding!r}) must be below strides (={s}) "
                f"or kernel_dilation (={d}) along spatial axis {axis}; pad the outputs instead"
            )
    return extra


def unpooled_sizes(
    function: str,
    sizes: Sequence[int],
    window_shape: Sequence[int],
    *,
    strides: object = 1,
    padding: object = "VALID",
    dilation: object = 1,
    output_shape: object = None,
) -> tuple[int, ...]:
    """Returns spatial sizes m that a pool takes to the n of `sizes`.

        m = (n - 1)*s + e - p_lo - p_hi,      n*s for "SAME" and "SAME_LOWER"

    Args:
      function: the caller's name, for messages.
      sizes: n, what came out of the pool.
      window_shape: taps per axis of the pool, checked already.
      strides: of the pool, int or one per axis.
      padding: of the pool.
      dilation: of the pool's window, int or one per axis.
      output_shape: m itself, to be checked; None for the formula.
    Raises:
      ValueError: an entry is out of range, or no pool takes m to n, rounding down or up.
      TypeError: an entry is no int.

    >>> unpooled_sizes("f", (4,), (3,), strides=2, padding=1)
    (7,)
    """
    rank = len(window_shape)
    strides = per_axis(function, "strides", strides, rank)
    dilation = per_axis(function, "window_dilation", dilation, rank)
    spans = map(effective_size, window_shape, dilation)
    same = isinstance(padding, str) and padding.upper() in ("SAME", "SAME_LOWER")
    chosen = tuple(n * s for n, s in zip(sizes, strides, strict=True))
    if output_shape is not None:
        chosen = axes_tuple(function, "output_shape", output_shape)
        if len(chosen) != rank:
            raise ValueError(
                f"{function}: `output_shape` (={output_shape!r}) must have one size for each of "
                f"the {rank} spatial axes, got {len(chosen)}"
            )
    pairs = resolve_padding(function, padding, chosen, tuple(window_shape), strides, dilation)
    if output_shape is None and not same:
        chosen = tuple(
            (n - 1) * s + e - sum(pair)
            for n, s, e, pair in zip(sizes, strides, spans, pairs, strict=True)
        )
    for axis, (m, n, k, s, pair, d) in enumerate(
        zip(chosen, sizes, window_shape, strides, pairs, dilation, strict=True)
    ):
        reached = {
            output_size(m, k, stride=s, padding=pair, dilation=d, ceil_mode=up)
            for up in (False, True)
        }
        if m < 1 or n not in reached:
            name, value = (
                ("padding", padding)
                if output_shape is None
                else (
                    "output_shape",
                    output_shape,
                )
            )
            raise ValueError(
                f"{function}: `{name}` (={value!r}) must belong to a pool that takes {m} to {n} "
                f"pixels along spatial axis {axis}; received spatial sizes {tuple(sizes)}, "
                f"window_shape {tuple(window_shape)}, strides {strides}, padding {pairs}, "
                f"window_dilation {dilation}"
            )
    return chosen


def resized_sizes(
    function: str, sizes: Sequence[int], scale: object, resized_shape: object
) -> tuple[int, ...]:
    """Returns the sizes of an upsampled plane: `resized_shape`, or `scale` times the sizes.

    Raises:
      ValueError: an entry is out of range, or smaller than the axis that it resizes.
      TypeError: an entry is no int.
    """
    sizes = tuple(sizes)
    _refuse_empty_axis(function, sizes)
    if resized_shape is None:
        rates = per_axis(function, "scale", scale, len(sizes))
        return tuple(map(operator.mul, sizes, rates))
    resized = per_axis(function, "resized_shape", resized_shape, len(sizes))
    for axis, (size, target) in enumerate(zip(sizes, resized, strict=True)):
        if target < size:
            raise ValueError(
                f"{function}: `resized_shape` (={resized_shape!r}) must be no smaller than the "
                f"inputs, got {target} for {size} along spatial axis {axis}; received spatial "
                f"sizes {sizes}; pool to make them smaller"
            )
    return resized


def refuse_window_in_padding(
    function: str, where: Windows, window_argument: str = "window_shape"
) -> None:
    """Refuses windows that see nothing but padding, of which a maximum would be that of nothing.

    Raises:
      ValueError: not one tap of some window falls on the input.
    """
    for axis in range(where.rank):
        counts = where.tap_counts(axis, include_padding=False)
        if 0 in counts:
            raise ValueError(
                f"{function}: `padding` (={where.padding}) leaves window {counts.index(0)} along "
                f"spatial axis {axis} without a pixel of the input; received spatial sizes "
                f"{where.sizes}, {window_argument} {where.window_shape}, strides {where.strides}, "
                f"dilation {where.dilation}; pad less"
            )


def resolve_padding(
    function: str,
    padding: object,
    sizes: tuple[int, ...],
    window_shape: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    crop: bool = False,
) -> Pairs:
    """Returns (low, high) amounts per axis from any form of `padding`.

    "SAME" gives ceil(n / s) windows with the odd pixel at the end ("SAME_LOWER": at the start),
    "VALID" pads nothing, "FULL" pads e - 1 on both sides, "CAUSAL" e - 1 before (one axis only);
    an int pads both sides of every axis; a sequence holds an int or a (low, high) pair per axis.
    """
    rank = len(sizes)
    if isinstance(padding, str):
        name = padding.upper()
        if name not in PADDING_NAMES:
            raise ValueError(
                f"{function}: `padding` (={padding!r}) must be one of "
                f"{', '.join(PADDING_NAMES)}, an int, or one int or (low, high) pair per axis"
            )
        if name == "CAUSAL" and rank != 1:
            raise ValueError(
                f"{function}: `padding` (='CAUSAL') needs exactly one spatial axis, got {rank}; "
                "give (low, high) pairs instead"
            )
        return tuple(
            _named_padding(name, n, effective_size(k, d), s)
            for n, k, d, s in zip(sizes, window_shape, dilation, strides, strict=True)
        )
    minimum = None if crop else 0
    if not _is_sequence(padding):
        return (_pair(function, padding, padding, minimum),) * rank
    entries = tuple(padding)  # type: ignore[arg-type]
    if len(entries) != rank:
        raise ValueError(
            f"{function}: `padding` (={padding!r}) must hold one int or (low, high) pair for each "
            f"of the {rank} spatial axes, got {len(entries)}"
        )
    return tuple(_pair(function, padding, entry, minimum) for entry in entries)


def fill_and_amounts(
    function: str,
    padding: Padding,
    padding_mode: str,
    kernel_size: tuple[int, ...],
    kernel_dilation: tuple[int, ...],
) -> tuple[Padding, str]:
    """Rewrites Flax's "CIRCULAR" and "REFLECT" as amounts and the fill they stand for.

    Raises:
      ValueError: `padding_mode` asks for another fill than `padding`.
    """
    if padding_mode not in PADDING_MODES:
        kind = ValueError if isinstance(padding_mode, str) else TypeError
        raise kind(
            f"{function}: `padding_mode` (={padding_mode!r}) must be one of "
            f"{', '.join(PADDING_MODES)}"
        )
    name = padding.upper() if isinstance(padding, str) else ""
    if name not in ("CIRCULAR", "REFLECT"):
        return padding, padding_mode
    if padding_mode not in ("zeros", name.lower()):
        raise ValueError(
            f"{function}: `padding_mode` (={padding_mode!r}) must agree with `padding` "
            f"(={padding!r}), which is a fill of its own; leave one of them out"
        )
    spans = map(effective_size, kernel_size, kernel_dilation)
    return tuple(((span - 1) // 2, span // 2) for span in spans), name.lower()


def _pair(function: str, padding: object, entry: object, minimum: int | None) -> tuple[int, int]:
    """One axis's (low, high) amounts from an int or a pair."""
    amounts = tuple(entry) if _is_sequence(entry) else (entry, entry)  # type: ignore[arg-type]
    if len(amounts) != 2:
        raise ValueError(
            f"{function}: `padding` (={padding!r}) must hold ints or (low, high) pairs, "
            f"got {entry!r}"
        )
    low, high = (whole_number(function, "padding", amount) for amount in amounts)
    if minimum is not None and min(low, high) < minimum:
        raise ValueError(
            f"{function}: `padding` (={padding!r}) must not be negative here; "
            "slice the inputs to crop them"
        )
    return low, high


def _named_padding(name: str, size: int, effective: int, stride: int) -> tuple[int, int]:
    """The (low, high) amounts along one axis that a padding string stands for."""
    if name == "VALID":
        return 0, 0
    if name == "FULL":
        return effective - 1, effective - 1
    if name == "CAUSAL":
        return effective - 1, 0
    total = max((math.ceil(size / stride) - 1) * stride + effective - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if name == "SAME" else (large, small)
