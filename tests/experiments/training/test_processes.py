"""One process alone joins nobody; two of them are in `test_parallel.py`."""

import pytest

from experiments.commands.command import UserError
from experiments.training.processes import is_first, start_processes


def test_one_process_alone(monkeypatch):
    for name in ("SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri", "JAX_COORDINATOR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    start_processes()
    assert is_first()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    with pytest.raises(UserError, match="cannot be joined: .*must be called before"):
        start_processes()
