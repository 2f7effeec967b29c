"""Tests that need a process of their own, with other flags than this one's.

A test with the marker `eight_devices` or `as_users_run` runs in such a process, together with all
others of its file, and is reported here as if it had run here: by itself, with its own message.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

INSIDE = "JAXCNN_TESTS_INSIDE"  # in the environment of such a process: its kind
KINDS = {
    "eight_devices": "runs on eight simulated devices, with the flags of the suite besides",
    "as_users_run": "runs without the flags and settings that conftest.py makes for all others",
}
FLAGS = ("XLA_FLAGS", "JAX_ENABLE_X64", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION")

AS_USERS_RUN = os.environ.get(INSIDE) == "as_users_run"


def flags() -> str:
    """The compiler flags of the suite, which save time alone.

    Compiling is most of the time here, and each program runs a few times only. Without LLVM's own
    optimiser, XLA's passes are what they are and compiling takes a quarter less. JAX 0.10 has two
    emitters of loops: the older one compiles faster by a third, and by another third where no
    program is cut into parts for several threads. The newer one is all that JAX 0.12 has, and is
    tested there. Under these flags every test missed a fault once. So all primitives and algorithms
    run in test_users_flags.py without them, and `XLA_FLAGS= pytest` runs all others so.
    """
    if AS_USERS_RUN:
        return ""
    of_0_10 = " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    return "--xla_backend_optimization_level=0" + of_0_10 * version("jaxlib").startswith("0.10.")


# What became of the tests of one file and kind: by name, a message for each that did not pass.
_outcomes: dict[tuple[Path, str], dict[str, ElementTree.Element]] = {}


def elsewhere(item: pytest.Item) -> str:
    """The kind of process that a test needs and this is not, or nothing."""
    kinds = [kind for kind in KINDS if item.get_closest_marker(kind)]
    return kinds[0] if kinds and os.environ.get(INSIDE) != kinds[0] else ""


def report(item: pytest.Item) -> None:
    """Passes, fails or skips as the test does in its own process, which runs the first time."""
    kind = elsewhere(item)
    if (item.path, kind) not in _outcomes:
        others = (other for other in item.session.items if other.path == item.path)
        names = [other.nodeid for other in others if elsewhere(other) == kind]
        _outcomes[item.path, kind] = _run(names, kind, item.config.rootpath)
    outcome = _outcomes[item.path, kind].get(item.name)
    if outcome is None:
        pytest.fail("its process ended before this test did", pytrace=False)
    for child in outcome:
        if child.tag == "skipped":
            pytest.skip(child.get("message", ""))
        if child.tag in ("failure", "error"):
            pytest.fail(child.text or "", pytrace=False)


def _run(names: list[str], kind: str, root: Path) -> dict[str, ElementTree.Element]:
    """What became of some tests in a process of this kind."""
    # PYTEST_ADDOPTS may name files, all of which would run here, and in each process from here on.
    left_out = {*FLAGS, "PYTEST_ADDOPTS"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    if kind == "eight_devices":
        flags = os.environ.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=8"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--tb=short",
             f"--junitxml={file}", *names],
            env={**environment, INSIDE: kind}, cwd=root, capture_output=True, text=True,
        )  # fmt: skip
        print(done.stdout[-10_000:], done.stderr[-5_000:])
        if not file.exists():
            return {}
        return {case.get("name", ""): case for case in ElementTree.parse(file).iter("testcase")}
