"""The plane that a window slides over: its cells, and where the taps lie at each step."""

import dataclasses
import itertools
from collections.abc import Callable

from jaxcnn.geometry import Windows

Index = tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the plane that the window slides over.

    Attributes:
      kind: "input"; "hole", a zero between input pixels that dilation moved apart; "zeros", padding
        with zeros; "identity", padding with nothing that could win; "copy", padding that shows an
        input pixel; "overhang", past the padding under `ceil_mode`; "cropped", an input pixel that
        negative padding cuts off.
      source: the input pixel that the cell shows, None where it shows none.
    """

    kind: str
    source: Index | None


@dataclasses.dataclass(frozen=True, slots=True)
class Tap:
    """Where one tap of the window lies: the number of its cell, and its place in the kernel."""

    cell: int
    kernel: Index


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One output cell, the taps that it is computed from, and what an average divides by."""

    output: Index
    taps: tuple[Tap, ...]
    divisor: int = 1


def slide(windows: Windows, mode: str) -> tuple[Index, tuple[Cell, ...], tuple[Step, ...]]:
    """The plane's sizes, its cells and the steps over it."""
    axes = range(windows.rank)
    starts = tuple(-max(low, 0) for low, _ in windows.padding)
    stops = tuple(
        n + max(pair[1], fitted[1], 0)
        for n, pair, fitted in zip(
            windows.dilated_sizes, windows.padding, windows.fitted_padding, strict=True
        )
    )
    plane = tuple(stop - start for start, stop in zip(starts, stops, strict=True))
    meets = [meets_along(windows, axis, mode) for axis in axes]
    cells = tuple(
        _cell([meets[axis](u) for axis, u in enumerate(place)], mode)
        for place in itertools.product(*map(range, starts, stops))
    )
    steps = []
    for output in itertools.product(*map(range, windows.output_shape)):
        taps = []
        for tap in itertools.product(*map(range, windows.window_shape)):
            number = 0
            for axis in axes:
                u = output[axis] * windows.strides[axis] + tap[axis] * windows.dilation[axis]
                number = number * plane[axis] + u - windows.padding[axis][0] - starts[axis]
            taps.append(Tap(number, tap))
        steps.append(Step(output, tuple(taps)))
    return plane, cells, tuple(steps)


def meets_along(windows: Windows, axis: int, mode: str) -> Callable[[int], tuple[str, int | None]]:
    """A function from a position along `axis` of the dilated input to its kind and its pixel."""
    size, rate = windows.dilated_sizes[axis], windows.input_dilation[axis]
    low, high = windows.padding[axis]

    def pixel(u: int) -> int | None:
        return u // rate if u % rate == 0 else None

    def meets(u: int) -> tuple[str, int | None]:
        if not -low <= u < size + high:
            return ("cropped", pixel(u)) if 0 <= u < size else ("overhang", None)
        if 0 <= u < size:
            return ("input" if u % rate == 0 else "hole"), pixel(u)
        if mode in ("zeros", "identity"):
            return mode, None
        if mode == "replicate":
            return "copy", pixel(min(max(u, 0), size - 1))
        if mode == "circular":
            return "copy", pixel(u % size)
        period = max(2 * (size - 1), 1)  # one pixel alone is repeated
        u %= period
        return "copy", pixel(min(u, period - u) if size > 1 else 0)

    return meets


def _cell(met: list[tuple[str, int | None]], mode: str) -> Cell:
    """One cell from what its position means along each axis."""
    kinds = {kind for kind, _ in met}
    source = tuple(pixel for _, pixel in met if pixel is not None)
    for kind in ("overhang", "cropped", mode, "copy", "hole", "input"):
        if kind in kinds:
            whole = len(source) == len(met) and kind in ("cropped", "copy", "input")
            return Cell(kind, source if whole else None)
    raise RuntimeError(f"no kind of cell among {kinds}")
