"""A call is planned, then run.

The body of a function of `jaxcnn.functional` plans: it sees shapes, dtypes and options alone,
checks them, and says by `to_run` what is left to do. That is a `Plan`, equal for all ways to write
the same call, and it is run by one compiled program, also for who calls the function outside `jit`.

Predicted: a call and its gradient take the time of one launch each, not of the checks and of the
dozens of operations that a function is made of. Measured on two CPU cores, with no program and with
this: a transposed convolution of 16x28x28x32 by 3x3x64 35 and 8 ms, its gradient 61 and 16. Inside
`jit` it is a call, traced once for layers that are alike.
"""

import functools
import inspect
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np
from jaxtyping import Array

from jaxcnn._checks import arrays
from jaxcnn._checks.naming import put_before
from jaxcnn._planning import meshes
from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo
from jaxcnn.lowering.problem import Typed

P = ParamSpec("P")
R = TypeVar("R")
Choice = Callable[[str], tuple[str, str]]

PLATFORMS = ("cpu", "cuda", "tpu")

# Set by who counts products: a function of (plan, operands, outputs) that names the program of such
# a call, or gives None where that call's own parts are to be looked at. JAX traces anew where it is
# another one.
program_name = jax.make_user_context(default_value=None)


class Described(NamedTuple):
    """What a body sees of an array: `numbers` only where it asked for them and NumPy holds them."""

    shape: tuple[int, ...]
    dtype: Any
    weak_type: bool
    numbers: np.ndarray | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


def like(given: Typed, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Described:
    """An array as `given` is, of another shape or dtype."""
    weak = dtype is None and getattr(given, "weak_type", False)
    return Described(
        given.shape if shape is None else shape, given.dtype if dtype is None else dtype, weak
    )


class Plan:
    """What is left to do of a call once it is checked; equal to that of an equal call, hashable.

    Attributes:
      function: name of what was called.
      operands: shapes and dtypes of its arrays, by the arguments' names.
      options: what the computation depends on beside the arrays, worked out.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        options: dict[str, Any],
        batch: int | None,
        images: Sequence[str],
        flat: bool,
        draw: tuple[tuple[int, ...], Any] | None,
        choice: Choice | None,
        by_rows: bool,
    ):
        self.function = ""
        self.operands: dict[str, Described] = {}
        self.options = options
        self._run, self._batch, self._images, self._flat = run, batch, tuple(images), flat
        self._draw, self._choice, self._by_rows = draw, choice, by_rows
        worked_out = tuple(sorted(options.items()))
        self._key: Any = (run, worked_out, batch, self._images, flat, draw, by_rows)
        self._hash: int | None = None

    def of(self, function: str, operands: dict[str, Described]) -> None:
        """Says whose plan it is, and for arrays of which shapes and dtypes."""
        self.function = function
        self.operands = {name: given._replace(numbers=None) for name, given in operands.items()}
        self._key = (*self._key, tuple(self.operands.items()))

    @property
    def key(self) -> Any:
        """What two equal plans have in common."""
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Plan) and self._key == other._key)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self._key)
        return self._hash

    def __call__(self, operands: dict[str, Array]) -> Any:
        """Computes the call of arrays, each image where it lies."""
        if self._draw is not None:  # for all images at once, wherever they lie
            operands = dict(operands)
            operands["samples"] = jax.random.uniform(operands.pop("key"), *self._draw)
        if self._batch is None:
            return self._run(**operands, **self.options)
        return meshes.on_devices(self._of_images, operands, self._batch, self._images)

    def _of_images(self, **operands: Array) -> Any:
        """Computes the call with all batch axes gathered into one."""
        if not self._flat or self._batch == 1:
            return self._on_one_axis(operands)
        batch = operands[self._images[0]].shape[: self._batch]
        for name in self._images:
            rest = operands[name].shape[self._batch :]
            operands[name] = operands[name].reshape((math.prod(batch), *rest))
        outputs = self._on_one_axis(operands)
        return jax.tree.map(lambda output: output.reshape((*batch, *output.shape[1:])), outputs)

    def _on_one_axis(self, operands: dict[str, Array]) -> Any:
        run = functools.partial(self._run, **self.options)
        return run(**operands) if self._by_rows else halo.apart(run, self._images, operands)

    @functools.cached_property
    def outputs(self) -> Any:
        """Shape and dtype of what the call gives, as `jax.ShapeDtypeStruct`s."""
        operands = {
            name: jax.ShapeDtypeStruct(given.shape, given.dtype)
            for name, given in self.operands.items()
        }
        # JAX asks a callable that is no function for its name, which here tells these outputs.
        return jax.eval_shape(lambda operands: self(operands), operands)

    @property
    def algorithms(self) -> dict[str, tuple[str, str]]:
        """For each platform the algorithm that it takes, and why; empty where there is one way."""
        if self._choice is None:
            return {}
        return {platform: self._choice(platform) for platform in PLATFORMS}

    def __repr__(self) -> str:
        rows = [(name, _told(given)) for name, given in self.operands.items()]
        rows += [("outputs", _told(output)) for output in jax.tree.leaves(self.outputs)]
        for name, value in self.options.items():
            if isinstance(value, Windows):
                rows.append((name, str(value)))
            elif hasattr(value, "rows"):
                rows += value.rows()
            elif name != "algorithm" and value is not None and not callable(value):
                rows.append((name.replace("_", " "), str(value)))
        rows += [(f"on {name}", f"{way}: {why}") for name, (way, why) in self.algorithms.items()]
        width = max(len(name) for name, _ in rows)
        return "\n".join([self.function, *(f"  {name:{width}}  {text}" for name, text in rows)])


def to_run(
    run: Callable[..., Any],
    *,
    batch: int | None,
    images: Sequence[str] = ("inputs",),
    flat: bool = True,
    draw: tuple[tuple[int, ...], Any] | None = None,
    choice: Choice | None = None,
    by_rows: bool = True,
    **options: Any,
) -> Any:
    """Says what is left to do of a call.

    Args:
      run: computes it from the operands and `options` by their names. With `flat` its images have
        one batch axis, and so have all its outputs.
      batch: how many batch axes there are; None for a function that sees to meshes itself.
      images: the arrays that begin with the batch axes, first the one by which outputs are split.
      flat: whether all batch axes are gathered into one.
      draw: shape and dtype of the numbers to draw with the operand `key`, and to hand as `samples`.
      choice: for a platform's name the algorithm that it takes and why, for who asks.
      by_rows: False where devices that share images (`sharding.split`) need all rows of them.
      **options: hashable values, each in one form only.
    """
    return Plan(run, options, batch, images, flat, draw, choice, by_rows)


def unless_asked_for(algorithm: str, auto: Choice) -> Choice:
    """What `auto` says of each platform, unless an algorithm is asked for by its name."""
    return auto if algorithm == "auto" else lambda platform: (algorithm, "asked for")


def planned(
    *operands: str,
    convert: Mapping[str, Callable[..., Array]] | None = None,
    looks_at: Sequence[str] = (),
    compiled: bool = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Runs what the decorated body plans.

    Args:
      *operands: names of the arguments that are arrays; all others are options.
      convert: for some of them what makes an array of the argument's name, its value and the
        operands before it; `arrays.array` for the others.
      looks_at: those of which the body sees the numbers too, where they are NumPy's.
      compiled: whether there is a program, and plans are remembered; not so where an option is a
        function of the caller's, which may differ each time.
    """
    convert = convert or {}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        parameters = inspect.signature(function).parameters
        positional = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        known = parameters.keys()
        needed = {n for n, p in parameters.items() if p.default is p.empty}
        # By how a call is written, and by what it means. Both last as long as JAX keeps the
        # programs, so that `jax.clear_caches` forgets all of it.
        memory: weakref.WeakValueDictionary[Any, Plan] = weakref.WeakValueDictionary()
        equal: weakref.WeakValueDictionary[Any, Plan] = weakref.WeakValueDictionary()

        def compute(plan: Plan, operands: dict[str, Array]) -> Any:
            return plan(operands)

        compute.__name__ = name
        run = jax.jit(compute, static_argnums=0) if compiled else compute

        def arrays_of(given: dict[str, Any]) -> dict[str, Array]:
            found: dict[str, Array] = {}
            for argument in operands:
                value = given.get(argument)
                if value is None and argument not in needed:
                    continue
                make = convert.get(argument)
                found[argument] = (
                    arrays.array(argument, value) if make is None else make(argument, value, found)
                )
            return found

        def plan_of(given: dict[str, Any], found: dict[str, Array]) -> Plan:
            for argument, array in found.items():
                raw = given[argument]
                numbers = raw if argument in looks_at and _is_numpy(raw) else None
                given[argument] = Described(
                    array.shape, array.dtype, getattr(array, "weak_type", False), numbers
                )
            plan: Any = function(**given)  # pyright: ignore[reportCallIssue]
            plan.of(name, {argument: given[argument] for argument in found})
            return plan

        def prepare(*args: P.args, **kwargs: P.kwargs) -> tuple[Plan, dict[str, Array]]:
            given: dict[str, Any] = dict(zip(positional, args, strict=False)) | kwargs
            twice = len(given) < len(args) + len(kwargs)
            if twice or not needed <= given.keys() <= known:
                function(*args, **kwargs)  # which says what is wrong
            try:
                found = arrays_of(given)
                key = _key(given, found) if compiled else None
                if key is None or (looks_at and any(_is_numpy(given.get(n)) for n in looks_at)):
                    return plan_of(given, found), found
                plan = memory.get(key)
                if plan is None:
                    plan = plan_of(given, found)
                    plan = memory[key] = equal.setdefault(plan.key, plan)
                return plan, found
            except (TypeError, ValueError) as error:
                put_before(name, error)
                raise

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            plan, found = prepare(*args, **kwargs)
            if program_name.value is not None:
                return _named(run, plan, found)
            return run(plan, found)

        call.prepare = prepare  # pyright: ignore[reportAttributeAccessIssue]
        return call

    return decorate


def _key(given: dict[str, Any], found: dict[str, Array]) -> Any:
    """What a plan follows from; None where an option cannot be looked up."""
    settings: Any = jax.config
    key = [settings.jax_enable_x64, settings.jax_numpy_dtype_promotion]
    for name, value in given.items():
        array = found.get(name)
        if array is None:
            key += (name, _exact(value))
        else:
            key += (name, array.shape, array.dtype, getattr(array, "weak_type", False))
    whole = tuple(key)
    try:
        hash(whole)
    except TypeError:
        return None
    return whole


def _exact(value: Any) -> Any:
    """A value with its type, for True is not 1."""
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is tuple or kind is list:
        return kind, *map(_exact, value)
    if kind is np.ndarray and value.size <= 16:  # such as strides
        return kind, value.dtype, str(value.tolist())
    return kind, value


def _is_numpy(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _named(run: Any, plan: Plan, operands: dict[str, Array]) -> Any:
    """A call under the name that `program_name` gives it."""
    name = program_name.value(plan, operands, plan.outputs)
    if name is None:
        return run(plan, operands)

    def call(operands: dict[str, Array]) -> Any:
        return run(plan, operands)

    call.__name__ = name
    return jax.jit(call)(operands)


def _told(given: Any) -> str:
    return f"{tuple(given.shape)} {given.dtype}"
