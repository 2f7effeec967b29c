"""The sliding window as a figure, a strip, a GIF and a page."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from jaxcnn import visualize
from jaxcnn.visualize._panels import STYLES


def faces(axes):
    return [to_hex(patch.get_facecolor()).upper() for patch in axes.patches]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_one_step_shows_taps_numbers_and_arithmetic():
    inputs = np.arange(16.0).reshape(4, 4)
    figure = visualize.sliding_window(
        "conv", (4, 4), (2, 2), padding="VALID", strides=2, step=1, inputs=inputs,
        kernel=[[1, 2], [3, -1]],
    )  # fmt: skip
    (axes,) = figure.axes
    assert axes.get_title() == "conv, kernel 2×2, strides 2, padding VALID\nstep 2 of 4"
    assert faces(axes).count(STYLES["tap"][0]) == 4 + 4  # on the input, and the kernel itself
    assert faces(axes).count(STYLES["current"][0]) == 1
    assert texts(axes)[-1] == "2×1 + 3×2 +\n6×3 + 7×(−1) = 19"
    assert "3" in texts(axes) and "input 4×4" in texts(axes)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["input", "the kernel's taps", "computed now", "output"]
    figure.canvas.draw()


def test_on_given_axes():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    drawn = visualize.sliding_window("max_pool", (4,), (2,), step=-1, title="Last", ax=right)
    assert drawn is figure and not left.patches
    assert right.get_title() == "Last: step 3 of 3"


def test_strip_is_laid_out_as_the_output():
    figure = visualize.sliding_window("max_pool", (4, 6), (2, 2), strides=2, title="Pool")
    assert figure.get_suptitle() == "Pool: all 6 steps"
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"output [{i}, {j}]" for i in range(2) for j in range(3)]
    assert figure.axes[0].get_subplotspec().get_geometry()[:2] == (2, 3)
    assert len(visualize.conv_gradient((5,), (2,)).axes) == 5


def test_copies_carry_the_letter_of_their_pixel():
    figure = visualize.sliding_window("conv", (4,), (3,), padding_mode="reflect", step=0)
    assert texts(figure.axes[0])[:1] != [""]
    letters = [text for text in texts(figure.axes[0]) if len(text) == 1]
    assert sorted(letters) == sorted("babcdc")


def test_what_stands_where_a_maximum_finds_nothing():
    for op, sign in (("max_pool", "−∞"), ("min_pool", "∞")):
        figure = visualize.sliding_window(op, (4,), (3,), padding=1, step=0)
        assert texts(figure.axes[0]).count(sign) == 2


def test_gif_has_a_frame_a_step(tmp_path):
    path = tmp_path / "slide.gif"
    visualize.sliding_window(
        "avg_pool", (5,), (3,), padding=1, strides=2, numbers=True, step=0, animation=path
    )
    with Image.open(path) as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        first = np.asarray(gif.convert("RGB"), np.int32)
        gif.seek(2)
        assert np.abs(np.asarray(gif.convert("RGB")) - first).max() > 100


class Page(HTMLParser):
    """What a page loads, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loaded = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.loaded += [value for name, value in attrs if name in ("src", "href", "data")]


def test_page_holds_every_step_and_loads_nothing(tmp_path):
    path = tmp_path / "slide.HTML"
    visualize.sliding_window(
        "conv_transpose", (2, 3), (3, 3), strides=2, step=0, numbers=True, animation=path,
        title="Up & <over>",
    )  # fmt: skip
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.loaded and "http" not in text and "@import" not in text
    assert "<title>Up &amp; &lt;over&gt;</title>" in text
    ranges = [attrs for tag, attrs in page.tags if attrs.get("type") == "range"]
    assert [(r["min"], r["max"]) for r in ranges] == [("1", "24")]
    data = json.loads(re.search(r'application/json">(.*?)</script>', text)[1])
    assert len(data["steps"]) == 24 and all(len(taps) == 9 for taps, _, _ in data["steps"])
    rects = [attrs["class"] for tag, attrs in page.tags if tag == "rect"]
    taps = [number for number, name in enumerate(rects) if name in ("tap", "faint tap")]
    assert taps == data["steps"][0][0]  # the first step stands there without scripts


BAD = [
    (dict(step=9), ValueError, r"`step` \(=9\) must be one of the 9 steps"),
    (dict(step="1"), TypeError, r"`step` \(='1'\) must be an int"),
    (dict(step=1.5), ValueError, r"`step` \(=1.5\) must be a whole number"),
    (dict(ax=Figure().subplots()), ValueError, "`ax` must be None for a strip"),
    (dict(step=0, animation="a.mp4"), ValueError, r"`animation` \(='a.mp4'\) must end in .gif or"),
    (dict(inputs=np.zeros((5, 4))), ValueError, r"`inputs` must have the shape \(5, 5\).*\(5, 4\)"),
    (dict(kernel=np.zeros((3, 2))), ValueError, r"`kernel` must have the shape \(3, 3\)"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_errors(options, error, message):
    with pytest.raises(error, match=f"sliding_window: .*{message}"):
        visualize.sliding_window("conv", (5, 5), (3, 3), padding="VALID", **options)


def test_too_many_steps_for_a_strip():
    with pytest.raises(ValueError, match="`step` must be given for more than 100 steps.* 144"):
        visualize.sliding_window("conv", (12, 12), (3, 3))
    with pytest.raises(ValueError, match="conv_gradient: `cotangent` must have the shape"):
        visualize.conv_gradient((5, 5), (3, 3), cotangent=np.zeros((5, 5)), step=0)
