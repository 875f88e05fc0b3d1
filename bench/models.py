#!/usr/bin/env python3
"""
Latency of the generated f32 models beside onnxruntime: models.py [CASE...]. Both run in this
process on one thread, turn by turn, on CPU time, so that a busy machine disturbs both alike. The
outputs are compared before anything is timed. Bar B4: `make bench-models`. With --precision bf16
the peer is OpenVINO told to compute in bf16, and outputs may differ by that.
"""
import argparse
import sys
import time

import benchlib

benchlib.need_modules("models", "numpy", "onnx", "onnxruntime")

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

import laminalib  # noqa: E402

# case: (model, values of dynamic dims, multiply-adds in 1e9 of one run)
CASES = {
    "mlp64": ("mlp64", {}, 12288e-9),
    "mobilenetv2": ("mobilenetv2", {"N": 1}, 0.3007),
    "resnet50": ("resnet50", {"N": 1}, 4.089),
    "yolov8n": ("yolov8n", {}, 4.371),
    "whisper_tiny_enc": ("whisper_tiny_enc", {}, 18.51),
    "bert_base S=128": ("bert_base", {"B": 1, "S": 128}, 11.17),
    "gpt2 prefill 128": ("gpt2", {"B": 1, "S": 128, "P": 0, "T": 128}, 15.9),
    "gpt2 decode 128": ("gpt2", {"B": 1, "S": 1, "P": 128, "T": 129}, 0.1262),
}
GOAL_MEAN, GOAL_LEAST, RTOL, RTOL_BF16 = 0.7, 0.4, 1e-3, 0.1


def peer_session(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    o.log_severity_level = 3
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


class OpenVino:
    """A compiled model on one thread with the few methods of a peer that measure() uses."""

    def __init__(self, path, dims, feed_dims):
        import openvino
        self.version = openvino.__version__.split("-")[0]
        model = openvino.Core().read_model(path)
        model.reshape({p.get_any_name(): [dims.get(str(d), d.get_length() if d.is_static else 1)
                                          for d in p.get_partial_shape()] for p in model.inputs}
                      if not feed_dims else feed_dims)
        how = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        self.request = openvino.Core().compile_model(model, "CPU", how).create_infer_request()

    def run(self, feed):
        self.request.infer(feed, share_inputs=True, share_outputs=True)
        return [np.array(t.data) for t in self.request.output_tensors]

    def timed(self, feed):
        self.run(feed)
        return lambda: self.request.infer(share_inputs=True, share_outputs=True)


def feed_of(session, dims):
    """Seeded inputs by name: small integers, masks that keep everything, normal floats."""
    rng, feed = np.random.default_rng(7), {}
    for port in session.get_inputs():
        shape = [dims[d] if isinstance(d, str) else d for d in port.shape]
        if port.type == "tensor(int64)":
            low, high = (1, 2) if "mask" in port.name else (0, 2)
            feed[port.name] = rng.integers(low, high, shape, dtype=np.int64)
        elif "mask" in port.name:
            feed[port.name] = np.zeros(shape, np.float32)
        else:
            feed[port.name] = rng.standard_normal(shape, dtype=np.float32)
    return feed


def bound(session, feed):
    """A run of the peer with its inputs bound once, as ours are."""
    io = session.io_binding()
    for name, array in feed.items():
        if array.size:
            io.bind_cpu_input(name, array)
        else:
            io.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    for port in session.get_outputs():
        io.bind_output(port.name)
    return lambda: session.run_with_iobinding(io)


def worst_error(ours, theirs):
    """Largest difference over all outputs, as a share of the largest value of its output."""
    worst = 0.0
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return float("inf")
        if b.size:
            off = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
            worst = np.maximum(worst, off)  # NaN stays NaN
    return float(worst)


def measure_bf16(case, pairs, peak, precision):
    model, dims, giga_madds = CASES[case]
    path = benchlib.model_file(model)
    names = peer_session(path)
    feed = feed_of(names, dims)
    peer = OpenVino(path, dims, {k: list(v.shape) for k, v in feed.items()})
    ours = laminalib.Session(path, precision=precision)
    ours.bind([feed[p.name] for p in names.get_inputs()])
    for _ in range(2):  # precision auto decides in the first run
        got = ours.outputs()
    error = worst_error(got, names.run(None, feed))
    theirs = worst_error(peer.run(feed), names.run(None, feed))
    if not error <= RTOL_BF16:
        sys.exit(f"{case}: outputs differ from onnxruntime's by {error:.2g} of their range")
    ratio, a, b = benchlib.paired_ratio(ours.run, peer.timed(feed), pairs=pairs, seconds=0.05,
                                        clock=time.process_time)
    ours.close()
    gflops = 2 * giga_madds / a
    return {"model": case, "lamina_ms": a * 1e3, "openvino_ms": b * 1e3, "ratio": ratio,
            "gflops": gflops, "peak_share": gflops / peak / 2 if peak else 0, "error": error,
            "openvino_error": theirs, "openvino": peer.version}


def bf16_main(args, wanted, peak):
    rows = [measure_bf16(c, args.pairs, peak, args.precision) for c in wanted]
    name = f"OpenVINO {rows[0]['openvino']} bf16"
    print(f"{name}, lamina --precision {args.precision}, 1 thread, CPU time; ratio > 1: lamina is "
          f"faster; shares are of twice the FMA peak of {peak:.1f} GFLOP/s; errors against "
          "onnxruntime's f32")
    keys = ("model", "lamina_ms", "openvino_ms", "ratio", "gflops", "peak_share", "error",
            "openvino_error")
    benchlib.table(("model", "lamina ms", "peer ms", "ratio", "GFLOP/s", "of peak", "error",
                    "peer's"), [[r[k] for k in keys] for r in rows])
    ratios = [r["ratio"] for r in rows]
    benchlib.write("models_" + args.precision, {
        "B8 geomean": benchlib.bar(benchlib.geomean(ratios), "x speed", 1.0, name),
        "B8 least": benchlib.bar(min(ratios), "x speed", 0.85, name)}, rows)


def measure(case, pairs, peak):
    model, dims, giga_madds = CASES[case]
    path = benchlib.model_file(model)
    peer = peer_session(path)
    feed = feed_of(peer, dims)
    ours = laminalib.Session(path)
    ours.bind([feed[p.name] for p in peer.get_inputs()])
    error = worst_error(ours.outputs(), peer.run(None, feed))
    if not error <= RTOL:
        sys.exit(f"{case}: outputs differ from onnxruntime's by {error:.2g} of their range")
    ratio, a, b = benchlib.paired_ratio(ours.run, bound(peer, feed), pairs=pairs, seconds=0.05,
                                        clock=time.process_time)
    ours.close()
    gflops = 2 * giga_madds / a
    return {"model": case, "lamina_ms": a * 1e3, "ort_ms": b * 1e3, "ratio": ratio,
            "gflops": gflops, "peak_share": gflops / peak if peak else 0, "error": error}


def main():
    parser = argparse.ArgumentParser(description="speed of the generated models, one thread")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="; ".join(CASES))
    parser.add_argument("--pairs", type=int, default=7, help="timed pairs a case")
    parser.add_argument("--precision", choices=("exact", "bf16", "auto"), default="exact",
                        help="of the session; bf16 and auto beside OpenVINO")
    args = parser.parse_args()
    if args.precision != "exact":
        benchlib.need_modules("models", "openvino")
    wanted = [c for c in CASES if not args.cases or any(c.startswith(a) for a in args.cases)]
    peak = benchlib.fma_peak()
    if args.precision != "exact":
        bf16_main(args, wanted, peak)
        return
    rows = [measure(c, args.pairs, peak) for c in wanted]
    print(f"onnxruntime {ort.__version__}, 1 thread, CPU time; ratio > 1: lamina is faster; "
          f"FMA peak {peak:.1f} GFLOP/s")
    keys = ("model", "lamina_ms", "ort_ms", "ratio", "gflops", "peak_share", "error")
    benchlib.table(("model", "lamina ms", "ort ms", "ratio", "GFLOP/s", "of peak", "error"),
                   [[r[k] for k in keys] for r in rows])
    ratios, name = [r["ratio"] for r in rows], f"onnxruntime {ort.__version__}"
    benchlib.write("models", {
        "B4 geomean": benchlib.bar(benchlib.geomean(ratios), "x speed", GOAL_MEAN, name),
        "B4 least": benchlib.bar(min(ratios), "x speed", GOAL_LEAST, name)}, rows)


if __name__ == "__main__":
    main()
