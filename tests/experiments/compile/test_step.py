"""The trainer's step compiled for devices that are not here."""

import dataclasses
import json
import re

import jax
import pytest

from experiments.compile.step import Step, described, lowered
from experiments.compiled_for import description
from experiments.compiled_for.workers import answers
from experiments.training.recipe import Recipe

H100 = description.load("h100")
NEEDED = pytest.mark.skipif(bool(H100.missing), reason=H100.missing)
EIGHT, IN_PARTS, MANY, BY_ROWS = "8", "8, in parts", "64", "8, by rows"
SEGMENTS = "4, by rows, a network that gives each pixel a class"
BATCH = 8  # of each device along `data`


@pytest.fixture(scope="module")
def found():
    """What the steps of LeNet-5 came to."""
    steps = {
        EIGHT: step(8),
        IN_PARTS: step(8, accumulate=4),
        MANY: step(64),
        BY_ROWS: dataclasses.replace(step(4), mesh="data=4,space=2", devices=8),
        SEGMENTS: Step("dilated-context-small", "scenes", devices=4, mesh="data=2,space=2",
                       recipe=Recipe(batch_size=2 * BATCH)),
        "refused": dataclasses.replace(step(3), devices=4, mesh="data=3"),
        "divided": dataclasses.replace(step(3), devices=5),
    }  # fmt: skip
    tasks = [
        {"name": name, "step": json.loads(json.dumps(dataclasses.asdict(each))), "text": True}
        for name, each in steps.items()
    ]
    worker, environment = "experiments.compile.worker", {**H100.environment, "XLA_FLAGS": ""}
    return {t["name"]: a for t, a in answers(worker, tasks, environment, at_once=1)}


def step(devices, **options):
    recipe = Recipe(batch_size=BATCH * devices, **options)
    return Step(model="lenet5", data="mnist5k", devices=devices, recipe=recipe)


def exchanges(answer):
    return {each["kind"]: each for each in answer["exchanges"]}


@NEEDED
def test_images_apart_add_up_gradients_and_nothing_else(found):
    parameters = 61_706
    assert set(exchanges(found[EIGHT])) == {"all-reduce"}
    assert exchanges(found[EIGHT])["all-reduce"]["bytes"] <= 4 * (parameters + 10)


@NEEDED
def test_parts_of_a_batch_are_added_up_once(found):
    alone, parts = (exchanges(found[name])["all-reduce"] for name in (EIGHT, IN_PARTS))
    assert parts["bytes"] <= alone["bytes"] + 400  # losses and accuracies, part by part
    assert found[IN_PARTS]["flops"] == pytest.approx(found[EIGHT]["flops"], rel=0.01)


@NEEDED
def test_rows_apart_ask_neighbours_and_add_up(found):
    told = exchanges(found[BY_ROWS])
    assert set(told) == {"all-reduce", "collective-permute"}
    for pairs in re.findall(r"source_target_pairs=\{(.*?)\}\}", found[BY_ROWS]["text"]):
        for source, target in re.findall(r"(\d+),(\d+)", pairs):
            assert abs(int(source) - int(target)) == 1 and int(source) // 2 == int(target) // 2
    # The last maps of five rows are laid end to end, 6 x 5 x 16 of each image.
    maps = 4 * BATCH * 6 * 5 * 16
    assert told["all-reduce"]["bytes"] <= 4 * (61_706 + 10) + maps


@NEEDED
def test_scores_are_interpolated_where_their_rows_lie(found):
    assert set(exchanges(found[SEGMENTS])) == {"all-reduce", "collective-permute"}


@NEEDED
def test_a_device_has_as_much_to_do_among_64_as_among_8(found):
    few, many = found[EIGHT], found[MANY]
    for name in ("bytes", "flops", "kernels"):
        assert many[name] == pytest.approx(few[name], rel=0.01), name
    assert many["memory"]["total"] == pytest.approx(few["memory"]["total"], rel=0.01)
    assert exchanges(many)["all-reduce"]["bytes"] == exchanges(few)["all-reduce"]["bytes"]


@NEEDED
def test_what_does_not_go_together_is_said(found):
    assert "--devices (=4) must be what --mesh (=data=3) lays out, 3" in found["refused"]["wrong"]
    assert "splits the 24 images in a batch into 5 parts" in found["divided"]["wrong"]


def test_noise_in_the_form_of_a_data_set_has_its_shapes():
    real, mock = described("cifar10"), described("mock:cifar10")
    assert (mock.image_shape, mock.classes) == (real.image_shape, real.classes) != ((), ())


def test_the_steps_of_small_batches_can_be_counted():
    small = Step("lenet5", "mnist5k", recipe=Recipe(batch_size=1, epochs=200))
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        assert lowered(small.programs(jax.devices()[:1])).as_text()  # their number is 32-bit


def test_products_are_kept_by_a_network_that_has_no_blocks_to_compute_anew():
    found = []
    for remat in (False, True):
        made = Step("lenet5", "mnist5k", recipe=Recipe(batch_size=2, remat=remat))
        with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
            text = lowered(made.programs(jax.devices()[:1])).as_text()
        found.append([text.count(name) for name in ("stablehlo.dot_general", "_barrier")])
    (products, barriers), (again, more) = found
    assert again == products > 0 and more > barriers  # behind which the rest is computed anew
