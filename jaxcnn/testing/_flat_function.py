"""A function of any arguments as one of a flat list of arrays, and its derivatives by autodiff."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

Arrays = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class FlatFunction:
    """`fn` as a function of its differentiated arrays alone, with floating-point outputs alone.

    Attributes:
      fn: the function as the user wrote it.
      leaves: every leaf of its arguments.
      treedef: puts the leaves back together.
      positions: which leaves are differentiated.
      labels: their names in messages, one per position.
      owners: the argument to which each of them belongs.
      name: of the function in messages.
    """

    fn: Callable[..., Any]
    leaves: list[Any]
    treedef: Any
    positions: list[int]
    labels: list[str]
    owners: list[int]
    name: str

    @classmethod
    def of(
        cls,
        fn: Callable[..., Any],
        args: Sequence[Any],
        argnums: int | Sequence[int] | None,
        name: str | None,
        function: str,
    ) -> "FlatFunction":
        """Flattens `args`; `function` is the public function on whose behalf errors are raised."""
        argnums = (argnums,) if isinstance(argnums, int) else argnums
        for number in argnums or ():
            if not 0 <= number < len(args):
                raise ValueError(
                    f"{function}: `argnums` (={tuple(argnums or ())}) must be positions in `args`; "
                    f"received {len(args)} arguments"
                )
        paths, treedef = jax.tree_util.tree_flatten_with_path(tuple(args))
        parameters = _parameter_names(fn, len(args))
        leaves, positions, labels, owners = [], [], [], []
        for position, (path, leaf) in enumerate(paths):
            leaves.append(jax.device_put(leaf) if _is_array(leaf) else leaf)
            owner = path[0].idx
            if is_inexact(leaves[-1]) and (argnums is None or owner in argnums):
                positions.append(position)
                within = jax.tree_util.keystr(path[1:])
                labels.append(f"`{parameters[owner]}{within}` (argument {owner})")
                owners.append(owner)
        if not positions:
            raise ValueError(
                f"{function}: `args` must hold a floating-point or complex array to differentiate; "
                f"received {tuple(type(arg).__name__ for arg in args)}, argnums={argnums}"
            )
        flat = cls(fn, leaves, treedef, positions, labels, owners, name or _function_name(fn))
        if not flat.output_types():
            raise ValueError(f"{function}: {flat.name} must return a floating-point array")
        return flat

    def __call__(self, *values: Any) -> Arrays:
        return tuple(out for out in self.outputs(*values) if is_inexact(out))

    def outputs(self, *values: Any) -> Arrays:
        """All outputs, the whole numbers among them too."""
        leaves = list(self.leaves)
        for position, value in zip(self.positions, values, strict=True):
            leaves[position] = value
        return tuple(jax.tree.leaves(self.fn(*jax.tree.unflatten(self.treedef, leaves))))

    @property
    def values(self) -> Arrays:
        """The differentiated arrays."""
        return tuple(self.leaves[position] for position in self.positions)

    def output_types(self) -> Arrays:
        """Shapes and dtypes of the outputs, without computing them."""
        return jax.eval_shape(self, *self.values)

    def dtypes(self) -> list[np.dtype]:
        return [np.dtype(array.dtype) for array in (*self.values, *self.output_types())]

    def is_wide(self) -> bool:
        """True if every floating-point argument is float64, every complex one complex128."""
        return all(leaf.dtype == wide(leaf).dtype for leaf in self.leaves if is_inexact(leaf))

    def widened(self) -> "FlatFunction":
        """The same function at the same arguments in float64 and complex128. Needs x64."""
        leaves = [jax.device_put(wide(leaf)) if is_inexact(leaf) else leaf for leaf in self.leaves]
        return dataclasses.replace(self, leaves=leaves)

    def hand_derived(self, vjp: Callable[..., Any], cotangent: Arrays) -> Arrays:
        """Calls `vjp` with NumPy arrays in float64; returns one gradient per differentiated array.

        Raises:
          ValueError: there are too few gradients, or one has another shape than its argument.
        """
        leaves = [wide(leaf) if _is_array(leaf) else leaf for leaf in self.leaves]
        args = jax.tree.unflatten(self.treedef, leaves)
        wide_cotangent = tuple(wide(array) for array in cotangent)
        returned = vjp(wide_cotangent[0] if len(cotangent) == 1 else wide_cotangent, *args)
        several = isinstance(returned, tuple | list)
        result: tuple[Any, ...] = tuple(returned) if several else (returned,)
        while len(result) > len(args) and result[-1] is None:  # of an optional argument not given
            result = result[:-1]
        owners = sorted(set(self.owners))
        if len(result) == len(args) and len(owners) < len(args):
            result = tuple(result[owner] for owner in owners)
        gradients = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(result))
        if len(gradients) != len(self.positions):
            raise ValueError(
                f"{self.name}: `vjp` must return one gradient per differentiated array, "
                f"{len(self.positions)} for {', '.join(self.labels)}; received {len(gradients)}"
            )
        for label, value, gradient in zip(self.labels, self.values, gradients, strict=True):
            if gradient.shape != value.shape:
                raise ValueError(
                    f"{self.name}: `vjp` must return the gradient for {label} in the shape of "
                    f"the argument, {value.shape}; received {gradient.shape}"
                )
        return gradients

    # Each derivative is one compiled function of arrays, made once, so that all tangents and all
    # checks share one program: compiling is nearly all of the time that a check takes.

    @functools.cached_property
    def pullback(self) -> Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]:
        """(values, cotangent) -> (outputs, gradients) by reverse mode."""
        return jax.jit(functools.partial(pull, self))

    @functools.cached_property
    def pushforward(self) -> Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]:
        """(values, tangents) -> (outputs, their tangents) by forward mode."""
        return jax.jit(functools.partial(jax.jvp, self))

    def has_forward_mode(self) -> bool:
        """Whether it has tangents at all: what is made of a `jax.custom_vjp` function has not."""
        tangents = functools.partial(jax.jvp, self)
        return not _calls(jax.make_jaxpr(tangents)(self.values, self.values), "custom_lin")

    @functools.cached_property
    def second_order(self) -> Callable[[Arrays, Arrays, Arrays], tuple[Arrays, Arrays]]:
        """(values, cotangent, tangents) -> the Hessian of <cotangent, fn> times the tangents.

        Twice: forward over reverse, and reverse over reverse, which is the gradient of
        <gradient, tangents>; the gradient itself is compiled once for both.
        """

        def products(values, cotangent, tangents):
            def gradient(*v):
                return pull(self, v, cotangent)[1]

            forward = jax.jvp(gradient, values, tangents)[1]
            return forward, jax.vjp(gradient, *values)[1](tangents)

        return jax.jit(products)


def _calls(jaxpr: Any, primitive: str) -> bool:
    """Whether a primitive is somewhere in a Jaxpr."""
    return any(
        equation.primitive.name == primitive
        or any(_calls(part, primitive) for part in core.jaxprs_in_params(equation.params))
        for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns
    )


def pull(fn: Callable[..., Arrays], values: Arrays, cotangent: Arrays) -> tuple[Arrays, Arrays]:
    """Returns the outputs of `fn` and its gradients for `values`."""
    outputs, pullback = jax.vjp(fn, *values)
    return outputs, pullback(cotangent)


def is_inexact(leaf: Any) -> bool:
    """True of arrays, traced ones too, of floating-point or complex dtype."""
    return _is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def wide(leaf: Any) -> np.ndarray:
    """The array in NumPy: float64 if it is floating-point, complex128 if complex."""
    array = np.asarray(leaf)
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return array
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def draw(rng: np.random.Generator, array: Any) -> Any:
    """Standard normal numbers of the array's shape and dtype."""
    numbers = rng.standard_normal(array.shape)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        numbers = numbers + 1j * rng.standard_normal(array.shape)
    return jax.device_put(numbers.astype(array.dtype))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _function_name(fn: Callable[..., Any]) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", type(fn).__name__)


def _parameter_names(fn: Callable[..., Any], count: int) -> list[str]:
    names = [f"args[{number}]" for number in range(count)]
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a builtin, or a NumPy-like ufunc without a signature
        return names
    for number, parameter in enumerate(list(parameters)[:count]):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names[number] = parameter.name
    return names
