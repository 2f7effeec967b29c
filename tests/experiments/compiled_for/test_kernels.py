"""The kernels of a program: kinds, bytes, loads, operations, exchanges between devices."""

import pytest

from experiments.compiled_for import loads
from experiments.compiled_for.hlo import parse
from experiments.compiled_for.kernels import program
from tests.experiments.compiled_for import texts


def test_kinds_bytes_and_loads_with_loops_and_branches():
    found = program(texts.GPU)
    kernels = {kernel.name: kernel for kernel in found.kernels}
    assert list(kernels) == ["windows", "once", "twice", "turn", "slices"]
    assert found.kinds == {"reduce-window": 4, "copy": 2, "transpose": 1, "fusion": 1}
    windows, slices = kernels["windows"], kernels["slices"]
    assert (windows.times, windows.read, windows.written, windows.loads) == (4, 192, 192, 3 * 48)
    assert windows.source == "jit(run)/pool[axes=(1, 2)]/max"
    # equal slices are one load, and what no slice takes is not read
    assert (slices.read, slices.written, slices.loads) == (min(240, 3 * 96), 96, 2 * 24)
    assert found.launches == 8 and found.unknown_loops == 0
    assert found.bytes == 4 * 384 + 2 * 384 + 384 + 240 + 96


def test_updates_in_place_move_the_update():
    computations = parse(texts.GPU).computations
    update, scatter = computations["fused_update"], computations["fused_scatter"]
    assert [loads.read(update, n) for n in range(3)] == [0, 24, 4] and loads.written(update) == 24
    assert [loads.read(scatter, n) for n in range(3)] == [16, 16, 16]
    assert loads.written(scatter) == 16


def test_convolutions_and_products():
    found = program(texts.CUDNN)
    assert list(found.kinds) == [
        "cuDNN forward", "cuDNN backward input", "cuDNN backward filter", "cuBLAS"
    ]  # fmt: skip
    dense = 2 * (2 * 8 * 8 * 6) * 9 * 4
    assert [k.flops for k in found.kernels] == [dense, dense, dense, 2 * 128 * 5 * 4]
    assert {kernel.dtype for kernel in found.kernels} == {"bf16"}
    forward = found.kernels[0]
    assert (forward.read, forward.written) == (2 * (512 + 216), 2 * 768)


def test_exchanges_and_what_hides_them():
    found = program(texts.EXCHANGE)
    exchanges = [kernel for kernel in found.kernels if kernel.collective]
    assert [(k.kind, k.hidden, k.read, k.written) for k in exchanges] == [
        ("all-reduce", 1, 64, 64),
        ("all-gather", 0, 64, 256),
        ("collective-permute", 0, 64, 64),
        ("all-reduce", None, 64, 64),
    ]
    assert [kernel.exchanged for kernel in exchanges] == [64, 256, 64, 64]
    assert found.launches == 5


def test_cycles_and_memory_on_the_chip():
    found = program(texts.TPU)
    assert found.cycles == 1500 and program(texts.GPU).cycles is None
    copy, fusion = found.kernels
    assert (copy.kind, copy.read, copy.written) == ("copy", 2048, 0)
    assert copy.aside and not fusion.aside and copy.hidden is None
    assert (fusion.kind, fusion.read, fusion.written) == ("fusion", 0, 2048)


def test_a_loop_of_unknown_length_is_told():
    text = texts.GPU.replace('"known_trip_count":{"n":"4"},', "")
    found = program(text)
    assert found.unknown_loops == 1 and found.launches == 5


def test_a_branch_that_runs_rarely_is_not_counted():
    """Of two branches the one with more bytes is, unless a scope says that it is rare."""
    rare = ', metadata={op_name="jit(run)/rarely/copy"}'
    text = texts.GPU.replace("copy(%p.1)", f"copy(%p.1){rare}")
    assert program(texts.GPU).kinds["copy"] == 2 and program(text).kinds["copy"] == 1
    text = text.replace("copy(%p)", f"copy(%p){rare}")  # both: one of them runs all the same
    assert program(text).kinds["copy"] == 2


def test_no_program():
    with pytest.raises(ValueError, match="ENTRY"):
        program("")
