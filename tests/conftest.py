"""What every test runs under: float64, no silent promotion, annotations of lowerings checked."""

import gc
import os
import runpy
import sys
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling is most of the time here and each program runs a few times only: LLVM's own optimiser
# stays off, which saves a quarter of it and leaves XLA's passes as they are. The emitter of loops
# that JAX 0.10 has beside the newer one compiles faster by a third; the newer one is tested where
# it is the only one, with newer versions. These flags once hid a fault from every test: users'
# programs, without them, are in test_users_flags.py, in value and gradient by every algorithm, and
# `XLA_FLAGS= pytest` tests all the others so.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

if version("jaxlib").startswith("0.10."):
    # Flax asks what it stores for its sharding. A traced value has none, and this JAX says in the
    # error, which Flax drops, where the value comes from: it goes through all that was traced for
    # that, which is up to half the time of tracing a deep network.
    from jax._src.interpreters.partial_eval import DynamicJaxprTracer

    DynamicJaxprTracer._origin_msg = lambda self: ""

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
    "test_halo",
    "test_benchmark",
    "test_train",
    "test_large_sets",
    "test_epochs",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish() -> None:
    """Has Python look through what was imported no more: that was a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded NumPy generator."""
    return np.random.default_rng(20240917)


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
