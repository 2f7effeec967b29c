"""Records every call of every layer of a network, which runs on shapes alone."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax.ad_checkpoint import checkpoint_name

from jaxcnn import nn
from jaxcnn._modules.still import evaluating, name_of, opened, still, with_variables
from jaxcnn._planning.plan import program_name
from jaxcnn.analysis import _formulas, _products
from jaxcnn.analysis._inputs import refused

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one module, or of a function in an `nn.Chain`.

    Attributes:
      path: of the module in the network.
      kind: name of its class, or of the function.
      leaf: whether there are no layers inside it.
      inputs: shapes and dtypes of what it took, by place and by name.
      outputs: of what it gave; in a batch of `vmap`, for one element.
      state: of its variables at that moment.
      products: what it adds up, where that does not follow from its Jaxpr.
    """

    path: Path
    kind: str
    leaf: bool
    inputs: tuple[tuple[Any, ...], dict[str, Any]]
    outputs: Any
    state: Any
    products: int | None


@dataclass(frozen=True)
class Recording:
    """What runs where a model is called.

    Attributes:
      calls: of its modules by numbers, in the order of their ends.
      jaxpr: of everything: a function of the arrays of the state, then of the inputs.
      state: those arrays, or their shapes.
      inputs: the arrays that the model is called with.
      outputs: shapes of what it gives.
      marks: sizes and products of the calls, by which `costs` counts.
    """

    calls: dict[int, Call]
    jaxpr: Any
    state: list[Any]
    inputs: tuple[Any, ...]
    outputs: Any
    marks: tuple[dict[int, int], dict[int, int]]

    @property
    def _image(self) -> int:
        return next((n for n, array in enumerate(self.inputs) if len(array.shape) > 2), 0)

    @property
    def image(self) -> Any:
        """The first of the inputs that has spatial axes, or the first."""
        return self.inputs[self._image]

    @property
    def first(self) -> int:
        """The place of the image among the Jaxpr's inputs."""
        return len(self.state) + self._image

    def costs(self) -> _products.Costs:
        """What each call costs."""
        return _products.costs(self.jaxpr, *self.marks)


def record(model: Any, *inputs: Any) -> Recording:
    """Runs a model on shapes, in evaluation.

    The model itself is left alone: a copy runs, each of its modules under a class of its own whose
    call is written down. A function that is no module, nor one with arguments set by
    `functools.partial`, is one call. So is every call of a Linen
    module that runs inside, by a bridge or in a function: its path goes on from there.

    Raises:
      ValueError: the model does not take the inputs.
      TypeError: it can't be called, or a Linen module has no variables.
    """
    record = _Record()
    found, call = opened(model), lambda twin: twin
    if found is None:
        twin = _Function(still("model", model))
    else:
        twin, call = evaluating(found[0]), found[1]
    for path, module in list(nnx.iter_modules(twin)):
        chain = isinstance(module, nn.Chain)
        leaf = not chain and len(list(nnx.iter_modules(module))) == 1
        if chain:
            for name, layer in zip(module.names, module.layers, strict=True):
                if not isinstance(layer, nnx.Module):
                    setattr(module, name, record.function(layer, (*path, name)))
        if callable(module):
            name = name_of(model if isinstance(module, _Function) else module)
            module.__class__ = record.module(type(module), path, leaf, name)
    graph, state = nnx.split(twin)

    def run(state: Any, *inputs: Any) -> Any:
        return call(nnx.merge(graph, state, copy=True))(*inputs)

    try:
        with (
            program_name(_formulas.name_program),
            linen.intercept_methods(record.linen),
            with_variables("model", found and found[0]),
        ):
            jaxpr, outputs = jax.make_jaxpr(run, return_shape=True)(state, *inputs)
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError) or error.__cause__ is not None:
            raise
        raise type(error)(refused(inputs, error)) from error
    marks = record.sizes(), record.known()
    arrays = tuple(jax.tree.leaves(inputs))
    return Recording(record.calls, jaxpr, jax.tree.leaves(state), arrays, outputs, marks)


class _Function(nnx.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@dataclass(slots=True)
class _Open:
    """A call that has not ended; Linen's paths go on from that of the last base."""

    path: Path
    is_base: bool = True
    holds_linen: bool = False


class _Record:
    """What is written down."""

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self._numbers = itertools.count()
        self._open: list[_Open] = []

    def module(self, kind: Any, path: Path, leaf: bool, name: str) -> Any:
        """`kind` with a call that is written down."""

        def __call__(module: Any, *args: Any, **options: Any) -> Any:
            state = shapes(nnx.state(module))

            def of(inputs: Any, outputs: Any) -> Call:
                products = _formulas.of_call(kind.__call__, module, inputs, outputs)
                return Call(path, name, leaf, inputs, outputs, state, products)

            return self._called(
                _Open(path), of, lambda *a, **o: kind.__call__(module, *a, **o), args, options
            )

        return type(name, (kind,), {"__call__": __call__})

    def function(self, layer: Callable[..., Any], path: Path) -> Callable[..., Any]:
        """`layer` as a function whose calls are written down."""
        name = name_of(layer)

        def call(*args: Any) -> Any:
            return self._called(
                _Open(path), lambda i, o: Call(path, name, True, i, o, (), None), layer, args, {}
            )

        return call

    def linen(self, function: Any, args: Any, options: Any, context: Any) -> Any:
        """What a method of a Linen module gives, its calls written down but for the outermost's.

        That is the call of the bridge, or of the function, which is written down already.
        """
        module, base = context.module, next(each for each in reversed(self._open) if each.is_base)
        path = (*base.path, *module.path)
        if context.method_name != "__call__" or path in (base.path, self._open[-1].path):
            return function(*args, **options)
        self._open[-1].holds_linen = True

        def of(inputs: Any, outputs: Any) -> Call:
            return Call(path, type(module).__name__, True, inputs, outputs, (), None)

        return self._called(_Open(path, is_base=False), of, function, args, options)

    def _called(
        self, opened: "_Open", of: Callable[..., Call], function: Any, args: Any, options: Any
    ) -> Any:
        """What `function` gives; its scope and its outputs bear the number of the call."""
        number = next(self._numbers)
        given = shapes(args), shapes(options)
        self._open.append(opened)
        with jax.named_scope(_products.scope(number)):
            outputs = function(*args, **options)
            leaves, tree = jax.tree.flatten(outputs, is_leaf=_whole)
            arrays = (index for index, leaf in enumerate(leaves) if _is_array(leaf))
            for order, index in enumerate(arrays):
                leaves[index] = checkpoint_name(leaves[index], _products.output(number, order))
        self._open.pop()
        call = of(given, shapes(outputs))
        self.calls[number] = replace(call, leaf=False) if opened.holds_linen else call
        return jax.tree.unflatten(tree, leaves)

    def sizes(self) -> dict[int, int]:
        """Elements of the first output of every call."""
        firsts = {
            n: list(filter(_is_array, jax.tree.leaves(c.outputs))) for n, c in self.calls.items()
        }
        return {number: found[0].size for number, found in firsts.items() if found}

    def known(self) -> dict[int, int]:
        """Products of the calls that have a formula."""
        return {n: call.products for n, call in self.calls.items() if call.products is not None}


def shapes(values: Any) -> Any:
    """Shapes and dtypes of all arrays in a tree, anything else as it is."""
    return jax.tree.map(_shape, values, is_leaf=_whole)


def with_arrays(outputs: Any, array: Callable[[int], Any]) -> Any:
    """What a call gives with arrays in place of their shapes, each by its number."""
    leaves, tree = jax.tree.flatten(outputs, is_leaf=_whole)
    arrays = [index for index, leaf in enumerate(leaves) if _is_array(leaf)]
    for order, index in enumerate(arrays):
        leaves[index] = array(order)
    return jax.tree.unflatten(tree, leaves)


def _shape(value: Any) -> Any:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return jax.ShapeDtypeStruct(value.shape, value.dtype)
    return value


def _whole(value: Any) -> bool:
    """Whether a value is no tree here, though JAX takes it for one."""
    return isinstance(value, nnx.Pytree | nnx.Variable)


def _is_array(value: Any) -> bool:
    """Whether a value is numbers of JAX, or stands for such."""
    numbers = isinstance(value, jax.Array | jax.ShapeDtypeStruct)
    return numbers and not jnp.issubdtype(value.dtype, jax.dtypes.extended)
