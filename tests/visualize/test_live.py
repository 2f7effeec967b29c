"""The playground computes in JavaScript: it is played with in a browser, and held against us."""

import html
import json
import random
import re

import jax
import numpy as np
import pytest

from jaxcnn import functional, reference, visualize
from jaxcnn.visualize import live
from jaxcnn.visualize._window_values import example_inputs, example_kernel
from tests.browser import browser

OPS = ("conv", "conv", "conv", "conv_transpose", "conv_transpose", "max_pool", "min_pool",
       "avg_pool", "sum_pool", "grey_dilation", "grey_erosion")  # fmt: skip
NAMES = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL", "CIRCULAR", "REFLECT", "same", "EVEN")
MODES = ("zeros", "reflect", "replicate", "circular", "identity", "mirror")


def drawn_address(rng):
    """Any set-up that can be typed, a good part of them refused."""
    rank, chance = rng.choice((1, 2, 2)), rng.random

    def axes(low, high):
        if chance() < 0.6:
            return str(rng.randint(low, high))
        return "x".join(str(rng.randint(low, high)) for _ in range(rank))

    def pairs():
        return "x".join(f"{rng.randint(-1, 3)},{rng.randint(-1, 3)}" for _ in range(rank))

    entries = {
        "op": rng.choice(OPS),
        "n": "x".join(str(rng.randint(1, 7)) for _ in range(rank)),
        "k": "x".join(str(rng.randint(1, 3)) for _ in range(rank)),
    }
    amounts = (axes(0, 2), axes(0, 1), axes(-1, 2), pairs(), "1x1x1")
    for name, share, value in (
        ("s", 0.6, axes(1, 3)),
        ("d", 0.3, axes(1, 2)),
        ("p", 0.6, rng.choice((*NAMES, *amounts))),
        ("mode", 0.3, rng.choice(MODES)),
        ("r", 0.3, axes(1, 3)),
        ("add", 0.4, axes(0, 2)),
        ("turn", 0.4, "1"),
        ("ceil", 0.3, "1"),
        ("count", 0.3, "0"),
    ):
        if chance() < share:
            entries[name] = value
    if chance() < 0.4:
        entries |= {
            "c": str(rng.randint(1, 4)),
            "f": str(rng.randint(1, 4)),
            "g": rng.choice("1122"),
        }
    if chance() < 0.05:
        entries |= rng.choice(({"s": "0"}, {"d": "0"}, {"s": "1.5"}, {"k": "0"}, {"s": "two"}))
    return "#" + "&".join(f"{name}={value}" for name, value in entries.items())


# For every address: what the page shows, read off its cells, and the numbers behind it.
READ = """(() => ADDRESSES.map((address, number) => {
  const root = document.getElementById("window");
  playground.load(address + "&grad=1");
  const problem = root.querySelector(".pg-problem"), { setup, solved } = playground.read();
  const shown = { problem: problem.textContent, hidden: problem.hidden,
    call: Playground.callOf(setup), x: setup.x, w: setup.w, g: setup.g,
    inputs: [...setup.sizes, setup.channels], kernel: null };
  const program = solved.error ? "" : root.querySelector("code").textContent;
  if (solved.error) return { ...shown, kernel: Playground.kernelShape(setup) };
  const at = number % solved.y.length;
  playground.pick({ where: "y", index: at });
  const values = (where) => [...root.querySelectorAll(`.pg-${where} .pg-cell`)]
    .sort((a, b) => a.cell.index - b.cell.index)
    .map((box) => box.querySelector(".pg-value").textContent);
  const lit = [...root.querySelectorAll(".pg-plane .pg-cell")]
    .filter((box) => /tap|winner/.test(box.className))
    .map((box) => [box.cell.index, box.className.split(" ").pop(),
      box.querySelector(".pg-tag").textContent]);
  const told = root.querySelector(".pg-told").textContent, sums = {};
  for (const where of setup.w.length ? ["dx", "dw"] : ["dx"]) {
    const index = number % solved[where].length;
    playground.pick({ where, index });
    sums[where] = [index, root.querySelector(".pg-told").textContent];
  }
  return { ...shown, kernel: Playground.kernelShape(setup), program, at, lit, told, sums,
    shape: [...solved.shape, solved.features], y: solved.y, dx: solved.dx, dw: solved.dw,
    texts: { y: values("y"), dx: values("dx"), dw: values("dw") },
    formula: root.querySelector(".pg-sizes").textContent, back: playground.address() };
}))()"""


def short(values):
    """Numbers as the page writes them."""
    rounded = np.floor(np.asarray(values) * 100 + 0.5) / 100 + 0.0
    return [f"{value:.10g}".replace("-", "\N{MINUS SIGN}") for value in rounded.ravel()]


def pulled_back(call, names, cotangent):
    """The reference's gradients for the call that the page shows."""
    return eval(call.replace("(x", "_vjp(g, x", 1), {**names, "g": cotangent})


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A browser that shows a page of `live`."""
    folder = tmp_path_factory.mktemp("live")
    text = live.page("#op=conv&n=5x5&k=3&p=VALID", "A window").replace(
        "Playground.mount(", "globalThis.playground = Playground.mount("
    )
    (folder / "page.html").write_text(text, encoding="utf-8")
    with browser(folder / "profile") as page:
        page.open(folder / "page.html", width=900)
        yield page
        assert page.failures == []


def test_what_the_playground_shows_is_what_the_library_computes(opened):
    rng = random.Random(20)
    addresses = [drawn_address(rng) for _ in range(640)]
    found = opened.run(READ.replace("ADDRESSES", json.dumps(addresses)))
    valid = [each for each in found if not each["problem"]]
    refused = [each for each in found if each["problem"]]
    assert len(valid) >= 300 and len(refused) >= 100
    assert len({re.sub(r"[\d-]+", "", each["problem"]) for each in refused}) > 40
    for each in refused:  # with the library's own words
        x, kernel = np.zeros(each["inputs"], np.float32), np.zeros(each["kernel"], np.float32)
        with pytest.raises((ValueError, TypeError)) as caught:
            eval(each["call"], {"F": functional, "x": x, "kernel": kernel})
        assert str(caught.value) == each["problem"], each["call"]
    for address, each in zip(addresses, found, strict=True):
        if each["problem"]:
            continue
        assert each["hidden"]
        x = np.reshape(each["x"], each["inputs"]).astype(float)
        kernel = np.reshape(each["w"], each["kernel"]).astype(float) if each["w"] else None
        names = {"F": reference, "x": x, "kernel": kernel}
        outputs = eval(each["call"], names)
        assert list(outputs.shape) == each["shape"], address
        np.testing.assert_allclose(each["y"], outputs.ravel(), rtol=1e-12, atol=1e-12)
        d_x, *d_kernel = pulled_back(each["call"], names, np.reshape(each["g"], outputs.shape))
        np.testing.assert_allclose(each["dx"], d_x.ravel(), rtol=1e-12, atol=1e-12)
        shown = [("y", outputs), ("dx", d_x)]
        if kernel is not None:
            np.testing.assert_allclose(each["dw"], d_kernel[0].ravel(), rtol=1e-12, atol=1e-12)
            shown.append(("dw", d_kernel[0]))
        for where, array in shown:
            assert each["texts"][where] == short(array), (address, where)
            if where != "y":
                index, told = each["sums"][where]
                told = re.sub(":.*", "", told).rpartition("= ")[2]  # 0: no output depends on it
                assert told == short(array)[index], (address, each["sums"][where])
        check_lit(address, each, names, outputs)
        sizes = set(map(str, outputs.shape[:-1]))
        assert sizes <= set(re.findall(r"=(\d+)", each["formula"])), (address, each["formula"])
    again = opened.run(READ.replace("ADDRESSES", json.dumps([each["back"] for each in valid])))
    for before, after in zip(valid, again, strict=True):
        assert before["call"] == after["call"] and before["y"] == after["y"]


def check_lit(address, each, names, outputs):
    """The taps that light up for an output are its derivatives."""
    unit = np.zeros(outputs.size)
    unit[each["at"]] = 1
    row = pulled_back(each["call"], names, unit.reshape(outputs.shape))[0].ravel()
    lit = np.zeros_like(row)
    for index, kind, tag in each["lit"]:
        if index < 0 or kind == "faint":
            continue
        if tag and "conv" in address:
            lit[index] += sum(float(part.replace("\N{MINUS SIGN}", "-")) for part in tag.split())
        elif kind == "winner":
            lit[index] += 1
        elif "avg" in address or "sum" in address:
            lit[index] += row[row > 0].min(initial=1)
    np.testing.assert_allclose(lit, row, rtol=1e-12, err_msg=address)
    told = each["told"].rpartition("= ")[2]
    assert told == short(outputs.ravel()[each["at"]])[0]


def test_programs_that_the_playground_shows_run(opened):
    rng = random.Random(5)
    addresses = [drawn_address(rng) for _ in range(60)]
    found = opened.run(READ.replace("ADDRESSES", json.dumps(addresses)))
    valid = [each for each in found if not each["problem"]][:16]
    for each in valid:
        names = {}
        with jax.enable_x64(False):
            exec(each["program"], names)
        np.testing.assert_allclose(np.ravel(names["y"]), each["y"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(np.ravel(names["dx"]), each["dx"], rtol=1e-5, atol=1e-4)
        if each["w"]:
            np.testing.assert_allclose(np.ravel(names["dkernel"]), each["dw"], rtol=1e-5, atol=1e-4)


def test_example_numbers_are_those_of_the_pictures(opened):
    found = opened.run("Playground.setupOf('#op=conv&n=8x9&k=3x4')")
    assert found["x"] == example_inputs((8, 9)).ravel().tolist()
    assert found["w"] == example_kernel((3, 4)).ravel().tolist()


def test_a_notebook_shows_the_same_window(opened, tmp_path):
    inputs = np.arange(30.0).reshape(5, 6) % 7 - 2.5
    figure = visualize.sliding_window(
        "max_pool", (5, 6), (2, 3), strides=(1, 2), padding=((0, 1), (1, 1)),
        window_dilation=(2, 1), padding_mode="reflect", ceil_mode=True, inputs=inputs, step=-2,
    )  # fmt: skip
    shown = figure._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in shown
    page = html.unescape(re.search('srcdoc="(.*?)"', shown, re.DOTALL)[1])
    page = page.replace("Playground.mount(", "globalThis.playground = Playground.mount(")
    (tmp_path / "frame.html").write_text(page, encoding="utf-8")
    (tmp_path / "notebook.html").write_text(shown, encoding="utf-8")
    opened.open(tmp_path / "notebook.html")  # where no script may fail either
    opened.open(tmp_path / "frame.html")
    call, x, current = opened.run(
        "[Playground.callOf(playground.read().setup), playground.read().setup.x, "
        "document.querySelector('.pg-y .current').cell.index]"
    )
    outputs = eval(call, {"F": reference, "x": inputs[..., None]})
    expected = dict(strides=(1, 2), window_dilation=(2, 1), padding_mode="reflect", ceil_mode=True)
    np.testing.assert_array_equal(
        outputs, reference.max_pool(inputs[..., None], (2, 3), padding=((0, 1), (1, 1)), **expected)
    )
    assert x == inputs.ravel().tolist() and current == outputs.size - 2
    assert visualize.sliding_window("conv", (20, 20), (3, 3), step=0)._repr_html_() is None
    gradient = visualize.conv_gradient((4, 5), (3, 3), strides=2, step=0)._repr_html_()
    assert "#op=conv&amp;amp;n=4x5&amp;amp;k=3x3&amp;amp;s=2&amp;amp;p=VALID" in gradient


def test_what_is_shown_otherwise_than_asked_for_is_told(opened):
    note = "document.querySelector('.pg-note').textContent"
    opened.run("playground.load('#op=nonsense&n=99x3x5&k=2.5&x=1,foo')")
    told = opened.run(note)
    for part in ("“nonsense”", "of the input size 99x3x5", "is 14, not 99", "3, not 2.5", "“foo”"):
        assert part in told, told
    assert opened.run("playground.address()").startswith("#op=conv&n=14x3&k=3x3")
    opened.run("playground.load('#op=conv&n=5x5&k=3')")
    assert opened.run(f"[{note}, document.querySelector('.pg-note').hidden]") == ["", True]
    field = "document.querySelector('.pg-number input')"
    opened.run(f"{field}.focus()")
    opened.run(f"{field}.select()")
    opened.press("9", "9", "Enter")
    assert "is 14, not 99" in opened.run(note)
    opened.run(f"({field}.value = '', {field}.dispatchEvent(new Event('change')))")
    assert opened.run(f"{field}.value") == "14", "an emptied field is as it was"


def test_played_with_by_mouse_and_keys(opened):
    opened.run("playground.load('#op=conv&n=4x4&k=2&p=VALID')")
    opened.point(".pg-y .pg-cell:nth-child(2)")  # the second output
    assert opened.run("document.querySelectorAll('.pg-plane .tap').length") == 4
    assert opened.run("document.querySelector('.pg-told').textContent").startswith("y[0, 1] = ")
    opened.point(".pg-plane .pg-cell", click=True)
    assert opened.run("document.querySelector('.pg-told').textContent").startswith("x[0, 0] = 8")
    opened.press("ArrowRight", "ArrowDown", "-", "2", "Enter")
    x, y = opened.run("[playground.read().setup.x, playground.read().solved.y]")
    assert x[5] == -2 and opened.run("document.activeElement.cell.index") == 5
    expected = reference.conv(
        np.reshape(x, (4, 4, 1)), example_kernel((2, 2))[..., None, None], padding="VALID"
    )
    np.testing.assert_allclose(y, expected.ravel())
    opened.point(".pg-switch input", click=True)
    code = opened.run("document.querySelector('.pg-code code').textContent")
    assert code.endswith("dx, dkernel = back(dy)")
    opened.point(".pg-dx .pg-cell")
    assert opened.run("document.querySelector('.pg-told').textContent").startswith("dL/dx[0, 0] = ")
    opened.point(".pg-stepper:nth-child(3) button:last-child", click=True)  # strides
    assert opened.run("playground.read().solved.shape") == [2, 2]
    assert opened.run("playground.read().setup.x") == x, "numbers of one's own stay"
    opened.point(".pg-play", click=True)
    assert "pause" in opened.run("document.querySelector('.pg-play').textContent")
    opened.run("new Promise((done) => setTimeout(done, 1000))")
    opened.point(".pg-play", click=True)
    assert opened.run("document.querySelector('.pg-count').textContent") != "step 1 of 4"
