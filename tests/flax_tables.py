"""`nnx.tabulate` for tests."""

import jax
from flax import nnx


def table(layer, inputs):
    """The table of a layer called with `inputs`, traced alone, so that nothing is compiled.

    Flax wraps every method of every class that it meets, and leaves what was inherited on the class
    itself, or all of it when a call fails: the classes are put back as they were.
    """
    told = []

    def traced(*inputs):
        told.append(nnx.tabulate(layer, *inputs, console_kwargs=dict(width=400)))

    nodes = [node for _, node in nnx.iter_graph(layer) if isinstance(node, nnx.Pytree)]
    before = {kind: dict(vars(kind)) for kind in map(type, nodes)}
    try:
        jax.eval_shape(traced, *inputs)
    finally:
        for kind, held in before.items():
            for name, now in list(vars(kind).items()):
                if name not in held:
                    delattr(kind, name)
                elif now is not held[name]:
                    setattr(kind, name, held[name])
    return told[0]
