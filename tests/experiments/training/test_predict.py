"""Files of users as a network takes them, and what is told about its guesses."""

import io

import numpy as np
import pytest
from PIL import Image

from experiments.commands.command import UserError
from experiments.data.prepare import prepare
from experiments.training.inputs import Inputs
from experiments.training.predict import Trained, describe, doubtful

INPUTS = Inputs("classification", "digit", (28, 28, 1), ("low", "middle", "high"))


@pytest.mark.parametrize(
    ("probabilities", "doubts", "told"),
    [
        ([0.1, 0.2, 0.7], [], "high (70.00%), or middle (20.00%)"),
        ([0.1, 0.3, 0.6], [], "high (60.00%), or middle (30.00%); not to be trusted: the network "
         "is unsure, as it was of 2% of what it was tested with"),
        ([0.9, 0.1, 0.0], ["it is torn", "it is grey"],
         "low (90.00%), or middle (10.00%); not to be trusted: it is torn and it is grey"),
    ],
)  # fmt: skip
def test_two_guesses_and_a_warning(probabilities, doubts, told):
    tests = np.stack([np.linspace(0.65, 1, 99)] + [1 - np.linspace(0.65, 1, 99)], axis=1)
    inputs = INPUTS.tested(tests)  # all but two were surer than 0.656
    assert 0.65 < (inputs.least_probability or 0) < 0.66
    assert describe(np.array(probabilities), inputs, doubts) == told


def test_the_network_is_unsure_of_so_few_of_its_tests():
    order = np.random.default_rng(7).permutation(200)
    images = np.zeros((200, 28, 28, 1), np.uint8)
    images[:, 0, 0, 0] = order
    sharpness = np.float32([[0, 3, 15]])

    def model(inputs):  # in place of one that was trained: the brighter, the surer
        return inputs[:, 0, 0] * sharpness

    probabilities = Trained(model, INPUTS).probabilities(images)  # pyright: ignore
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-6)
    tested = INPUTS.tested(probabilities)
    unsure = [bool(doubtful(each, tested, [])) for each in probabilities]
    assert unsure == (order < 4).tolist()  # 2 % of them
    before = [bool(doubtful(each, INPUTS, [])) for each in probabilities]  # of an untested one
    assert before == (probabilities.max(axis=-1) < 0.5).tolist() and sum(before) > 4


@pytest.mark.parametrize("kind", ["bmp", "gif", "webp", "tiff", "ppm", "jpeg2000"])
def test_every_format_that_pillow_reads(kind, tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    options = {"lossless": True} if kind == "webp" else {}
    Image.fromarray(wide).save(tmp_path / "picture", kind, **options)
    image, doubts = prepare(tmp_path / "picture", "image", (10, 10, 3))
    assert image.shape == (10, 10, 3) and image.dtype == np.uint8 and not doubts
    assert (image > 250).all()  # the middle


def test_postscript_is_given_to_nobody(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(UserError, match="no image that Pillow reads"):
        prepare(tmp_path / "picture.png", "image", (10, 10, 3))


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [saved(np.array([-1.0, 0, 0.5])), b"-1,0,0.5\n", b"-1\n0\n0.5\n",
                saved(np.array([[1], [128], [192]], np.uint8))]
)  # fmt: skip
def test_signals(content, tmp_path):
    (tmp_path / "signal").write_bytes(content)
    signal, _ = prepare(tmp_path / "signal", "signal", (3, 1))
    assert signal.dtype == np.uint8 and signal[:, 0].tolist() == [1, 128, 192]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(np.zeros(4)), r"must be a signal of shape \(3, 1\); received \(4,\)"),
        (saved(np.array([0, 1, 2.0])), "numbers from -1 to 1, or of bytes; scale it"),
        (saved(np.array([0, 1, np.nan])), "numbers from -1 to 1, or of bytes; scale it"),
        (saved(np.array([print])), "cannot be read .*allow_pickle"),
        (b"a,b,c\n", "cannot be read"),
    ],
)
def test_no_signals(content, message, tmp_path):
    (tmp_path / "signal").write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "signal", "signal", (3, 1))
    with pytest.raises(UserError, match="no such file"):
        prepare(tmp_path / "absent", "signal", (3, 1))
