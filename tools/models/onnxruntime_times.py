"""Times ONNX Runtime for `clockwork bench kernels`, which runs this text and talks to it.

usage: onnxruntime_times.py MODEL.onnx CORE

First line in: a JSON object, {"inputs": [{"name", "type", "item", "places", "bytes"}]}, then the bytes of
all inputs: so many places, each an item of that shape. Out: "ready". Then each line in is a number of runs and each line out a JSON array of
nanoseconds, after one run that is not counted. One thread, on that core.
"""

import json
import os
import sys
import time

import numpy as np
import onnxruntime as ort

TYPES = {
    "f32": np.float32,
    "f16": np.float16,
    "u8": np.uint8,
    "i32": np.int32,
    "i64": np.int64,
    "bool": np.bool_,
}


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def shape(spec, ranks):
    """The places in front, unless the graph has no dimension for them."""
    whole = spec["places"] == 1 and ranks.get(spec["name"]) == len(spec["item"])
    return spec["item"] if whole else [spec["places"], *spec["item"]]


def main():
    path, core = sys.argv[1], int(sys.argv[2])
    os.sched_setaffinity(0, {core})
    source, sink = sys.stdin.buffer, sys.stdout
    specs = json.loads(source.readline())["inputs"]
    data = [np.frombuffer(source.read(spec["bytes"]), TYPES[spec["type"]]) for spec in specs]
    model = session(path)
    ranks = {value.name: len(value.shape) for value in model.get_inputs()}
    feeds = {spec["name"]: flat.reshape(shape(spec, ranks)) for spec, flat in zip(specs, data)}
    model.run(None, feeds)
    print("ready", flush=True)
    for line in source:
        times = []
        for _ in range(int(line) + 1):
            begin = time.perf_counter_ns()
            model.run(None, feeds)
            times.append(time.perf_counter_ns() - begin)
        print(json.dumps(times[1:]), file=sink, flush=True)


if __name__ == "__main__":
    main()
