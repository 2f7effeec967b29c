"""Importing the checks brings in neither Flax nor the cases, nor what only the commands use."""

import subprocess
import sys


def test_importing_the_checks_is_light():
    code = "import sys, jaxcnn.testing; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    heavy = {"flax", "matplotlib", "rich", "torch", "experiments", "jaxcnn.testing.cases.conv"}
    assert "jaxcnn.testing.rows" in imported and not heavy & set(imported)
