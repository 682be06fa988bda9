"""The Python side of `npm run bench:peers`: measures the same work in PyTorch and faiss.

Reads one JSON object a line and answers each with one line:
    {"call": "versions"}                                   -> {"python": .., "torch": .., ...}
    {"call": "prepare", "work": "gemm", ...sizes}          -> {"handle": 0}
    {"call": "measure", "handle": 0, "seconds": 0.5}       -> {"seconds": ..}   of one unit of work
    {"call": "close", "handle": 0}                         -> {}
An error is answered as {"error": ".."}; the process goes on. It ends with its input.
"""

import gc
import importlib
import json
import platform
import statistics
import sys
import time

BLOCK_SECONDS = 0.02

# The module of each kind of work. It is imported when such work is prepared for the first time.
MODULES = {
    "gemm": "kernels",
    "lstm": "kernels",
    "softmax": "kernels",
    "bag": "kernels",
    "bag_adagrad": "kernels",
    "recall": "recall",
    "program": "program",
    "scan": "scan",
}


class Measured:
    """A function that does `units` units of work, timed in blocks that are long compared with the clock's resolution."""

    def __init__(self, function, units, block_seconds=BLOCK_SECONDS):
        self.function, self.units = function, units
        function()
        start = time.perf_counter()
        function()
        self.calls = max(1, round(block_seconds / max(1e-9, time.perf_counter() - start)))

    def measure(self, seconds):
        self.function()
        times, end = [], time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            for _ in range(self.calls):
                self.function()
            times.append(time.perf_counter() - start)
        return statistics.median(times) / (self.calls * self.units)


def versions():
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy", "faiss"):
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError:
            found[name] = None
    return found


handles = {}


def answer(request):
    call = request.pop("call")
    if call == "versions":
        return versions()
    if call == "prepare":
        work = request.pop("work")
        function, units, threads = getattr(importlib.import_module(MODULES[work]), work)(**request)
        handle = len(handles)
        threads()
        handles[handle] = (Measured(function, units), threads)
        return {"handle": handle}
    if call == "measure":
        measured, threads = handles[request["handle"]]
        threads()
        gc.collect()
        gc.disable()
        try:
            return {"seconds": measured.measure(request["seconds"])}
        finally:
            gc.enable()
    if call == "close":
        handles[request["handle"]] = None
        gc.collect()
        return {}
    raise ValueError(f"unknown call {call}")


def main():
    # Libraries may print: that goes to stderr, because stdout is for answers only.
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - every failure is the driver's to report
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main()
