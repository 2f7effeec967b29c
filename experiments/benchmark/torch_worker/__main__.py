"""PyTorch's side of the benchmark: a process that is told what to run, a line of JSON at a time.

    python experiments/benchmark/torch_worker < requests > replies

Needs PyTorch and NumPy alone, so that it may run in another environment than the benchmark. The
requests, by their `do`:

    hello    {platform, threads}                       -> {version, device, threads}
    build    {slot, function, options, arrays, ...}    -> {seconds, results}; both are .npy files
    run      {slot, calls}                             -> {seconds}, of one call on average
    drop     {}                                        -> {}; forgets all programs

A request that fails is answered by {error}; the process goes on.
"""

import json
import os
import sys
import time

import functions
import models
import numpy as np
import torch

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Program:
    """A function of tensors, ready to be run."""

    def __init__(self, request, device):
        peer = (models.PEERS if request["function"] in models.PEERS else functions.PEERS)[
            request["function"]
        ]
        dtype = DTYPES[request["dtype"]]
        exact = request["dtype"] != "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
        self.peer, self.backward = peer, request["backward"]
        arrays = [np.load(path) for path in request["arrays"]]
        options = self.options = request["options"]
        self.layouts = peer.layouts or peer.all_layouts(options)
        self.copies = request.get("copies", 1)
        self.repeated = request.get("repeated") or [False] * len(arrays)
        self.tensors = [
            functions.to_torch(a, layout, dtype, device, options, self.copies if has else 1)
            for a, layout, has in zip(arrays, self.layouts, self.repeated, strict=True)
        ]

        def call(*tensors):
            return peer.call(*tensors, **options)

        self.call = torch.compile(call) if request["compile"] else call
        self.moved = [t for t in self.tensors if t.is_floating_point()] if self.backward else []
        self.cotangent = None
        if self.backward:
            for tensor in self.moved:
                tensor.requires_grad_(True)
            self.cotangent = functions.to_torch(
                np.load(request["cotangent"]), peer.output, dtype, device, options, self.copies
            )

    def __call__(self):
        if not self.backward:
            with torch.no_grad():
                return self.call(*self.tensors)
        outputs = self.call(*self.tensors)
        return outputs, torch.autograd.grad(outputs, self.moved, self.cotangent)

    def save(self, results, folder):
        """Writes the results in the order and layout of the benchmark; returns the files."""
        repeated = [True]
        if self.backward:
            outputs, gradients = results
            floats = [t.is_floating_point() for t in self.tensors]
            layouts = [m for m, moved in zip(self.layouts, floats, strict=True) if moved]
            repeated += [has for has, moved in zip(self.repeated, floats, strict=True) if moved]
            tensors, layouts = [outputs, *gradients], [self.peer.output, *layouts]
        elif isinstance(results, (tuple, list)):
            tensors, layouts = list(results), self.peer.result_layouts(self.layouts)
        else:
            tensors, layouts = [results], [self.peer.output]
        if self.copies > 1:
            tensors = [
                t[: t.shape[0] // self.copies] if has else t
                for t, has in zip(tensors, repeated, strict=True)
            ]
        paths = []
        for number, (tensor, layout) in enumerate(zip(tensors, layouts, strict=True)):
            paths.append(os.path.join(folder, f"torch{number}.npy"))
            np.save(paths[-1], functions.from_torch(tensor, layout, self.options))
        return paths


class Worker:
    """Answers requests; holds a program for each slot."""

    def __init__(self):
        self.cuda = torch.cuda.is_available()
        self.device = torch.device("cpu")
        self.programs = {}

    def hello(self, request):
        if request["platform"] == "gpu":
            if not self.cuda:
                raise RuntimeError(f"PyTorch {torch.__version__} finds no GPU")
            self.device = torch.device("cuda")
        if request["threads"]:
            torch.set_num_threads(request["threads"])
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        return {"version": torch.__version__, "device": name, "threads": torch.get_num_threads()}

    def build(self, request):
        start = time.perf_counter()
        program = Program(request, self.device)
        results = program()
        self.wait()
        seconds = time.perf_counter() - start
        self.programs[request["slot"]] = program
        return {"seconds": seconds, "results": program.save(results, request["folder"])}

    def run(self, request):
        program = self.programs[request["slot"]]
        start = time.perf_counter()
        for _ in range(request["calls"]):
            program()
        self.wait()
        return {"seconds": (time.perf_counter() - start) / request["calls"]}

    def drop(self, request):
        self.programs.clear()
        torch.compiler.reset()
        return {}

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main():
    """Answers until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the replies
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request["do"])(request)
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            reply = {"error": f"{type(error).__name__}: {first}"}
        print(json.dumps(reply), file=replies, flush=True)


main()
