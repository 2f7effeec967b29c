"""Multiply-adds and parameters of what really runs, each worked out by hand."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from jaxcnn import analysis, models, nn
from jaxcnn import functional as F


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def built(build, *args, **options):
    """A module without values."""
    return nnx.eval_shape(lambda: build(*args, **options, rngs=nnx.Rngs(0)))


def summary(model, *inputs, **options):
    return analysis.summary(model, *inputs, show=False, **options)


def several(count, build):
    """Modules of one kind in one, their parameters stacked."""

    @nnx.split_rngs(splits=count)
    @nnx.vmap(in_axes=(0,))
    def stacked(rngs):
        return build(rngs=rngs)

    return stacked


class Scanned(nnx.Module):
    """Layers one after another in a loop."""

    def __init__(self, build, count, *, rngs):
        self.layers = several(count, build)(rngs)

    def __call__(self, inputs):
        @nnx.scan(in_axes=(nnx.Carry, 0))
        def step(x, layer):
            return layer(x), None

        return step(inputs, self.layers)[0]


class Beside(nnx.Module):
    """Layers beside one another in a batch."""

    def __init__(self, build, count, *, rngs):
        self.layers = several(count, build)(rngs)

    def __call__(self, inputs):
        return nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.layers, inputs)


def conv(kind=nn.Conv, **options):
    return functools.partial(kind, 3, 3, (3, 3), **options)


def computes(function, *shapes):
    """A module that is `function` of its inputs and of parameters of these shapes."""

    class Computes(nnx.Module):
        def __init__(self, *, rngs):
            self.weights = nnx.List([nnx.Param(jnp.ones(sizes, jnp.float32)) for sizes in shapes])

        def __call__(self, inputs):
            return function(inputs, *(weight[...] for weight in self.weights))

    return Computes


def looped(x, w):
    return lax.fori_loop(0, 6, lambda i, x: x @ w, x)


def branched(x, w):
    return lax.cond(x.sum() > 0, lambda x: x @ w, lambda x: x @ w @ w, x)


def scanned(x, w):
    return lax.scan(lambda x, _: (lax.scan(lambda x, _: (x @ w, None), x, None, 2)[0], None), x,
                    None, 3)[0]  # fmt: skip


def transposed(x, w):
    return lax.conv_transpose(x, w, (2, 2), "SAME")


def gradient(x, w):
    return jax.grad(lambda x: jnp.square(x @ w).sum())(x)


def spread(x, w):
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    split, whole = jax.sharding.PartitionSpec("d"), jax.sharding.PartitionSpec()
    return jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(split, whole), out_specs=split)(x, w)


@jax.custom_vjp
def ruled(x, w):
    return x @ w


ruled.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))


class Wrapped(nnx.Module):
    """Holds a layer, and parameters in a dictionary."""

    def __init__(self, *, rngs):
        self.layer = nnx.Linear(3, 4, rngs=rngs)
        self.more = nnx.Dict(scale=nnx.Param(jnp.ones(4, jnp.float32)))

    def __call__(self, inputs):
        return self.layer(inputs) * self.more["scale"][...].reshape(1, 4)


CASES = {
    # rows * features in * features out
    "LinearGeneral": (functools.partial(nnx.LinearGeneral, 4, (2, 3)), (5, 4), 5 * 4 * 6, 30),
    "two axes": (
        functools.partial(nnx.LinearGeneral, (4, 2), 3, axis=(1, 2)), (5, 4, 2), 5 * 8 * 3, 27,
    ),
    "Einsum": (
        functools.partial(nnx.Einsum, "nta,hab->nthb", (8, 2, 4), (8, 4)), (2, 3, 2),
        2 * 3 * 8 * 4 * 2, 64 + 32,
    ),
    # three projections in and one out, then 2 images * 2 heads * 5 places * 5 places * 4, twice
    "attention": (
        functools.partial(nnx.MultiHeadAttention, 2, 6, 8, decode=False), (2, 5, 6),
        4 * 10 * 6 * 8 + 2 * 400, 3 * 56 + 54,
    ),
    # 7 steps of 2 sequences
    "GRU": (lambda rngs: nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs)), (2, 7, 3), 14 * 7 * 12, 96),
    "LSTM": (lambda rngs: nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs)), (2, 7, 3), 14 * 7 * 16, 128),
    "scan": (functools.partial(Scanned, conv(), 5), (1, 8, 8, 3), 5 * 64 * 81, 5 * 84),
    "scan of Flax": (functools.partial(Scanned, conv(nnx.Conv), 5), (1, 8, 8, 3), 25_920, 420),
    "scan of blocks": (
        functools.partial(Scanned, functools.partial(nn.BasicBlock, 3, 3), 4), (1, 8, 8, 3),
        4 * 2 * 64 * 81, 4 * (162 + 12),
    ),
    "vmap": (functools.partial(Beside, conv(), 5), (2, 8, 8, 3), 5 * 128 * 81, 420),
    "vmap of Flax": (functools.partial(Beside, conv(nnx.Conv), 5), (2, 8, 8, 3), 51_840, 420),
    "vmap of scan": (
        functools.partial(Beside, functools.partial(Scanned, conv(), 2), 3), (1, 8, 8, 3),
        6 * 64 * 81, 6 * 84,
    ),
    "vmap of transposed": (
        functools.partial(Beside, conv(nn.ConvTranspose, strides=2), 3), (1, 4, 5, 3),
        3 * 20 * 81, 3 * 84,
    ),
    "vmap of Flax's transposed": (
        functools.partial(Beside, conv(nnx.ConvTranspose, strides=2), 3), (1, 4, 5, 3), 4_860, 252,
    ),
    "product of matrices": (computes(lambda x, w: x @ w, (4, 6)), (2, 5, 4), 10 * 24, 24),
    "einsum": (
        computes(lambda x, w: jnp.einsum("nac,cbd->nabd", x, w), (4, 3, 2)), (2, 5, 4), 240, 24,
    ),
    "nested loops": (computes(scanned, (4, 4)), (5, 4), 6 * 80, 16),
    "loop of known length": (computes(looped, (4, 4)), (5, 4), 6 * 80, 16),
    "largest branch": (computes(branched, (4, 4)), (5, 4), 2 * 80, 16),
    "gradient inside": (computes(gradient, (4, 6)), (5, 4), 2 * 5 * 24, 24),
    "lax's transposed": (computes(transposed, (3, 3, 2, 4)), (1, 5, 6, 2), 30 * 72, 72),
    "our functions": (
        computes(lambda x, w: F.avg_pool(F.depthwise_conv(x, w), (2, 2)), (3, 3, 2, 4)),
        (1, 5, 6, 2), 30 * 72, 72,
    ),
    "shard_map": (computes(spread, (4, 6)), (5, 4), 5 * 24, 24),
    "custom_vjp": (computes(ruled, (4, 6)), (5, 4), 5 * 24, 24),
    "dot_product_attention": (
        computes(lambda x: jax.nn.dot_product_attention(x, x, x)), (2, 5, 2, 4), 2 * 400, 0,
    ),
    "LoRA": (functools.partial(nnx.LoRALinear, 3, 4, lora_rank=2), (5, 3), 5 * (12 + 6 + 8), 30),
    # the last of the 16 + 4 has a place in a dictionary
    "a wrapper": (
        lambda rngs: Wrapped(rngs=rngs), (5, 3), 5 * 12, 12 + 4 + 4,
    ),
    "remat": (computes(lambda x, w: jax.checkpoint(jnp.matmul)(x, w), (4, 6)), (5, 4), 120, 24),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_runs_is_counted(name):
    build, sizes, products, parameters = CASES[name]
    table = summary(built(build), shape(*sizes))
    assert (table.multiply_adds, table.parameters) == (products, parameters)
    assert sum(row.multiply_adds for row in table.rows) == products
    assert sum(row.parameters for row in table.rows) == parameters


def test_indices_cost_nothing():
    table = summary(built(nnx.Embed, 7, 3), shape(2, 5, dtype=jnp.int32))
    assert (table.multiply_adds, table.parameters, table.memory) == (0, 21, 2 * 5 * 3 * 4)


def test_each_layer_of_attention_has_its_row_and_the_products_of_two_arrays_one_of_their_own():
    table = summary(built(nnx.MultiHeadAttention, 2, 6, 8, decode=False), shape(2, 5, 6))
    assert [(r.layer, r.multiply_adds, r.parameters) for r in table.rows] == [
        ("query", 480, 56), ("key", 480, 56), ("value", 480, 56), ("out", 480, 54),
        ("(model)", 800, 0),
    ]  # fmt: skip


class Again(nnx.Module):
    """One layer twice, another under two names, and a kernel of two layers."""

    def __init__(self, *, rngs):
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs), nnx.Linear(3, 3, rngs=rngs)])
        self.same = self.layers[0]
        self.tied = nnx.Linear(3, 3, use_bias=False, rngs=rngs)
        self.tied.kernel = self.layers[1].kernel

    def __call__(self, inputs):
        for layer in (*self.layers, self.same):
            inputs = layer(inputs=inputs)
        return self.tied(inputs)


def test_layers_called_twice_count_twice_and_shared_parameters_once():
    table = summary(built(Again), shape(5, 3))
    assert (table.multiply_adds, table.parameters) == (4 * 45, 2 * 12)
    assert sum(row.parameters for row in table.rows) == 24
    assert {row.layer: row.multiply_adds for row in table.rows} == {
        "layers.0": 90, "layers.1": 45, "tied": 45,
    }  # fmt: skip
    (rows, tied) = summary(built(Again), shape(5, 3), depth=1).rows
    assert (rows.layer, rows.kind, rows.multiply_adds, rows.parameters) == (
        "layers",
        "List",
        135,
        24,
    )
    assert (tied.layer, tied.multiply_adds, tied.parameters) == ("tied", 45, 0)


class Searches(nnx.Module):
    """A loop that nobody knows the length of, and a layer beside it."""

    def __init__(self, *, rngs):
        self.inside = nnx.Linear(4, 4, rngs=rngs)
        self.after = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, inputs):
        graph, state = nnx.split(self.inside)

        def step(x):
            return nnx.merge(graph, state)(x)

        return self.after(lax.while_loop(lambda x: x.sum() > 0, step, inputs))


def test_a_loop_of_unknown_length_is_said_to_be_unknown():
    table = summary(built(Searches), shape(5, 4))
    assert [(r.layer, r.multiply_adds) for r in table.rows] == [("inside", None), ("after", 40)]
    assert table.multiply_adds is None and str(table).count("unknown") == 2
    assert repr(table) == "Summary(Searches: 30 parameters, unknown multiply-adds)"


def test_a_gradient_of_ours_inside_a_network_is_unknown():
    def function(x, w):
        return jax.grad(lambda x: jnp.square(F.conv(x, w)).sum())(x)

    assert summary(built(computes(function, (3, 3, 2, 4))), shape(1, 5, 6, 2)).multiply_adds is None


def test_other_programs_are_unknown():
    def function(x, w):
        return jax.pure_callback(lambda x: x, x, x)

    assert summary(built(computes(function, (1,))), shape(5, 4)).multiply_adds is None


KERNEL = (3, 2, 4, 6)
FUNCTIONS = {
    "conv": (F.conv, KERNEL, 42 * 144, ("direct", "canonical")),
    "strides": (functools.partial(F.conv, strides=2), KERNEL, 12 * 144, ("direct", "canonical")),
    # 13 rows of 7 and 11 columns of 6: three taps meet 6, 5 and 6 of the rows, two meet 5 columns
    "input dilation": (
        functools.partial(F.conv, input_dilation=2, padding="VALID"), KERNEL,
        (6 + 5 + 6) * (5 + 5) * 24, ("direct", "phases"),
    ),
    "general": (
        functools.partial(
            F.conv_general_dilated, window_strides=(1, 2), padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ), KERNEL, 21 * 144, (),
    ),
    "transposed": (
        functools.partial(F.conv_transpose, strides=2, padding="VALID"), KERNEL, 42 * 144,
        ("direct", "phases"),
    ),
    "depthwise": (F.depthwise_conv, KERNEL, 42 * 144, ("direct", "shift", "fft")),
    "unshared": (functools.partial(F.conv_local, padding="VALID"), (5, 5, *KERNEL), 25 * 144, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_figures_are_the_same_on_every_platform_and_with_every_algorithm(name, monkeypatch):
    function, kernel, expected, algorithms = FUNCTIONS[name]
    jitted = jax.jit(lambda x, w: function(x, w))
    jax.eval_shape(jitted, shape(1, 7, 6, 4), shape(*kernel))  # traced before by somebody else
    named = [functools.partial(function, algorithm=algorithm) for algorithm in algorithms]
    for chosen in (function, jitted, *named):
        table = summary(built(computes(chosen, kernel)), shape(1, 7, 6, 4))
        assert table.multiply_adds == expected
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    elsewhere = summary(built(computes(lambda x, w: function(x, w), kernel)), shape(1, 7, 6, 4))
    assert elsewhere.multiply_adds == expected


def test_functions_in_a_chain_are_rows_as_modules_are():
    def classifier(relu, pool):
        return lambda rngs: nn.Chain(
            conv=nn.Conv(2, 3, (3, 3), rngs=rngs), relu=relu, pool=pool, flat=nn.Flatten(),
            fc=nnx.Linear(36, 2, rngs=rngs),
        )  # fmt: skip

    pool = functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
    plain = summary(built(classifier(nnx.relu, pool)), shape(1, 8, 6, 2))
    ours = summary(
        built(classifier(nn.Activation("relu"), nn.MaxPool((2, 2), strides=2))), shape(1, 8, 6, 2)
    )
    assert [row.kind for row in plain.rows] == ["Conv", "relu", "max_pool", "Flatten", "Linear"]
    for one, other in zip(plain.rows, ours.rows, strict=True):
        assert (one.layer, one.output, one.sees) == (other.layer, other.output, other.sees)
        assert (one.memory, one.multiply_adds) == (other.memory, other.multiply_adds)


class Names(nnx.Module):
    """Calls its layers by keyword, gives nothing at all from one, and more than one output."""

    def __init__(self, *, rngs):
        self.up = nn.Conv(2, 3, (3, 3), rngs=rngs)
        self.down = nn.ConvTranspose(3, 2, (3, 3), rngs=rngs)
        self.look = Looks()

    def __call__(self, inputs):
        maps = self.up(inputs=inputs)
        self.look(maps)
        return {"maps": maps, "back": self.down(inputs=maps)}


class Looks(nnx.Module):
    def __call__(self, inputs):
        return None


def test_modules_called_by_keyword():
    model = Names(rngs=nnx.Rngs(0))
    table = summary(model, shape(1, 4, 5, 2), time=True)
    assert table.multiply_adds == 20 * 54 * 2
    assert table.output == {"maps": (1, 4, 5, 3), "back": (1, 4, 5, 2)}
    assert [row.output for row in table.rows] == [(1, 4, 5, 3), (), (1, 4, 5, 2)]
    assert sum(row.share for row in table.rows) == pytest.approx(1)


def test_rows_sum_to_the_whole_at_every_depth():
    model = built(functools.partial(models.ConvNeXtTiny, depths=(1, 2), widths=(8, 12)))
    tables = [summary(model, shape(1, 32, 32, 3), depth=depth) for depth in (1, 2, 4, None)]
    for table in tables:
        assert sum(row.parameters for row in table.rows) == tables[0].parameters
        assert sum(row.multiply_adds for row in table.rows) == tables[0].multiply_adds
        assert table.memory == tables[0].memory


def test_layers_with_random_streams_are_rows():
    model = built(lambda rngs: nn.Chain(drop=nnx.Dropout(0.5, rngs=rngs), flat=nn.Flatten()))
    table = summary(model, shape(2, 3, 4, 5))
    assert [(row.layer, row.memory) for row in table.rows] == [("drop", 480), ("flat", 480)]


def test_a_chain_of_functions_alone_is_counted_once():
    chain = nn.Chain(conv=lambda x: F.conv(x, jnp.ones((3, 3, 2, 3), x.dtype)), relu=nnx.relu)
    table = summary(chain, shape(1, 4, 5, 2))
    assert [(r.layer, r.kind, r.multiply_adds, r.memory) for r in table.rows] == [
        ("conv", "<lambda>", 20 * 54, 240), ("relu", "relu", 0, 240),
    ]  # fmt: skip
