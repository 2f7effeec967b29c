"""A test that runs in a process of its own fails, skips and passes here as it does there."""

import types

import pytest

from tests import processes

TESTS = """
import os, pytest

def test_right(): assert os.environ["XLA_FLAGS"].endswith("_device_count=8")
def test_wrong(): assert 1 + 1 == 3, "a sum"
def test_left_out(): pytest.skip("a reason")
"""


def test_outcomes_are_those_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", str(tmp_path / "test_of_the_whole_suite.py"))
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    items = []
    for name in ("test_right", "test_wrong", "test_left_out", "test_absent"):
        items.append(types.SimpleNamespace(
            name=name, path=file, nodeid=str(file),
            get_closest_marker=lambda kind: kind == "eight_devices",
            config=types.SimpleNamespace(rootpath=tmp_path),
            session=types.SimpleNamespace(items=items[:1]),
        ))  # fmt: skip
    items[0].session.items.append(items[0])
    right, wrong, left_out, absent = items
    processes.report(right)
    for item, kind, message in (
        (wrong, pytest.fail.Exception, "a sum"),
        (left_out, pytest.skip.Exception, "a reason"),
        (absent, pytest.fail.Exception, "ended before this test did"),
    ):
        with pytest.raises(kind, match=message):
            processes.report(item)
