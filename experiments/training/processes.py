"""Several processes, on one machine or many, as one program."""

import os

import jax
import numpy as np
from jax.experimental import multihost_utils

from experiments.commands import output, phases
from experiments.commands.command import UserError

# What the launchers that JAX detects set; looked at only where it is too late to join them.
LAUNCHERS = ("SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri", "JAX_COORDINATOR_ADDRESS")


def start_processes() -> None:
    """Joins the processes that were launched together; does nothing where there is one alone.

    To be called first in a program. JAX detects Slurm, Open MPI, Kubernetes and TPU pods, and takes
    one process per GPU there; the environment variable JAX_LOCAL_DEVICE_IDS=0,1,2,3 gives this
    process several.

    Raises:
      UserError: there are several processes and they cannot be joined.
    """
    if jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize()
    except ValueError as error:
        if "coordinator_address" not in str(error):  # which is what it misses outside of a cluster
            raise UserError(f"the processes cannot be joined: {error}") from None
    except RuntimeError as error:
        late = "must be called before" in str(error)
        if not late or any(name in os.environ for name in LAUNCHERS):
            raise UserError(f"the processes cannot be joined: {error}") from None
    if not is_first():
        phases.be_quiet()


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0


def say(line: str) -> None:
    """Prints a line, once for all processes."""
    if is_first():
        output.say(line)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """What any process wishes: all must do it, and at the same step."""
    if jax.process_count() == 1:
        return wishes
    gathered = multihost_utils.process_allgather(np.array(wishes))
    return tuple(map(bool, gathered.any(axis=0)))
