"""Processes that compile, started with the variables that a compiler asks for before JAX begins.

A worker is a module that ends in

    if __name__ == "__main__":
        serve(answer)

with `answer` a function from a task to an answer, both plain dictionaries of what JSON can say.

A worker that compiles is deaf to SIGTERM, which libtpu takes for itself, and would go on for
minutes. So it is killed when whoever asks for answers stops, is interrupted or terminated, and by
the kernel where that one is killed. What it lays down lies in a folder that goes with it.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.commands import stopping

ROOT = Path(__file__).parents[2]
AT_ONCE = 2  # a compiler has threads of its own
_DYING = 2.0  # seconds that a killed worker has
_TAIL = 2000  # of what a worker said before it ended
_WITH_ITS_PARENT = 1  # PR_SET_PDEATHSIG of Linux

Task = Mapping[str, Any]
Answer = dict[str, Any]


def answers(
    module: str,
    tasks: Sequence[Task],
    environment: Mapping[str, str],
    at_once: int = AT_ONCE,
    seconds: float | None = None,
) -> Iterator[tuple[Task, Answer]]:
    """Hands the tasks to workers, one at a time to each, and yields each answer as it comes.

    Args:
      module: the worker, as in `python -m`.
      tasks: what it is given; in the order in which they begin.
      environment: variables that are set for it.
      at_once: how many workers there are.
      seconds: after which the workers are ended, whatever they are at; None for never.
    Yields:
      A task and its answer; {"error": why} where the worker failed or ended. One that ended is
      followed by another.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Task, Answer]] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    with stopping.temporary_folder() as folder:  # they may be killed, and leave what they wrote
        environment = {**environment, "TMPDIR": str(folder)}
        workers = [
            _Worker(module, environment, waiting, done) for _ in range(min(at_once, len(tasks)))
        ]

        def stop() -> None:
            for worker in workers:
                worker.stop()

        with stopping.undoing(stop), contextlib.ExitStack() as stack:
            stack.callback(stop)
            begun = time.monotonic()
            for worker in workers:
                worker.start()
            for _ in tasks:
                left = None if seconds is None else max(seconds - (time.monotonic() - begun), 0.0)
                try:
                    answered = done.get(timeout=left)
                except queue.Empty:
                    return
                yield answered


def serve(answer: Callable[[Task], Answer]) -> None:
    """Answers the tasks on standard input until it ends; whatever else is printed is no answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_WITH_ITS_PARENT, signal.SIGKILL)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:  # one task that fails is a finding, not the end
            first = str(error).strip().partition("\n")[0]
            found = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(found), file=replies, flush=True)


class _Worker(threading.Thread):
    """Feeds one process, and starts another when it ends."""

    def __init__(
        self, module: str, environment: Mapping[str, str], waiting: queue.SimpleQueue,
        done: queue.SimpleQueue,
    ):  # fmt: skip
        super().__init__(daemon=True)
        self._command = [sys.executable, "-m", module]
        self._environment = {**os.environ, **environment}
        self._waiting, self._done = waiting, done
        self._process: Any = None
        self._stopped = False

    def run(self) -> None:
        with tempfile.TemporaryFile("w+") as said:
            while not self._stopped:
                try:
                    task = self._waiting.get_nowait()
                except queue.Empty:
                    break
                self._done.put((task, self._ask(task, said)))
            if self._process:
                self._process.communicate()

    def stop(self) -> None:
        """Ends the process, whatever it is at."""
        self._stopped = True
        if self._process and self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING)

    def _ask(self, task: Task, said: Any) -> Answer:
        if self._process is None:
            said.seek(0), said.truncate()
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                env=self._environment, cwd=ROOT, text=True, start_new_session=True,
            )  # fmt: skip
        process = self._process
        if self._stopped:  # while it started
            process.kill()
        with contextlib.suppress(OSError, ValueError):  # it has ended
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            if line := process.stdout.readline():
                return json.loads(line)
        self._process = None
        process.kill()
        process.communicate()
        said.seek(0)
        lines = [text for text in said.read()[-_TAIL:].splitlines() if text.strip()]
        last = lines[-1] if lines else "it said nothing"
        return {"error": f"the compiling process ended ({process.returncode}): {last}"}
