"""The outputs of layers as values: found by their names in the Jaxpr."""

import difflib
from collections.abc import Sequence
from typing import Any

import jax

from jaxcnn._modules.interpret import evaluate
from jaxcnn.analysis import _products
from jaxcnn.analysis._calls import Call, Recording, record, with_arrays

WHOLE = "(model)"


class Look:
    """A model that is run on arrays, whose layers can be looked at.

    Attributes:
      recording: of the model and the inputs.
      calls: the calls that run where they can be seen, by their names: paths joined by dots, and
        ":1", ":2" behind that of a layer that is called again.
    """

    def __init__(self, model: Any, *inputs: Any):
        self.recording: Recording = record(model, *inputs)
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in self.recording.state):
            raise TypeError("`model` must hold values; build it in place of `nnx.eval_shape`")
        self._found = jax.eval_shape(
            lambda *values: evaluate(self.recording.jaxpr, values, {}, _any_output)[1], *self.values
        )
        shown = {_products.call_of(name, None) for name in self._found}
        self.calls: dict[str, int] = {}
        for number in sorted(self.recording.calls):
            path = self.recording.calls[number].path
            name = ".".join(map(str, path)) or WHOLE
            if number not in shown:
                continue
            again = sum(each.split(":")[0] == name for each in self.calls)
            self.calls[f"{name}:{again}" if again else name] = number

    def found(self, number: int) -> Any:
        """The shape of the first output of a call, with the axes of loops; None if it has none."""
        return self._found.get(_products.output(number, 0))

    def maps(self, layer: str) -> Any:
        """The shape of the first output of a layer, with the axes of the loops that it is in.

        Raises:
          ValueError: there is no such layer, or it gives no array.
        """
        given = self.call(layer).outputs
        found = self.found(self.calls[layer])
        if found is None or not hasattr(given, "shape"):
            raise ValueError(
                f"`layer` (={layer!r}) must give one array; it gives {type(given).__name__}"
            )
        return found

    @property
    def values(self) -> list[Any]:
        """Of all the arrays that the Jaxpr takes."""
        return [*self.recording.state, *self.recording.inputs]

    def call(self, layer: str) -> Call:
        """A call by its name.

        Raises:
          ValueError: there is none.
        """
        if layer not in self.calls:
            near = difflib.get_close_matches(layer, self.calls, 6, 0.4)
            raise ValueError(
                f"`layer` (={layer!r}) must be the path of a layer that runs outside of branches "
                f"and loops of unknown length, such as {', '.join((near or list(self.calls))[:6])}"
            )
        return self.recording.calls[self.calls[layer]]

    def run(
        self, inputs: Sequence[Any], added: dict[str, Any], layers: Sequence[str]
    ) -> tuple[Any, dict[str, Any]]:
        """The outputs, and what some layers give, from other inputs of the same shapes.

        Args:
          inputs: of the model.
          added: to the first output of layers.
          layers: whose outputs are wanted.
        """
        names = {_products.output(self.calls[name], 0): value for name, value in added.items()}
        wanted = {self.calls[name] for name in layers}

        def told(name: str) -> bool:
            return name in names or _products.call_of(name, None) in wanted

        values = [*self.recording.state, *inputs]
        leaves, found = evaluate(self.recording.jaxpr, values, names, told)
        outputs = jax.tree.unflatten(jax.tree.structure(self.recording.outputs), leaves)
        maps = {}
        for name in layers:
            number = self.calls[name]
            call = self.recording.calls[number]
            maps[name] = with_arrays(
                call.outputs, lambda leaf, number=number: found[_products.output(number, leaf)]
            )
        return outputs, maps


def _any_output(name: str) -> bool:
    return _products.call_of(name, None) is not None
