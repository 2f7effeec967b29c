"""A worker that answers what it is told to."""

import os
import signal
import sys
import tempfile
import time

from experiments.compiled_for.workers import serve


def answer(task):
    print("this is no answer")
    if task["do"] == "write and stay":  # as libtpu does: deaf to SIGTERM, with something laid down
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        handle, path = tempfile.mkstemp()
        print(os.getpid(), path, file=open(os.environ["SAYING"], "w"), flush=True)
        time.sleep(600)
    if task["do"] == "fail":
        raise RuntimeError("a reason\nand more")
    if task["do"] == "end":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(7)
    return {"said": os.environ["SAYING"] + task["do"]}


if __name__ == "__main__":
    serve(answer)
