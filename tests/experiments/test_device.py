"""`python -m experiments.device`: a CPU as the device, in one process."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import time

import jax.numpy as jnp
import pytest
from flax import nnx

from experiments.benchmark import ceiling, plain_lax, registry
from experiments.benchmark.programs import BOTH, FORWARD
from experiments.commands.command import UserError
from experiments.compiled_for import description
from experiments.device import ahead, budget, epochs, exact, exact_worker, run, speed
from experiments.device.__main__ import Options
from jaxcnn import functional

POOL = dict(window_shape=(2, 2), strides=(2, 2), padding=(0, 0), window_dilation=(1, 1))


@pytest.fixture
def in_this_process(monkeypatch, plain_jax):
    """Workers that need no process, no PyTorch, and a row of our own."""
    by_module = {exact.WORKER: exact_worker.answer, speed.AHEAD: ahead.answer}

    def answers(module, tasks, environment, at_once, seconds):
        return ((task, by_module[module](task)) for task in tasks)

    for module in (exact, speed):
        monkeypatch.setattr(module, "answers", answers)
    row = registry.register(
        "small max", "of one's own", [(2, 6, 4, 3)],
        ours=functools.partial(functional.max_pool, **POOL),
        peers={"lax": functools.partial(plain_lax.max_pool, **POOL)},
        flops=lambda outputs: 4 * outputs.size,
    )  # fmt: skip
    monkeypatch.setattr(ahead, "_rows", lambda suite: registry.ROWS)
    monkeypatch.setattr(speed, "load_rows", lambda suite: None)
    monkeypatch.setattr(ceiling, "measure", lambda dtype: ceiling.Ceiling(1e9, 1e9, 1.0))
    monkeypatch.setattr(speed, "torch_peer", lambda *given: None)
    yield row
    del registry.ROWS["small max"]


def ten_classes(rngs):
    """A network that is compiled soon."""
    return nnx.Sequential(
        functools.partial(jnp.reshape, shape=(-1, 30)), nnx.Linear(30, 10, rngs=rngs)
    )


def test_all_parts_are_told_and_kept(in_this_process, monkeypatch, tmp_path, capsys):
    whole = epochs.TRAININGS[0]
    few = dataclasses.replace(
        whole, shape=(6, 5, 1), recipe=dataclasses.replace(whole.recipe, batch_size=4)
    )
    monkeypatch.setattr(epochs, "TRAININGS", (few,))
    monkeypatch.setattr(epochs, "make_model", lambda *given: ten_classes)
    monkeypatch.setattr(epochs, "MOST", 2)
    options = Options(
        minutes=5.0, file=tmp_path / "device.json", case="dilate: 1-D", filter="small max",
        dtypes="float32", megabytes=0.01, images=8, model="h100",
    )  # fmt: skip
    assert run.run(options, tmp_path) == 0
    out = capsys.readouterr().out
    for said in (
        "2 of 2 programs agree with the reference, bits included",
        "x as fast as lax, geometric mean of 1 rows",
        "x the model's time, median of 1 rows",
        "noise in place of mnist5k",
    ):
        assert said in out
    found = json.loads(options.file.read_text())
    assert found["whole"] and not found["failed"] and found["head"]["model"] == "h100"
    assert {row["dtype"] for row in found["exact"]["checked"]} == {"float32", "bfloat16"}
    assert all(row["same_bits"] for row in found["exact"]["checked"])
    (trained,) = found["epochs"]
    assert trained["images"] == 8 and len(trained["seconds"]) == 2
    assert trained["predicted"]["seconds"] > 0
    modes = [row["result"]["mode"] for row in found["speed"]["measured"]]
    assert modes == [BOTH, FORWARD]
    for row in found["speed"]["measured"]:
        assert row["result"]["figures"]["lax"]["difference"] < 1e-6
        assert row["predicted"]["jaxcnn"]["kernels"] >= 1
        assert row["predicted"]["lax"]["least_bytes"] > 2 * 6 * 4 * 3 * 4


def test_what_did_not_fit_and_what_failed_are_told(in_this_process, monkeypatch, tmp_path, capsys):
    def broken(*given):
        raise RuntimeError("no such device")

    monkeypatch.setattr(epochs, "run", broken)
    options = Options(
        minutes=1e-9, file=tmp_path / "device.json", case="dilate: 1-D", filter="small max",
        dtypes="float32",
    )  # fmt: skip
    assert run.run(options, tmp_path) == 1
    out = capsys.readouterr().out
    assert "epochs failed: RuntimeError: no such device" in out
    assert "speed: 2 rows were not run, the time was up: small max, forward + backward" in out
    found = json.loads(options.file.read_text())
    assert found["failed"] == {"epochs": "RuntimeError: no such device"}


def test_rows_by_their_own_choice_come_first_and_each_primitive_has_its_turn():
    tasks = exact.tasks("")
    named = [task["algorithms"] for task in tasks]
    assert named == sorted(named) and any(named)
    first = [task["primitive"] for task in tasks[:80]]
    assert {"conv", "max_pool", "deform_conv", "stochastic_pool"} <= set(first)
    assert {"float32", "bfloat16"} < {t["dtype"] for t in tasks}  # and the only one of some cases
    with pytest.raises(UserError, match=r"--case \(='nothing'\) fits no row"):
        exact.tasks("nothing")


def test_each_algorithm_is_a_program():
    task = {"primitive": "max_pool", "case": "2-D", "dtype": "float32", "algorithms": True}
    found = exact_worker.answer(task)["outcomes"]
    assert {row["case"] for row in found} >= {"2-D by shift", "2-D by tree", "2-D by window"}
    assert not [row["message"] for row in found if not (row["passed"] and row["same_bits"])]


def test_a_span_of_time():
    whole = budget.Budget(100.0)
    assert 99 < whole.left <= 100 and whole.part(0.25).seconds == 25
    short = budget.Budget(0.01)
    time.sleep(0.02)
    assert short.left == 0 and short.part(0.5).left == 0
    assert budget.by_turns(["a1", "a2", "b1", "a3"], lambda name: name[0]) == [
        "a1", "b1", "a2", "a3"
    ]  # fmt: skip


def test_what_hangs_is_ended_and_kept(tmp_path):
    code = (
        "import time\nfrom experiments.device import budget\nbudget.GRACE = 0.0\n"
        f"budget.end_at(budget.Budget(0.1), open({str(tmp_path / 'kept')!r}, 'w').close)\n"
        "time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=50).returncode == budget.HANGS
    assert (tmp_path / "kept").exists()


def test_passes_begin_with_gradients_and_end_with_forwards():
    found = speed.passes(("bfloat16", "tf32"))
    assert [each.mode for each in found[:2]] == [BOTH, BOTH] and found[-1].mode == FORWARD
    assert any(each.peers == (speed.COMPILED,) for each in found)


def test_devices_of_which_the_model_knows():
    for name in run.KNOWN.values():
        assert description.load(name).platform == "cuda"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"minutes": 0.0}, r"--minutes \(=0.0\) must be above 0"),
        ({"workers": 0}, r"--workers \(=0\) must be at least 1"),
        ({"parts": "exact,all"}, r"--parts \(=exact,all\) must be names out of: exact, epochs"),
    ],
)
def test_bad_options_are_refused(given, match):
    with pytest.raises(UserError, match=match):
        Options(**given)


def test_bad_dtypes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"--dtypes \(=int8\) must be names out of: float64"):
        run.run(Options(dtypes="int8", file=tmp_path / "a.json"), tmp_path)


def test_without_tyro_it_is_said_what_to_carry(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'tyro' else find(name, *more)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "experiments.device"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"},
    )  # fmt: skip
    assert ran.returncode == 2 and "carry the wheels of tyro" in ran.stderr
