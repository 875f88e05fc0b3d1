#!/usr/bin/env python3
"""
Decision forests beside onnxruntime: 500 trees of depth 8 over 40 features as TreeEnsembleRegressor,
TreeEnsembleClassifier (3 classes) and TreeEnsemble. Load (file to ready session) and prediction of
1, 100 and 10,000 rows, both engines in this process turn by turn, one thread. `make bench-trees`.
"""
import os
import sys
import time

import benchlib

benchlib.need_modules("trees", "numpy", "onnx", "onnxruntime")
sys.path.insert(0, benchlib.BUILD + "/python")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

try:
    import lamina
except ImportError as e:
    benchlib.not_run("trees", f"the package was not built: {e}")

TREES, DEPTH, FEATURES, CLASSES = 500, 8, 40, 3
INNER, LEAVES = 2 ** DEPTH - 1, 2 ** DEPTH
ROWS, GOAL_LOAD, GOAL_PREDICT = (1, 100, 10000), 1 / 5, 1.0


def forest(rng):
    """Complete trees in level order: features and splits of the inner nodes, leaf weights."""
    return (rng.integers(0, FEATURES, (TREES, INNER)),
            rng.standard_normal((TREES, INNER)).astype(np.float32),
            rng.standard_normal((TREES, LEAVES)).astype(np.float32),
            rng.integers(0, CLASSES, (TREES, LEAVES)))


def old_form(f, kind):
    feature, split, weight, target = f
    nodes = INNER + LEAVES
    ids = np.arange(nodes)
    inner = ids < INNER
    attrs = {
        "nodes_treeids": np.repeat(np.arange(TREES), nodes), "nodes_nodeids": np.tile(ids, TREES),
        "nodes_featureids": np.pad(feature, ((0, 0), (0, LEAVES))).ravel(),
        "nodes_truenodeids": np.tile(np.where(inner, 2 * ids + 1, 0), TREES),
        "nodes_falsenodeids": np.tile(np.where(inner, 2 * ids + 2, 0), TREES),
        "nodes_hitrates": np.ones(TREES * nodes, np.float32),
        "nodes_missing_value_tracks_true": np.zeros(TREES * nodes, np.int64),
        "nodes_values": np.pad(split, ((0, 0), (0, LEAVES))).ravel()}
    p = "class" if kind == "TreeEnsembleClassifier" else "target"
    attrs[p + "_treeids"] = np.repeat(np.arange(TREES), LEAVES)
    attrs[p + "_nodeids"] = np.tile(ids[INNER:], TREES)
    attrs[p + "_ids"] = target.ravel() if p == "class" else np.zeros(TREES * LEAVES, np.int64)
    attrs[p + "_weights"] = weight.ravel()
    attrs = {k: v.tolist() for k, v in attrs.items()}
    attrs["nodes_modes"] = (["BRANCH_LEQ"] * INNER + ["LEAF"] * LEAVES) * TREES
    if p == "class":
        attrs["classlabels_int64s"] = list(range(CLASSES))
        attrs["post_transform"] = "SOFTMAX"
    else:
        attrs["n_targets"] = 1
    return attrs, 3


def new_form(f):
    feature, split, weight, _ = f
    ids, base = np.arange(INNER), np.arange(TREES)[:, None]
    leaf = ids >= INNER // 2
    yes = np.where(leaf, 2 * (ids - INNER // 2) + base * LEAVES, 2 * ids + 1 + base * INNER)
    attrs = {
        "nodes_featureids": feature, "nodes_truenodeids": yes, "nodes_falsenodeids": yes + 1,
        "nodes_trueleafs": np.tile(leaf, TREES), "nodes_falseleafs": np.tile(leaf, TREES),
        "leaf_targetids": np.zeros(TREES * LEAVES), "tree_roots": np.arange(TREES) * INNER}
    attrs = {k: v.astype(np.int64).ravel().tolist() for k, v in attrs.items()}
    attrs["nodes_modes"] = numpy_helper.from_array(np.zeros(TREES * INNER, np.uint8))
    attrs["nodes_splits"] = numpy_helper.from_array(split.ravel())
    attrs["leaf_weights"] = numpy_helper.from_array(weight.ravel())
    return {**attrs, "n_targets": 1}, 5


def model_file(kind):
    path = os.path.join(benchlib.CACHE, "bench-models", f"trees-{kind}.onnx")
    if os.path.exists(path):
        return path
    f = forest(np.random.default_rng(8))
    attrs, opset = new_form(f) if kind == "TreeEnsemble" else old_form(f, kind)
    outs = [("z", TensorProto.FLOAT, 2)]
    if kind == "TreeEnsembleClassifier":
        outs.insert(0, ("y", TensorProto.INT64, 1))
    node = helper.make_node(kind, ["x"], [o[0] for o in outs], domain="ai.onnx.ml", **attrs)
    graph = helper.make_graph(
        [node], "trees", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info(n, t, [None] * r) for n, t, r in outs])
    model = helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", opset)])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    onnx.save(model, path + ".new")
    os.rename(path + ".new", path)
    return path


def session(engine, path):
    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return engine.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure(kind):
    path, clock = model_file(kind), time.process_time
    load, ours_s, peer_s = benchlib.paired_ratio(lambda: session(lamina, path),
                                                 lambda: session(onnxruntime, path), 7, clock=clock)
    out = [{"case": f"{kind} load", "ours_ms": ours_s * 1e3, "peer_ms": peer_s * 1e3,
            "ratio": load, "goal": 1 / GOAL_LOAD}]
    ours, peer = session(lamina, path), session(onnxruntime, path)
    for rows in ROWS:
        feed = {"x": np.random.default_rng(rows).standard_normal((rows, FEATURES), np.float32)}
        for a, b in zip(ours.run(None, feed), peer.run(None, feed)):
            if not np.allclose(a, b, rtol=1e-3, atol=1e-3):
                sys.exit(f"{kind}: the two engines disagree: nothing was timed")
        ratio, t_ours, t_peer = benchlib.paired_ratio(
            lambda: ours.run(None, feed), lambda: peer.run(None, feed), 7, 0.02, clock)
        out.append({"case": f"{kind} {rows} rows", "ours_ms": t_ours * 1e3, "peer_ms": t_peer * 1e3,
                    "ratio": ratio, "goal": GOAL_PREDICT})
    return out


def main():
    rows = []
    for kind in sys.argv[1:] or ("TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"):
        rows += measure(kind)
    benchlib.table(("forest of 500", "lamina ms", "onnxruntime ms", "times as fast"),
                   [(r["case"], r["ours_ms"], r["peer_ms"], r["ratio"]) for r in rows])
    peer = f"onnxruntime {onnxruntime.__version__}"
    bars = {r["case"]: benchlib.bar(r["ratio"], "x", r["goal"], peer) for r in rows}
    sys.exit(0 if benchlib.write("trees", bars, rows) else 1)


if __name__ == "__main__":
    main()
