"""Poisoned memory: what lies where, and that a program which reads it is found."""

import ctypes
import functools
import itertools

import jax
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import primitives
from tests.fuzz import replay
from tests.fuzz.checking import Disagreement
from tests.fuzz.poison import memory, risky, rows
from tests.fuzz.poison.repeated import Repeated
from tests.fuzz.poison.run import Run
from tests.fuzz.primitives import PRIMITIVES

ARRAY = np.arange(7.0, dtype=np.float32)


@pytest.fixture
def run(run_module):
    """The command line's options -> its exit code."""
    return functools.partial(run_module, "tests.fuzz", "poison")


@pytest.mark.parametrize("poison", memory.POISONS)
def test_poison_lies_right_before_and_after_an_argument(poison):
    placed = memory.surrounded(ARRAY, poison)
    start = placed.unsafe_buffer_pointer()
    words = [
        np.ctypeslib.as_array((ctypes.c_uint32 * 8).from_address(place))
        for place in (start - 32, start + ARRAY.nbytes)
    ]
    assert np.array_equal(placed, ARRAY)
    assert all((found == memory.POISONS[poison]).all() for found in words)


def test_memory_of_the_announced_size_is_poisoned_and_so_is_what_lies_around_it():
    found = []
    for size in (3000, 40_000, 1_000_000):
        with memory.poisoned([size], "huge", False):
            given = np.empty(size // 4, np.float32)
        # the allocator keeps its list of free blocks in the first 32 bytes of one
        found.append(np.mean(given[8:].view(np.uint32) == memory.POISONS["huge"]))
    assert max(found) > 0.99  # another thread may have taken one


def changing(moving, rest, cotangent):
    shape = jax.ShapeDtypeStruct((), np.float32)
    count = jax.pure_callback(lambda: np.float32(next(COUNT) // 7), shape)
    return moving["x"] + count, {"x": moving["x"]}


COUNT = itertools.count()


def test_bits_that_change_are_found():
    with pytest.raises(Disagreement, match=r"\[0\]\[0\] is .* in call 8 with huge around.*7 of 7"):
        Repeated(changing)({"x": ARRAY}, {}, ARRAY)


def test_second_derivatives_are_held_too():
    def fn(moving, rest, cotangent):
        return jax.value_and_grad(lambda x: (x["x"] ** 3 * cotangent).sum())(moving)

    value, gradient = Repeated(fn, calls=3, second_order=True)({"x": ARRAY}, {}, ARRAY)
    np.testing.assert_allclose(value, (ARRAY**4).sum())
    np.testing.assert_allclose(gradient["x"], 3 * ARRAY**3)


def test_a_seed_draws_valid_calls_of_32_bits_and_of_risky_geometry():
    drawn = {name: list(risky.calls(name, 12, 0)) for name in PRIMITIVES}
    assert list(drawn) == list(PRIMITIVES) and set(drawn) == set(functional.__all__) - {"plan"}
    assert drawn["conv"] == list(risky.calls("conv", 12, 0)) != list(risky.calls("conv", 12, 1))
    calls = list(itertools.chain.from_iterable(drawn.values()))
    assert len(calls) == 12 * len(PRIMITIVES)
    assert not {d for call in calls for d in call.dtypes} & {"float64", "complex128", "int64"}
    amounts = [pair for call in drawn["conv"] for pair in call.pads]
    assert min(min(pair) for pair in amounts) < 0 and any(
        low + high == 0 != low for low, high in amounts
    )


def test_one_row_of_each_primitive_and_algorithm():
    chosen = [
        (c.primitive, c.options.get("algorithm", "auto")) for c in rows.cases("one", "x_pool")
    ]
    assert len(chosen) == len(set(chosen))
    assert {("max_pool", name) for name in ("auto", "shift", "tree", "window")} <= set(chosen)
    assert list(rows.cases("none")) == []


def test_rows_that_crop_come_first():
    assert max(primitives()["conv"].cases.values(), key=rows.risk).name == "cropping"


def test_a_wrong_row_and_a_wrong_call_are_reported(monkeypatch):
    monkeypatch.setattr(reference, "dilate", lambda inputs, rate: -inputs)
    heard = []
    run = Run(2, heard.append)
    run.all("one", 4, 0, "dilate")  # and conv_general_dilated
    assert len(run.failures) == 3 and run.failures == heard
    assert "the row dilate: " in heard[0]
    again = heard[1].splitlines()[1].strip()
    names = {name: getattr(replay, name) for name in replay.__all__}
    with pytest.raises((Disagreement, ValueError)):
        eval(again, names)
    monkeypatch.undo()
    assert eval(again, names) == "valid: the same bits in poisoned memory, as the reference says"


def test_the_command(run, capsys):
    assert run("--rows", "one", "--draws", "2", "--primitive", "unfold", "--calls", "3") == 0
    first, doing, found, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Runs programs again and again") and " this took " in first
    assert doing == "running programs in poisoned memory"
    assert found.startswith("1 rows and 2 drawn calls, each 3 times; 0 refused")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--draws", "-1"), "--draws (=-1) must be at least 0"),
        (("--seed", "-1"), "--seed (=-1) must be at least 0"),
        (("--calls", "1"), "--calls (=1) must be at least 2"),
        (("--primitive", "relu"), "it must be part of one of adaptive_avg_pool"),
    ],
)
def test_bad_options(run, arguments, message, capsys):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
