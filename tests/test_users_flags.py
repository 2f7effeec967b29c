"""What users run: no compiler flag, 32 bits, and memory in which something else lay before.

`conftest.py` sets flags for all other tests, under which XLA's programs are others.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import jax
import numpy as np
import pytest

from jaxcnn import reference
from jaxcnn.testing import primitives
from tests.fuzz.poison import memory

FLAGS = ("XLA_FLAGS", "JAX_ENABLE_X64")


def test_every_primitive_and_algorithm_in_poisoned_memory():
    """Values and gradients are the reference's, with the same bits in each of 20 calls."""
    environment = {name: value for name, value in os.environ.items() if name not in FLAGS}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "poison", "--rows", "one", "--draws", "0"],
        env={**environment, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    print(done.stdout[-500:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flags of XLA: none" in done.stdout
    rows = re.search(r"^(\d+) rows", done.stdout, re.MULTILINE)
    assert rows and int(rows[1]) > 2 * len(primitives())


# The smallest program that shows why no negative amount of padding is left to XLA's convolution: on
# a CPU jaxlib 0.10 reads a row beyond the inputs where zeros should be, 0.12 does not.
@pytest.mark.parametrize("around, outside", [("zeros", False), ("ones", "0.10"), ("NaN", "0.10")])
def test_a_plain_convolution_that_crops_reads_outside_of_its_inputs(around, outside):
    inputs, kernel = (np.ones(shape, np.float32) for shape in ((1, 4, 1, 4), (2, 1, 4, 1)))
    padding = ((-1, 1), (0, 0))
    outputs = jax.lax.conv_general_dilated(
        memory.surrounded(inputs, around), kernel, (1, 1), padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    right = np.array_equal(outputs, reference.conv(inputs, kernel, padding=padding))
    assert right != (outside and version("jaxlib").startswith(f"{outside}."))
