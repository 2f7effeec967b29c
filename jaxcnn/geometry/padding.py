"""Padding in every form of the contract, worked out as (low, high) amounts per axis."""

from collections.abc import Sequence

from jaxcnn.geometry.integers import is_sequence, whole_number
from jaxcnn.geometry.sizes import effective_size
from jaxcnn.geometry.unknown import Size, larger

Pairs = tuple[tuple[Size, Size], ...]
Padding = str | int | Sequence[int | Sequence[int]]

PADDING_NAMES = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def resolve_padding(
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
                f"`padding` (={padding!r}) must be one of "
                f"{', '.join(PADDING_NAMES)}, an int, or one int or (low, high) pair per axis"
            )
        if name == "CAUSAL" and rank != 1:
            raise ValueError(
                f"`padding` (='CAUSAL') needs exactly one spatial axis, got {rank}; "
                "give (low, high) pairs instead"
            )
        return tuple(
            _named_padding(name, n, effective_size(k, d), s)
            for n, k, d, s in zip(sizes, window_shape, dilation, strides, strict=True)
        )
    minimum = None if crop else 0
    if not is_sequence(padding):
        return (_pair(padding, padding, minimum),) * rank
    entries = tuple(padding)  # type: ignore[arg-type]
    if len(entries) != rank:
        raise ValueError(
            f"`padding` (={padding!r}) must hold one int or (low, high) pair for each "
            f"of the {rank} spatial axes, got {len(entries)}"
        )
    return tuple(_pair(padding, entry, minimum) for entry in entries)


def fill_and_amounts(
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
        raise kind(f"`padding_mode` (={padding_mode!r}) must be one of {', '.join(PADDING_MODES)}")
    name = padding.upper() if isinstance(padding, str) else ""
    if name not in ("CIRCULAR", "REFLECT"):
        return padding, padding_mode
    if padding_mode not in ("zeros", name.lower()):
        raise ValueError(
            f"`padding_mode` (={padding_mode!r}) must agree with `padding` "
            f"(={padding!r}), which is a fill of its own; leave one of them out"
        )
    spans = map(effective_size, kernel_size, kernel_dilation)
    return tuple(((span - 1) // 2, span // 2) for span in spans), name.lower()


def _pair(padding: object, entry: object, minimum: int | None) -> tuple[int, int]:
    """One axis's (low, high) amounts from an int or a pair."""
    amounts = tuple(entry) if is_sequence(entry) else (entry, entry)  # type: ignore[arg-type]
    if len(amounts) != 2:
        raise ValueError(
            f"`padding` (={padding!r}) must hold ints or (low, high) pairs, got {entry!r}"
        )
    low, high = (whole_number("padding", amount) for amount in amounts)
    if minimum is not None and min(low, high) < minimum:
        raise ValueError(
            f"`padding` (={padding!r}) must not be negative here; slice the inputs to crop them"
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
    total = larger((-(-size // stride) - 1) * stride + effective - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if name == "SAME" else (large, small)
