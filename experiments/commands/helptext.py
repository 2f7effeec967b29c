"""What --help says: one line an option, as its docstring has, whatever that is broken into."""

import dataclasses
import typing
from types import MappingProxyType


def join_lines(options: type) -> None:
    """Joins the lines of the docstrings of a dataclass's fields, and of those that lie in it.

    tyro would keep the end of a line wherever the next one is indented.
    """
    import docstring_parser

    told: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        if dataclasses.is_dataclass(kind):
            params = docstring_parser.parse_from_object(kind).params
            told |= {each.arg_name: each.description for each in params if each.description}
    kinds = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(kinds[field.name]):
            join_lines(kinds[field.name])
        elif field.name in told and "help" not in field.metadata:
            text = " ".join(told[field.name].split())
            field.metadata = MappingProxyType({**field.metadata, "help": text})
