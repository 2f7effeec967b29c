"""Importing what the scripts share brings in nothing heavy that it does not use."""

import subprocess
import sys

import pytest

HEAVY = "flax grain jax matplotlib orbax PIL scipy.ndimage tensorflow_datasets tyro".split()
# Module -> those of them that it may bring in.
USED = {
    "commands.command": "",
    "compiled_for.description": "",
    "compiled_for.schedules": "",
    "compiled_for.workers": "",
    "data": "PIL",
    "training.augment": "jax",
    "training.mesh": "jax",
    "training.short": "flax jax",
    "training.programs": "flax jax PIL tyro",
    "training.restore": "flax jax orbax",
    "lenet": "flax jax orbax PIL tyro",
}


@pytest.mark.parametrize("name", USED)
def test_imports_no_more_than_it_uses(name):
    code = f"import sys, experiments.{name}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"experiments.{name}" in imported
    assert {heavy for heavy in HEAVY if heavy in imported} <= set(USED[name].split())
