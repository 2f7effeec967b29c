"""The rows of the table, one case in one dtype each: choosing them, and comparing them."""

import dataclasses
import itertools
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax

from jaxcnn.testing import algorithms, devices
from jaxcnn.testing._comparison import GradientError, Report
from jaxcnn.testing.checks import check_gradients, check_transforms
from jaxcnn.testing.platforms import as_on
from jaxcnn.testing.registry import Case, primitives


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the comparison of a row gave.

    Attributes:
      primitive, case, dtype: which row.
      seconds: how long it took.
      errors: the largest relative error of each check that was made.
      passed: every check agrees.
      message: what differs, or what was raised; empty if nothing.
    """

    primitive: str
    case: str
    dtype: str
    seconds: float
    errors: dict[str, float]
    passed: bool
    message: str = ""

    def largest(self, *prefixes: str) -> float | None:
        """The largest error of the checks whose names begin with one of `prefixes`."""
        found = [error for check, error in self.errors.items() if check.startswith(prefixes)]
        return max(found, default=None)


def select(
    filter: str = "",
    *,
    dtype: Sequence[str] = (),
    algorithms: bool = False,
) -> list[tuple[Case, str]]:
    """Chooses rows of the table.

    Args:
      filter: a primitive's name for the rows of that one; else any part of "primitive: case".
      dtype: only these; none for all.
      algorithms: adds each case by every algorithm that takes it.
    Returns:
      Cases and dtypes, in order of registration.
    Raises:
      ValueError: nothing fits.

    Example:
      >>> [(case.name, dtype) for case, dtype in select("blur_pool: 2-D")]
      [('2-D', 'float64'), ('2-D', 'float32'), ('2-D', 'bfloat16')]
    """
    table = primitives()
    cases = [case for primitive in table.values() for case in primitive.cases.values()]
    if filter in table:
        cases = list(table[filter].cases.values())
    elif filter:
        cases = [case for case in cases if filter in f"{case.primitive}: {case.name}"]
    if not cases:
        raise ValueError(
            f"select: `filter` (={filter!r}) fits no row; there are: {', '.join(table)}"
        )
    if algorithms:
        cases = [way for case in cases for way in (case, *_by_algorithm(case))]
    rows = [(case, name) for case in cases for name in case.dtypes]
    chosen = [(case, name) for case, name in rows if not dtype or name in dtype]
    if not chosen:
        there = ", ".join(dict.fromkeys(name for _, name in rows))
        raise ValueError(f"select: `dtype` (={dtype}) fits no row; these rows have: {there}")
    return chosen


def compare_rows(
    rows: Sequence[tuple[Case, str]],
    *,
    transforms: bool = True,
    workers: int = 1,
    platform: str | None = None,
) -> Iterator[Outcome]:
    """Compares many rows, `workers` at a time.

    The compiled programs of a primitive are dropped after it: kept, they fill gigabytes.

    Args:
      rows: from `select`.
      transforms: as in `compare_row`.
      workers: threads.
      platform: as in `compare_row`.
    Returns:
      The outcome of each row, in order, as it becomes known.
    """

    def compare(row: tuple[Case, str]) -> Outcome:
        return compare_row(*row, transforms=transforms, platform=platform)

    with ThreadPoolExecutor(workers) as pool:
        for _, of_one in itertools.groupby(rows, lambda row: row[0].primitive):
            yield from pool.map(compare, of_one)
            jax.clear_caches()


def compare_row(
    case: Case, dtype: str, *, transforms: bool = True, platform: str | None = None
) -> Outcome:
    """Holds the derivatives of one row against every other way to them, and never raises.

    Differences, second derivatives and transformations are compared in 64 bits alone.

    Args:
      case: from `select` or `Primitive.cases`.
      dtype: of the arrays.
      transforms: whether to compare jit, vmap, checkpoint and scan too, and two devices where there
        are several; that is about half of the time.
      platform: whose forms to take, on the device that there is: see `as_on`; None for its own.
    Returns:
      The errors, and what differs.
    """
    start = time.perf_counter()
    wide = dtype in ("float64", "complex128")
    checks = dict(case.checks) if wide else {**case.checks, "differences": False, "order": 1}
    seed = zlib.crc32(f"{case.primitive}: {case.name}".encode())  # the same in every selection
    errors: dict[str, float] = {}
    messages = []

    def collect(check, *args, **options) -> None:
        try:
            report: Report = check(*args, name=case.primitive, seed=seed, **options)
        except GradientError as error:
            report = error.report
            messages.append(str(error))
        errors.update({check: report.largest(check) for check in report.checks})

    try:
        with jax.enable_x64(True), as_on(platform):
            arrays = jax.device_put(case.arrays(dtype, seed))
            collect(check_gradients, case.fn, arrays, vjp=case.vjp, **checks)
            if transforms and wide:
                limits = {key: checks[key] for key in ("argnums", "rtol", "atol") if key in checks}
                collect(check_transforms, case.fn, arrays, **limits)
                if devices.can_split(arrays):
                    collect(devices.check_split, case, arrays, **limits)
    except Exception as error:  # one broken row must not hide the others
        messages.append(f"{case.primitive}: {type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    message = "\n".join(messages)
    return Outcome(case.primitive, case.name, dtype, seconds, errors, not messages, message)


def _by_algorithm(case: Case) -> Sequence[Case]:
    try:
        arrays = case.arrays()
    except Exception:  # which the case's own row will show
        return ()
    return tuple(algorithms.by_algorithm(case, arrays))
