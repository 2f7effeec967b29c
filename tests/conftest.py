"""What every test runs under: float64, no silent promotion, annotations of lowerings checked."""

import gc
import os
import runpy
import signal
import sys
import threading

from tests import processes

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", processes.flags())
os.environ["JAXCNN_COMPILE_CACHE"] = "0"  # the user's, which no test reads or fills
if threading.current_thread() is threading.main_thread():
    # A suite in a shell's background ignores Ctrl-C, and so would the programs that tests stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

if not processes.AS_USERS_RUN:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_traceback_filtering", "off")  # which takes milliseconds an error
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")

    with install_import_hook("jaxcnn.lowering", "beartype.beartype"):
        import jaxcnn.functional  # noqa: F401


# Files of half a minute and more. They come first, or one worker would end with them alone.
LONG = (
    "test_parallel",
    "test_docs",
    "test_wheel",
    "test_lenet",
    "test_kill",
    "test_gallery",
    "test_conv_algorithms",
    "test_compiled_for",
    "test_users_flags",
    "test_meshes",
    "test_symbolic_sizes",
    "test_halo",
    "test_sharding",
    "test_benchmark",
    "test_train",
    "test_large_sets",
    "test_epochs",
    "test_stopping",
    "test_attribution",
    "test_networks",
    "test_other_platforms",
)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers of tests that need a process of their own."""
    for kind, meaning in processes.KINDS.items():
        config.addinivalue_line("markers", f"{kind}: {meaning}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Takes what became of a test in its own process, where it needs one."""
    if processes.elsewhere(pyfuncitem):
        processes.report(pyfuncitem)
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish() -> None:
    """Garbage collection skips all modules and tests that are loaded by now, a tenth of the time.

    They stay until the end anyway, and looking through them again and again finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded NumPy generator."""
    return np.random.default_rng(20240917)


@pytest.fixture
def plain_promotion():
    """JAX's own promotion of dtypes, for layers of Flax that mix them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def own_registry():
    """Lets a test register what it likes for the comparison of gradients."""
    from jaxcnn.testing import primitives

    before = dict(primitives())
    yield
    primitives().clear()
    primitives().update(before)


@pytest.fixture
def run_module(monkeypatch):
    """Runs a module as `python -m` does, in this process: (name, *arguments) -> exit code."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module(name, run_name="__main__")
        return exit_.value.code

    return run


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Compiled programs of one file are of no use to the next, and slow down what keeps them."""
    yield
    jax.clear_caches()
