"""Images and batches spread over devices: eight of them, which a process of its own simulates."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp

from jaxcnn.lowering import halo


def test_on_eight_devices():
    here = pathlib.Path(__file__)
    files = [here.with_name(f"{what}_on_eight_devices.py") for what in ("halo", "primitives")]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *map(str, files)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    print(done.stdout[-300:])
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_one_device_computes_by_itself():
    inputs = jnp.ones((2, 3, 4, 1))
    assert halo.parts(inputs) is None
    with jax.set_mesh(jax.make_mesh((1,), ("data",), (jax.sharding.AxisType.Auto,))):
        assert halo.parts(inputs) is None
    assert halo.whole_rows(inputs) is inputs
