"""What differs by platform is told apart when a program is lowered, in derivatives too."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.ad_checkpoint import checkpoint_policies
from jax.experimental.jet import jet
from jax.sharding import AxisType, PartitionSpec

from jaxcnn import functional, geometry
from jaxcnn.lowering import choices
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.per_platform import OTHER, PLATFORMS, PerPlatform
from jaxcnn.lowering.problem import ConvProblem
from jaxcnn.testing import as_on


def on_cpu(x, y, places):
    return [jnp.sin(x) * y**2, 3 * places, jnp.sum(x * y * y)]


def elsewhere(x, y, places):
    return [jnp.tan(x) - y, -places, jnp.sum(x)]


TRACED = []


@dataclasses.dataclass(frozen=True)
class Two(PerPlatform):
    """Two computations of two arrays and one of integers, whose outputs are of all kinds."""

    name: str = ""

    def on(self, platform):
        TRACED.append((self.name, platform))
        return on_cpu if platform == "cpu" else elsewhere

    def outputs(self, operands):
        x, _, places = operands
        return [x, places, jax.ShapeDtypeStruct((), x.dtype)]


@pytest.fixture
def arrays(rng):
    return *rng.standard_normal((2, 3, 4)), rng.integers(0, 9, (3, 4))


def made(x, y, places):
    """By platform."""
    return by_platform(Two(), x, y, places)


def lowered(function, *args, platform):
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def scalar(compute, x, y, places):
    first, marks, total = compute(x, y, places)
    return jnp.sum(first**2 * marks.astype(first.dtype)) + total**2


def loop(compute, x, y, places):
    def body(carry):
        i, x = carry
        return i + 1, compute(x, y, places)[0]

    return lax.while_loop(lambda carry: carry[0] < 3, body, (0, x))[1]


def scanned(compute, x, y, places):
    return lax.scan(lambda x, _: (compute(x, y, places)[0], None), x, length=3)[0]


def either(compute, x, y, places):
    return lax.cond(x[0, 0] > 0, lambda x: compute(x, y, places)[0], lambda x: 3 * x, x)


USES = {
    "value": lambda f, *a: f(*a),
    "gradients": lambda f, *a: jax.grad(functools.partial(scalar, f), (0, 1))(*a),
    "gradient of one": lambda f, *a: jax.grad(functools.partial(scalar, f), 1)(*a),
    "forward": lambda f, x, y, i: jax.jvp(lambda x, y: f(x, y, i), (x, y), (y, x)),
    "no tangents": lambda f, *a: jax.jvp(
        f, a, (0 * a[0], a[1], np.zeros(a[2].shape, jax.dtypes.float0))
    )[1][0],
    "forward over reverse": lambda f, x, y, i: jax.jvp(
        lambda *a: jax.grad(functools.partial(scalar, f), (0, 1))(*a, i), (x, y), (y, x)
    ),
    "reverse over forward": lambda f, x, y, i: jax.grad(
        lambda x, y: jax.jvp(lambda x: f(x, y, i)[0], (x,), (y,))[1].sum(), (0, 1)
    )(x, y),
    "third order": lambda f, x, y, i: jax.jvp(
        jax.grad(lambda x: jax.grad(lambda x: scalar(f, x, y, i))(x).sum()), (x,), (y,)
    ),
    "hessian": lambda f, *a: jax.hessian(functools.partial(scalar, f), (0, 1))(*a),
    "batch": lambda f, *a: jax.vmap(f, (0, 1, None))(a[0], a[1].T, a[2][0]),
    "gradients of a batch": lambda f, *a: jax.vmap(
        jax.grad(functools.partial(scalar, f), (0, 1)), (1, None, 1)
    )(a[0], a[1][:, 0], a[2]),
    "batch of batches": lambda f, *a: jax.vmap(jax.vmap(f, (None, 0, 0)), (0, None, 0))(
        a[0], a[1], jnp.stack([a[2]] * 3)
    ),
    "linearized": lambda f, x, y, i: jax.linearize(lambda x: f(x, y, i)[0], x)[1](y),
    "checkpoint": lambda f, *a: jax.grad(jax.checkpoint(functools.partial(scalar, f)), (0, 1))(*a),
    "scan": lambda f, *a: jax.grad(lambda *a: scanned(f, *a).sum(), (0, 1))(*a),
    "while": lambda f, *a: jax.jvp(lambda x: loop(f, x, *a[1:]), a[:1], a[1:2]),
    "cond": lambda f, *a: jax.grad(lambda *a: either(f, *a).sum(), (0, 1))(*a),
    "series": lambda f, x, y, i: jet(
        lambda x, y: f(x, y, i)[0], (x, y), ((y, x, 0 * x), (x, 0 * x, y))
    ),
}


@pytest.mark.parametrize("use", USES)
def test_is_what_this_platform_makes(use, arrays):
    run = USES[use]
    expected = jax.jit(functools.partial(run, on_cpu))(*arrays)
    for found in (jax.jit(functools.partial(run, made))(*arrays), run(made, *arrays)):
        for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            assert ours.dtype == theirs.dtype
            if ours.dtype != jax.dtypes.float0:
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_outside_jit_too(arrays):
    with jax.disable_jit():
        for ours, theirs in zip(made(*arrays), on_cpu(*arrays), strict=True):
            np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "tpu"])
def test_each_platform_is_given_its_own_and_no_other_is_traced(platform, arrays):
    def gradients(*arrays):
        return jax.grad(
            lambda x: scalar(functools.partial(by_platform, Two(platform)), x, *arrays[1:])
        )(arrays[0])

    TRACED.clear()
    text = lowered(gradients, *arrays, platform=platform)
    assert {asked for asked in TRACED if asked[0] == platform} == {(platform, platform)}
    assert ("chlo.tan" in text or "stablehlo.tan" in text) == (platform != "cpu")
    assert ("stablehlo.cosine" in text) == (platform == "cpu")


def test_a_default_device_elsewhere_is_not_asked_what_runs_here(arrays):
    assert "stablehlo.sine" in jax.jit(made).lower(*arrays).as_text()
    text = lowered(made, *arrays, platform="cuda")
    with jax.default_device(jax.devices("cpu")[0]):
        assert lowered(made, *arrays, platform="cuda") == text and "stablehlo.sine" not in text


def test_only_operands_are_kept_for_the_backward_pass(arrays):
    x, y, places = arrays
    pull = jax.vjp(lambda x, y: made(x, y, places)[0], x, y)[1]
    kept = jax.tree.leaves(pull)
    assert len(kept) == 3
    for array in kept:
        assert any(np.array_equal(array, operand) for operand in arrays)


def convolutions(text):
    return text.count("stablehlo.convolution")


def test_settings_are_those_of_where_it_was_traced(rng):
    inputs, kernel = np.ones((1, 5, 5, 2), np.float32), np.ones((2, 2, 2, 3), np.float32)

    def run(inputs, kernel):
        with jax.default_matmul_precision("highest"):
            return functional.conv(inputs, kernel)

    assert "HIGHEST" in jax.jit(jax.grad(lambda *a: run(*a).sum())).lower(inputs, kernel).as_text()
    assert "HIGHEST" not in jax.jit(functional.conv).lower(inputs, kernel).as_text()
    with jax.enable_x64(False):
        narrow = jax.jit(lambda x: by_platform(Two("narrow"), x, x, jnp.int32(x))).trace(inputs)
    assert "f64" not in narrow.lower().as_text()


def test_policies_take_it_for_a_convolution(rng):
    inputs, kernel = rng.standard_normal((1, 5, 5, 2)), rng.standard_normal((2, 2, 2, 2))

    def convolutions_again(policy):
        @functools.partial(jax.checkpoint, policy=policy)
        def run(kernel):
            return (functional.conv(jnp.tanh(functional.conv(inputs, kernel)), kernel) ** 2).sum()

        jaxpr = jax.make_jaxpr(jax.grad(run))(kernel)
        (inside,) = (e for e in jaxpr.eqns if "remat" in e.primitive.name)
        return str(inside).count("by_platform"), jax.grad(run)(kernel)

    (kept, one), (again, other) = map(
        convolutions_again,
        (checkpoint_policies.dots_saveable, checkpoint_policies.nothing_saveable),
    )
    assert (kept, again) == (2, 4)  # both gradients; both values too
    np.testing.assert_allclose(one, other)


def test_what_does_not_vary_over_a_mesh_is_summed_over_it(arrays):
    x, y, places = arrays
    mesh = jax.make_mesh((1,), ("data",), (AxisType.Auto,))

    def gradients(compute):
        def run(x, y, places):
            def loss(x, y):
                return jax.shard_map(
                    lambda x, y, places: compute(x, y, places)[0],
                    mesh=mesh,
                    in_specs=(PartitionSpec("data"), PartitionSpec(), PartitionSpec("data")),
                    out_specs=PartitionSpec("data"),
                )(x, y, places)

            return jax.vjp(loss, x, y)[1](x)

        return jax.jit(run)

    assert "all_reduce" in gradients(made).lower(x, y, places).as_text()
    found, expected = (gradients(f)(x, y, places) for f in (made, on_cpu))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


# inputs, kernel, options; on a CPU: the algorithm, convolutions of value and of gradients
CONVOLUTIONS = {
    "dense": ((2, 7, 6, 4), (3, 2, 4, 5), {}, "canonical", 1, 2),
    "depthwise": ((2, 7, 6, 4), (3, 2, 1, 8), dict(feature_group_count=4), "shift", 0, 0),
    "few a group": ((2, 7, 6, 4), (3, 2, 2, 4), dict(feature_group_count=2), "taps", 0, 0),
    "groups": ((2, 7, 6, 12), (3, 2, 6, 12), dict(feature_group_count=2), "groups", 2, 4),
    "one tap": ((2, 7, 6, 4), (1, 1, 4, 5), dict(strides=2), "matmul", 0, 0),
    "dilated": ((2, 7, 6, 4), (3, 2, 4, 5), dict(input_dilation=(2, 1)), "phases", 2, 4),
    "planes": ((2, 5, 7, 6, 4), (3, 1, 2, 4, 5), {}, "planes", 3, 6),
}  # fmt: skip


def convolved(case):
    inputs, kernel, options, *_ = CONVOLUTIONS[case]
    structs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in (inputs, kernel)]
    return functools.partial(functional.conv, **options), structs


def gradients(conv):
    return lambda cotangent, *arrays: jax.vjp(conv, *arrays)[1](cotangent)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "tpu"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case, platform):
    _, _, options, name, of_value, of_gradients = CONVOLUTIONS[case]
    conv, arrays = convolved(case)
    cotangent = jax.eval_shape(conv, *arrays)
    expected = (of_value, of_gradients) if platform == "cpu" else (1, 2)
    if case == "depthwise" and platform in ("cuda", "rocm"):
        expected = (0, 1)  # slices, but for the kernel's gradient
    value = lowered(conv, *arrays, platform=platform)
    backward = lowered(gradients(conv), cotangent, *arrays, platform=platform)
    assert (convolutions(value), convolutions(backward)) == expected
    groups = set(map(int, re.findall(r"feature_group_count = (\d+)", value)))
    asked = options.get("feature_group_count", 1)
    if case == "depthwise" and platform == "tpu":
        assert "feature_group_count = 8" in backward  # a channel for each feature
    if platform == "cpu":
        asked = 1
    assert groups == ({asked} if expected[0] else set())

    def moved(*arrays):
        return jax.jvp(gradients(conv), arrays, arrays)[1]

    second = lowered(moved, cotangent, *arrays, platform=platform)
    assert bool(convolutions(second)) == bool(of_value or platform != "cpu")


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_one_export_holds_what_each_platform_takes(case, rng):
    name, of_value, of_gradients = CONVOLUTIONS[case][3:]
    conv, structs = convolved(case)
    arrays = [rng.standard_normal(s.shape).astype(np.float32) for s in structs]
    outputs = conv(*arrays)
    for function, operands, here in (
        (conv, arrays, of_value),
        (gradients(conv), [outputs, *arrays], of_gradients),
    ):
        jitted = jax.jit(function)
        of_all = export.export(jitted, platforms=("cpu", "cuda", "tpu"))(*operands)
        alone = [
            export.export(jitted, platforms=(platform,))(*operands).mlir_module()
            for platform in ("cpu", "cuda", "tpu")
        ]
        text = of_all.mlir_module()
        assert "stablehlo.case" in text
        assert (
            convolutions(text) == sum(map(convolutions, alone)) and convolutions(alone[0]) == here
        )
        for ours, theirs in zip(
            *map(jax.tree.leaves, (of_all.call(*operands), function(*operands))), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_export_for_all_platforms_with_its_gradient_and_any_batch(rng):
    inputs, kernel, *_ = CONVOLUTIONS["depthwise"]
    conv, _ = convolved("depthwise")
    batch, *_ = export.symbolic_shape("b")
    structs = [
        jax.ShapeDtypeStruct((batch, *inputs[1:]), np.float32),
        jax.ShapeDtypeStruct(kernel, np.float32),
    ]
    exported = export.export(jax.jit(conv), platforms=("cpu", "cuda", "tpu"))(*structs)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, *inputs[1:]), kernel)]
    expected, pull = jax.vjp(conv, *arrays)
    found, pull_back = jax.vjp(exported.call, *arrays)
    for ours, theirs in zip((found, *pull_back(found)), (expected, *pull(expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_axes_in_another_order():
    """Channels first are transposed for a CPU, for a TPU never."""

    def conv(lhs, rhs):
        return functional.conv_general_dilated(
            lhs, rhs, (1, 1), "SAME", lhs_dilation=(1, 2), feature_group_count=2
        )

    structs = (
        jax.ShapeDtypeStruct((2, 4, 7, 6), np.float32),
        jax.ShapeDtypeStruct((6, 2, 3, 3), np.float32),
    )
    here, there = (lowered(conv, *structs, platform=platform) for platform in ("cpu", "tpu"))
    assert "[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]" in there and "lhs_dilate = [1, 2]" in there
    assert "[b, f, 0, 1]" not in here


def test_dilated_inputs_by_name():
    """Dilated first on a CPU, whose compiler may not take them as they are."""

    def conv(inputs, kernel):
        return functional.conv(inputs, kernel, input_dilation=2, algorithm="direct")

    structs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((2, 3, 1, 1), (2, 2, 1, 2))]
    here, there = (lowered(conv, *structs, platform=platform) for platform in ("cpu", "tpu"))
    assert "lhs_dilate = [2, 2]" in there and "lhs_dilate = [2" not in here


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_choice_says_why(case):
    inputs, kernel, options, name, *_ = CONVOLUTIONS[case]
    options = dict(options)
    windows = geometry.windows(
        inputs[1:-1],
        kernel[:-2],
        strides=options.get("strides", 1),
        padding="SAME",
        input_dilation=options.get("input_dilation", 1),
    )
    problem = ConvProblem(windows, options.get("feature_group_count", 1))
    structs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in (inputs, kernel)]
    chosen = {p: choices.conv_choice(p, *structs, problem) for p in (*PLATFORMS, OTHER)}
    assert chosen["cpu"].algorithm == name
    assert chosen["tpu"].algorithm == ("repeat" if case == "depthwise" else "direct")
    assert chosen[OTHER].algorithm == "direct"
    assert chosen["rocm"] == chosen["cuda"]
    assert all(len(choice.why.split()) > 2 for choice in chosen.values())


@pytest.mark.parametrize(
    "sizes, channels, kernel, groups, options, gpu, tpu",
    [
        ((8, 8), 4, (3, 3, 4, 6), 1, dict(input_dilation=2), "adjoint", "direct"),
        ((8, 8), 4, (3, 3, 2, 6), 2, dict(input_dilation=2), "adjoint", "adjoint"),
        ((8, 8), 4, (3, 3, 4, 6), 1, dict(input_dilation=2, dilation=2), "direct", "direct"),
        ((8, 8), 4, (3, 3, 1, 8), 4, dict(strides=2), "slices", "repeat"),
        ((8, 8), 4, (7, 7, 1, 4), 4, {}, "slices", "direct"),
        ((256, 256), 4, (7, 7, 1, 4), 4, {}, "direct", "direct"),  # more loads than are hidden
        ((8, 8), 1, (5, 5, 1, 6), 1, {}, "direct", "direct"),  # six copies of 25 taps
        ((16,), 4, (3, 4, 6), 1, dict(dilation=4), "fold", "direct"),
        ((15,), 4, (3, 4, 6), 1, dict(dilation=4), "spread", "direct"),
        ((8, 8), 4, (3, 3, 4, 6), 1, dict(dilation=2, strides=2), "spread", "direct"),
        ((8, 8), 4, (3, 3, 4, 6), 1, dict(strides=2), "direct", "direct"),
        ((8, 8), 64, (1, 1, 32, 6), 2, {}, "direct", "groups"),
    ],
)
def test_what_accelerators_take(sizes, channels, kernel, groups, options, gpu, tpu):
    windows = geometry.windows(sizes, kernel[:-2], padding="SAME", **options)
    inputs, weights = (
        jax.ShapeDtypeStruct(shape, np.float32) for shape in ((4, *sizes, channels), kernel)
    )
    for platform, name in (("cuda", gpu), ("tpu", tpu)):
        choice = choices.conv_choice(platform, inputs, weights, ConvProblem(windows, groups))
        assert choice.algorithm == name


def test_pools_are_chosen_for_likewise():
    def windows(shape, strides):
        return geometry.windows((40, 30), shape, strides=strides)

    many, few = (jax.ShapeDtypeStruct((n, 40, 30, 64), np.float32) for n in (64, 8))
    chosen = {
        platform: [
            choices.max_pool_choice(platform, windows((2, 3), (1, 1)), many).algorithm,
            choices.max_pool_choice(platform, windows((2, 25), (1, 1)), few).algorithm,
            choices.sum_pool_choice(platform, windows((2, 3), (2, 2))).algorithm,
            choices.sum_pool_choice(platform, windows((2, 2), (2, 2))).algorithm,
            choices.sum_pool_choice(platform, windows((9, 9), (2, 2))).algorithm,
        ]
        for platform in (*PLATFORMS, OTHER)
    }
    assert chosen["cpu"] == ["shift", "tree", "shift", "window", "shift"]
    assert chosen["tpu"] == chosen[OTHER] == chosen["cpu"]
    assert chosen["cuda"] == chosen["rocm"] == ["at_once", "at_once", "window", "window", "stages"]
    row = geometry.windows((40,), (4,), strides=4)
    assert choices.max_pool_choice("tpu", row, many).algorithm == "native"
    # on a TPU by what fits on its chip
    assert choices.max_pool_choice("tpu", windows((2, 3), (2, 2)), few).algorithm == "native"
    assert choices.max_pool_choice("tpu", windows((2, 2), (2, 2)), few).algorithm == "shift"


def test_the_forms_of_another_platform_can_be_run_here(arrays):
    x, y, places = arrays
    pull = jax.jit(jax.grad(lambda x: made(x, y, places)[0].sum()))
    here = [*made(x, y, places), pull(x)]
    with as_on("tpu"):
        there = [*made(x, y, places), pull(x)]
        nested = jax.jit(lambda x: made(x, y, places)[0])(x)
    again = [*made(x, y, places), pull(x)]
    for found, wanted in zip(here, again, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(there[0], np.tan(x) - y, rtol=1e-6)
    np.testing.assert_allclose(there[-1], 1 / np.cos(x) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(nested, there[0])
    np.testing.assert_allclose(here[0], np.sin(x) * y**2, rtol=1e-6)


def test_forms_of_an_unknown_platform_are_refused():
    with pytest.raises(ValueError, match=r"as_on: `platform` \(='gpu'\) must be one of 'cpu', "):
        with as_on("gpu"):
            pass
