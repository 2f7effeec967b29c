"""The benchmark's rows compiled for a device that is not here: shapes, answers, tables, files."""

import dataclasses
import functools
import json
import types

import jax
import jax.numpy as jnp
import pytest
from matplotlib.image import imread

from experiments.benchmark import registry, selection
from experiments.benchmark.compile_for import command, readme, results, table, worker
from experiments.benchmark.compile_for.results import Figures, Result
from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, STEP
from experiments.commands.command import UserError
from experiments.compiled_for import description, workers

selection.load_rows("primitives")
ALL = dict(registry.ROWS)


@pytest.fixture
def run(run_module):
    """The command line's options -> its exit code."""
    return functools.partial(run_module, "experiments.benchmark")


@pytest.fixture
def answered(monkeypatch):
    """Answers in place of a compiler's; what was asked, and with which environment."""
    asked = []

    def answers(module, tasks, environment):
        asked.append((module, dict(environment)))
        for task in tasks:
            row = registry.ROWS[task["row"]]
            if row.name == "avg 13x13":
                yield task, {"error": "the compiling process ended (-6): no more"}
                continue
            both = Result(
                row.suite, row.family, row.name, BOTH, task["dtype"],
                {"jaxcnn": Figures(2, {"fusion": 2}, 2_000_000, 5, 0, 0, 10e-6, None, 0.5),
                 "lax": Figures(5, {"fusion": 4, "scatter": 1}, 4_000_000, 5, 0, 9, 20e-6)},
                1_600_000,
            )  # fmt: skip
            yield task, {"results": [json.loads(json.dumps(dataclasses.asdict(both)))]}

    monkeypatch.setattr(workers, "answers", answers)
    monkeypatch.setattr(description, "_there", lambda module: True)
    return asked


def some(ratio=0.5, launches=2, cycles=None):
    ours = Figures(launches, {"fusion": launches}, int(ratio * 4e6), 0, 0, 0, ratio * 2e-5, cycles)
    lax = Figures(4, {"fusion": 4}, 4_000_000, 0, 0, 0, 2e-5, 2 * cycles if cycles else None)
    figures = {"jaxcnn": ours, "lax": lax}
    return Result("primitives", "max pools", "max", BOTH, "float32", figures, 10**6)


def test_prints_writes_draws_and_saves(run, answered, tmp_path, capsys):
    files = tmp_path / "new" / "rows.json", tmp_path / "ratios.png"
    kept = ("--compile-for", "h100", "--filter", "max 3x3", "--results", str(tmp_path))
    code = run(*kept, "--json", str(files[0]), "--picture", str(files[1]), "--save")
    assert code == 0
    out = capsys.readouterr().out
    assert answered == [(command.WORKER, description.load("h100").environment)]
    assert "compiled 1 of 3: max 3x3" in out and "2 fusion" in out
    assert "0.50 x lax's time and 0.50 x its bytes, geometric mean of 3 rows" in out
    assert "compiled for H100, JAX" in out and "nothing was run" in out
    head, found = results.read(files[0])
    assert head["compiled_for"] == "H100" and head["model"]["launch"] == 2e-6
    assert [result.times_least for result in found] == 3 * [1.25]
    assert imread(files[1]).shape[1] > 500
    (saved,) = (tmp_path / "compiled_for").glob("h100-jax-*.json")
    assert results.read(saved)[1] == found and saved.with_suffix(".png").exists()


def test_a_program_of_ours_that_fails_exits_1(run, answered, capsys):
    assert run("--compile-for", "tpu-v5e", "--filter", "avg 13x13") == 1
    assert "jaxcnn failed: the compiling process ended (-6): no more" in capsys.readouterr().out


def test_what_is_missing_or_does_not_go_together_is_said(run, monkeypatch, capsys):
    monkeypatch.setattr(description, "_there", lambda module: False)
    assert run("--compile-for", "h100") == 2
    assert "pip install -e '.[compile]'" in capsys.readouterr().err
    assert run("--compile-for", "h101") == 2
    assert "no device 'h101' to compile for" in capsys.readouterr().err
    assert run("--compile-for", "h100", "--in-scan") == 2
    assert "--in-scan (=True) does not go with --compile-for" in capsys.readouterr().err
    assert run("--compile-for", "h100", "--dtype", "float64") == 2
    assert "--dtype (=float64) does not go with --compile-for" in capsys.readouterr().err


def test_a_row_is_found_by_its_name_with_commas():
    name = "conv 3x3, 3 to 64, first layer"
    assert [row.name for row in selection.select("primitives", name)] == [name]
    parts = {row.name for row in selection.select("primitives", "max 31x31, LeNet-5")}
    assert {"max 31x31", "conv 5x5, 1 to 6, LeNet-5"} < parts


def test_least_bytes_and_modes():
    row = ALL["unpool 2x2"]
    arrays = worker.shapes(row, jnp.dtype("bfloat16"))
    assert [a.dtype.name for a in arrays] == ["bfloat16", "int32"]
    small, large = 32 * 16 * 16 * 64, 32 * 32 * 32 * 64
    assert worker._program(row, FORWARD, arrays)[1] == (2 + 4) * small + 2 * large
    given, least = worker._program(row, BOTH, arrays)  # inputs, indices, cotangent; both gradients
    assert least == (2 + 4 + 2) * small + 2 * 2 * large and len(given) == 3
    assert worker.modes(row) == (FORWARD, BOTH)
    step = registry.Benchmark("models", "networks", "net", (), row.ours, {}, None, None)
    assert worker.modes(step) == (STEP,)
    epoch = registry.Benchmark("models", "networks", "net", (), row.ours, {}, None, None, "", False)
    assert worker.modes(epoch) == (EPOCH,)


@dataclasses.dataclass
class OnThisCpu:
    """A target that notes what it compiles, by this machine's own compiler."""

    compiled: list[str]

    def lower(self, function, given):
        lowered = jax.jit(function).lower(*given)

        def compiling():
            self.compiled.append(lowered.as_text())
            return lowered.compile()

        return types.SimpleNamespace(compiler_ir=lowered.compiler_ir, compile=compiling)


def test_a_program_that_is_another_ones_is_compiled_once(monkeypatch):
    target = OnThisCpu([])
    monkeypatch.setattr(worker, "Target", lambda device: target)
    compiler = worker.Compiler(description.load("h100"))
    given = [jax.ShapeDtypeStruct((4, 4), jnp.float32)]
    told = [compiler.figures(f, given) for f in (jnp.sin, lambda x: jax.jit(jnp.sin)(x), jnp.exp)]
    assert len(target.compiled) == 2
    alike = [dataclasses.replace(one, compile_seconds=None) for one in told]
    assert alike[0] == alike[1] and told[0].launches and not told[0].error
    assert told[1].compile_seconds > 0  # to trace and lower it, and what the first one took
    failed = compiler.figures(lambda x: jnp.dot(x, x[:3]), given)
    assert "dot_general requires" in failed.error and failed.bytes is None


def test_regressions():
    before = [some()]
    assert results.regressions([some(0.52)], before) == []
    assert results.regressions([some(0.55, launches=3)], before) == [
        "max, forward + backward, float32: 2,200,000 bytes, 2,000,000 as committed (+10%)",
        "max, forward + backward, float32: 3 kernels, 2 as committed (+50%)",
    ]
    (line,) = results.regressions([some(cycles=1060)], [some(cycles=1000)])
    assert line == "max, forward + backward, float32: 1,060 cycles, 1,000 as committed (+6%)"


def test_averages_name_the_rows_that_take_more():
    assert table.averages([some(1.1, 5)], ["lax"]) == [
        "forward + backward: 1.10 x lax's time and 1.10 x its bytes, geometric mean of 1 rows; "
        "most time 1.10 x (max)",
        "forward + backward: more bytes than lax in max",
        "forward + backward: more kernels than lax in max",
    ]


def test_tables_of_the_readmes(tmp_path):
    front, details = tmp_path / "front.md", tmp_path / "details.md"
    for path in (front, details):
        path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    assert readme.update(front, details, tmp_path) == 0 and "old" in front.read_text()
    for version, ratio in (("1", 0.5), ("2", 0.25)):
        head = {"compiled_for": "H100", "versions": {"jax": version}}
        path = results.path_of(tmp_path, "h100", version)
        results.write(path, results.to_json(head, [some(ratio)]))
    assert readme.update(front, details, tmp_path) == 2
    assert front.read_text().splitlines()[3:6] == [
        "| compiled for | rows | time, JAX 1 | bytes | time, JAX 2 | bytes |",
        "|---|---|---|---|---|---|",
        "| H100, float32 | 1 | 0.50 x (0.50) | 0.50 x (0.50) | 0.25 x (0.25) | 0.25 x (0.25) |",
    ]
    text = details.read_text()
    assert "**compiled for H100, JAX 1, float32**" in text
    assert "| max pools | 1 | 0.50 x (0.50) | 0.50 x (0.50) | 0.50 x (0.50) | 2.00 x |" in text
    assert "| max | 2 / 4 | 2.0 / 4.0 | 1.0 | 10.0 / 20.0 | 0.50 x |  |" in text
    tpu = {"compiled_for": "TPU", "versions": {"jax": "2"}}
    more = [some(), dataclasses.replace(some(), name="min")]
    results.write(results.path_of(tmp_path, "tpu", "2"), results.to_json(tpu, more))
    readme.update(front, details, tmp_path)
    assert "| H100, float32 | 1 of 2 |" in front.read_text()
    assert "| TPU, float32 | 2 |" in front.read_text()
    assert details.read_text().count("1 of 2 rows. The others were not compiled") == 2
    assert "minutes of a CPU: min.\n" in details.read_text()
    front.write_text("no marks")
    with pytest.raises(UserError, match="must hold these two lines once"):
        readme.update(front, details, tmp_path)


def test_a_file_that_is_none_of_ours(tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text('{"results": [{"figures": 3}]}')
    with pytest.raises(UserError, match="is no file of results"):
        results.read(path)
