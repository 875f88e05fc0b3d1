#!/usr/bin/env python3
"""
Latency of the generated models beside the best of onnxruntime and OpenVINO at the same precision:
models.py [CASE...]. All run in this process on one thread, turn by turn, on CPU time, so that a
busy machine disturbs them alike. Outputs are compared before anything is timed: `make
bench-models`.

--precision exact   f32: OpenVINO is told not to use bf16 (bar B4: onnxruntime alone)
--precision bf16    and auto: beside OpenVINO told to compute in bf16; onnxruntime cannot
--precision int8    models quantised by onnxruntime: QDQ with both kinds of zero points, dynamic
--batch N           of the models whose batch is free
--lengths           BERT, each run with a length it has not seen: first run and second beside a
                    length that stays
"""
import argparse
import collections
import os
import sys
import time

import benchlib

benchlib.need_modules("models", "numpy", "onnx", "onnxruntime")

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

import laminalib  # noqa: E402

try:
    import openvino
except ImportError:
    openvino = None

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
# case: (file, quantised from, how, dims, multiply-adds)
INT8_CASES = {
    "resnet50 u8": ("resnet50-qdq-u8", "resnet50", "u8", {"N": 1}, 4.089),
    "resnet50 s8": ("resnet50-qdq-s8", "resnet50", "s8", {"N": 1}, 4.089),
    "bert_base dynamic": ("bert_base-dynamic", "bert_base", "dynamic", {"B": 1, "S": 128}, 11.17),
}
GOAL_MEAN, GOAL_LEAST = 0.7, 0.4
RTOL = {"exact": 1e-3, "bf16": 0.1, "auto": 0.1, "int8": 0.25}
GAIN = {"exact": 1, "bf16": 2, "auto": 2, "int8": 4}  # of the peak of f32, on Zen 4
LENGTHS = range(97, 161, 4)


def peer_session(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    o.log_severity_level = 3
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


class OpenVino:
    """A compiled model on one thread; `products` counts the types its products really run in."""

    def __init__(self, path, feed, hint, exact):
        self.name = "OpenVINO " + openvino.__version__.split("-")[0]
        model = openvino.Core().read_model(path)
        model.reshape({p.get_any_name(): list(feed[p.get_any_name()].shape) for p in model.inputs})
        how = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        if exact:  # or it rounds the rows of products by 8-bit weights to 8 bits, whatever the hint
            how["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        compiled = openvino.Core().compile_model(model, "CPU", how)
        self.request = compiled.create_infer_request()
        found = collections.Counter()
        for op in compiled.get_runtime_model().get_ops():
            info = op.get_rt_info()
            if info["layerType"].astype(str) in ("Convolution", "FullyConnected", "MatMul"):
                found[info["runtimePrecision"].astype(str)] += 1
        self.products = " ".join(f"{n}x{t}" for t, n in found.most_common())

    def run(self, feed):
        self.request.infer(feed, share_inputs=True, share_outputs=True)
        return [np.array(t.data) for t in self.request.output_tensors]

    def timed(self, feed):
        self.run(feed)
        return lambda: self.request.infer(share_inputs=True, share_outputs=True)


class OnnxRuntime:
    def __init__(self, session):
        self.name, self.session, self.products = f"onnxruntime {ort.__version__}", session, ""

    def timed(self, feed):
        """A run with its inputs bound once, as ours are."""
        io = self.session.io_binding()
        for name, array in feed.items():
            if array.size:
                io.bind_cpu_input(name, array)
            else:
                io.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for port in self.session.get_outputs():
            io.bind_output(port.name)
        return lambda: self.session.run_with_iobinding(io)


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


def quantised(name, source, how, dims):
    """Path of a model quantised by onnxruntime, made once beside the generated ones."""
    from onnxruntime import quantization as q
    path = benchlib.model_file(source)
    folder = os.path.join(benchlib.CACHE, "bench-models")
    made = os.path.join(folder, name + ".onnx")
    if os.path.exists(made):
        return made
    os.makedirs(folder, exist_ok=True)
    print(f"quantising {source}: {how}", file=sys.stderr)
    if how == "dynamic":
        q.quantize_dynamic(path, made + ".part", weight_type=q.QuantType.QInt8)
    else:
        feeds = iter([feed_of(peer_session(path), dims) for _ in range(2)])
        reader = type("Reader", (q.CalibrationDataReader,),
                      {"get_next": lambda self: next(feeds, None)})()
        u8 = how == "u8"
        q.quantize_static(path, made + ".part", reader, quant_format=q.QuantFormat.QDQ,
                          per_channel=True, weight_type=q.QuantType.QInt8,
                          activation_type=q.QuantType.QUInt8 if u8 else q.QuantType.QInt8,
                          extra_options={"ActivationSymmetric": not u8})
    os.replace(made + ".part", made)
    return made


def peers_of(args, path, session, feed):
    found = [OnnxRuntime(session)] if args.precision in ("exact", "int8") else []
    if openvino:
        hint = "f32" if args.precision in ("exact", "int8") else "bf16"
        found.append(OpenVino(path, feed, hint, args.precision == "exact"))
    return found


def measure(case, args, peak):
    """Ours beside each peer; the row is that of the fastest."""
    if args.precision == "int8":
        name, source, how, dims, giga_madds = INT8_CASES[case]
        path = quantised(name, source, how, dims)
    else:
        model, dims, giga_madds = CASES[case]
        path = benchlib.model_file(model)
    dims = {k: args.batch if k in ("N", "B") else v for k, v in dims.items()}
    session = peer_session(path)
    feed = feed_of(session, dims)
    wanted = session.run(None, feed)
    ours = laminalib.Session(path, precision="exact" if args.precision == "int8"
                             else args.precision)
    ours.bind([feed[p.name] for p in session.get_inputs()])
    for _ in range(2):  # precision auto decides in the first run
        got = ours.outputs()
    error = worst_error(got, wanted)
    if not error <= RTOL[args.precision]:
        sys.exit(f"{case}: outputs differ from onnxruntime's by {error:.2g} of their range")
    rows = []
    for peer in peers_of(args, path, session, feed):
        ratio, a, b = benchlib.paired_ratio(ours.run, peer.timed(feed), pairs=args.pairs,
                                            seconds=0.05, clock=time.process_time)
        gflops = 2 * giga_madds * args.batch / a
        rows.append({"model": case, "peer": peer.name, "ratio": ratio, "lamina_ms": a * 1e3,
                     "peer_ms": b * 1e3, "gflops": gflops, "error": error,
                     "peak_share": gflops / peak / GAIN[args.precision] if peak else 0,
                     "peer_products": peer.products})
    ours.close()
    return rows


def lengths_main(args):
    """A length not seen before, and the same again, beside one that stays: BERT."""
    path = benchlib.model_file("bert_base")
    names = peer_session(path)
    ours = laminalib.Session(path, precision=args.precision)
    inputs = {s: feed_of(names, {"B": args.batch, "S": s}) for s in LENGTHS}
    order = [p.name for p in names.get_inputs()]
    first, second, steady = [], [], []
    ours.bind([inputs[LENGTHS[0]][n] for n in order])
    ours.run()
    for s in LENGTHS[1:]:
        ours.bind([inputs[s][n] for n in order])
        first.append(benchlib.timed(ours.run, time.process_time) / s)
        second.append(benchlib.timed(ours.run, time.process_time) / s)
        ours.run()
        steady.append(benchlib.timed(ours.run, time.process_time) / s)
    ours.close()
    a, b, c = (benchlib.median(v) for v in (first, second, steady))
    print(f"BERT, {len(first)} lengths of {LENGTHS[1]} to {LENGTHS[-1]}, us a token: first run "
          f"{a * 1e6:.0f}, second {b * 1e6:.0f}, fourth {c * 1e6:.0f}")
    benchlib.write("models_lengths", {
        "B8 first run": benchlib.bar(a / c, "x time", 1.5, "fourth run of a length", False),
        "B8 second run": benchlib.bar(b / c, "x time", 1.05, "fourth run of a length", False)},
        [{"first": first, "second": second, "steady": steady}])


def hardest(rows):
    """The rows beside the fastest peer of each model."""
    best = {}
    for r in rows:
        if r["model"] not in best or r["ratio"] < best[r["model"]]["ratio"]:
            best[r["model"]] = r
    return list(best.values())


def bars_of(args, rows):
    best = [r["ratio"] for r in hardest(rows)]
    peers = " or ".join(sorted({r["peer"] for r in rows}))
    bars = {}
    alone = [r["ratio"] for r in rows if r["peer"].startswith("onnxruntime")]
    if args.precision == "exact" and args.batch == 1 and alone:
        name = f"onnxruntime {ort.__version__}"
        bars["B4 geomean"] = benchlib.bar(benchlib.geomean(alone), "x speed", GOAL_MEAN, name)
        bars["B4 least"] = benchlib.bar(min(alone), "x speed", GOAL_LEAST, name)
    at = f" of batch {args.batch}" if args.batch > 1 else ""
    bars["B8 geomean" + at] = benchlib.bar(benchlib.geomean(best), "x speed", 1.0, peers)
    bars["B8 least" + at] = benchlib.bar(min(best), "x speed", 0.85, peers)
    return bars


def main():
    parser = argparse.ArgumentParser(description="speed of the generated models, one thread")
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="; ".join([*CASES, *INT8_CASES]))
    parser.add_argument("--pairs", type=int, default=7, help="timed pairs a case")
    parser.add_argument("--precision", choices=tuple(RTOL), default="exact")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--lengths", action="store_true", help="BERT, a new length each run")
    args = parser.parse_args()
    if args.lengths:
        lengths_main(args)
        return
    if args.precision in ("bf16", "auto"):
        benchlib.need_modules("models", "openvino")
    cases = INT8_CASES if args.precision == "int8" else CASES
    wanted = [c for c in cases if not args.cases or any(c.startswith(a) for a in args.cases)]
    if args.batch > 1 and args.precision != "int8":
        wanted = [c for c in wanted if {"N", "B"} & set(CASES[c][1])]
    peak = benchlib.fma_peak()
    rows = [r for c in wanted for r in measure(c, args, peak)]
    print(f"precision {args.precision}, batch {args.batch}, 1 thread, CPU time; ratio > 1: lamina "
          f"is faster; shares are of {GAIN[args.precision]} times the FMA peak of {peak:.1f} "
          "GFLOP/s; error against onnxruntime; the types are those of OpenVINO's products")
    keys = ("model", "peer", "lamina_ms", "peer_ms", "ratio", "gflops", "peak_share", "error",
            "peer_products")
    benchlib.table(("model", "peer", "lamina ms", "peer ms", "ratio", "GFLOP/s", "of peak",
                    "error", "types"), [[r[k] for k in keys] for r in rows])
    name = "models" + ("" if args.precision == "exact" else "_" + args.precision)
    benchlib.write(name + (f"_batch{args.batch}" if args.batch > 1 else ""),
                   bars_of(args, rows), hardest(rows))


if __name__ == "__main__":
    main()
