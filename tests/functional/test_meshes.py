"""Functions and modules on meshes: on eight devices, which a process of its own simulates."""

import os
import pathlib
import subprocess
import sys


def test_on_eight_devices():
    file = pathlib.Path(__file__).with_name("meshes_on_eight_devices.py")
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
