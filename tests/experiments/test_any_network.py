"""Three networks by the same calls: a run at small size, and what it says of them."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments import any_network
from experiments.commands import command

pytestmark = pytest.mark.usefixtures("plain_jax")
COMMANDS = {"look": (any_network.Options, any_network.main)}


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    cases = dict(any_network.CASES)
    cases["resnet18"] = dataclasses.replace(cases["resnet18"], shape=(28, 28, 3))
    monkeypatch.setattr(any_network, "CASES", cases)
    monkeypatch.setattr(any_network, "LOOKED_AT", 2)
    options = ("--steps", "2", "--few", "1", "--tuning", "2", "--tested", "4")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(few_digits))
    assert command.run("any_network", COMMANDS, (*options, *folders)) == 0
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert list(results) == ["flax", "linen", "resnet18"]
    # 3, after the pool 4 and 2 apart, 4 + 2 * 2 = 8, 10 and 4 apart, 10 + 2 * 4
    first, whole = 28 * 28 * 9 * 16, 14 * 14 * 9 * 16 * 32
    flax, linen, resnet = results.values()
    assert (flax["field"], linen["field"], resnet["field"]) == ([18, 18], [16, 16], [43, 43])
    assert flax["multiply_adds"] == first + whole + 7 * 7 * 9 * 32 * 32 + 160
    assert linen["multiply_adds"] == first + whole + 14 * 14 * 9 * 32 * 32 + 160
    assert resnet["parameters"] == 11_689_512 - 513 * 1000 + 513 * 5  # torchvision's, another head
    assert [found["taken"] for found in results.values()] == [10, 8, 100]
    assert [found["arrays"] for found in results.values()] == [12, 10, 102]
    for name, found in results.items():
        assert found["missing"] == 2 and found["weights_equal"] and found["program_equal"]
        assert found["platforms"] == ["cpu", "cuda", "tpu"]
        assert f"{name:9} {found['taken']} arrays taken" in out
        assert {f"{name}-{kind}" for kind in ("field", "maps", "cam")} <= set(figures)
        before, after = (
            load_file(tmp_path / f"run/{name}{kind}.safetensors") for kind in ("", "-tuned")
        )
        assert set(before) == set(after)
        head = {"fc.weight", "fc.bias"} if name == "resnet18" else {"head.weight", "head.bias"}
        head = {each if each in after else "head.kernel" for each in head}  # Linen's own name
        for each in set(after) - head:
            np.testing.assert_array_equal(before[each], after[each])  # frozen
        for each in head:
            assert not np.array_equal(before[each], after[each])
    assert "conv2   Conv       1x14x14x32      8        2" in out
    assert "Conv_1       Conv       1x14x14x32     12        2" in out


def test_wrong_options_are_refused(capsys):
    for option, rule in (("tuning", "1 or more"), ("few", "1 to 400, which is all there are")):
        with pytest.raises(SystemExit):
            command.run("any_network", COMMANDS, (f"--{option}", "0"))
        assert f"--{option} (=0) must be {rule}" in capsys.readouterr().err
