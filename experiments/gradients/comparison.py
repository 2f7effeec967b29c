"""Runs the rows of the comparison: one case in one dtype."""

import dataclasses
import importlib
import itertools
import pkgutil
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from experiments import gradients
from experiments.command import UserError
from experiments.gradients import devices
from experiments.gradients.registry import PRIMITIVES, Case
from jaxcnn.testing import GradientError, Report, check_gradients, check_transforms

DTYPES = ("float64", "float32", "float16", "bfloat16", "complex128", "complex64")


@dataclasses.dataclass(frozen=True)
class Row:
    """One case in one dtype.

    Attributes:
      primitive, case, dtype: which.
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


def load(modules: Sequence[str] = ()) -> None:
    """Imports the library's families of cases, then the user's `modules`."""
    for module in pkgutil.iter_modules(gradients.__path__):
        if module.name.startswith("cases_"):
            importlib.import_module(f"{gradients.__name__}.{module.name}")
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.partition(".")[0] and error.name != name:
                raise
            raise UserError(
                f"--module {name} was not found; run from its folder, or put that on PYTHONPATH"
            ) from None


def select(
    text: str = "", dtypes: Sequence[str] = (), algorithms: bool = False
) -> list[tuple[Case, str]]:
    """Returns the rows to run, in order of registration.

    Args:
      text: a primitive's name for the rows of that one; else any part of "primitive: case".
      dtypes: only these; none for all.
      algorithms: adds each case by every algorithm that takes it.
    Raises:
      UserError: nothing fits.
    """
    cases = [case for primitive in PRIMITIVES.values() for case in primitive.cases.values()]
    if text in PRIMITIVES:
        cases = list(PRIMITIVES[text].cases.values())
    elif text:
        cases = [case for case in cases if text in f"{case.primitive}: {case.name}"]
    if not cases:
        raise UserError(f"--filter {text!r} fits no row; there are: {', '.join(PRIMITIVES)}")
    if algorithms:
        cases = [way for case in cases for way in (case, *_by_algorithm(case))]
    rows = [(case, dtype) for case in cases for dtype in case.dtypes]
    chosen = [(case, dtype) for case, dtype in rows if not dtypes or dtype in dtypes]
    if not chosen:
        there = ", ".join(dict.fromkeys(dtype for _, dtype in rows))
        raise UserError(f"--dtype {' '.join(dtypes)} fits no row; these rows have: {there}")
    return chosen


def compare(rows: Sequence[tuple[Case, str]], transforms: bool, workers: int) -> Iterator[Row]:
    """Yields the outcome of each row in order, `workers` at a time.

    The compiled programs of a primitive are dropped after it: kept, they fill gigabytes.
    """
    with ThreadPoolExecutor(workers) as pool:
        for _, of_one in itertools.groupby(rows, lambda row: row[0].primitive):
            yield from pool.map(lambda row: compare_one(*row, transforms=transforms), of_one)
            jax.clear_caches()


def _by_algorithm(case: Case) -> Sequence[Case]:
    try:
        arrays = _draw(case)
    except Exception:  # which the case's own row will show
        return ()
    return tuple(devices.by_algorithm(case, arrays))


def _draw(case: Case, dtype: str | None = None, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [draw(rng, jnp.dtype(dtype or case.dtypes[0])) for draw in case.draws]


def compare_one(case: Case, dtype: str, *, transforms: bool = True) -> Row:
    """Runs one row. Differences, second derivatives and transformations need a 64-bit dtype."""
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
        with jax.enable_x64(True):
            arrays = jax.device_put(_draw(case, dtype, seed))
            collect(check_gradients, case.fn, arrays, vjp=case.vjp, **checks)
            if transforms and wide:
                limits = {key: checks[key] for key in ("argnums", "rtol", "atol") if key in checks}
                collect(check_transforms, case.fn, arrays, **limits)
                if devices.can_split(arrays):
                    collect(devices.check_split, case, arrays, **limits)
    except Exception as error:  # one broken row must not hide the others
        messages.append(f"{case.primitive}: {type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    return Row(case.primitive, case.name, dtype, seconds, errors, not messages, "\n".join(messages))
