"""The gallery: every picture, on one page that loads nothing, opened in a browser too."""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from flax import nnx
from matplotlib.figure import Figure
from PIL import Image

from experiments.commands.command import UserError
from experiments.gallery import __main__ as gallery
from experiments.gallery import page, trained
from experiments.gallery.pictures import SECTIONS
from jaxcnn import nn, visualize

pytestmark = pytest.mark.usefixtures("plain_jax")
PICTURES = [picture for section in SECTIONS for picture in section.pictures]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The gallery without a trained network."""
    folder = tmp_path_factory.mktemp("gallery")
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(gallery, "DPI", 50)
        gallery.main(gallery.Options(folder=folder, trained=False))
    return folder


class Page(HTMLParser):
    """Elements with their attributes, and the texts of the calls."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts, self._inside = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("class")

    def handle_data(self, data):
        self.texts.append((self._inside, data))

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def test_page_is_whole_and_loads_nothing(drawn):
    text = (drawn / "index.html").read_text(encoding="utf-8")
    found = Page(text)
    assert [a["id"] for a in found.all("article")] == [picture.name for picture in PICTURES]
    assert len(found.all("h2") + found.all("section")) == 2 * len(SECTIONS)
    targets = {a["href"][1:] for a in found.all("a")}
    assert targets == {a["id"] for a in found.all("section")}
    for tag, attrs in found.found:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attrs.get(name) or "#"
            assert value.startswith(("data:", "#")), (tag, value[:80])
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert "url(" not in text and "fetch(" not in text
    images = found.all("img")
    assert len(images) == sum(not picture.slides for picture in PICTURES)
    for image in images:
        content = base64.b64decode(image["src"].partition(",")[2])
        assert image["alt"]
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
            assert np.ptp(np.asarray(opened.convert("L"))) > 100
    ranges = [a for a in found.all("input") if a["type"] == "range"]
    assert len(ranges) == sum(picture.slides for picture in PICTURES)
    assert all(int(a["max"]) > 1 for a in ranges)


def test_page_shows_the_calls_that_made_the_pictures(drawn):
    texts = Page((drawn / "index.html").read_text(encoding="utf-8")).texts
    calls = [data for inside, data in texts if inside == "call" and data.strip()]
    assert len(calls) == len(PICTURES)
    for picture, call in zip(PICTURES, calls, strict=True):
        assert call == picture.call.replace('folder / "', '"')


def test_names_are_unique_and_every_function_is_shown():
    names = [picture.name for picture in (*PICTURES, *trained.SECTION.pictures)]
    assert len(set(names)) == len(names)
    calls = " ".join(picture.call for picture in (*PICTURES, *trained.SECTION.pictures))
    for function in set(visualize.__all__) - {"image_grid"}:  # which `misclassified` draws by
        assert f"visualize.{function}(" in calls, function


class Named(nnx.Module):
    """The layers of LeNet-5 that the section names, narrow, and hardly another."""

    def __init__(self, rngs):
        conv1 = nn.Conv(1, 2, (5, 5), strides=2, padding=2, rngs=rngs)
        relu1, relu2, relu3 = (nn.Activation("relu") for _ in range(3))
        pool2 = nn.MaxPool((2, 2), strides=2)
        self.features = nn.Chain(conv1=conv1, relu1=relu1, relu2=relu2, pool2=pool2)
        fc1, fc2 = nnx.Linear(98, 20, rngs=rngs), nnx.Linear(20, 10, rngs=rngs)
        self.classifier = nn.Chain(flatten=nn.Flatten(), fc1=fc1, relu3=relu3, fc2=fc2)

    def __call__(self, inputs):
        return self.classifier(self.features(inputs))

    def feature_maps(self, inputs):
        outputs = self.features.outputs(inputs)
        return {"conv1": outputs["relu1"], "pool2": outputs["pool2"]}


def test_pictures_of_a_trained_network(rng, monkeypatch):
    lenet = nnx.eval_shape(lambda: trained.lenet.network()(nnx.Rngs(0)))
    monkeypatch.setattr(trained.lenet, "network", lambda: Named)
    model = Named(nnx.Rngs(0))
    for part in ("features", "classifier"):
        assert set(getattr(model, part).names) <= set(getattr(lenet, part).names)
    images = rng.integers(0, 256, (40, 28, 28, 1)).astype(np.uint8)
    labels = np.arange(40, dtype=np.int32) % 10
    split = jax.device_put(images), jax.device_put(labels)
    edges = np.linspace(0, 2, 5)
    counts = trained.histograms(split, edges, steps=3)
    assert {name: array.shape for name, array in counts.items()} == {
        name: (3, 4) for name in ("conv1", "conv2", "fc1")
    }
    assert all((array.sum(1) > 0).all() for array in counts.values())
    rates, losses = trained.sweep(split, steps=6)
    assert losses.shape == (6,) and np.isfinite(losses[:3]).all()
    np.testing.assert_allclose([rates[0], rates[-1]], [1e-5, 1])
    pixels = images / np.float32(255)
    known = dict(
        visualize=visualize,
        model=model,
        image=pixels[0],
        images=pixels[:1],  # as many as in the other pictures, whose programs do for it
        pixels=images,
        labels=labels,
        probabilities=rng.dirichlet(np.ones(10), 40),
        epochs=[1, 2],
        losses={"test": [2.0, 1.0]},
        accuracies={"test": [0.5, 0.6]},
        edges=edges,
        counts=counts,
        rates=rates,
        rate_losses=losses,
    )
    for picture in trained.SECTION.pictures:
        figure = eval(picture.call, dict(known))
        assert isinstance(figure, Figure), picture.name


def test_pictures_of_the_readme_are_small(tmp_path):
    gallery.draw_readme(tmp_path)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"pool_gradient.png", "sliding_window.gif"}
    assert max(sizes.values()) < 60_000
    kept = gallery.Path(gallery.__file__).parent / "pictures"
    for name in sizes:
        with Image.open(tmp_path / name) as made, Image.open(kept / name) as there:
            assert made.size == there.size, "draw them anew with --readme"


def test_options():
    with pytest.raises(UserError, match=r"--epochs \(=0\) must be 1 or more"):
        gallery.Options(epochs=0)
    with pytest.raises(UserError, match="--run .* does not go with --no-trained"):
        gallery.Options(trained=False, run=gallery.Path("run"))


# What a reader does: looks at the pictures, moves each slider, presses play; told as JSON.
CATCH = """<script>
window.failures = [];
addEventListener("error", (event) => failures.push(String(event.message)), true);
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
</script>"""
VISIT = """<script>
addEventListener("load", () => {
  const broken = [...document.images].filter((image) => !image.complete || !image.naturalWidth);
  const slides = [...document.querySelectorAll(".slide")].map((slide) => {
    const state = () => [...slide.querySelectorAll("rect")].map((r) => r.getAttribute("class"));
    const numbers = (classes, name) => classes.flatMap((c, n) => c === name ? [n] : []);
    const range = slide.querySelector("input"), before = state();
    range.value = range.max;
    range.dispatchEvent(new Event("input"));
    const after = state();
    const told = slide.querySelector("output").textContent;
    return {name: slide.parentElement.id, told, max: range.max,
            moved: String(before) !== String(after),
            current: [numbers(before, "current"), numbers(after, "current")],
            taps: slide.querySelectorAll("rect.tap").length};
  });
  const first = document.querySelector(".slide");
  first.querySelector("button").click();
  const playing = first.querySelector("button").textContent;
  const root = document.documentElement;
  setTimeout(() => parent.postMessage({
    failures, broken: broken.length, images: document.images.length, slides, playing,
    played: first.querySelector("output").textContent,
    inside: innerWidth, overflow: root.scrollWidth - root.clientWidth,
  }, "*"), 900);
});
</script>"""
HOST = """<!DOCTYPE html><pre id="told"></pre><script>
addEventListener("message", (event) => {
  document.getElementById("told").textContent = JSON.stringify(event.data);
});
</script><iframe src="visited.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>"""


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(drawn, tmp_path, width):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
    if not browser:
        pytest.skip("no Chromium on the PATH; the checks of the page above have run without one")
    text = (drawn / "index.html").read_text(encoding="utf-8")
    visited = text.replace("<head>", f"<head>{CATCH}", 1).replace("</body>", f"{VISIT}</body>", 1)
    (tmp_path / "visited.html").write_text(visited, encoding="utf-8")
    (tmp_path / "host.html").write_text(HOST.replace("WIDTH", str(width)), encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000",
        "--window-size=1400,1000", "--dump-dom", (tmp_path / "host.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    told = json.loads(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1] or "{}")
    assert told, "the page sent nothing"
    assert told["failures"] == [] and told["broken"] == 0
    assert told["inside"] == width and told["overflow"] <= 0
    assert told["images"] == sum(not picture.slides for picture in PICTURES)
    assert [slide["name"] for slide in told["slides"]] == [p.name for p in PICTURES if p.slides]
    for slide in told["slides"]:
        assert slide["moved"], slide["name"]
        first, last = slide["current"]
        assert len(first) == len(last) == 1 and first != last
        assert slide["told"] == f"step {slide['max']} of {slide['max']}"
    assert "pause" in told["playing"]
    assert told["played"].startswith("step 1 of")  # after the last step comes the first


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to .*file.*choose another --folder"):
        gallery.main(gallery.Options(folder=tmp_path / "file", trained=False))


def test_a_page_needs_its_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        page.render(SECTIONS, tmp_path)
