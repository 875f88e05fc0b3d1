#!/usr/bin/env python3
"""
What serving costs before any wire: batcher, admission, gathering and scattering of rows beside the
same model called in process. A tiny MLP runs inline, one of 2 ms in a thread of an instance; one
request at a time and 64 outstanding (bars B3 of serving).
"""
import json
import os
import subprocess
import sys
import tempfile

import benchlib

SECONDS, ROUNDS = 0.4, 5


def make(folder, name, sizes):
    """An MLP of those sizes with random weights; the batch is free."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    rng, nodes, weights, at = np.random.default_rng(1), [], [], "x"
    for i, (k, n) in enumerate(zip(sizes, sizes[1:])):
        weights += [numpy_helper.from_array((rng.standard_normal((k, n)) / k ** 0.5)
                                            .astype(np.float32), f"w{i}"),
                    numpy_helper.from_array(np.zeros(n, np.float32), f"b{i}")]
        last = i + 2 == len(sizes)
        nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], ["y" if last else f"g{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"h{i}"]))
        at = f"h{i}"
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", sizes[-1]])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = os.path.join(folder, name + ".onnx")
    onnx.save(model, path)
    return path


def measure(path, where):
    """The median of each figure over a few processes."""
    rows = [json.loads(subprocess.run(
        [os.path.join(benchlib.BUILD, "bin", "bench_batcher_runs"), path, str(SECONDS), where],
        capture_output=True, text=True, check=True).stdout) for _ in range(ROUNDS)]
    return {k: benchlib.median([r[k] for r in rows]) for k in rows[0]}


def main():
    with tempfile.TemporaryDirectory() as folder:
        tiny = measure(make(folder, "tiny", (16, 64, 64, 10)), "inline")
        heavy = measure(make(folder, "heavy", (16, 2560, 2560, 2560, 10)), "threads")
    keys = ("direct_1", "single_1", "batched_1", "single_64", "direct_64", "batched_64")
    print("microseconds a request; in process (direct) and served, 1 and 64 outstanding")
    benchlib.table(("model",) + keys, [["tiny, inline"] + [tiny[k] for k in keys],
                                       ["heavy, thread"] + [heavy[k] for k in keys]])
    bars = {
        "tiny, batcher's own work at 64": benchlib.bar(
            tiny["batched_64"] - tiny["direct_64"], "us", 1, "in process, 64 rows", False),
        "tiny, batching on, 1 outstanding": benchlib.bar(
            tiny["batched_1"] - tiny["single_1"], "us", 5, "batching off", False),
        "heavy, not batched": benchlib.bar(
            heavy["direct_1"] / heavy["single_64"], "x", 0.97, "in process", True),
        "heavy, batched, 64 outstanding": benchlib.bar(
            heavy["direct_64"] / heavy["batched_64"], "x", 0.9, "in process, 64 rows", True),
    }
    return 0 if benchlib.write("batcher", bars, [tiny, heavy]) else 1


if __name__ == "__main__":
    sys.exit(main())
