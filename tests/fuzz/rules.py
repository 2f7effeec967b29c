"""The contract's arithmetic a second time, by which a call is known to be valid before it is made.

It shares no line with `jaxcnn.geometry`: a mistake there must not hide itself here.
"""

import math
from typing import Any

from tests.fuzz.choices import entries

FILLS = ("zeros", "reflect", "replicate", "circular")


def span(taps: int, dilation: int) -> int:
    """Pixels from the first tap to the last."""
    return (taps - 1) * dilation + 1


def dilated(size: int, rate: int) -> int:
    """Pixels of a dilated axis."""
    return 1 + (size - 1) * rate


def amounts(padding: Any, sizes, spans, strides) -> list[tuple[int, int]] | None:
    """Pixels before and after each axis; None where the padding is not to be had."""
    rank = len(sizes)
    if isinstance(padding, str):
        pairs = []
        for n, e, s in zip(sizes, spans, strides, strict=True):
            need = max((math.ceil(n / s) - 1) * s + e - n, 0)
            pairs.append(
                {
                    "VALID": (0, 0),
                    "SAME": (need // 2, math.ceil(need / 2)),
                    "SAME_LOWER": (math.ceil(need / 2), need // 2),
                    "FULL": (e - 1, e - 1),
                    "CAUSAL": (e - 1, 0),
                    "CIRCULAR": ((e - 1) // 2, e // 2),
                    "REFLECT": ((e - 1) // 2, e // 2),
                }[padding.upper()]
            )
        return None if padding.upper() == "CAUSAL" and rank != 1 else pairs
    per_axis = [padding] * rank if isinstance(padding, int) else padding
    return [(p, p) if isinstance(p, int) else tuple(p) for p in per_axis]


def starts(size: int, window: int, stride: int, pair: tuple[int, int], ceil: bool) -> list[int]:
    """Where windows of `window` pixels begin, in pixels of the unpadded axis; none may be left.

    With `ceil` the last may hang over the end, and is dropped where it begins beyond the input.
    """
    low, high = pair
    found, start = [], -low
    while start + window <= size + high:
        found.append(start)
        start += stride
    if not ceil:
        return found
    # Rounding up: one more where pixels are left over, even where not one whole window fits.
    left = size + low + high - window
    if (left % stride or left < 0) and left > -stride:
        found.append(start)
    return found[:-1] if found and found[-1] >= size else found


def window_starts(plan: dict, *, crop: bool, sizes=None) -> list[list[int]] | None:
    """Where the windows of a plan begin along each axis; None where the contract refuses them.

    `plan` has sizes, window, padding, strides and, where the primitive has them, dilation,
    input_dilation, padding_mode and ceil_mode.
    """
    pairs = pads(plan, sizes)
    if pairs is None or (not crop and min(min(pair) for pair in pairs) < 0):
        return None
    found = [
        starts(n, e, s, pair, bool(plan.get("ceil_mode")))
        for (n, e, s), pair in zip(_axes(plan, sizes), pairs, strict=True)
    ]
    return found if all(found) else None


def window_counts(found: list[list[int]] | None, rank: int) -> tuple[int, ...]:
    """Windows along each axis by `window_starts`; one for a call that is refused in any case."""
    return tuple(map(len, found)) if found else (1,) * rank


def pads(plan: dict, sizes=None) -> tuple[tuple[int, int], ...] | None:
    """The pixels of padding of a plan; None where it has an empty axis or no such padding."""
    if min(plan["sizes"] if sizes is None else sizes) < 1 or min(plan["window"]) < 1:
        return None
    pairs = amounts(plan["padding"], *zip(*_axes(plan, sizes), strict=True))
    return pairs and tuple(pairs)


def _axes(plan: dict, sizes=None) -> list[tuple[int, int, int]]:
    """For each axis its pixels once dilated, the span of a window, and the stride."""
    rank = plan["rank"]
    rates = entries(plan.get("input_dilation", 1), rank)
    spans = map(span, plan["window"], entries(plan.get("dilation", 1), rank))
    strides = entries(plan.get("strides") or 1, rank)
    return list(zip(map(dilated, sizes or plan["sizes"], rates), spans, strides, strict=True))


def sees_padding_alone(plan: dict, found: list[list[int]]) -> bool:
    """Whether some window has no tap on the inputs."""
    rates = entries(plan.get("dilation", 1), plan["rank"])
    return any(
        not any(0 <= start + tap * rate < size for tap in range(taps))
        for axis, size, taps, rate in zip(found, plan["sizes"], plan["window"], rates, strict=True)
        for start in axis
    )


def names_a_fill(padding: Any) -> bool:
    """Whether the padding's name says what stands in it too, not only how many pixels it has."""
    return isinstance(padding, str) and padding.lower() in ("circular", "reflect")


def fill_of(plan: dict) -> str | None:
    """What stands in the padding of a convolution; None where padding and mode disagree."""
    padding, mode = plan["padding"], plan.get("padding_mode", "zeros")
    if names_a_fill(padding):
        return padding.lower() if mode in ("zeros", padding.lower()) else None
    return mode


def sums_would_wrap(plan: dict) -> bool:
    """Whether the call adds products of 8 bits in 8 bits.

    Such sums leave the dtype's range after a few taps, so the contract wants a preferred type.
    """
    return plan["dtype"] in ("int8", "uint8") and plan.get("preferred") is None
