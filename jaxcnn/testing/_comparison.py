"""Compares two arrays element by element and words what differs. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Relative to the largest element of the array. A gradient is a sum of many products, so an element
# that cancels to almost nothing carries the rounding of the large ones. float32 leaves room for
# sums of a few thousand terms; the 16-bit floats for several roundings in a row (eps is 1e-3 and
# 8e-3).
RTOL = {"float64": 1e-10, "float32": 1e-5, "float16": 5e-3, "bfloat16": 5e-2}


def default_rtol(*dtypes: np.dtype) -> float:
    """Returns the tolerance of the coarsest of `dtypes`; complex ones count as their parts."""
    names = {"complex64": "float32", "complex128": "float64"}
    known = [RTOL.get(names.get(dtype.name, dtype.name), 0.1) for dtype in dtypes]
    return max(known, default=RTOL["float64"])


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two ways to one array, and where they are furthest apart.

    Attributes:
      check: what is checked, in one or two words: `"rev"`, `"differences"`, `"vmap kernel"`.
      actual_name, expected_name: the two ways, in words.
      of: the array, in words: ``"the gradient for `kernel` (argument 1)"``.
      index: position of the worst element; `()` of a scalar.
      actual, expected: the two values there.
      tolerance: the largest difference that is allowed there.
      error: the largest difference over the array; infinite if one of two values is no number.
      scale: the size of the values, by which `relative` divides.
      mismatches, size: how many elements differ, of how many.
      factor: the one number by which all expected values are multiplied in the actual ones, or
        None if there is none.
    """

    check: str
    actual_name: str
    expected_name: str
    of: str
    index: tuple[int, ...]
    actual: complex
    expected: complex
    tolerance: float
    error: float
    scale: float
    mismatches: int
    size: int
    factor: float | None = None

    @property
    def passed(self) -> bool:
        return self.mismatches == 0

    @property
    def relative(self) -> float:
        """The largest difference, relative to the largest expected value."""
        return self.error / self.scale

    def __str__(self) -> str:
        where = f" at element {self.index}" if self.index else ""
        text = (
            f"{self.actual_name} and {self.expected_name} differ in {self.of}{where}: "
            f"{self.actual_name} {_number(self.actual)}, {self.expected_name} "
            f"{_number(self.expected)}, difference {abs(self.actual - self.expected):.3g}, "
            f"tolerance {self.tolerance:.3g}; {self.mismatches} of {self.size} elements differ"
        )
        if self.factor is not None:
            text += f", all by the factor {self.factor:.4g}"
        return text


@dataclass(frozen=True, slots=True)
class Tolerance:
    """|actual - expected| <= atol + rtol * |expected|, with None for the default of each."""

    rtol: float | None = None
    atol: float | None = None

    def resolved(self, rtol: float) -> "Tolerance":
        """The same with `rtol` in place of None."""
        return Tolerance(rtol if self.rtol is None else self.rtol, self.atol)


def compare(
    actual: Any,
    expected: Any,
    check: str,
    names: tuple[str, str],
    of: str,
    tolerance: Tolerance,
    *,
    floor: float = 0.0,
) -> Comparison:
    """Compares two arrays of one shape; `names`, `check` and `of` are for the report.

    Two NaN, or two infinities of one sign, are equal. The default of `atol` is rtol times the
    largest finite |expected|, or times `floor` where that is larger, or times 1 where both are 0.
    """
    actual, expected = _wide(actual), _wide(expected)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(float(finite.max(initial=0.0)), floor) or 1.0
    rtol = RTOL["float64"] if tolerance.rtol is None else tolerance.rtol
    atol = rtol * scale if tolerance.atol is None else tolerance.atol
    both_nan = np.isnan(actual) & np.isnan(expected)
    same = both_nan | (actual == expected)
    with np.errstate(invalid="ignore"):  # inf - inf, where the two differ otherwise
        difference = np.where(same, 0.0, np.abs(actual - expected))
        allowed = atol + rtol * np.where(np.isfinite(expected), np.abs(expected), 0.0)
    difference = np.where(np.isnan(difference), np.inf, difference)
    wrong = difference > allowed
    candidates = np.where(wrong, difference, -1.0) if wrong.any() else difference
    flat = int(np.argmax(candidates)) if wrong.size else 0
    index = tuple(int(i) for i in np.unravel_index(flat, wrong.shape)) if wrong.size else ()
    return Comparison(
        check=check,
        actual_name=names[0],
        expected_name=names[1],
        of=of,
        index=index,
        actual=actual[index].item() if wrong.size else 0.0,
        expected=expected[index].item() if wrong.size else 0.0,
        tolerance=float(allowed[index]) if wrong.size else 0.0,
        error=float(difference.max(initial=0.0)),
        scale=scale,
        mismatches=int(wrong.sum()),
        size=int(wrong.size),
        factor=_common_factor(actual, expected) if wrong.sum() > 1 else None,
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What a check compared, and how close it came.

    Attributes:
      name: the function that was checked.
      comparisons: one entry an array and check, in the order in which they were made.
      skipped: what was asked for and could not be made, each with the reason.
    """

    name: str
    comparisons: tuple[Comparison, ...]
    skipped: tuple[str, ...] = ()

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the checks that were made, each once."""
        return tuple(dict.fromkeys(entry.check for entry in self.comparisons))

    @property
    def failures(self) -> tuple[Comparison, ...]:
        return tuple(entry for entry in self.comparisons if not entry.passed)

    @property
    def passed(self) -> bool:
        return not self.failures

    def largest(self, check: str | None = None) -> float:
        """Returns the largest relative error of one check, or of all; NaN if it was not made."""
        errors = [c.relative for c in self.comparisons if check is None or c.check == check]
        return max(errors, default=float("nan"))

    def __str__(self) -> str:
        rows = [f"{check:<20} {self.largest(check):.1e}" for check in self.checks]
        rows += [f"skipped: {reason}" for reason in self.skipped]
        return "\n".join([f"{self.name}: largest relative error", *rows])


class GradientError(AssertionError):
    """Two ways to one gradient differ.

    Attributes:
      report: every comparison that was made, those that agree too.
      comparison: the first that differs, with its argument, element, values and tolerance.
    """

    def __init__(self, function: str, report: Report):
        self.report = report
        self.comparison = report.failures[0]
        text = f"{function}: {report.name}: {self.comparison}"
        others = dict.fromkeys(f"{c.check} of {c.of}" for c in report.failures[1:])
        if others:
            text += "\nAlso different: " + "; ".join(others)
        super().__init__(text)


def conclude(
    function: str, name: str, comparisons: Sequence[Comparison], skipped: Sequence[str] = ()
) -> Report:
    """Returns the report of `comparisons`, or raises `GradientError` if one of them differs."""
    report = Report(name, tuple(comparisons), tuple(skipped))
    if not report.passed:
        raise GradientError(function, report)
    return report


def _wide(array: Any) -> np.ndarray:
    array = np.asarray(array)
    kind = np.complex128 if np.issubdtype(array.dtype, np.complexfloating) else np.float64
    return array.astype(kind)


def _number(value: complex) -> str:
    return f"({value:.9g})" if isinstance(value, complex) else f"{value:.9g}"


def _common_factor(actual: np.ndarray, expected: np.ndarray) -> float | None:
    """The ratio of the two where it is one real number everywhere: a wrong sign is -1."""
    used = (expected != 0) & np.isfinite(expected) & np.isfinite(actual)
    if used.sum() < 2 or np.any(actual[~used] != expected[~used]):
        return None
    ratio = actual[used] / expected[used]
    if np.ptp(ratio.real) + np.max(np.abs(ratio.imag)) > 1e-3 * np.max(np.abs(ratio)):
        return None
    factor = float(np.median(ratio.real))
    return None if abs(factor - 1) < 1e-2 else factor
