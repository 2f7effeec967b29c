"""Sizes the other way round: what a transposed convolution or an unpooling gives."""

import operator
from collections.abc import Sequence

from jaxcnn.geometry.integers import axes_tuple, per_axis, whole_size
from jaxcnn.geometry.padding import resolve_padding
from jaxcnn.geometry.sizes import effective_size, output_size, refuse_empty_axis
from jaxcnn.geometry.sliding import Windows
from jaxcnn.geometry.unknown import are_known, surely_below


def transposed_windows(
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

    >>> [transposed_windows((5,), (3,), strides=2, padding=p).sizes for p in (0, 1, 2)]
    [(11,), (9,), (7,)]
    """
    rank = len(window_shape)
    sizes, window_shape = tuple(sizes), tuple(window_shape)
    refuse_empty_axis(sizes)
    strides = per_axis("strides", strides, rank)
    dilation = per_axis("kernel_dilation", dilation, rank)
    spans = tuple(map(effective_size, window_shape, dilation))
    name = padding.upper() if isinstance(padding, str) else ""
    same = name in ("SAME", "SAME_LOWER")
    default = tuple(map(operator.mul, sizes, strides))
    if name == "VALID":
        default = tuple(m + max(e - s, 0) for m, e, s in zip(default, spans, strides, strict=True))
    if name == "REFLECT":
        pairs = tuple(((e - 1) // 2, e // 2) for e in spans)
    else:
        pairs = resolve_padding(padding, default, window_shape, strides, dilation, crop=crop)
    # The sizes that a convolution with this padding takes to `sizes`. Those past a stride's worth
    # are reached by dropping windows, for which the amounts must not depend on the size.
    smallest = tuple(
        (n - 1) * s + (1 if same else e - sum(pair))
        for n, s, e, pair in zip(sizes, strides, spans, pairs, strict=True)
    )
    choices = strides if same else tuple(map(max, strides, dilation))
    if not name or name == "FULL":
        default = smallest
    extra = _output_padding(output_padding, strides, dilation, rank)
    if output_shape is not None:
        if any(extra):
            raise ValueError(
                f"`output_padding` (={output_padding!r}) must be 0 beside "
                f"`output_shape` (={output_shape!r}), which says the same; leave one of them out"
            )
        default = per_axis("output_shape", output_shape, rank, entry=whole_size)
        for axis, (m, low, count) in enumerate(zip(default, smallest, choices, strict=True)):
            if surely_below(m, low) or surely_below(low + count - 1, m):
                reached = (low + i for i in range(count))
                fits = ", ".join(str(size) for size in reached if not surely_below(size, 1))
                raise ValueError(
                    f"`output_shape` (={output_shape!r}) must be a size that the "
                    f"convolution takes to {sizes[axis]} along spatial axis {axis}: "
                    f"{fits or 'none'}; received spatial sizes {sizes}, kernel {window_shape}, "
                    f"strides {strides}, kernel_dilation {dilation}, padding {padding!r}"
                )
        if same:
            pairs = resolve_padding(padding, default, window_shape, strides, dilation)
    outputs = tuple(map(operator.add, default, extra))
    if any(surely_below(m, 1) for m in outputs):
        raise ValueError(
            f"`padding` (={padding!r}) must leave an output, got spatial sizes "
            f"{outputs}; received spatial sizes {sizes}, kernel {window_shape}, strides {strides}, "
            f"kernel_dilation {dilation}; pad less"
        )
    ones = (1,) * rank
    return Windows(outputs, window_shape, strides, pairs, dilation, ones, sizes)


def _output_padding(
    output_padding: object,
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    rank: int,
) -> tuple[int, ...]:
    """Returns `output_padding` per axis if it is below the stride or the dilation everywhere."""
    extra = per_axis("output_padding", output_padding, rank, minimum=0)
    for axis, (pixels, s, d) in enumerate(zip(extra, strides, dilation, strict=True)):
        if pixels >= max(s, d):
            raise ValueError(
                f"`output_padding` (={output_padding!r}) must be below strides (={s}) "
                f"or kernel_dilation (={d}) along spatial axis {axis}; pad the outputs instead"
            )
    return extra


def unpooled_windows(
    sizes: Sequence[int],
    window_shape: Sequence[int],
    *,
    strides: object = 1,
    padding: object = "VALID",
    dilation: object = 1,
    output_shape: object = None,
) -> Windows:
    """Returns the windows of a pool over spatial sizes m that it takes to the n of `sizes`.

        m = (n - 1)*s + e - p_lo - p_hi,      n*s for "SAME" and "SAME_LOWER"

    Args:
      sizes: n, what came out of the pool.
      window_shape: taps per axis of the pool, checked already.
      strides: of the pool, int or one per axis.
      padding: of the pool.
      dilation: of the pool's window, int or one per axis.
      output_shape: m itself, to be checked; None for the formula.
    Raises:
      ValueError: an entry is out of range, or no pool takes m to n, rounding down or up.
      TypeError: an entry is no int.

    >>> unpooled_windows((4,), (3,), strides=2, padding=1).sizes
    (7,)
    """
    rank = len(window_shape)
    strides = per_axis("strides", strides, rank)
    dilation = per_axis("window_dilation", dilation, rank)
    spans = map(effective_size, window_shape, dilation)
    same = isinstance(padding, str) and padding.upper() in ("SAME", "SAME_LOWER")
    chosen = tuple(n * s for n, s in zip(sizes, strides, strict=True))
    if output_shape is not None:
        chosen = axes_tuple("output_shape", output_shape, entry=whole_size)
        if len(chosen) != rank:
            raise ValueError(
                f"`output_shape` (={output_shape!r}) must have one size for each of "
                f"the {rank} spatial axes, got {len(chosen)}"
            )
    pairs = resolve_padding(padding, chosen, tuple(window_shape), strides, dilation)
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
        other = n not in reached and all(are_known(n - count) for count in reached)
        if surely_below(m, 1) or other:
            name, value = (
                ("padding", padding)
                if output_shape is None
                else (
                    "output_shape",
                    output_shape,
                )
            )
            raise ValueError(
                f"`{name}` (={value!r}) must belong to a pool that takes {m} to {n} "
                f"pixels along spatial axis {axis}; received spatial sizes {tuple(sizes)}, "
                f"window_shape {tuple(window_shape)}, strides {strides}, padding {pairs}, "
                f"window_dilation {dilation}"
            )
    return Windows(
        sizes=chosen,
        window_shape=tuple(window_shape),
        strides=strides,
        padding=pairs,
        dilation=dilation,
        input_dilation=(1,) * rank,
        output_shape=tuple(sizes),
    )
