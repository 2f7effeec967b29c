"""The rows of a table: whose the costs are, and which of them are unknown."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from jaxcnn import functional as F
from jaxcnn import models, nn
from tests.analysis.networks import built, computes, shape, summary


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


def test_a_function_is_one_row():
    def smooth(x):
        return F.conv(F.max_pool(x, (2, 2)), jnp.ones((3, 3, 2, 3), x.dtype))

    table = summary(smooth, (1, 5, 6, 2), time=True)
    (row,) = table.rows
    assert (row.layer, row.kind, row.sees, row.share) == ("(model)", "smooth", "4", 1)
    assert (table.model, table.multiply_adds, table.parameters) == ("smooth", 4 * 5 * 54, 0)
