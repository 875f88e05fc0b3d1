#!/usr/bin/env python3
"""
Attention beside torch (bar B6): the operator of ai.onnx through the Python package against
scaled_dot_product_attention, one thread, turn by turn in one process, on CPU time. Prompts of
128 to 4096 tokens, causal and not, heads of 64, 80 and 128; single queries over a long cache, with
and without shared key heads, are shown beside them. `make bench-attention`; torch is not fetched.
f32 on both sides, or ARGS=bf16 or f16: operands of 16 bits on both sides, in bf16 also with our
products in bf16 (ARGS=bf16,bf16).
"""
import os
import sys
import time

import benchlib

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
benchlib.need_modules("attention", "numpy", "onnx", "torch", "ml_dtypes")
sys.path.insert(0, benchlib.BUILD + "/python")

import ml_dtypes  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402

try:
    import lamina
except ImportError as e:
    benchlib.not_run("attention", f"the package was not built: {e}")

GOAL, PAIRS = 1.2, 15
# of the operands: in ONNX, numpy and torch
TYPES = {"f32": (TensorProto.FLOAT, np.float32, torch.float32),
         "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16, torch.bfloat16),
         "f16": (TensorProto.FLOAT16, np.float16, torch.float16)}
DTYPE, _, PRECISION = (sys.argv[1] if len(sys.argv) > 1 else "f32").partition(",")
# heads, key heads, queries, keys, size of a head, causal
PROMPTS = ((12, 12, 128, 128, 64, False), (12, 12, 512, 512, 64, False),
           (12, 12, 512, 512, 64, True), (4, 4, 1024, 1024, 64, False),
           (2, 2, 4096, 4096, 64, False), (2, 2, 4096, 4096, 64, True),
           (12, 12, 128, 128, 128, False), (8, 8, 512, 512, 128, False),
           (2, 2, 4096, 4096, 128, False), (8, 8, 512, 512, 80, False))
STEPS = ((12, 12, 1, 1024, 64, False), (32, 32, 1, 4096, 128, False), (32, 8, 1, 4096, 128, False))


def session(heads, kv, queries, keys, d, causal):
    shapes = {"q": (1, heads, queries, d), "k": (1, kv, keys, d), "v": (1, kv, keys, d)}
    node = helper.make_node("Attention", list(shapes), ["y"], is_causal=int(causal))
    onnx_type, np_type, _ = TYPES[DTYPE]
    infos = [helper.make_tensor_value_info(n, onnx_type, s) for n, s in shapes.items()]
    out = helper.make_tensor_value_info("y", onnx_type, shapes["q"])
    model = helper.make_model(helper.make_graph([node], "g", infos, [out]), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 23)])
    options = lamina.SessionOptions()
    options.intra_op_num_threads = 1
    options.precision = PRECISION or "exact"
    rng = np.random.default_rng(3)
    feed = {n: rng.standard_normal(s, dtype=np.float32).astype(np_type) for n, s in shapes.items()}
    return lamina.InferenceSession(model.SerializeToString(), options), feed


def row(heads, kv, queries, keys, d, causal):
    """A shape of both: speeds, the ratio, the largest difference of the results."""
    ours, feed = session(heads, kv, queries, keys, d, causal)
    q, k, v = (torch.from_numpy(feed[n].astype(np.float32)).to(TYPES[DTYPE][2]) for n in "qkv")

    def peer():
        return scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=kv != heads)

    got = np.asarray(ours.run(None, feed)[0]).astype(np.float32)
    apart = float(np.abs(got - peer().float().numpy()).max())
    ratio, mine, theirs = benchlib.paired_ratio(lambda: ours.run(None, feed), peer, PAIRS, 0.02,
                                                time.process_time)
    work = 4e-9 * heads * queries * keys * d * (0.5 if causal else 1)
    read = 2e-9 * feed["k"].itemsize * kv * keys * d
    name = f"{heads}/{kv} heads {queries}x{keys} d{d}" + (" causal" if causal else "")
    return {"name": name, "ratio": ratio, "ours_ms": mine * 1e3, "peer_ms": theirs * 1e3,
            "gflops": work / mine, "peer_gflops": work / theirs, "gbytes": read / mine,
            "apart": apart}


def main():
    torch.set_num_threads(1)
    with torch.no_grad():
        prompts = [row(*p) for p in PROMPTS]
        steps = [row(*s) for s in STEPS]
    heads = ("attention", "lamina ms", "torch ms", "times as fast", "GFLOP/s", "torch's", "GB/s",
             "largest difference")
    benchlib.table(heads, [(r["name"], r["ours_ms"], r["peer_ms"], r["ratio"], r["gflops"],
                            r["peer_gflops"], r["gbytes"], f"{r['apart']:.1e}")
                           for r in prompts + steps])
    least = min(prompts, key=lambda r: r["ratio"])
    peer = f"torch {torch.__version__}, SDPA"
    kind = "" if DTYPE == "f32" else f" of {DTYPE}" + (f" in {PRECISION}" if PRECISION else "")
    middle = benchlib.geomean([r["ratio"] for r in prompts])
    bars = {f"B6 attention{kind}": benchlib.bar(middle, "x", GOAL, f"geomean, {peer}"),
            f"B6 attention{kind}, least": benchlib.bar(least["ratio"], "x", GOAL, least["name"]),
            f"B6 one query{kind}": benchlib.bar(benchlib.geomean([r["ratio"] for r in steps]), "x",
                                         GOAL, f"geomean, {peer}")}
    return 0 if benchlib.write("attention" + kind.replace(" ", "_"), bars, prompts + steps) else 1


if __name__ == "__main__":
    sys.exit(main())
