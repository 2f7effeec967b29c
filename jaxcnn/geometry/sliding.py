"""Where windows lie along the spatial axes of an input, and what their taps meet there."""

import dataclasses
from collections.abc import Sequence

from jaxcnn.geometry.integers import per_axis
from jaxcnn.geometry.padding import Pairs, resolve_padding
from jaxcnn.geometry.sizes import dilated_size, effective_size, output_size, refuse_empty_axis
from jaxcnn.geometry.unknown import Size, are_known, surely_below


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

    The sizes, and with them amounts of padding and numbers of windows, are ints or expressions for
    sizes that are not known yet.
    """

    sizes: tuple[Size, ...]
    window_shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]
    output_shape: tuple[Size, ...]

    def __str__(self) -> str:
        def times(sizes: Sequence[Size]) -> str:
            return "x".join(map(str, sizes))

        told = [times(self.window_shape), f"strides {times(self.strides)}"]
        told.append(f"padding {self.padding}")
        for name, steps in (
            ("dilated", self.dilation),
            ("over inputs dilated", self.input_dilation),
        ):
            if any(step > 1 for step in steps):
                told.append(f"{name} {times(steps)}")
        return ", ".join(told)

    @property
    def known(self) -> bool:
        """Whether all sizes are ints."""
        return all(map(self.known_along, range(self.rank)))

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.sizes)

    @property
    def dilated_sizes(self) -> tuple[Size, ...]:
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

    def known_along(self, axis: int) -> bool:
        """Whether the sizes along `axis` are ints."""
        return are_known(self.sizes[axis], self.output_shape[axis], *self.padding[axis])

    def with_unit_axis(self) -> "Windows":
        """The same windows with an axis of one pixel and one tap before the others."""
        return Windows(
            sizes=(1, *self.sizes),
            window_shape=(1, *self.window_shape),
            strides=(1, *self.strides),
            padding=((0, 0), *self.padding),
            dilation=(1, *self.dilation),
            input_dilation=(1, *self.input_dilation),
            output_shape=(1, *self.output_shape),
        )

    def trailing(self, count: int) -> "Windows":
        """The windows along the last `count` axes alone."""
        return Windows(
            sizes=self.sizes[-count:],
            window_shape=self.window_shape[-count:],
            strides=self.strides[-count:],
            padding=self.padding[-count:],
            dilation=self.dilation[-count:],
            input_dilation=self.input_dilation[-count:],
            output_shape=self.output_shape[-count:],
        )

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

    def fitted(self) -> "Windows":
        """The same windows over an input that has its `fitted_padding` already."""
        return dataclasses.replace(self, padding=self.fitted_padding).padded()

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
        """For every window along `axis`, whether its `tap` falls on the input (else: padding).

        For axes whose size is known, as `tap_counts`.
        """
        size, (low, _) = self.dilated_sizes[axis], self.padding[axis]
        start = tap * self.dilation[axis] - low
        return [0 <= start + i * self.strides[axis] < size for i in range(self.output_shape[axis])]

    def tap_counts(self, axis: int, *, include_padding: bool) -> list[int]:
        """For every window along `axis`, how many taps fall on the input, or on it and its padding.

        What hangs over the padding under `ceil_mode` is never counted.
        """
        low, high = self.padding[axis] if include_padding else (0, 0)
        first, last = -low, self.dilated_sizes[axis] + high
        size, d = self.window_shape[axis], self.dilation[axis]
        counts = []
        for i in range(self.output_shape[axis]):
            start = i * self.strides[axis] - self.padding[axis][0]
            # the taps t with first <= start + t*d < last
            before, until = (min(max(-((start - edge) // d), 0), size) for edge in (first, last))
            counts.append(until - before)
        return counts


def windows(
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
    refuse_empty_axis(sizes)
    strides = per_axis("strides", strides, rank)
    dilation = per_axis(dilation_argument, dilation, rank)
    input_dilation = per_axis("input_dilation", input_dilation, rank)
    dilated = tuple(map(dilated_size, sizes, input_dilation))
    pairs = resolve_padding(padding, dilated, window_shape, strides, dilation, crop=crop)
    same = isinstance(padding, str) and padding.upper() in ("SAME", "SAME_LOWER")
    counts = tuple(
        -(-n // s)  # in this form, for sizes that are equal must look equal
        if same and not are_known(n)
        else output_size(n, k, stride=s, padding=pair, dilation=d, ceil_mode=ceil_mode)
        for n, k, s, pair, d in zip(dilated, window_shape, strides, pairs, dilation, strict=True)
    )
    empty = [axis for axis, count in enumerate(counts) if surely_below(count, 1)]
    if empty:
        axis = min(empty, key=counts.__getitem__) if are_known(*counts) else empty[0]
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
            f"`{window_argument}` (={window_shape}) spans "
            f"{effective_size(window_shape[axis], dilation[axis])} pixels along spatial axis {axis}"
            f", more than the {dilated[axis] + sum(pairs[axis])} of the padded input; received "
            f"{received}; pad more or take a smaller window"
        )
    return Windows(sizes, window_shape, strides, pairs, dilation, input_dilation, counts)


def refuse_window_in_padding(where: Windows, window_argument: str = "window_shape") -> None:
    """Refuses windows that see nothing but padding, of which a maximum would be that of nothing.

    Raises:
      ValueError: not one tap of some window falls on the input.
    """
    for axis in range(where.rank):
        if where.padding[axis] == (0, 0):
            continue
        window = _window_in_padding(where, axis)
        if window is not None:
            raise ValueError(
                f"`padding` (={where.padding}) leaves window {window} along "
                f"spatial axis {axis} without a pixel of the input; received spatial sizes "
                f"{where.sizes}, {window_argument} {where.window_shape}, strides {where.strides}, "
                f"dilation {where.dilation}; pad less"
            )


def _window_in_padding(where: Windows, axis: int) -> Size | None:
    """The first window along `axis` that surely sees nothing but padding, None if there is none."""
    if where.known_along(axis):
        counts = where.tap_counts(axis, include_padding=False)
        return counts.index(0) if 0 in counts else None
    (low, _), last = where.padding[axis], where.output_shape[axis] - 1
    if surely_below(where.effective_shape[axis] - 1, low):
        return 0
    return (
        last
        if surely_below(where.dilated_sizes[axis] - 1 + low, last * where.strides[axis])
        else None
    )
