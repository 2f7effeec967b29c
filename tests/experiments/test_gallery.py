"""The gallery: every picture, on one page that loads nothing, read and played with in a browser."""

import base64
import io
import json
from html.parser import HTMLParser
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx
from matplotlib.figure import Figure
from PIL import Image

from experiments.commands.command import UserError
from experiments.data import digits
from experiments.gallery import __main__ as gallery
from experiments.gallery import digit, page, trained
from experiments.gallery.formulas import mathml
from experiments.gallery.items import PREAMBLE, Example, run
from experiments.gallery.pictures import SECTIONS
from jaxcnn import analysis, models, nn, visualize
from tests.browser import browser

pytestmark = pytest.mark.usefixtures("plain_jax")
ITEMS = [item for section in SECTIONS for item in section.items]
PICTURES = [picture for section in SECTIONS for picture in section.pictures]
SLIDES = [picture for picture in PICTURES if picture.slides]


@pytest.fixture(scope="module")
def lenet():
    """A network as the page takes it."""
    with jax.enable_x64(False):
        return models.LeNet5(rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, lenet):
    """The gallery without a trained network, but with one that reads digits in the page."""
    folder = tmp_path_factory.mktemp("gallery")
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (30, 28, 28, 1)).astype(np.uint8)
    found = digit.examples(pixels, np.arange(30) % 10, rng.dirichlet(np.ones(10), 30))
    render = page.render

    def render_digit(*arguments):
        return render(*arguments[:-1], {**digit.weights(lenet), "examples": found})

    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(gallery, "DPI", 50)
        patch.setattr(page, "render", render_digit)
        gallery.main(gallery.Options(folder=folder, trained=False))
    return folder


class Page(HTMLParser):
    """Elements with their attributes, and the texts of the code."""

    def __init__(self, text):
        super().__init__()
        self.found, self.code, self._inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "pre":
            self._inside = dict(attrs).get("class") or ""
            self.code.append((self._inside, ""))

    def handle_endtag(self, tag):
        if tag == "pre":
            self._inside = ""

    def handle_data(self, data):
        if self._inside:
            kind, before = self.code[-1]
            self.code[-1] = kind, before + data

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def test_page_is_whole_and_loads_nothing(drawn):
    text = (drawn / "index.html").read_text(encoding="utf-8")
    assert len(text) < 3e6
    found = Page(text)
    assert [a["id"] for a in found.all("article")] == [item.name for item in ITEMS]
    ids = [attrs["id"] for _, attrs in found.found if "id" in attrs]
    assert len(set(ids)) == len(ids)
    links = {a["href"] for a in found.all("a") if not a["href"].startswith("#op=")}
    (readme,) = (link for link in links if not link.startswith("#"))
    assert (drawn / readme).resolve() == page.README
    assert links - {readme} == {f"#{a['id']}" for a in found.all("section")}
    for tag, attrs in found.found:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attrs.get(name) or "#"
            value = "#" if (tag, value) == ("a", readme) else value
            assert value.startswith(("data:", "#")), (tag, value[:80])
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert "url(" not in text and "fetch(" not in text
    images = found.all("img")
    assert len(images) == len(PICTURES) - len(SLIDES)
    for image in images:
        content = base64.b64decode(image["src"].partition(",")[2])
        assert image["alt"]
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
            assert np.ptp(np.asarray(opened.convert("L"))) > 100
    assert len(found.all("math")) == sum(bool(item.formula) for item in ITEMS)


def test_page_shows_the_calls_that_made_the_pictures_and_what_code_gives(drawn):
    code = Page((drawn / "index.html").read_text(encoding="utf-8")).code
    assert [text for kind, text in code if kind == "call"] == [p.call for p in PICTURES]
    shown = [text for kind, text in code if kind == "code"]
    assert shown.pop(0) == PREAMBLE
    for section in SECTIONS:
        if section.preamble:
            shown.remove(section.preamble)
    examples = [item for item in ITEMS if isinstance(item, Example)]
    assert len(shown) == len(examples)
    for example, text in zip(examples, shown, strict=True):
        lines = text.splitlines()
        assert [line for line in lines if not line.startswith("# ")] == example.code.splitlines()
        assert any(line.startswith("# ") for line in lines), "gives nothing"
    told = "\n".join(shown)
    for result in ("# (6, 9, 3)", "# [1, 12, 24, 40]", "# 50331648", "# [1, 2, 5, 4, 6]",
                   "# [3, 2, 7, 4, 2]", "# ((16, 16), (4, 4), (5, 5))"):  # fmt: skip
        assert result in told


def test_code_is_run_statement_by_statement():
    code = "a = [1.0, 2.5]\nsum(a)\nprint('said')\n(a[0],\n a[1])"
    assert run(code, {}).splitlines() == [
        *code.splitlines()[:2], "# 3.5", "print('said')", "# said", "(a[0],", " a[1])",
        "# (1, 2.5)",
    ]  # fmt: skip


def test_formulas():
    assert "<munder><mo>∑</mo><mrow><mi>a</mi><mo>,</mo><mi>b</mi></mrow></munder>" in mathml(
        "out = sum_{a, b} x[i + a] * w^T"
    )
    fraction = "<mfrac><mrow><mi>n</mi><mo>−</mo><mn>1</mn></mrow><mrow><mi>s</mi></mrow></mfrac>"
    assert f"<mo>⌊</mo>{fraction}<mo>⌋</mo>" in mathml("floor({n - 1}/{s})")
    with pytest.raises(ValueError, match="no '}' in the formula"):
        mathml("{n - 1")
    for item in (*ITEMS, *trained.PICTURES):
        assert "_</mo>" not in mathml(item.formula), item.formula


def test_names_are_unique_and_every_function_is_shown():
    names = [item.name for item in (*ITEMS, *trained.PICTURES)]
    assert len(set(names)) == len(names)
    calls = " ".join(picture.call for picture in (*PICTURES, *trained.PICTURES))
    for function in visualize.__all__:
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
    edges = np.array([0, np.finfo(np.float32).tiny, 0.5, 1.5, 3])
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
    for picture in trained.PICTURES:
        figure = eval(picture.call, dict(known))
        assert isinstance(figure, Figure), picture.name


def test_where_the_names_of_the_trained_network_come_from(tmp_path):
    run = tmp_path / "lenet-1"
    found = trained.section(run, tmp_path, gallery.Path("~/data")).preamble
    assert found.endswith("trained.names(Path('lenet-1'), Path('~/data')))")
    assert repr(str(run)) in trained.section(run, tmp_path / "other", tmp_path).preamble
    compile(found, "preamble", "exec")


def test_a_run_that_is_none_is_refused_before_a_folder_is_made(tmp_path):
    options = gallery.Options(folder=tmp_path / "gallery", run=tmp_path / "absent")
    with pytest.raises(UserError, match="absent is no run folder"):
        gallery.main(options)
    assert not list(tmp_path.iterdir())


def test_a_gallery_that_is_stopped_says_how_it_goes_on(tmp_path, monkeypatch):
    """Not by resuming the training alone, which draws nothing."""
    told, advised = [], {}
    dataset = SimpleNamespace(name="mnist5k", task="classification", classes=tuple("0123456789"))
    programs = SimpleNamespace(dataset=dataset, image_shape=(28, 28, 1), compile=lambda: None)

    def fit(programs, run, *, again, **options):
        told.extend([again, advised["advice"]])
        return None, {"accuracy": 1.0}

    monkeypatch.setattr(trained.session, "make_programs", lambda *arguments: programs)
    monkeypatch.setattr(trained.session, "fit", fit)
    monkeypatch.setattr(trained.stopping, "tell", lambda **words: advised.update(words))
    run = trained.train(tmp_path, 2, tmp_path / "data")
    assert told == [
        "the same command, which trains anew",
        "go on with: the same command, which trains anew",
    ]
    command = f"python -m experiments.gallery --folder {tmp_path} --run {run}"
    assert advised["advice"] == f"go on with: {command}"


def test_pictures_of_the_readme_are_small(tmp_path):
    gallery.draw_readme(tmp_path)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() >= {"pool_gradient.png", "sliding_window.gif"}  # and, with a browser,
    assert sizes.pop("playground.png", 0) < 150_000
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


# Text that is too faint: its colour against the first background behind it, by WCAG's formula.
FAINT = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const paper = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0.5) return c; }
    return [255, 255, 255]; };
  const faint = new Set();
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.offsetParent || e.closest("svg, noscript, script")) continue;
    const both = [parse(getComputedStyle(e).color), paper(e)];
    const [a, b] = both.map(light).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const where = `${e.className} in ${e.parentElement.className}`;
    if (ratio < 4.5) faint.add(`${where}: ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()"""
# What a reader does: looks at the pictures, moves each slider.
VISIT = """[...document.querySelectorAll(".slide")].map((slide) => {
  const state = () => [...slide.querySelectorAll("rect")].map((r) => r.getAttribute("class"));
  const current = (classes) => classes.flatMap((c, n) => c === "current" ? [n] : []);
  const range = slide.querySelector("input"), before = state();
  range.value = range.max;
  range.dispatchEvent(new Event("input"));
  const after = state(), link = slide.parentElement.querySelector(".change a");
  return { name: slide.parentElement.id, max: range.max, before: current(before),
    after: current(after), told: slide.querySelector("output").textContent, link: link.hash };
})"""
READY = """new Promise((done) => {
  const wait = () => globalThis.digit ? done() : setTimeout(wait, 9);
  wait();
})"""


@pytest.fixture(scope="module")
def opened(drawn, tmp_path_factory):
    """The page in a browser."""
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window
        assert window.failures == []


@pytest.mark.parametrize(
    ("width", "dark"), [(320, False), (390, True), (1280, True), (1600, False)]
)
def test_readable_everywhere(drawn, opened, width, dark):
    opened.open(drawn / "index.html", width=width, dark=dark)
    opened.run(READY)
    told = opened.run(
        "({ inside: innerWidth, "
        "over: document.documentElement.scrollWidth - document.documentElement.clientWidth, "
        "broken: [...document.images].filter((i) => !i.naturalWidth).length })"
    )
    assert told == {"inside": width, "over": 0, "broken": 0}
    opened.run("playground.load('#op=max_pool&n=5x5&k=3x3&p=1&mode=reflect&grad=1')")
    assert opened.run(FAINT) == []
    # A picture that is wider than the screen can be moved by keys, and the page says so.
    more = opened.run(
        "new Promise((done) => { const picture = document.querySelector('.picture'); "
        "picture.firstElementChild.style.minWidth = '2000px'; setTimeout(() => done("
        "[picture.tabIndex, getComputedStyle(picture.nextElementSibling).display]), 100); })"
    )
    assert more == [0, "block"]


def test_slides_and_setups_of_the_page(drawn, opened):
    opened.open(drawn / "index.html", hash="#op=avg_pool&n=7&k=3&s=2&p=1")
    assert opened.run("playground.read().setup.op") == "avg_pool"
    assert opened.run("document.getElementById('playground').getBoundingClientRect().top") < 60
    slides = opened.run(VISIT)
    assert [slide["name"] for slide in slides] == [picture.name for picture in SLIDES]
    for slide in slides:
        assert slide["told"] == f"step {slide['max']} of {slide['max']}"
        assert len(slide["before"]) == len(slide["after"]) == 1
        assert slide["before"] != slide["after"]
    # Each set-up that the page links to is as the picture beside it, and none but one is refused.
    links = opened.run("[...document.querySelectorAll('a[href^=\"#op=\"]')].map((a) => a.hash)")
    states = opened.run(
        f"{json.dumps(links)}.map((link) => {{ playground.load(link); "
        "const { setup, solved } = playground.read(); return [setup.sizes, solved.error]; })"
    )
    refused = {link for link, (_, error) in zip(links, states, strict=True) if error}
    assert refused == {"#op=conv&n=3x3&k=5x5&p=VALID"}
    assert {slide["link"] for slide in slides} <= set(links)
    opened.run("location.hash = '#op=conv&n=6x6&k=2x2&s=2&p=VALID'")
    opened.run("new Promise((done) => setTimeout(done, 50))")
    opened.point(".pg-stepper:nth-child(3) button:last-child", click=True)  # strides
    assert opened.run("location.hash") == "#op=conv&n=6x6&k=2x2&s=3&p=VALID"
    opened.point(".pg-switch input", click=True)
    hashes = opened.run("[location.hash, document.querySelector('.pg-code a').hash]")
    assert hashes == ["#op=conv&n=6x6&k=2x2&s=3&p=VALID&grad=1"] * 2


def test_a_digit_drawn_in_the_page_is_read_as_by_the_network(drawn, opened, lenet, rng):
    opened.open(drawn / "index.html")
    opened.run(READY)
    x, y, side = opened.run(
        "(() => { const pad = document.querySelector('.dg-pad'); pad.scrollIntoView(); "
        "const r = pad.getBoundingClientRect(); return [r.x, r.y, r.width]; })()"
    )
    assert side > 270
    opened.drag([(x + 90, y + 70), (x + 180, y + 80), (x + 120, y + 230)])
    opened.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    grey, bytes_read, layers, logits, shares = opened.run(
        "(() => { const pad = document.querySelector('.dg-pad'); const { data } = "
        "pad.getContext('2d').getImageData(0, 0, 280, 280); const { result } = digit.read(); "
        "return [Array.from({ length: 78400 }, (_, n) => data[4 * n]), [...digit.readPad()], "
        "Object.fromEntries(['conv1', 'pool1', 'conv2', 'pool2'].map((name) => "
        "[name, [...result[name].values]])), [...result.logits.values], result.probabilities]; })()"
    )
    grey = np.reshape(grey, (280, 280)) / 255
    image = digits.centre(digits.ink(grey))
    assert image.max() == 255 and (image > 0).sum() > 40
    np.testing.assert_allclose(bytes_read, image.ravel(), atol=1)
    given = np.reshape(bytes_read, (28, 28, 1)).astype(np.float32) / 255
    for name, maps in nnx.jit(lambda model, x: model.feature_maps(x))(lenet, given).items():
        np.testing.assert_allclose(layers[name], np.ravel(maps), atol=1e-4, err_msg=name)
    expected = np.asarray(nnx.jit(lambda model, x: model(x))(lenet, given))
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(shares, jax.nn.softmax(expected), atol=1e-4)
    verdict = opened.run("document.querySelector('.dg-verdict').textContent")
    assert verdict.startswith(
        f"It reads a {expected.argmax()} ({shares[expected.argmax()]:.1%}"[:-1]
    )
    # What a unit sees, and what it adds up.
    field = analysis.receptive_field(lenet.features, (1, 28, 28, 1))
    for i, j in ((0, 0), (2, 4)):
        opened.run(f"digit.inspect({{ layer: 'pool2', map: 3, i: {i}, j: {j} }})")
        (top, bottom), (left, right) = field.sees((i, j))
        seen = opened.run("document.querySelector('.dg-seen').getAttribute('aria-label')")
        assert f"rows {top} to {bottom - 1}, columns {left} to {right - 1}" in seen
    opened.run("digit.inspect({ layer: 'conv2', map: 5, i: 3, j: 7 })")
    told = opened.run("document.querySelector('.dg-inspector').textContent")
    maps = lenet.features.outputs(given)
    before = float(maps["conv2"][3, 7, 5])
    assert (
        f"= {before:.3f}".replace("-", "\N{MINUS SIGN}") in told and "Sum of 150 products" in told
    )
    # A drawing that is wiped away leaves nothing that was read of it before.
    opened.point(".dg-place + p button", click=True)
    hidden = "getComputedStyle(document.querySelector('.dg-bars')).visibility"
    assert opened.run(hidden) == "hidden"
    opened.point(".dg-example", click=True)
    assert opened.run(hidden) == "visible"
    assert opened.run("digit.read().result.input.values.some((value) => value > 0)")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to .*file.*choose another --folder"):
        gallery.main(gallery.Options(folder=tmp_path / "file", trained=False))
