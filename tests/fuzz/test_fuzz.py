"""A few drawn calls of every primitive, and the fuzzer's own machinery."""

import inspect
import random

import numpy as np
import pytest

from jaxcnn import functional, reference
from tests.fuzz import peers, replay
from tests.fuzz.calls import Call, Values
from tests.fuzz.checking import Checker, Disagreement, refusal
from tests.fuzz.choices import Choices
from tests.fuzz.machine import Session
from tests.fuzz.primitives import PRIMITIVES

WITHOUT_REFERENCE = ("key", "out_sharding")  # NumPy has neither
DILATE = Call("dilate", {"inputs": Values((2, 3, 1), "float32", seed=7), "rate": (2,)})


def test_drawn_calls_do_as_the_contract_says():
    session = Session(170, torch=peers.INSTALLED)
    session.run(seed=0)
    assert not session.failures, "\n".join(f"{f.message}\n{f.line}" for f in session.failures)
    assert session.made == 170
    assert {name for name, _ in session.counts} == set(functional.__all__) - {"plan"}
    kinds = {kind for _, kind in session.counts}
    assert kinds >= {"valid", "invalid"} | ({"torch"} if peers.INSTALLED else set())


def test_every_public_function_is_drawn():
    assert set(PRIMITIVES) == set(functional.__all__) - {"plan"}


def test_every_option_is_drawn():
    """At another value than the default, in a valid call."""
    choices = Choices(random.Random(0).randrange)
    for name, primitive in PRIMITIVES.items():
        plans = [primitive.plan(choices) for _ in range(200)]
        calls = [primitive.call(plan).arguments for plan in plans if primitive.valid(plan)]
        for option, known in inspect.signature(getattr(functional, name)).parameters.items():
            if option in WITHOUT_REFERENCE:
                continue
            given = [call[option] for call in calls if option in call]
            assert any(value != known.default for value in given), f"{name}: {option}"


def test_a_seed_draws_the_same_calls(monkeypatch):
    monkeypatch.setattr(Checker, "agree", lambda self, call, **options: lines.append(call.line()))
    drawn = []
    for seed in (3, 3, 4):
        lines = []
        Session(60, names=["conv", "max_pool"]).run(seed)
        drawn.append(lines)
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 15


@pytest.mark.parametrize(
    "name, wrong, message",
    [
        ("dilate", lambda cotangent, inputs, rate: (2 * inputs,), "gradient of inputs"),
        ("dilate", lambda inputs, rate: inputs, "output 0 has shape|returned float32"),
    ],
)
def test_a_disagreement_is_found(name, wrong, message, monkeypatch):
    which = f"{name}_vjp" if "gradient" in message else name
    monkeypatch.setattr(reference, which, wrong)
    with pytest.raises(Disagreement, match=message):
        Checker().agree(DILATE)


def silent(inputs, rate):
    return inputs


def unclear(inputs, rate):
    return np.zeros(3) + np.zeros(4)


def other(inputs, rate):
    raise KeyError("rate")


@pytest.mark.parametrize(
    "wrong, message",
    [
        (silent, "went through, though it is invalid"),
        (unclear, "another's ValueError: operands could not be broadcast"),
        (other, "raised KeyError"),
    ],
)
def test_a_refusal_must_be_this_librarys(wrong, message, monkeypatch):
    call = DILATE.changed(rate=(0,))
    assert refusal(call) == "dilate: `rate` (=0) must be at least 1"
    monkeypatch.setattr(functional, "dilate", wrong)
    with pytest.raises(Disagreement, match=message):
        refusal(call)


def test_a_failure_can_be_pasted(monkeypatch):
    heard = []
    monkeypatch.setattr(reference, "global_max_pool", lambda inputs, **options: -inputs)
    session = Session(20, names=["global_max_pool"], on_failure=heard.append)
    session.run(seed=1)
    assert session.made == 20 and session.failures == heard != []
    names = {name: getattr(replay, name) for name in replay.__all__}
    with pytest.raises((Disagreement, ValueError)):
        eval(heard[0].line, names)
    monkeypatch.undo()
    assert eval(heard[0].line, names).startswith("valid")


@pytest.mark.parametrize("kind", ["nan", "infinite", "minus infinity", "subnormal", "ties"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_special_numbers_are_drawn(kind, dtype):
    values = Values((200,), dtype, kind, seed=2).array()
    assert values.dtype == Values((), dtype).array().dtype
    wide = values.astype(np.float64)
    special = {
        "nan": np.isnan(wide),
        "infinite": np.isposinf(wide) | np.isneginf(wide),
        "minus infinity": np.isneginf(wide),
        "subnormal": (np.abs(wide) < 1e-30 if dtype != "float16" else np.abs(wide) < 6e-5),
        "ties": wide == np.round(wide),
    }[kind]
    assert 10 < special.sum() and (kind == "ties" or special.sum() < 100)
    assert kind != "subnormal" or (wide[special] != 0).all()
