"""The detector: its canvases, what it makes of the windows, and a run on a few digits."""

import json

import numpy as np
import pytest
from flax import nnx

from experiments import detector
from experiments.commands import command
from experiments.detector import NOTHING, Place

pytestmark = pytest.mark.usefixtures("plain_jax")


@pytest.fixture
def sheets(rng):
    images = rng.integers(100, 255, (10, 28, 28, 1)).astype(np.uint8)
    return images, np.arange(10, dtype=np.int32)


def test_digits_lie_where_the_canvas_says(sheets):
    images, labels = sheets
    sheet, places = detector.canvas(images, labels, (160, 352), np.random.default_rng(1))
    assert sheet.shape == (160, 352, 1) and sheet.dtype == np.uint8 and len(places) > 12
    for row, column, digit in places:
        window = sheet[int(row) - 14 : int(row) + 14, int(column) - 14 : int(column) + 14]
        assert (window >= images[digit]).all()
    covered = sum(np.count_nonzero(sheet[..., 0][:, i]) for i in range(352))
    assert covered < len(places) * 28 * 28


def test_windows_show_a_digit_or_nothing(sheets):
    images, labels = sheets
    windows, classes = detector.examples(images, labels, np.random.default_rng(2))
    assert windows.shape == (30, 28, 28, 1) and len(classes) == 30
    counts = np.bincount(classes, minlength=NOTHING + 1)
    assert counts[NOTHING] == 10 and counts[:NOTHING].min() >= 1


def test_reads_every_digit_once_and_joins_numbers():
    probabilities = np.zeros((12, 40, NOTHING + 1))
    true = [(2, 3, 4), (2, 9, 2), (3, 30, 7), (9, 6, 0)]
    for row, column, digit in true:
        probabilities[row - 1 : row + 2, column - 1 : column + 2, digit] = 0.4
        probabilities[row, column, digit] = 0.9
        probabilities[row, column + 1, 9] = 0.6  # one window off the middle takes it for a 9
    probabilities[..., NOTHING] = 1 - probabilities[..., :NOTHING].sum(-1)
    found = detector.read(probabilities)
    places = [Place(4.0 * row + 14, 4.0 * column + 14, digit) for row, column, digit in true]
    assert sorted(found) == sorted(places)
    assert detector.numbers(found) == ["42 7", "0"] and detector.numbers([]) == []
    wrong = [places[0]._replace(digit=9), places[1], Place(100.0, 100.0, 3)]
    assert detector.compare(found, places) == {"digits": 4, "found": 4, "right": 4, "false": 0}
    assert detector.compare(wrong, places) == {"digits": 4, "found": 2, "right": 1, "false": 1}


def untrained(make, *examples, **options):
    """In place of the training, which has tests of its own."""
    network = make(nnx.Rngs(0))
    network.eval()
    return network, np.ones(1), ()


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    monkeypatch.setattr(detector, "learn", untrained)
    commands = {"read": (detector.Options, detector.main)}
    options = ("--steps", "3", "--canvases", "1", "--height", "112", "--width", "128")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(few_digits))
    assert command.run("detector", commands, (*options, *folders)) == 0
    out = capsys.readouterr().out
    assert "digits on 1 canvases: " in out and "single digits: test accuracy" in out
    digits = json.loads((tmp_path / "run/counts.json").read_text())["digits"]
    above, below = figures["canvas"].axes[:2]
    assert above.images[0].get_array().shape == (112, 128) and above.images[0].get_array().any()
    read = [text.get_text() for text in above.texts]
    assert digits > 5 and above.get_title().startswith(f"{digits} digits, {len(read)} read")
    assert len(above.patches) == len(read) and set(read) <= set("0123456789")
    assert below.images[0].get_array().shape == (22, 26)  # a window every four pixels
    with pytest.raises(SystemExit):
        command.run("detector", commands, ("--height", "50"))
    assert "--height (=50) must be 112 or more" in capsys.readouterr().err
