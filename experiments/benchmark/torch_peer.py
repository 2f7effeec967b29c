"""PyTorch as a peer: a process of its own, in this environment or another, that takes turns.

It is a process even where this interpreter has PyTorch: neither then waits for the other's threads,
and one way to do it is enough.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark import load
from experiments.commands import stopping
from experiments.commands.command import UserError
from experiments.training.runs import available_cores

WORKER = Path(__file__).parent / "torch_worker"


class TorchError(Exception):
    """PyTorch could not do what was asked; the message is its own."""


class TorchPeer:
    """The process; it holds a program for each slot, any name, and runs one at a time."""

    def __init__(self, python: Path | None, platform: str, folder: Path):
        """Starts it.

        Args:
          python: the interpreter that has PyTorch; this one when None.
          platform: "cpu" or "gpu".
          folder: where arrays are exchanged as files.
        Raises:
          UserError: the interpreter can't be run, or has no PyTorch for the platform.
        """
        self._folder, self._said = folder, folder / "torch.log"
        command, pipe = [str(python or sys.executable), str(WORKER)], subprocess.PIPE
        try:
            with self._said.open("w") as said:
                self._process = subprocess.Popen(
                    command, stdin=pipe, stdout=pipe, stderr=said, text=True, start_new_session=True
                )
        except OSError as error:
            raise UserError(f"--torch-python {python} cannot be run: {error.strerror}") from None
        self._stopping = stopping.undoing(self._process.kill)
        self._stopping.__enter__()
        threads = available_cores() if platform == "cpu" else 0
        try:
            self.about = self._ask("hello", platform=platform, threads=threads)
        except TorchError as error:
            self.close()
            raise UserError(
                f"--torch-python {python or sys.executable} is of no use: {error}; name an "
                "interpreter that has PyTorch, or leave torch out of --peers"
            ) from None

    def build(
        self,
        slot: str,
        function: str,
        options: Mapping[str, Any],
        arrays: Sequence[np.ndarray],
        cotangent: np.ndarray | None,
        *,
        dtype: str,
        compiled: bool,
        copies: int = 1,
        repeated: Sequence[bool] = (),
    ) -> tuple[float, list[np.ndarray]]:
        """Builds a program; returns the seconds of its first call, and its results.

        Args:
          slot: where to put it.
          function: a name in `torch_worker`.
          options: its options, of JSON's types.
          arrays: 32-bit floats and whole numbers, converted to `dtype` there.
          cotangent: of the output, for the gradient of all arrays of floats; None for none.
          dtype: as on the command line.
          compiled: whether by `torch.compile`.
          copies: how often the batch is repeated there; the results are those of the first.
          repeated: for each array whether it has the batch.
        Raises:
          TorchError: it failed.
        """
        paths = []
        for number, array in enumerate(arrays):
            paths.append(str(self._folder / f"array{number}.npy"))
            np.save(paths[-1], array)
        cotangent_path = self._folder / "cotangent.npy"
        if cotangent is not None:
            np.save(cotangent_path, cotangent)
        reply = self._ask(
            "build",
            slot=slot,
            function=function,
            options=options,
            arrays=paths,
            cotangent=str(cotangent_path),
            backward=cotangent is not None,
            dtype=dtype,
            compile=compiled,
            copies=copies,
            repeated=[*repeated],
            folder=str(self._folder),
        )
        results = [np.load(path) for path in reply["results"]]
        return reply["seconds"], results

    def sample(self, slot: str, calls: int) -> float:
        """Seconds that one of `calls` calls of a program takes."""
        return self._ask("run", slot=slot, calls=calls)["seconds"]

    def drop(self) -> None:
        """Lets go of all programs."""
        self._ask("drop")

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        return load.process_seconds(self._process.pid)

    def close(self) -> None:
        """Ends the process."""
        self._stopping.__exit__(None, None, None)
        self._process.terminate()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    stream.close()
        self._process.wait()

    def _ask(self, do: str, **request: Any) -> dict[str, Any]:
        line = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline() if self._process.stdout else ""
        try:
            reply = json.loads(line)
        except ValueError:  # it ended, or is no such process
            said = self._said.read_text().strip().splitlines()
            raise TorchError(said[-1] if said else "its process ended") from None
        if "error" in reply:
            raise TorchError(reply["error"])
        return reply


def here() -> bool:
    """Whether this interpreter has PyTorch."""
    return importlib.util.find_spec("torch") is not None
