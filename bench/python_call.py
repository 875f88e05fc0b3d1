#!/usr/bin/env python3
"""
What one call from Python costs on a 3-layer MLP of 64 neurons, beside onnxruntime: both packages
in this process, one thread, turn by turn, on CPU time. The products take about a microsecond, so
nearly all of the rest is the way in and out. `make bench-python_call`.
"""
import sys
import time

import benchlib

benchlib.need_modules("python_call", "numpy", "onnxruntime")
sys.path.insert(0, benchlib.BUILD + "/python")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

try:
    import lamina
except ImportError as e:
    benchlib.not_run("python_call", f"the package was not built: {e}")


def session(engine, path):
    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return engine.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    path = benchlib.model_file("mlp64")
    ours, peer = session(lamina, path), session(onnxruntime, path)
    name, out = ours.get_inputs()[0].name, ours.get_outputs()[0].name
    shape = [d if isinstance(d, int) else 1 for d in ours.get_inputs()[0].shape]
    x = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    feed = {name: x}
    if not np.allclose(ours.run(None, feed)[0], peer.run(None, feed)[0], rtol=1e-4, atol=1e-5):
        sys.exit("the two engines disagree: nothing was timed")
    cases = {
        "all outputs": (lambda: ours.run(None, feed), lambda: peer.run(None, feed)),
        "named output": (lambda: ours.run([out], {name: x}), lambda: peer.run([out], {name: x})),
    }
    rows, ratios = [], []
    for case, (a, b) in cases.items():
        for _ in range(200):
            a(), b()
        ratio, t_ours, t_peer = benchlib.paired_ratio(a, b, pairs=21, seconds=0.03,
                                                      clock=time.process_time)
        ratios.append(ratio)
        rows.append({"case": case, "ours_us": t_ours * 1e6, "peer_us": t_peer * 1e6,
                     "ratio": ratio})
    benchlib.table(("call", "lamina us", "onnxruntime us", "times as fast"),
                   [(r["case"], r["ours_us"], r["peer_us"], r["ratio"]) for r in rows])
    peer_name = f"onnxruntime {onnxruntime.__version__}"
    ok = benchlib.write("python_call", {
        "python_call_overhead": benchlib.bar(min(ratios), "x", 1.0, peer_name)}, rows)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
