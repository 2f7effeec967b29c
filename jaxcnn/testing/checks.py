"""Gradient checks: autodiff against gradients derived by hand, against differences, against itself.

A gradient here is that of <c, fn(args)>, the sum of the products of all elements, for a random
cotangent c: one pullback through `fn`. For complex arrays it is the real part of that sum, nothing
conjugated, which is JAX's convention.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxcnn.testing._comparison import (
    Comparison,
    Report,
    Tolerance,
    compare,
    conclude,
    default_rtol,
)
from jaxcnn.testing._derivatives import against_differences, against_gradient, second_order
from jaxcnn.testing._flat_function import FlatFunction, draw
from jaxcnn.testing._transformations import TRANSFORMS, transformed


def check_gradients(
    fn: Callable[..., Any],
    args: Sequence[Any],
    *unpacked: Any,
    vjp: Callable[..., Any] | None = None,
    modes: Sequence[str] = ("rev", "fwd"),
    order: int = 1,
    differences: bool = True,
    linear: bool | Sequence[int] = False,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    difference_rtol: float | None = None,
    directions: int = 2,
    full_limit: int = 64,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Holds the derivatives of `fn` that autodiff gives against every other way to them.

    With c a cotangent, t a tangent, J the Jacobian of `fn` at `args` and H the Hessian of
    <c, fn(args)>, the checks and their names in the report are

        rev            c J by reverse mode = c J by hand               every element
        fwd            <c, J t> by forward mode = <c J, t>             every t = one element in an
                                                                       argument of up to
                                                                       `full_limit`, else random t
        second         H t, forward over reverse = reverse over reverse       every element
        differences    (fn(x + h t) - fn(x - h t)) / 2h = J t          every output, random t
                       <c, the same> = <c J, t>                        t as in fwd
        differences 2  the gradient's differences along t = H t               every element

    Differences run in float64 (complex128) whatever the dtypes and whether or not x64 is enabled;
    everything else runs in the dtypes of `args`.

    Args:
      fn: takes arrays or trees of arrays and returns one or a tree. Outputs of integer dtype are
        left out.
      args: the arguments of `fn`, in a tuple. Those that are not differentiated are handed on as
        they are.
      *unpacked: nothing; what stands here belongs into `args`, as the error says.
      vjp: the hand-derived gradient, `vjp(cotangent, *args)`. It receives NumPy arrays in float64
        (complex128) and returns one gradient per differentiated argument, in their order; a single
        one needs no tuple. Where `fn` has several outputs the cotangent is a tuple.
      modes: of `"rev"` and `"fwd"`. A `jax.custom_vjp` function has no forward mode: of both modes
        that one is left out then, and the report's `skipped` says so.
      order: 2 checks second derivatives too.
      differences: False leaves them out: at a kink, a tie or a NaN there is no difference quotient.
      linear: True if `fn` is linear or affine in each argument by itself, or the positions of those
        in which it is. There the step h is 1 and the quotient is exact up to rounding. Elsewhere h
        is 6e-6, times the largest element of the argument where that is above 1.
      argnums: the arguments to differentiate, by position; None for every floating-point and
        complex one.
      rtol: tolerance relative to |expected|. Default 1e-10 for float64, 1e-5 for float32, 5e-3 for
        float16 and 5e-2 for bfloat16, after the coarsest dtype of arguments and outputs.
      atol: absolute tolerance, added to it. Default rtol times the largest |expected| of the array.
      difference_rtol: as rtol, for differences. Default 1e-7, and 1e-10 for linear arguments; more
        where `fn` computes in less than float64 although its arguments are float64.
      directions: number of random tangents per argument.
      full_limit: the largest number of elements of an argument for which each is perturbed alone.
      seed: of the cotangent and the tangents.
      name: of the function in messages.
    Returns:
      A report: the largest error of each check, and every comparison with its worst element.
    Raises:
      GradientError: two of them differ; an AssertionError that says in which argument, at which
        element, with both values, the tolerance and how many elements differ.
      ValueError: an option or an argument makes no sense, or `vjp` returns another number of
        gradients or another shape than the arguments have.
      TypeError: `args` is no tuple, or forward mode alone is asked for where there is none.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn.testing import GradientError, check_gradients
      >>> x = jnp.linspace(0.1, 2.0, 5)
      >>> report = check_gradients(jnp.log1p, (x,), vjp=lambda c, x: c / (1 + x), order=2)
      >>> report.checks
      ('rev', 'fwd', 'second', 'differences', 'differences 2')
      >>> report.largest("rev") < 1e-5
      True

      A wrong sign is caught and named:

      >>> try:
      ...     check_gradients(jnp.log1p, (x,), vjp=lambda c, x: -c / (1 + x))
      ... except GradientError as error:
      ...     print(error.comparison.mismatches, str(error).endswith("all by the factor -1"))
      5 True
    """
    _check_packed("check_gradients", fn, args, unpacked)
    _check_options("check_gradients", "modes", modes, ("rev", "fwd"))
    if order not in (1, 2) or (order == 2 and "rev" not in modes):
        raise ValueError(
            f"check_gradients: `order` (={order}) must be 1, or 2 with reverse mode; "
            f"received modes {tuple(modes)}"
        )
    flat = FlatFunction.of(fn, args, argnums, name, "check_gradients")
    skipped: list[str] = []
    if "fwd" in modes and not flat.has_forward_mode():
        reason = (
            f"forward mode, which {flat.name} does not have: it calls a `jax.custom_vjp` function"
        )
        if "rev" not in modes:
            raise TypeError(f"check_gradients: `modes` (={tuple(modes)}) asks for {reason}")
        modes, skipped = ("rev",), [reason]
    exact = set(range(len(args)) if linear is True else linear or ())
    tolerance = Tolerance(rtol, atol).resolved(default_rtol(*flat.dtypes()))
    rng = np.random.default_rng(seed)
    cotangent = tuple(draw(rng, out) for out in flat.output_types())
    by_hand = flat.hand_derived(vjp, cotangent) if vjp is not None else ()
    reach = {"directions": directions, "full_limit": full_limit}
    made: list[Comparison] = []

    gradient = by_hand
    names = ("forward mode", "the hand-derived VJP")
    if "rev" in modes:
        _, gradient = flat.pullback(flat.values, cotangent)
        names = ("forward mode", "reverse mode")
        for label, actual, expected in zip(flat.labels, gradient, by_hand, strict=False):
            ways, of = ("reverse mode", "the hand-derived VJP"), f"the gradient for {label}"
            made.append(compare(actual, expected, "rev", ways, of, tolerance))
    if "fwd" in modes and gradient:
        made += against_gradient(
            flat, lambda i, tangents: flat.pushforward(flat.values, tangents)[1],
            cotangent, gradient, rng, check="fwd", names=names,
            tolerances=[tolerance] * len(gradient), **reach,
        )  # fmt: skip
    if order == 2:
        made += second_order(flat, cotangent, gradient, rng, tolerance)
    if differences:
        made += against_differences(
            flat, cotangent, tuple(modes), exact, rng, order=order,
            tolerance=Tolerance(difference_rtol, atol), **reach,
        )  # fmt: skip
    return conclude("check_gradients", flat.name, made, skipped)


def check_transforms(
    fn: Callable[..., Any],
    args: Sequence[Any],
    *unpacked: Any,
    transforms: Sequence[str] = TRANSFORMS,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Asserts that `fn` and its gradients are the same under every transformation.

    The values and one pullback, run eagerly, are held against the same under

        jit            compiled
        checkpoint     recomputed in the backward pass
        vmap X         a batch of two over argument X alone: the gradient of the batched function,
                       which for the other arguments is the sum over the batch
        vmap all       a batch of two over every argument: the gradient itself batched
        scan           two steps over the first argument, the others shared by the steps

    and these make one program, which compiles sooner than one for each. The second of the batch is
    the argument with its elements moved on by one place, so that it stays in the argument's domain.

    Args:
      fn: as in `check_gradients`.
      args: its arguments, in a tuple.
      *unpacked: nothing; what stands here belongs into `args`.
      transforms: which to try, of `"jit"`, `"vmap"`, `"checkpoint"`, `"scan"`.
      argnums: the arguments to differentiate, by position; None for every floating-point and
        complex one.
      rtol: relative tolerance, by default that of `check_gradients`.
      atol: absolute tolerance, by default rtol times the largest expected element of the array.
      seed: of the cotangent.
      name: of the function in messages.
    Returns:
      A report with the largest error of each transformation.
    Raises:
      GradientError: one differs; the message is as in `check_gradients`.
      ValueError: an option or an argument makes no sense.

    Example:
      >>> import jax.numpy as jnp
      >>> x, y = jnp.linspace(0.1, 2.0, 5), jnp.linspace(-1.0, 1.0, 5)
      >>> check_transforms(jnp.hypot, (x, y)).checks
      ('jit', 'checkpoint', 'vmap x1', 'vmap x2', 'vmap all', 'scan')
    """
    _check_packed("check_transforms", fn, args, unpacked)
    _check_options("check_transforms", "transforms", transforms, TRANSFORMS)
    flat = FlatFunction.of(fn, args, argnums, name, "check_transforms")
    tolerance = Tolerance(rtol, atol).resolved(default_rtol(*flat.dtypes()))
    rng = np.random.default_rng(seed)
    return conclude("check_transforms", flat.name, transformed(flat, transforms, tolerance, rng))


def _check_packed(function: str, fn: Any, args: Any, unpacked: tuple[Any, ...]) -> None:
    """Raises where the arguments of `fn` are not in one tuple."""
    if unpacked or not isinstance(args, tuple | list):
        names = ", ".join(f"x{number}" for number in range(len(unpacked) + 1))
        name = getattr(fn, "__name__", type(fn).__name__)
        end = "" if unpacked else ","
        raise TypeError(
            f"{function}: `args` must be one tuple of all arguments of `fn`; received "
            f"{len(unpacked) + 1} apart, the first {type(args).__name__}; write "
            f"{function}({name}, ({names}{end}), ...)"
        )


def _check_options(function: str, option: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [entry for entry in given if entry not in known]
    if isinstance(given, str) or unknown or not given:
        raise ValueError(
            f"{function}: `{option}` (={given!r}) must be one or more of {', '.join(known)}, "
            "in a tuple"
        )
