"""Workers answer in processes of their own; what ends one of them ends no other."""

import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.compiled_for import workers

WORKER = "tests.experiments.compiled_for.echoing"


def test_answers_failures_and_ends():
    tasks = [{"do": what} for what in ("a", "end", "fail", "b", "c")]
    found = {t["do"]: a for t, a in workers.answers(WORKER, tasks, {"SAYING": "so "})}
    assert found == {
        "a": {"said": "so a"},
        "b": {"said": "so b"},
        "c": {"said": "so c"},
        "end": {"error": "the compiling process ended (7): the last words"},
        "fail": {"error": "RuntimeError: a reason"},
    }


def test_nothing_to_do():
    assert not list(workers.answers(WORKER, [], {}))


def test_whoever_stops_listening_ends_them():
    found = workers.answers(WORKER, [{"do": "a"}] * 3, {"SAYING": ""}, at_once=1)
    assert next(found)[1] == {"said": "a"}
    found.close()


def test_whoever_has_waited_long_enough_ends_them():
    assert not list(workers.answers(WORKER, [{"do": "a"}], {"SAYING": ""}, 1, 0.0))


STARTS_ONE = f"""
import sys
from experiments.commands import stopping
from experiments.compiled_for import workers
stopping.install()
list(workers.answers({WORKER!r}, [{{"do": "write and stay"}}], {{"SAYING": sys.argv[1]}}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is told by Linux alone")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_they_die_with_their_parent(how, tmp_path):
    told = tmp_path / "told"
    command = [sys.executable, "-c", STARTS_ONE, str(told)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as parent:
        while not (told.exists() and told.read_text().endswith("\n")):
            assert parent.poll() is None
            time.sleep(0.01)
        process, path = told.read_text().split()
        parent.send_signal(how)
        errors = parent.communicate(timeout=60)[1]
    if how != signal.SIGKILL:
        assert (parent.returncode, errors) == (128 + how, "stopped\n")
        assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))
    for _ in range(1000):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        pytest.fail("the worker lives on")
