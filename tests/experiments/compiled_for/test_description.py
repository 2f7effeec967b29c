"""Devices that are compiled for are described in files, in the repository or a user's own."""

import pytest

from experiments.commands.command import UserError
from experiments.compiled_for import description


def test_those_that_come_along():
    assert description.names() == ["h100", "h200", "tpu-v5e"]
    h100, _, tpu = map(description.load, description.names())
    assert h100.platform == "cuda" and "core_count: 132" in h100.target and h100.counts == ()
    assert [h100.topology(n) for n in (1, 4, 8, 12, 64)] == [
        "1x1x1", "1x1x4", "1x1x8", "1x12x1", "1x8x8",
    ]  # fmt: skip
    assert h100.environment["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] == "1"
    assert tpu.counts[:3] == (1, 4, 8) and tpu.slices[8] == "v5e:2x4" and tpu.clock == 1.5e9
    for device in (h100, tpu):
        assert device.memory > 1.5e10 and device.bandwidth > 8e11 and device.peak["bf16"] > 1e14


def test_a_file_of_ones_own(tmp_path):
    text = (description.FOLDER / "h100.toml").read_text()
    path = tmp_path / "h200.toml"
    path.write_text(text.replace("3.35e12", "4.8e12").replace('"H100"', '"H200"'))
    found = description.load(str(path))
    assert (found.name, found.title, found.bandwidth) == ("h200", "H200", 4.8e12)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bandwidth", "width", "describes no device .*width"),
        ('"cuda"', '"metal"', "neither cuda nor tpu"),
        ("[target]", "[aim]", "describes no device"),
        ("title =", "title", "describes no device"),
        ("gpu_device_info", "'''\n#", "has neither|describes no device"),
    ],
)
def test_a_wrong_file(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    path.write_text((description.FOLDER / "h100.toml").read_text().replace(old, new))
    with pytest.raises(UserError, match=said):
        description.load(str(path))


def test_no_file():
    with pytest.raises(
        UserError, match=r"no device 'h101' .* name one of h100, h200, tpu-v5e, or a"
    ):
        description.load("h101")


def test_what_is_missing_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(description, "_there", lambda module: module == "jax_cuda13_plugin")
    missing = description.load("h100").missing
    assert missing == (
        "to compile for H100 without one, jax-cuda13-pjrt must be installed: "
        "pip install -e '.[compile]'"
    )
    monkeypatch.setattr(description, "_there", lambda module: True)
    assert description.load("tpu-v5e").missing == ""
