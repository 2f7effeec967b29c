"""Texts of compiled programs are read into computations and instructions."""

import pytest

from experiments.compiled_for.hlo import Shape, parse, shapes
from tests.experiments.compiled_for import texts


def test_computations_and_instructions():
    module = parse(texts.GPU)
    assert module.entry == "main.9" and len(module.computations) == 11
    entry = module.computations["main.9"]
    loop = entry.by_name["loop"]
    assert loop.shapes == (Shape("s32", ()), Shape("f32", (8, 6))) and loop.operation == "while"
    assert loop.operands == ("carry.2",) and loop.called("body") == ["body"]
    assert loop.text("n") == "4" and loop.text("absent") == ""
    assert entry.root.name == "out" and entry.root.operands == ("branch", "slices")
    assert [user.name for user in entry.users["branch"]] == ["turn", "out"]
    branch = entry.by_name["branch"]
    assert branch.called("branch_computations") == ["small", "large"]
    windows = module.computations["body"].by_name["windows"]
    assert windows.text("op_name") == "jit(run)/pool[axes=(1, 2)]/max"
    assert windows.text("kind") == "kLoop"


def test_shapes():
    found = shapes("(bf16[2,3]{1,0:T(8,128)(2,1)S(1)}, /*index=5*/u8[0]{0}, pred[])")
    # a tile of 8 x 128 elements is the least that is stored
    assert found == (Shape("bf16", (2, 3), 1, 8 * 128), Shape("u8", (0,)), Shape("pred", ()))
    assert [shape.bytes for shape in found] == [2 * 8 * 128, 0, 1]
    (turned,) = shapes("f32[130,5,9]{0,2,1:T(8,128)}")
    assert turned.bytes == 4 * 256 * 5 * 16 and turned.elements == 130 * 5 * 9
    entry = parse(texts.TPU).computations["main"]
    assert entry.by_name["start"].bytes == 2 * 8 * 128  # what lies on the chip is not counted


def test_a_text_without_an_entry():
    with pytest.raises(ValueError, match="no ENTRY computation; give `Compiled.as_text"):
        parse("HloModule empty")
