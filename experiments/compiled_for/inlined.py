"""A lowered program with its calls written out, by which two programs are seen to be one.

What is jitted inside a program is lowered to functions that it calls, with names and in a nesting
of its own. XLA writes the calls out before anything else, so that two programs that are the same
after it, operation by operation, are compiled to the same.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

_ENDS = ("func.return", "stablehlo.return")


def text(lowered: jax.stages.Lowered) -> str:
    """The operations in their order, values numbered as they come, without places in files."""
    module: Any = lowered.compiler_ir("stablehlo")
    functions, others = {}, []
    for one in module.body.operations:
        operation = one.operation
        if operation.name == "func.func":
            functions[operation.attributes["sym_name"].value] = operation
        else:
            others.append(str(operation))
    main = functions["main"]
    writer = _Writer(functions)
    given = writer.block(main.regions[0].blocks[0], {})
    return "\n".join([*others, _attributes(main), *writer.lines, " ".join(given)])


class _Writer:
    """Writes operations down.

    Attributes:
      lines: what is written.
    """

    def __init__(self, functions: Mapping[str, Any]):
        self.lines: list[str] = []
        self._functions = functions
        self._numbers: Iterator[int] = itertools.count()

    def block(
        self, block: Any, known: Mapping[Any, str], given: Sequence[str] | None = None
    ) -> list[str]:
        """The names of what a block gives.

        Args:
          block: of operations.
          known: names of values outside of it.
          given: names of its arguments; new ones if None.
        """
        if given is None:
            given = self._new(block.arguments)
        names = {**known, **dict(zip(block.arguments, given, strict=True))}
        for one in block.operations:
            operation = one.operation
            taken = [names[value] for value in operation.operands]
            if operation.name in _ENDS:
                return taken
            if operation.name == "func.call":
                called = self._functions[operation.attributes["callee"].value]
                results = self.block(called.regions[0].blocks[0], {}, taken)
            else:
                results = self._new(operation.results)
                said = [*results, "=", operation.name, *taken, _attributes(operation)]
                self.lines.append(" ".join(said))
                for inner in itertools.chain(*operation.regions):
                    self.lines.append(f"({' '.join(self.block(inner, names))})")
            names.update(zip(operation.results, results, strict=True))
        return []

    def _new(self, values: Sequence[Any]) -> list[str]:
        return [f"%{next(self._numbers)}:{value.type}" for value in values]


def _attributes(operation: Any) -> str:
    """What an operation is told, but for the name of a function."""
    told = {name: str(operation.attributes[name]) for name in _names(operation.attributes)}
    return str({name: told[name] for name in sorted(told) if name != "sym_name"})


def _names(attributes: Any) -> list[str]:
    return [one if isinstance(one, str) else one.name for one in attributes]
