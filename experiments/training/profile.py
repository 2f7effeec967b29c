"""A trace of a training, for Perfetto."""

from pathlib import Path
from typing import Any

import jax

from experiments.training.step import TrainState


class Profile:
    """A trace of the first few advances."""

    def __init__(self, folder: Path, advances: int):
        self._folder, self._left = folder, advances

    def __enter__(self) -> "Profile":
        if self._left:
            jax.profiler.start_trace(self._folder)
        return self

    def advanced(self, state: TrainState) -> None:
        """One more is done, or in flight."""
        if self._left:
            self._left -= 1
            if not self._left:
                self._stop(state)

    def _stop(self, state: Any = ()) -> None:
        jax.block_until_ready(state)
        jax.profiler.stop_trace()

    def __exit__(self, *exception) -> None:
        if self._left:
            self._left = 0
            self._stop()
