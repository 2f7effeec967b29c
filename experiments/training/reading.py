"""Batches from a stream that may break: what fails is named, and nothing is waited for for ever."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

from experiments.commands.command import Stuck, UserError
from experiments.data import Split
from experiments.data.split import first_line


class Reader:
    """An iterator over batches, each of them read in a thread that can be given up."""

    def __init__(self, batches: Iterator[Any], split: Split, seconds: float):
        """Reads `batches` of `split`.

        Args:
          batches: an iterator.
          split: named in errors.
          seconds: the longest wait for a batch.
        """
        self._batches, self._seconds = batches, seconds
        self._source = f"{split.layout.name} in {split.layout.folder}"

    def __iter__(self) -> "Reader":
        return self

    def __next__(self) -> Any:
        """The next batch.

        Raises:
          UserError: reading failed, or no batch came in time.
        """
        results = queue.SimpleQueue()

        def read():
            try:
                results.put((next(self._batches), None))
            except BaseException as error:
                results.put((None, error))

        threading.Thread(target=read, daemon=True).start()
        try:
            batch, error = results.get(timeout=self._seconds)
        except queue.Empty:
            raise Stuck(
                f"the data set {self._source} gave no batch within {self._seconds:g} s; see whether"
                " its disk answers, or wait longer with --data-seconds"
            ) from None
        if error is None:
            return batch
        if isinstance(error, (StopIteration, UserError, MemoryError)):
            raise error
        raise UserError(
            f"the data set {self._source} cannot be read any further ({first_line(error)}); see"
            " whether its files are whole"
        ) from error
