"""The command line: what it prints, what it writes, what it refuses."""

import json

import pytest

from experiments.compile import report
from experiments.compile.step import Step
from experiments.compiled_for import description

COMMAND = "experiments.compile"
SUM = {"kind": "all-reduce", "times": 2, "bytes": 1e8, "beside": 1, "seconds": 5e-3, "waited": 2e-3}
FUSION = {"kind": "fusion", "part": "forward", "times": 7, "bytes": 2e9, "flops": 0}
PRODUCT = {"kind": "Triton", "part": "backward", "times": 1, "bytes": 1e9, "flops": 2.5e12}
FOUND = {
    "mesh": {"data": 4, "space": 2},
    "image_shape": [224, 224, 3],
    "memory": {"arguments": 2e9, "results": 5e8, "temporary": 1.5e9, "total": 4e9},
    "kernels": 1200,
    "bytes": 3e9,
    "flops": 2.5e12,
    "exchanges": [SUM],
    "seconds": 0.01,
    "parts": [FUSION | {"seconds": 8e-3}, PRODUCT | {"seconds": 2e-3}],
}


def test_all_that_was_found_is_told_and_kept(capsys):
    fit = {"needed": 4.2e9, "allowed": 6e10, "fits": True, "largest": (1024, (32, 64))}
    step = Step(devices=8, mesh="data=4,space=2")
    told = report.gathered(step, "H100", FOUND, fit)
    assert json.loads(json.dumps(told))["modelled"] == {
        "seconds": 0.01,
        "images_per_second": 6400.0,
    }
    report.show(told)
    *lines, table = capsys.readouterr().out.split("\n", 8)
    assert lines == [
        "resnet50, 64 images of 224x224x3 a step, float32, adamw",
        f"compiled for 8 x H100 (data=4,space=2) by JAX {told['compiled_for']['jax']}",
        "memory a device: 4.2 GB of 60 GB, fits (state and batch 2 GB, computed 2 GB, images of "
        "the data set 200 MB)",
        "largest batch that fits: 1,024 images, 256 along each device of `data` (by a line "
        "through the programs for 32 and 64)",
        "each runs 1,200 kernels, moves 3 GB and computes 2.5 TFLOP in convolutions and products",
        "all-reduce: 2 a step, 100 MB, 1 of them beside kernels; 5.00 ms modelled, of which a step "
        "waits 2.00 ms",
        "modelled: 10.00 ms a step, 6,400 images/s",
        *lines[7:],
    ]
    assert [line.split()[-1] for line in table.splitlines()][-2:] == ["80%", "20%"]


def test_what_a_compiler_refuses_does_not_fit(capsys):
    found = {name: FOUND[name] for name in ("mesh", "image_shape")} | {"refused": 2e10}
    fit = {"needed": 2e10, "allowed": 1.7e10, "fits": False}
    report.show(report.gathered(Step(), "TPU v5e", found, fit))
    assert "memory a device: 20 GB of 17 GB, does not fit\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "resnet5"], "--model (=resnet5) is unknown, perhaps resnet50"),
        (["--target", "h900"], "there is no device 'h900' to compile for; name one of h100"),
        (["--devices", "0"], "--devices (=0) must be 1 or more"),
        (["--memory-share", "2"], "--memory-share (=2.0) must be above 0 and at most 1"),
        (["--images", "-1"], "--images (=-1) must be 0 or more"),
    ],
)
def test_what_is_refused(run_module, capsys, arguments, told):
    assert run_module(COMMAND, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_missing_wheels_name_the_extra(run_module, capsys, monkeypatch):
    monkeypatch.setattr(description, "_there", lambda module: False)
    assert run_module(COMMAND, "--model", "lenet5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install -e '.[compile]'" in line
