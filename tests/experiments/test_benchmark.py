"""The benchmark's own machinery, on rows so small that no time is worth looking at."""

import dataclasses
import functools
import importlib
import json
import math
import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from matplotlib.image import imread

from experiments.benchmark import (
    ceiling,
    check,
    picture,
    plain_lax,
    readme,
    registry,
    results,
    selection,
    table,
    timing,
    torch_peer,
)
from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, SCAN, STEP
from experiments.benchmark.results import Figures, Result
from experiments.commands.command import UserError
from jaxcnn import functional, models, nn
from tests.models.networks import NETWORKS

selection.load_rows("primitives")
ALL = dict(registry.ROWS)
CEILING = functools.cache(ceiling.measure)
POOL = dict(window_shape=(2, 2), strides=(2, 2), padding=(0, 0), window_dilation=(1, 1))
CONV = dict(strides=(1, 2), padding=(1, 0), kernel_dilation=(2, 1), feature_group_count=2)
TRANSPOSED = dict(strides=(2, 3), padding=(1, 0), output_padding=(1, 0), feature_group_count=2)


@pytest.fixture(autouse=True)
def small_and_alone(monkeypatch, plain_jax):
    """No rows but a test's own, a small ceiling found once, and JAX's settings as they were."""
    monkeypatch.setitem(ceiling.SIZES, "cpu", 32)
    monkeypatch.setattr(ceiling, "measure", CEILING)
    registry.ROWS.clear()
    yield
    registry.ROWS.clear()
    registry.ROWS.update(ALL)


@pytest.fixture
def run(run_module):
    """The command line's options -> its exit code."""
    return functools.partial(run_module, "experiments.benchmark")


def add_pool():
    return registry.register(
        "max 2x2", "max pools", [(2, 6, 4, 3)],
        ours=functools.partial(functional.max_pool, **POOL),
        peers={"lax": functools.partial(plain_lax.max_pool, **POOL)},
        torch=("max_pool", POOL), flops=lambda outputs: 4 * outputs.size,
    )  # fmt: skip


def add_conv():
    return registry.register(
        "conv", "convolution", [(2, 6, 5, 4), (3, 2, 2, 6)],
        ours=functools.partial(functional.conv, **CONV),
        peers={"lax": functools.partial(plain_lax.conv, **CONV)},
        torch=("conv", CONV), flops=lambda outputs: 24 * outputs.size, note="tried all",
    )  # fmt: skip


class Blank(np.random.Generator):
    """Draws nothing where the shape is all that counts."""

    def standard_normal(self, size, dtype):
        return np.zeros(size, dtype)


def test_rows_are_many_and_their_peers_give_the_same_shapes():
    assert len(ALL) >= 40
    for row in ALL.values():
        rng = Blank(np.random.PCG64(0))
        arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (d(rng) for d in row.draws)]
        ours = jax.eval_shape(row.ours, *arrays)
        assert row.peers and row.flops(ours) > 0, row.name
        for name, peer in row.peers.items():
            other = jax.eval_shape(peer, *arrays)
            assert (other.shape, other.dtype) == (ours.shape, ours.dtype), (row.name, name)


def test_prints_writes_draws_and_saves(run, tmp_path, capsys):
    add_pool(), add_conv()
    files = tmp_path / "new" / "rows.json", tmp_path / "ratios.png"
    options = ("--peers", "lax", "--in-scan", "--repeats", "3", "--results", str(tmp_path / "kept"))
    assert run(*options, "--json", str(files[0]), "--picture", str(files[1]), "--save") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    while not lines[0].startswith("row "):  # what it is at
        assert lines.pop(0).startswith(("Measures this library beside", "measuring"))
    assert lines[0].split()[:7] == ["row", "mode", "jaxcnn", "ms", "lax", "ms", "x"]
    assert [line.split("  ")[0] for line in lines[1:9:4]] == ["max 2x2", "conv"]
    assert "compiling with the gradient: " in out and "; target 2, missed by " in out
    assert "forward + backward: " in out and "in a scan: lax takes " in out and "ceiling: " in out
    head, found = results.read(files[0])
    assert [result.mode for result in found] == 2 * [FORWARD, BOTH, STEP, SCAN]
    assert head["versions"]["jax"] == jax.__version__ and head["ceiling"]["flops"] > 0
    forward, both = found[4:6]
    assert forward.flops == 24 * math.prod((2, 4, 2, 6)) and both.flops == 3 * forward.flops
    for result in found:
        for name in ("jaxcnn", "lax"):
            figures = result.figures[name]
            assert figures.seconds > 0 and figures.compile_seconds > 0 and figures.samples >= 3
            assert figures.temp_bytes is not None and not figures.wrong
        seconds = [result.figures[name].compile_seconds for name in ("jaxcnn", "lax")]
        assert result.compile_ratio == pytest.approx(seconds[0] / seconds[1], rel=1e-3)
        # up to 64 steps of float32 in a scan, whose products are added up in another order
        assert result.figures["lax"].difference < 1e-5 and result.speedup("lax") > 0
    assert imread(files[1]).shape[1] > 500
    saved = results.path_of(tmp_path / "kept", head["device"], jax.__version__)
    assert saved.with_suffix(".png").exists() and results.read(saved)[1] == found
    text = saved.read_text()
    assert len(text.splitlines()) < 40 and "date" not in json.loads(text)

    first = found[0]
    much = {**first.figures, "lax": Figures(seconds=1e3 * first.figures["lax"].seconds)}
    results.write(saved, results.to_json(head, [Result(**{**vars_of(first), "figures": much})]))
    options = ("--peers", "lax", "--quick", "--results", str(tmp_path / "kept"))
    assert run(*options, "--filter", "max 2x2") == 0
    out = capsys.readouterr().out
    assert "regression: max 2x2, forward: " in out and " as committed (-" in out


def vars_of(result):
    return {name: getattr(result, name) for name in result.__dataclass_fields__}


def test_a_wrong_result_exits_1_and_is_not_timed(run, capsys):
    peers = {"lax": lambda x: 2.001 * x, "flax": lambda x: (2 * x)[:2]}
    registry.register("twice", "sums", [(3, 4)], ours=lambda x: 2 * x, peers=peers)
    assert run("--quick", "--peers", "lax,flax") == 1
    out = capsys.readouterr().out
    assert "WRONG twice, forward: lax differs from jaxcnn by 5.0e-04 of the largest value" in out
    assert "WRONG twice, forward: flax differs from jaxcnn by no number in common" in out
    assert "twice, forward + backward: flax failed: ValueError" in out


def test_what_a_peer_cannot_is_told_and_what_we_cannot_exits_1(run, capsys):
    def broken(x):
        raise NotImplementedError("no such kernel\nat all")

    registry.register("sines", "sums", [(3, 4)], ours=jnp.sin, peers={"lax": broken})
    assert run("--quick", "--peers", "lax") == 0
    out = capsys.readouterr().out
    assert "sines, forward: lax failed: NotImplementedError: no such kernel\n" in out

    @jax.custom_jvp
    def unfinished(x):
        return x

    unfinished.defjvp(lambda primals, tangents: broken(*primals))
    registry.register("ours", "sums", [(3, 4)], ours=unfinished, peers={"lax": lambda x: x})
    assert run("--quick", "--filter", "ours", "--peers", "") == 1
    assert "ours, forward + backward: jaxcnn failed" in capsys.readouterr().out


def test_pytorch_takes_part_in_every_layout(run, tmp_path):
    pytest.importorskip("torch")
    add_pool(), add_conv()
    registry.register(
        "transposed", "transposed", [(2, 3, 4, 4), (3, 2, 2, 6)],
        ours=functools.partial(functional.conv_transpose, **TRANSPOSED),
        torch=("conv_transpose", TRANSPOSED),
    )  # fmt: skip
    registry.register(
        "unpool", "other", [(2, 3, 2, 4), lambda rng: np.arange(48, dtype=np.int32).reshape(
            2, 3, 2, 4) % 4],
        ours=functools.partial(functional.max_unpool, window_shape=(2, 2), strides=2),
        torch=("no_such_function", {}),
    )  # fmt: skip
    registry.register(
        "grey dilation", "other", [(2, 5, 4, 3), (2, 3, 3)],
        ours=functools.partial(functional.grey_dilation, padding="VALID"),
        torch=("grey_dilation", {}),
    )  # fmt: skip
    path = tmp_path / "rows.json"
    options = ("--quick", "--peers", "torch", "--json", str(path))
    assert run(*options, "--torch-python", sys.executable) == 0
    head, found = results.read(path)
    assert head["versions"]["torch"]
    for result in found:
        figures = result.figures["torch"]
        if result.name == "unpool":
            assert figures.error == "KeyError: 'no_such_function'"
        else:
            assert figures.seconds > 0 and figures.difference < 1e-5


def test_without_pytorch_the_others_are_measured(run, monkeypatch, capsys):
    add_pool()
    monkeypatch.setattr(torch_peer, "here", lambda: False)
    assert run("--quick") == 0
    out = capsys.readouterr().out
    assert "no PyTorch in this environment; --torch-python names one" in out and "x lax" in out


def test_training_steps_of_a_network(run, tmp_path):
    from experiments.benchmark import plain_flax, rows_models

    registry.ROWS.clear()
    tiny = functools.partial(
        models.PatternCNN, (6, 8, 1), 3, convs=1, stages=1, hidden=0, features=2
    )
    rows_models.model("step", (5, 6, 8, 1), tiny)
    rows_models.model("epoch", (5, 6, 8, 1), tiny, batches=4)
    path = tmp_path / "rows.json"
    options = ("--suite", "models", "--in-scan", "--quick", "--peers", "flax")
    assert run(*options, "--json", str(path)) == 0
    found = results.read(path)[1]
    assert [result.mode for result in found] == [STEP, SCAN, EPOCH]
    assert all(result.figures["flax"].difference < 1e-5 for result in found)
    assert {row.name for row in selection.select("models", "")} == {"step", "epoch"}
    with pytest.raises(ValueError, match="plain: MinPool at block1.pool has no plain form"):
        plain = plain_flax.plain(lambda rngs: nn.Chain(block1=nn.Chain(pool=nn.MinPool((2,)))))
        rows_models.model("pooled", (5, 6, 8, 1), plain)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plain_network_has_no_layer_of_ours_and_the_same_parameters(name):
    from experiments.benchmark import plain_flax

    build, shape = NETWORKS[name]

    def make(rngs):
        model = build(rngs=rngs)
        model.eval()
        return model

    ours, plain = make(nnx.Rngs(0)), plain_flax.plain(make)(nnx.Rngs(0))
    kinds = {type(module) for _, module in nnx.iter_modules(plain)}
    assert nnx.Conv in kinds and not kinds & set(plain_flax.REPLACED)
    images = jax.random.normal(jax.random.key(0), (2, *shape))
    logits = nnx.jit(lambda one, other, x: (one(x), other(x)))(ours, plain, images)
    np.testing.assert_allclose(*logits, rtol=1e-4, atol=1e-4)
    paths = [[path for path, _ in nnx.to_flat_state(nnx.state(m))] for m in (ours, plain)]
    assert paths[0] == paths[1]


def test_networks_of_pytorch_are_ours(monkeypatch):
    torch = pytest.importorskip("torch")
    from experiments.benchmark import rows_models

    registry.ROWS.clear()
    widths = (2, 3, 4, 5)
    small = {
        "speed_net": (functools.partial(models.CifarSpeedNet, widths=(3, 4, 5)), 32),
        "resnet": (functools.partial(_thin_resnet, widths), 8),
        "mobilenet": (
            functools.partial(
                models.MobileNetV2, 3, width_multiplier=0.1, dropout=0.0,
                stages=((1, 8, 1, 1), (2, 8, 2, 2)),
            ),
            12,
        ),
        "convnext": (
            functools.partial(
                models.ConvNeXtTiny, 3, depths=(1, 1), widths=(4, 6), stochastic_depth=0.0,
                layer_scale=1.0,
            ),
            16,
        ),
    }  # fmt: skip
    monkeypatch.syspath_prepend(torch_peer.WORKER)
    functions, theirs = (importlib.import_module(name) for name in ("functions", "models"))
    assert theirs.RATE == rows_models.RATE
    rng = np.random.default_rng(0)
    for name, (build, size) in small.items():
        row = rows_models.model(name, (3, size, size, 3), build, name)
        images, labels, *state = (draw(rng) for draw in row.draws)
        network, peer = rows_models._Network(build), theirs.PEERS["step"]
        layouts, options = peer.all_layouts(row.torch[1]), row.torch[1]
        tensors = [
            functions.to_torch(array, layout, torch.float64, "cpu", {})
            for array, layout in zip((images, labels, *state), layouts, strict=True)
        ]
        with jax.enable_x64(True):
            wide = [np.asarray(array, np.float64) for array in (images, *state)]
            ours = jax.jit(network.logits)(wide[1:], wide[0])
        found = theirs.NETWORKS[name](
            tensors[0], dict(zip(network.names, tensors[2:], strict=True))
        )
        np.testing.assert_allclose(found, ours, rtol=1e-9, atol=1e-9)
        after = peer.call(*tensors, **options)
        stood = [torch.equal(a, b) for a, b in zip(after[1:], tensors[2:], strict=True)]
        fixed = [name for name, same in zip(network.names, stood, strict=True) if same]
        # Beside it only biases whose effect a normalisation takes away.
        assert ("features/whitening/kernel" in fixed) == (name == "speed_net")
        assert len(fixed) < len(stood) / 4


def _thin_resnet(widths, rngs):
    stem = nn.ConvBlock(3, widths[0], (3, 3), padding=1, rngs=rngs)
    stages, inside = {}, widths[0]
    for stage, width in enumerate(widths[:2], 1):
        strides = 1 if stage == 1 else 2
        stages[f"stage{stage}"] = nn.Chain(block1=nn.BasicBlock(inside, width, strides, rngs=rngs))
        inside = width
    fc = nnx.Linear(inside, 3, rngs=rngs)
    classifier = nn.Chain(pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)), fc=fc)
    return nn.Chain(features=nn.Chain(stem=stem, **stages), classifier=classifier)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--filter", "nothing"), r"--filter 'nothing' fits no row of primitives; .* max pools"),
        (("--filter", "max 2x3"), r"fits no row of primitives, perhaps max 2x2; --list prints"),
        (("--dtype", "int8"), r"--dtype \(=int8\) must be one of: float64, float32"),
        (("--dtype", "tf32"), r"--dtype \(=tf32\) goes with --platform gpu alone"),
        (("--platform", "gpu"), r"--platform gpu is not there for JAX; .*\[cuda\]"),
        (("--peers", "lax,keras"), r"--peers \(=lax,keras\) must be names out of: lax, flax"),
        (("--repeats", "0"), r"--repeats \(=0\) must be at least 1"),
        (("--quick", "--save"), r"--save \(=True\) does not go with --quick"),
        (("--json", "/dev/null/a.json"), r"/dev/null/a.json cannot be written: .*; name another"),
        (("--picture", "/dev/null/a.png"), r"/dev/null/a.png cannot be written: .*; name another"),
        (("--torch-python", "/dev/null"), r"--torch-python /dev/null cannot be run: "),
        (("--torch-python", "/bin/true"), r"--torch-python /bin/true is of no use: its process"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line_before_measuring(run, arguments, match, capsys):
    add_pool()
    assert run(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    with pytest.raises(UserError, match=match):
        raise UserError(lines[0])


def some_results():
    def result(name, mode, seconds, suite="primitives", family="max pools", **more):
        figures = {peer: Figures(seconds=s) for peer, s in seconds.items()}
        return Result(suite, family, name, mode, "float32", figures, **more)

    return [
        result("max", FORWARD, {"jaxcnn": 1.0, "lax": 2.0, "torch": 3.0}),
        result("max", BOTH, {"jaxcnn": 1.0, "lax": 8.0, "torch": 0.5}, ceiling_share=0.5),
        result("max", STEP, {"jaxcnn": 2.0, "lax": 9.0}),
        result("max", SCAN, {"jaxcnn": 2.2, "lax": 90.0}),
        result("conv", FORWARD, {"jaxcnn": 1.0, "lax": 1.0}, family="convolution"),
        result("conv", BOTH, {"jaxcnn": 2.0, "lax": 1.0}, family="convolution"),
        result("net", STEP, {"jaxcnn": 1.0, "flax": 4.0}, "models", "networks"),
        result("net, epoch", EPOCH, {"jaxcnn": 1.0, "flax": 5.0}, "models", "networks"),
    ]


def test_a_row_misses_the_target_of_compiling_with_its_gradient_alone(capsys):
    forward, both, *_ = (dataclasses.replace(each, compile_ratio=3.5) for each in some_results())
    table.show([forward], table.console())
    assert "missed" not in capsys.readouterr().out
    table.show([forward, both], table.console())
    assert "3.5 missed" in (out := capsys.readouterr().out) and "missed by 1: max 3.5" in out
    table.show([forward, dataclasses.replace(both, compile_ratio=0.5)], table.console())
    assert "target 2, missed by none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"quick": True}, "Measures this library beside plain lax"),
        ({"compile_for": "h100"}, "Compiles rows for a device that is not here, h100"),
    ],
)
def test_the_first_line_is_of_measuring_or_of_compiling(arguments, told):
    # Not imported: what runs the module later would find it there, and say so.
    options = runpy.run_module("experiments.benchmark.__main__", run_name="looked at")["Options"]
    what, took = options(**arguments).begins()
    assert what.startswith(told) and took


@pytest.fixture
def copies(tmp_path):
    """A front page and the benchmark's own, with old tables, and the options that name them."""
    front, details = tmp_path / "front.md", tmp_path / "details.md"
    for path in (front, details):
        path.write_text(f"before\n\n{readme.BEGIN}\nold\n{readme.END}\n\nafter\n")
    return front, details, ("readme", "--readme", str(front), "--details", str(details))


def test_readmes_are_written_between_their_markers(run, copies, tmp_path, capsys):
    front, details, command = copies
    folder = tmp_path / "results"
    head = {"device": "A chip", "versions": {"python": "3.11", "jax": "0.10.2"}}
    results.write(folder / "a-chip.json", results.to_json(head, some_results()))
    assert run(*command, "--results", str(folder)) == 0
    assert "the tables of 1 file" in capsys.readouterr().out
    texts = front.read_text(), details.read_text()
    for text in texts:
        assert text.startswith(f"before\n\n{readme.BEGIN}\n") and text.endswith("\n\nafter\n")
        assert "old" not in text
    assert "**A chip; Python 3.11, JAX 0.10.2, float32**" in texts[1]
    assert "| max pools | 1 | 2 x (2) | 8 x (8) | 3 x (3) | 0.5 x (0.5) | 1.1 x" in texts[1]
    assert "| **all primitives** | 2 | 1.4 x (1) | 2 x (0.5) |" in texts[1]
    assert "| networks | 2 |  | 4 x (4) (Flax) |" in texts[1]
    row = "| max | 1e+03 / 1e+03 | 2e+03 / 8e+03 | 3e+03 / 500 | 50% | 1.1 x | 10 x |  |"
    assert row in texts[1] and "| slower |" in texts[1]
    assert run(*command, "--results", str(folder)) == 0
    assert (front.read_text(), details.read_text()) == texts


def test_the_front_page_has_three_columns_for_each_version_of_jax(run, copies, tmp_path):
    front, _, command = copies
    folder, versions = tmp_path / "results", {"python": "3.11"}
    for device, version, count in (("Another", "1", 2), ("Chip", "1", 8), ("Chip", "2", 4)):
        head = {"device": device, "versions": versions | {"jax": version}}
        text = results.to_json(head, some_results()[:count])
        results.write(folder / f"{device}-{version}.json", text)
    assert run(*command, "--results", str(folder)) == 0
    tables = front.read_text().split(", float32:\n\n")
    assert tables[0].endswith("Another") and tables[1].endswith("Chip")
    assert tables[2].splitlines()[:-4] == [
        "| family | rows | lax, JAX 1 | in a scan | PyTorch | lax, JAX 2 | in a scan | PyTorch |",
        "|---|---|---|---|---|---|---|---|",
        "| max pools | 1 | 8 x (8) | 41 x (41) | 0.5 x (0.5) | 8 x (8) | 41 x (41) | 0.5 x (0.5) |",
        "| convolution | 1 | 0.5 x (0.5) |  |  |  |  |  |",
        "| networks | 2 | 4 x (4) | 5 x (5) |  |  |  |  |",
        "| **all primitives** | 2 | 2 x (0.5) | 41 x (41) | 0.5 x (0.5) |  |  |  |",
    ]


def test_tables_of_the_readmes_are_those_of_the_results_that_are_kept(run, copies):
    registry.ROWS.update(ALL)  # whose notes are in the tables
    root = Path(__file__).parents[2]
    texts = [(root / "README.md").read_text()]
    texts.append((root / "experiments" / "benchmark" / "README.md").read_text())
    for copy, text in zip(copies[:2], texts, strict=True):
        copy.write_text(text)
    assert run(*copies[2]) == 0
    assert [copy.read_text() for copy in copies[:2]] == texts


@pytest.mark.parametrize("option, which", [("--readme", 0), ("--details", 1)])
def test_a_readme_that_cannot_be_written_is_told(run, copies, which, option, tmp_path, capsys):
    for text, match in ((None, "cannot be read"), ("no markers", "must hold these two lines once")):
        copies[which].unlink() if text is None else copies[which].write_text(text)
        assert run(*copies[2], "--results", str(tmp_path)) == 2
        assert f"{option} {copies[which]} {match}" in capsys.readouterr().err


def test_results_that_the_readmes_cannot_be_written_from_are_told(run, copies, tmp_path, capsys):
    assert run(*copies[2], "--results", str(tmp_path)) == 2
    assert "holds no file" in capsys.readouterr().err
    (tmp_path / "broken.json").write_text("{}")
    assert run(*copies[2], "--results", str(tmp_path)) == 2
    assert "broken.json is no file of results" in capsys.readouterr().err


def test_regressions_and_averages_of_known_numbers():
    before = some_results()
    assert results.regressions(before, before) == []
    slower = [
        Result(**{**vars_of(r), "figures": {**r.figures, "jaxcnn": Figures(seconds=3.0)}})
        if r.key[:2] in (("max", BOTH), ("max", SCAN)) else r
        for r in before
    ]  # fmt: skip
    lines = results.regressions(slower, before)
    assert lines[0] == "max, forward + backward: 2.67 x lax, 8.00 x as committed (-67%)"
    assert lines[-1] == "max: 1.50 x as long in a scan, 1.10 x as committed (+36%)"
    said = table.averages(before, ["lax"])
    assert "forward: 1.41 x as fast as lax, geometric mean of 2 rows; least 1.00 x (conv)" in said
    assert said[-1] == "in a scan: lax takes 10.00 x as long as outside; most 10.00 x (max)"
    assert results.merged(before[:1], before[:2]) == before[:2]
    new = dataclasses.replace(before[0], name="another of its family")
    whole = results.merged(before, [new])
    place = whole.index(new)
    assert whole[:place] + whole[place + 1 :] == before
    assert whole[place - 1].family == new.family not in [r.family for r in whole[place + 1 :]]
    drawn = picture.draw(before, "title").axes[0]
    assert [label.get_text() for label in drawn.get_yticklabels()] == [
        "max", "conv", "net", "net, epoch",
    ]  # fmt: skip
    with pytest.raises(UserError, match="a.xyz cannot be drawn: .*; name a .png or .svg file"):
        picture.save(picture.draw(before, ""), results.FOLDER / "a.xyz")


def test_difference_is_relative_to_the_largest_value():
    one = [np.array([1.0, -4.0]), np.zeros(0)]
    assert check.difference(one, [np.array([1.0, -5.0]), np.zeros(0)]) == pytest.approx(0.2)
    assert check.difference([np.array([np.nan, 1])], [np.array([np.nan, 1])]) == 0
    assert check.difference([np.array([np.nan, 1])], [np.array([0.0, 1])]) == math.inf
    assert check.difference(one, one[:1]) == math.inf


def test_turns_rotate_and_what_is_slow_is_sampled_once():
    order = []

    def candidate(name, seconds):
        return lambda calls: order.append(name) or seconds

    plan = timing.Plan(discard=1, repeats=4, most_seconds=1.0)
    found = timing.interleaved({"a": candidate("a", 0.01), "b": candidate("b", 2.0)}, plan)
    assert found["b"].samples == (2.0,) and len(found["a"].samples) >= 4
    assert order.count("b") == 1 and found["a"].median == 0.01 and found["a"].spread == 0
    order.clear()
    timing.interleaved({"a": candidate("a", 0.01), "b": candidate("b", 0.01)}, plan)
    assert "".join(order[:8]) == "abbaabba"


def test_names_are_unique():
    add_pool()
    with pytest.raises(ValueError, match="register: there is a row 'max 2x2' already"):
        add_pool()
