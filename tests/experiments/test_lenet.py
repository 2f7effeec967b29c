"""`python -m experiments.lenet`, as a user types it, on the first few of the digits."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from experiments import lenet
from experiments.commands import account, command
from experiments.data import load
from experiments.training import pictures, session
from experiments.training.programs import Programs

pytestmark = pytest.mark.usefixtures("plain_jax")

# Runs the module as `python -m` does, with few images so that an epoch takes no time.
MODULE = 'runpy.run_module("experiments.lenet", run_name="__main__", alter_sys=True)\n'
FEW = """
import os, runpy, signal, sys
from experiments.data.split import Split
make = Split.__init__

def make_few(self, *arguments):
    make(self, *arguments)
    self._rows = self._rows[:200]

Split.__init__ = make_few
"""
# And is told to stop while the first epoch is being noted.
STOPPED = """
from experiments.training.runs import Run
add_metrics = Run.add_metrics

def add_and_stop(self, epoch, **values):
    add_metrics(self, epoch, **values)
    os.kill(os.getpid(), signal.SIGTERM)

Run.add_metrics = add_and_stop
"""
EPOCHS = 4
COMMANDS = {"train": (lenet.Train, lenet.train), "predict": (lenet.Predict, lenet.predict)}


def there(*arguments, script, **environment):
    """Runs a program of its own: its exit code, its lines and its errors."""
    command = [sys.executable, "-W", "error", "-c", script + MODULE, *map(str, arguments)]
    options = dict(capture_output=True, text=True, timeout=240, env={**os.environ, **environment})
    done = subprocess.run(command, **options)
    return done.returncode, done.stdout.splitlines(), done.stderr


def here(*arguments):
    """The same in this process, whose imports are done."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = command.run("lenet", COMMANDS, [*map(str, arguments)])
    return code, output.getvalue().splitlines(), errors.getvalue()


def cache(parent):
    """Settings by which what one program compiles the next finds there."""
    return {
        "jax_compilation_cache_dir": str(parent / "programs"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }


def as_environment(settings):
    return {name.upper(): str(value) for name, value in settings.items()}


@contextlib.contextmanager
def kept_programs(parent):
    """`cache` in this process; gives the settings as they are in an environment."""
    settings = cache(parent)
    before = {name: getattr(jax.config, name) for name in settings}
    compilation_cache.reset_cache()
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        yield as_environment(settings)
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def runs(few_digits_as_users_run, tmp_path_factory):
    """Two runs of the same recipe: one stopped by SIGTERM and resumed, one from start to end.

    The one that is stopped is a program of its own, which compiles; it goes on in this one.
    """
    parent = tmp_path_factory.mktemp("runs")
    make_programs, compile, made = session.make_programs, Programs.compile, {}

    def make_once(subject, recipe, options):
        if (subject, recipe) not in made:
            made[subject, recipe] = make_programs(subject, recipe, options)
        return made[subject, recipe]

    with (
        few_digits_as_users_run() as data_dir,
        pytest.MonkeyPatch.context() as patch,
        kept_programs(parent) as environment,
    ):
        patch.setattr(session, "make_programs", make_once)
        patch.setattr(Programs, "compile", lambda self: self.batches.compiled or compile(self))
        options = ("--epochs", EPOCHS, "--data-dir", data_dir, "--run")
        stopped, script = parent / "lenet-stopped", FEW + STOPPED
        results = {"stopped": there(*options, stopped, script=script, **environment)}
        results["whole"] = here(*options, parent / "lenet-whole")
        patch.setattr(pictures, "draw", lambda *arguments: None)
        options = ("--resume", stopped, "--data-dir", data_dir)
        results["resumed"] = here(*options)
        options = ("--resume", parent / "lenet-whole", "--data-dir", data_dir, "--quiet")
        return parent, results | {"quiet": here(*options)}


def parameters(folder):
    model = lenet.trained(lenet.Run(folder))
    return jax.tree.leaves(nnx.state(model, nnx.Param))


def test_output(runs):
    _, results = runs
    code, output, errors = results["whole"]
    assert (code, errors) == (0, "")
    lines = [line for line in output if not re.search(r"\d+ s$|left$|^epoch [123]/", line)]
    data, images, build, compiling, folder, drawing, training, last, pictures, test, *took = lines
    assert (data, build, compiling) == ("reading mnist5k", "building lenet5", "compiling")
    assert images == "data: mnist5k, 200 images to train on, 200 to test with"
    assert folder.startswith("seed 0, run folder ")
    assert (drawing, training) == ("drawing the parameters", "training")
    assert re.match(r"epoch 4/4  loss \d\.\d{4}  test accuracy \d\d\.\d\d%  [\d,]+ images/s$", last)
    assert pictures == "drawing the pictures"
    accuracy = test.removeprefix("test accuracy ").removesuffix("%")
    assert test == f"test accuracy {float(accuracy):.2f}%" and float(accuracy) > 20
    assert [line.split()[0] for line in took] == ["s", "clock", "CPU"]
    parts = took[0].split()[1:]  # what took no 0.05 s is not told
    assert parts[-1] == "all" and {"training", "pictures"} <= set(parts)
    assert set(parts) <= {*account.USUAL, account.REST, account.ALL}


def test_quiet(runs):
    """What was found is printed, and nothing of how it went."""
    code, output, errors = runs[1]["quiet"]
    assert (code, errors) == (0, "")
    folder, again, test = output
    assert folder.startswith("seed 0, run folder ")
    end = f"epoch {EPOCHS} of {EPOCHS}, the last; more --epochs train it for longer"
    assert again == f"goes on after {end}"
    assert test == next(line for line in runs[1]["whole"][1] if line.startswith("test accuracy"))


def test_stopped_and_resumed_run_ends_with_the_same_bits(runs):
    parent, results = runs
    code, output, errors = results["stopped"]
    assert (code, errors.count("\n")) == (0, 1)
    assert f"go on with: python -m experiments.lenet --resume {parent}" in errors
    code, output, errors = results["resumed"]
    assert (code, errors) == (0, "")
    (test,) = [line for line in results["whole"][1] if line.startswith("test accuracy")]
    assert test in output
    ended, whole = (parameters(parent / f"lenet-{name}") for name in ("stopped", "whole"))
    assert sum(leaf.size for leaf in ended) == 61_706
    for one, other in zip(ended, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_whose_output_nobody_reads(runs, data_dir):
    """As in `... | head -1`, with errors on a full disk: it ends with the same bits."""
    parent, _ = runs
    options = map(str, ("--epochs", EPOCHS, "--data-dir", data_dir, "--run", parent / "unread"))
    command = [sys.executable, "-W", "error", "-c", FEW + MODULE, *options, "--tensorboard"]
    environment = {**os.environ, **as_environment(cache(parent))}
    with open("/dev/full", "w") as full:
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full, env=environment)
    assert program.stdout.readline().startswith(b"Trains LeNet-5")
    program.stdout.close()
    assert program.wait(240) == 0
    ended, whole = (parameters(parent / name) for name in ("unread", "lenet-whole"))
    for one, other in zip(ended, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(list((parent / "unread" / "tensorboard").iterdir())) == 1


def test_run_folder(runs):
    folder = runs[0] / "lenet-whole"
    assert json.loads((folder / "config.json").read_text())["epochs"] == EPOCHS
    names = {path.name for path in folder.iterdir()} - {".lock"}  # not left on every system
    assert names == {
        ".order",
        "checkpoints",
        "config.json",
        "confusion.png",
        "environment.json",
        "inputs.json",
        "learning_curves.png",
        "metrics.jsonl",
        "misread.png",
        "times.json",
    }
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == EPOCHS


def test_predict(runs, data_dir, tmp_path, monkeypatch, capsys):
    image, _ = load("mnist5k", data_dir=data_dir).test[0]
    first = Image.fromarray(image[..., 0]).resize((120, 120))
    first.save(tmp_path / "digit.png")
    Image.fromarray(255 - np.asarray(first)).save(tmp_path / "inverted.jpg")
    (tmp_path / "text.png").write_text("no image")
    files = [str(tmp_path / name) for name in ("digit.png", "text.png", "inverted.jpg")]
    monkeypatch.chdir(runs[0].parent)
    (tmp_path / "runs").symlink_to(runs[0])
    monkeypatch.chdir(tmp_path)  # the newest run in runs/ is taken
    assert command.run("lenet", COMMANDS, ["predict", *files]) == 2
    output, errors = capsys.readouterr()
    one, other = output.splitlines()
    assert one.startswith(f"{files[0]}: ") and "%), or " in one
    assert other.startswith(f"{files[2]}: ")
    assert one[len(files[0]) :][:4] == other[len(files[2]) :][:4]  # ": 7 "
    assert errors.startswith(f"error: {files[1]}: no image that Pillow reads")


def refusal(arguments, capsys):
    """The one message of a command that is refused."""
    with pytest.raises(SystemExit) as exit:
        command.run("lenet", COMMANDS, [str(argument) for argument in arguments])
    assert exit.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs (=0) must be 1 or more"),
        (["--batch-size", "0"], "--batch-size (=0) must be 1 or more"),
        (["--learning-rate", "nan"], "--learning-rate (=nan) must be above 0"),
        (["--weight-decay", "-1"], "--weight-decay (=-1.0) must be 0 or more and below 1"),
        (["--shift", "-1"], "--shift (=-1) must be 0 or more pixels"),
        (["--label-smoothing", "1"], "--label-smoothing (=1.0) must be 0 or more and below 1"),
        (["--seed", "-1"], "--seed (=-1) must be 0 or more"),
        (["--repeat", "0"], "--repeat (=0) must be 1 or more"),
        (["--resume", "a", "--repeat", "2"], "--repeat (=2) does not go with --resume"),
        (["--resume", "a", "--run", "b"], "--run (=b) does not go with --resume"),
        (["--resume", "absent"], "absent is no run folder"),
        (["predict"], "predict: no file to look at; name some"),
        (["predict", "a.png", "--run", "absent"], "absent is no run folder"),
    ],
)
def test_bad_options(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(arguments, capsys)
    assert not list(tmp_path.iterdir())


def test_batch_larger_than_the_data(data_dir, tmp_path, capsys):
    options = ["--batch-size", "4001", "--data-dir", data_dir, "--run", tmp_path / "run"]
    assert "--batch-size (=4001) must be at most the 4,000 images" in refusal(options, capsys)
    assert not (tmp_path / "run").exists()


def test_shift_larger_than_the_images(data_dir, tmp_path, capsys):
    options = ["--shift", "28", "--data-dir", data_dir, "--run", tmp_path / "run"]
    assert "--shift (=28) must be less than the sides" in refusal(options, capsys)


def test_unwritable_run_folder(few_digits, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    options = ["--data-dir", few_digits, "--run", tmp_path / "file" / "run"]
    assert "cannot write to the run folder" in refusal(options, capsys)


def test_resume_keeps_the_recipe(runs, capsys):
    options = ["--resume", runs[0] / "lenet-whole", "--batch-size", "9"]
    message = refusal(options, capsys)
    assert "--batch-size (=9) cannot be changed in a run that is resumed, where it is 50" in message


def test_no_fewer_epochs_than_were_done(runs, capsys):
    options = ["--resume", runs[0] / "lenet-whole", "--epochs", EPOCHS - 1]
    assert "--epochs (=3) must be 4 or more: " in refusal(options, capsys)


def test_a_run_is_used_in_the_precision_it_was_trained_in(tmp_path, monkeypatch):
    recipe = lenet.dataclasses.replace(lenet.RECIPE, precision="bfloat16")
    run = lenet.Run.create(tmp_path / "run", session.config(lenet.SUBJECT, recipe))
    monkeypatch.setattr(
        lenet, "restore", lambda run, make: nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    )
    assert jnp.dtype(lenet.trained(run).features.conv1.dtype) == "bfloat16"


def test_config_of_another_experiment(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"epochs": 3, "depth": 7}')
    assert "of another experiment or version" in refusal(["--resume", tmp_path], capsys)


def test_missing_extra():
    code, output, errors = there(script='import runpy, sys; sys.modules["tyro"] = None\n')
    assert (code, output) == (2, [])
    assert errors == (
        "error: the package `tyro` is not installed; get it with: pip install -e '.[experiments]'\n"
    )
