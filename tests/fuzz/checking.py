"""One call against the NumPy reference: its value, its dtype, its gradients; or its refusal."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import functional, reference
from tests.fuzz.calls import REDUCERS, Call, Traced, Values
from tests.fuzz.primitives import PRIMITIVES

# What rounding may do, as a share of 1 + the largest magnitude of the array. The arguments are
# rounded before the reference sees them, so this is the error of the sums alone: terms of a few
# units that cancel, some hundred of them at most. 64 and 32 bits have slack for 1e5 and 1e2
# roundings there. 16 bits round once at the end where sums are kept in float32, but XLA adds the
# terms of some gradients in the dtype itself: 16 roundings.
TOLERANCE = {"float64": 1e-10, "complex128": 1e-10, "float32": 2e-5, "complex64": 2e-5,
             "bfloat16": 16 * 2.0**-8, "float16": 16 * 2.0**-11}  # fmt: skip
COMPUTING = ("algorithm", "precision", "preferred_element_type", "key")


class Disagreement(Exception):
    """What is wrong with a call."""


def refusal(call: Call) -> str:
    """Makes a call that is to be refused, and returns the message.

    Raises:
      Disagreement: it went through, or what it raised is not this library's clear error.
    """
    fn = getattr(functional, call.primitive)
    known = {k: v.array() for k, v in call.arrays.items()}
    traced = {k: v.value for k, v in call.options.items() if isinstance(v, Traced)}
    known |= {k: v for k, v in options_of(call).items() if k not in traced}
    by_numbers = any(v.kind == "twos" for v in call.arrays.values())
    try:
        if by_numbers:
            jax.block_until_ready(fn(**known))
        else:  # what goes through is traced and not compiled, which is all that there is time for
            jax.eval_shape(lambda late: fn(**known, **late), traced)
    except (TypeError, ValueError) as error:
        return checked_message(call.primitive, error)
    except Exception as error:
        raise Disagreement(f"raised {type(error).__name__}: {_short(error)}") from None
    raise Disagreement("went through, though it is invalid")


def checked_message(primitive: str, error: Exception) -> str:
    """Returns the message if it begins with the function and names one of its arguments."""
    message = str(error)
    names = inspect.signature(getattr(functional, primitive)).parameters
    named = set(re.findall(r"`(\w+)`", message))
    if type(error) not in (TypeError, ValueError):
        raise Disagreement(f"raised {type(error).__name__}: {_short(error)}")
    if not message.startswith(f"{primitive}: ") or not named & set(names):
        raise Disagreement(f"raised another's {type(error).__name__}: {_short(error)}")
    return message


def options_of(call: Call) -> dict[str, Any]:
    """The options as the function takes them."""
    options = dict(call.options)
    if isinstance(options.get("reduce_fn"), str) and options["reduce_fn"] in REDUCERS:
        options["reduce_fn"] = REDUCERS[options["reduce_fn"]].in_jax
    return options


class Checker:
    """Checks calls; keeps the compiled program of the last, for others of its shape."""

    def __init__(self, compiled_as: Callable[[Callable], Callable] = jax.jit):
        """`compiled_as` takes a function of arrays alone to what is called in its place."""
        self._compiled_as = compiled_as
        self._key: tuple | None = None
        self._program: Any = None
        self.compiled = 0
        self.last_outputs: list[np.ndarray] = []
        self.last_gradients: dict[str, np.ndarray] = {}
        self.last_cotangent = np.zeros(())

    def agree(self, call: Call, *, may_refuse: bool = False) -> bool:
        """Holds a valid call against the reference.

        Args:
          call: with the arrays' numbers.
          may_refuse: whether the library may answer that it has no such algorithm.
        Returns:
          False where the library refused.
        Raises:
          Disagreement: a value, a shape, a dtype or a gradient differs, or something was raised.
        """
        arrays = {name: values.array() for name, values in call.arrays.items()}
        wanted = as_tuple(referenced(call, arrays))
        dtype = wanted_dtype(call, arrays)
        names = differentiable(call, arrays)
        cotangent = random_cotangent(call, wanted[0].shape, dtype)
        try:
            outputs, gradients = self._run(call, arrays, names, cotangent)
        except Disagreement:
            raise
        except (TypeError, ValueError) as error:
            if may_refuse and "`algorithm`" in checked_message(call.primitive, error):
                return False
            raise Disagreement(f"raised {type(error).__name__}: {_short(error)}") from None
        except Exception as error:
            raise Disagreement(f"raised {type(error).__name__}: {_short(error)}") from None
        self.last_outputs, self.last_cotangent = outputs, cotangent
        self.last_gradients = dict(zip(names, gradients, strict=True))
        rank = len(call.out or ())
        lead = next(iter(arrays.values())).ndim - rank - 1 - (rank if "patches" in arrays else 0)
        if call.out and outputs[0].shape[lead : lead + rank] != call.out:
            raise Disagreement(f"returned {outputs[0].shape}, with spatial sizes not {call.out}")
        if outputs[0].dtype != dtype and dtype.kind not in "iub":
            raise Disagreement(f"returned {outputs[0].dtype}, not {dtype}")
        if call.primitive.startswith("grey") and dtype.kind in "iu":  # whose sums stop at the end
            wanted = (np.clip(wanted[0], np.iinfo(dtype).min, np.iinfo(dtype).max),)
        for number, (got, want) in enumerate(zip(outputs, wanted, strict=True)):
            compare(f"output {number}", got, want, call.dtypes)
        if names and is_smooth(call):
            expected = reference_gradients(call, arrays, cotangent)
            for name, got in zip(names, gradients, strict=True):
                compare(f"gradient of {name}", got, expected[name], call.dtypes)
        return True

    def _run(self, call: Call, arrays: dict, names: list[str], cotangent: np.ndarray):
        """Outputs and gradients by one compiled program."""
        if self._key != call.program():
            fn = functools.partial(getattr(functional, call.primitive), **options_of(call))
            self._program = self._compiled_as(functools.partial(value_and_vjp, fn))
            self._key = call.program()
            self.compiled += 1
        moving = {name: arrays[name] for name in names}
        rest = {name: array for name, array in arrays.items() if name not in moving}
        outputs, gradients = self._program(moving, rest, cotangent)
        got = [np.asarray(output) for output in as_tuple(outputs)]
        return got, [np.asarray(gradients[name]) for name in names]


def value_and_vjp(fn, moving, rest, cotangent):
    """All outputs, and the gradients of `moving` for a cotangent of the first."""

    def first(moving):
        outputs = as_tuple(fn(**moving, **rest))
        return outputs[0], outputs[1:]

    if not moving:
        outputs = as_tuple(fn(**rest))
        return outputs, {}
    output, pull, others = jax.vjp(first, moving, has_aux=True)
    if (output.shape, output.dtype) != (cotangent.shape, cotangent.dtype):
        raise Disagreement(
            f"returned {output.dtype}{output.shape}, the reference {cotangent.shape}"
        )
    return (output, *others), pull(cotangent)[0]


def random_cotangent(call: Call, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Normal numbers, in both parts where complex."""
    kind = str(dtype) if jnp.issubdtype(dtype, jnp.inexact) else "float64"
    return Values(shape, kind, "normal", next(iter(call.arrays.values())).seed + 7).array()


def as_tuple(value: Any) -> tuple:
    """A function's outputs, one or several."""
    return value if isinstance(value, tuple) else (value,)


def differentiable(call: Call, arrays: dict) -> list[str]:
    """The arguments that have a gradient here."""
    if not all(jnp.issubdtype(a.dtype, jnp.inexact) for a in list(arrays.values())[:1]):
        return []
    names = PRIMITIVES[call.primitive].gradients
    return [n for n in names if n in arrays and jnp.issubdtype(arrays[n].dtype, jnp.inexact)]


def wanted_dtype(call: Call, arrays: dict) -> np.dtype:
    """The dtype of the outputs, where floats come out."""
    preferred = call.options.get("preferred_element_type")
    first = next(iter(arrays.values())).dtype
    return jnp.dtype(preferred) if preferred else first


def is_smooth(call: Call) -> bool:
    """Whether the contract says what the gradient is at these numbers."""
    smooth = {*PRIMITIVES[call.primitive].smooth, "uniform", "mask"}
    kinds = {values.kind for values in call.arrays.values()}
    return all(kind in smooth or kind.startswith("below") for kind in kinds)


def referenced(call: Call, arrays: dict) -> Any:
    """What the reference gives."""
    with np.errstate(all="ignore"):
        if call.primitive == "conv_general_dilated":
            return _general(call, arrays)
        fn = getattr(reference, call.primitive)
        return fn(**arrays, **_reference_options(call))


def reference_gradients(call: Call, arrays: dict, cotangent: np.ndarray) -> dict[str, np.ndarray]:
    """The hand-derived gradients, by argument."""
    with np.errstate(all="ignore"):
        if call.primitive == "conv_general_dilated":
            return _general_gradients(call, arrays, cotangent)
        options = _reference_options(call)
        if call.primitive == "pool":
            options["reduce_vjp"] = REDUCERS[call.options["reduce_fn"]].vjp
        vjp = getattr(reference, f"{call.primitive}_vjp")
        gradients = vjp(cotangent, **arrays, **options)
        return dict(zip(PRIMITIVES[call.primitive].gradients, gradients, strict=False))


def _reference_options(call: Call) -> dict[str, Any]:
    options = {k: v for k, v in call.options.items() if k not in COMPUTING}
    if call.pads is not None:
        name = str(options.get("padding")).lower()
        if name in ("circular", "reflect"):
            options["padding_mode"] = name
        options["padding"] = call.pads
        if call.primitive == "conv_transpose":
            options["output_shape"] = call.out
    if "reduce_fn" in options:
        options["reduce_fn"] = REDUCERS[options["reduce_fn"]].in_numpy
    return options


def compare(what: str, got: np.ndarray, want: np.ndarray, dtypes: Iterable[str]) -> None:
    """Raises `Disagreement` where two arrays differ by more than rounding in one of `dtypes`."""
    if got.shape != np.shape(want):
        raise Disagreement(f"{what} has shape {got.shape}, not {np.shape(want)}")
    wide = np.complex128 if np.iscomplexobj(want) else np.float64
    tolerance = TOLERANCE.get(str(got.dtype), 0)
    narrow = [dtype for dtype in dtypes if dtype in TOLERANCE]
    tolerance = max([tolerance, *(TOLERANCE[name] for name in narrow)]) if tolerance else 0
    mine, theirs = got.astype(wide), np.asarray(want).astype(wide)
    if tolerance and got.dtype.kind != "c":
        with np.errstate(all="ignore"):  # what leaves the dtype's range becomes infinite
            limit = float(jnp.finfo(got.dtype).max)
            theirs = np.where(np.abs(theirs) > limit, np.sign(theirs) * np.inf, theirs)
    finite = np.isfinite(theirs)
    scale = 1 + np.max(np.abs(theirs[finite]), initial=0)
    with np.errstate(invalid="ignore"):
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        same |= finite & (np.abs(mine - theirs) <= tolerance * scale)
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        raise Disagreement(
            f"{what}{list(place)} is {mine[place]!r}, the reference says {theirs[place]!r} "
            f"({(~same).sum()} of {same.size} differ, tolerance {tolerance * scale:.1e})"
        )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _general_orders(call: Call, arrays: dict):
    """The axes that bring both arrays and the outputs to channels last."""
    numbers = jax.lax.conv_dimension_numbers(
        arrays["lhs"].shape, arrays["rhs"].shape, call.options.get("dimension_numbers")
    )
    batch, feature, *spatial = numbers.lhs_spec
    out, within, *taps = numbers.rhs_spec
    back_batch, back_feature, *back = numbers.out_spec
    return (batch, *spatial, feature), (*taps, within, out), (back_batch, *back, back_feature)


def _general_parts(call: Call, arrays: dict):
    """The convolutions, one for each group of the batch, that a general one is made of."""
    left, right, back = _general_orders(call, arrays)
    options = call.options
    groups = options["batch_group_count"]
    named = {
        "strides": options["window_strides"], "padding": call.pads or options["padding"],
        "input_dilation": options["lhs_dilation"], "kernel_dilation": options["rhs_dilation"],
        "feature_group_count": options["feature_group_count"],
    }  # fmt: skip
    inputs = np.split(arrays["lhs"].transpose(left), groups, axis=0)
    kernels = np.split(arrays["rhs"].transpose(right), groups, axis=-1)
    return list(zip(inputs, kernels, strict=True)), named, (left, right, back)


def _general(call: Call, arrays: dict) -> np.ndarray:
    parts, named, (_, _, back) = _general_parts(call, arrays)
    whole = np.concatenate([reference.conv(x, w, **named) for x, w in parts], axis=-1)
    return whole.transpose(np.argsort(back))


def _general_gradients(call: Call, arrays: dict, cotangent: np.ndarray) -> dict[str, np.ndarray]:
    parts, named, (left, right, back) = _general_parts(call, arrays)
    cotangents = np.split(np.asarray(cotangent).transpose(back), len(parts), axis=-1)
    pulled = [
        reference.conv_vjp(g, x, w, **named)[:2]
        for g, (x, w) in zip(cotangents, parts, strict=True)
    ]
    lhs, rhs = zip(*pulled, strict=True)
    return {
        "lhs": np.concatenate(lhs, axis=0).transpose(np.argsort(left)),
        "rhs": np.concatenate(rhs, axis=-1).transpose(np.argsort(right)),
    }
