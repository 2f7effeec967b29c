"""Records every call of every layer of a network, which runs on shapes alone."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from jaxcnn import nn
from jaxcnn._modules.places import name_of
from jaxcnn._modules.still import duplicate
from jaxcnn._planning.plan import program_name
from jaxcnn.analysis import _formulas, _products

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


def record(model: nnx.Module, *inputs: Any) -> tuple[dict[int, Call], _products.Costs, Any]:
    """Runs the model on shapes.

    The model itself is left alone: a copy runs, each of its modules under a class of its own whose
    call is written down.

    Returns:
      Its modules' calls by numbers, in the order of their ends; what each costs; the outputs.
    """
    record = _Record()
    twin = duplicate(model)
    for path, module in list(nnx.iter_modules(twin)):
        chain = isinstance(module, nn.Chain)
        children = [child for _, child in nnx.iter_module_children(module)]
        leaf = not (chain or any(isinstance(child, nnx.Module) for child in children))
        if chain:
            for name, layer in zip(module.names, module.layers, strict=True):
                if not isinstance(layer, nnx.Module):
                    setattr(module, name, record.function(layer, (*path, name)))
        if callable(module):
            module.__class__ = record.module(type(module), path, leaf)
    graph, state = nnx.split(twin)

    def run(state: Any, *inputs: Any) -> Any:
        network: Any = nnx.merge(graph, state, copy=True)
        return network(*inputs)

    with program_name(_formulas.name_program):
        jaxpr, outputs = jax.make_jaxpr(run, return_shape=True)(state, *inputs)
    return record.calls, _products.costs(jaxpr, record.sizes(), record.known()), outputs


class _Record:
    """What is written down."""

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self._numbers = itertools.count()

    def module(self, kind: Any, path: Path, leaf: bool) -> Any:
        """`kind` with a call that is written down."""

        def __call__(module: Any, *args: Any, **options: Any) -> Any:
            state = shapes(nnx.state(module))

            def of(inputs: Any, outputs: Any) -> Call:
                products = _formulas.of_call(kind.__call__, module, inputs, outputs)
                return Call(path, kind.__name__, leaf, inputs, outputs, state, products)

            return self._called(of, lambda *a, **o: kind.__call__(module, *a, **o), args, options)

        return type(kind.__name__, (kind,), {"__call__": __call__})

    def function(self, layer: Callable[..., Any], path: Path) -> Callable[..., Any]:
        """`layer` as a function whose calls are written down."""
        name = name_of(layer)

        def call(*args: Any) -> Any:
            return self._called(
                lambda inputs, outputs: Call(path, name, True, inputs, outputs, (), None),
                *(layer, args, {}),
            )

        return call

    def _called(self, of: Callable[..., Call], function: Any, args: Any, options: Any) -> Any:
        """What `function` gives; its scope and its outputs bear the number of the call."""
        number = next(self._numbers)
        given = shapes(args), shapes(options)
        with jax.named_scope(_products.scope(number)):
            outputs = function(*args, **options)
            leaves, tree = jax.tree.flatten(outputs, is_leaf=_whole)
            arrays = (index for index, leaf in enumerate(leaves) if _is_array(leaf))
            for order, index in enumerate(arrays):
                leaves[index] = checkpoint_name(leaves[index], _products.output(number, order))
        self.calls[number] = of(given, shapes(outputs))
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
