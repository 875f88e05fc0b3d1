"""Trained and generated models beside onnxruntime: judge_models.py [--filter TEXT]

Every model of models.txt on a real and on a seeded random input (model_inputs.py), and the models
of gen_models.py; then the classical models of learned_models.py, where its packages are installed
(a sentence says so where they are not). Each output must equal onnxruntime's (rtol 1e-3, atol 1e-4
of the output's largest magnitude) with 1 and 2 threads, and those two must be bit-identical. The
five silero graphs hold the same weights: on the same frames their probabilities must equal each
other too. Prints a table, writes build/models.json; exit 1 on any mismatch.
"""
import argparse
import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

import benchlib  # noqa: E402
sys.path.insert(0, os.path.join(benchlib.BUILD, "python"))
import fetch_models  # noqa: E402
import lamina  # noqa: E402
import learned_models  # noqa: E402
import model_inputs  # noqa: E402
import models as speed  # noqa: E402  (bench/models.py: the generated models and their feeds)

CACHE = os.path.join(benchlib.CACHE, "models")
RTOL, ATOL = 1e-3, 1e-4


def lamina_runner(path, threads):
    options = lamina.SessionOptions()
    options.intra_op_num_threads = threads
    session = lamina.InferenceSession(path, options)
    return lambda feed: session.run(None, feed)


def run_steps(run, steps, output_names):
    """Outputs of every step; a step may take inputs from the outputs of the one before."""
    results, last = [], {}
    for step in steps:
        feed = {k: v for k, v in step.items() if k != model_inputs.CARRY}
        feed.update({to: last[of] for to, of in step.get(model_inputs.CARRY, {}).items()})
        got = run(feed)
        last = dict(zip(output_names, got))
        results += got
    return results


def difference(ours, theirs, atol=ATOL):
    """(largest error over the tolerance, largest error over the output's magnitude)."""
    over, relative = 0.0, 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape or (a.dtype != b.dtype and a.dtype.kind not in "OU"):
            return float("inf"), float("inf")
        if b.dtype.kind in "OU":
            if not np.array_equal(a.astype(str), b.astype(str)):
                return float("inf"), float("inf")
            continue
        if not b.size:
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf"), float("inf")
        scale = max(np.abs(b).max(), 1e-30)
        error = np.abs(a - b)
        over = max(over, (error / (atol * scale + RTOL * np.abs(b))).max())
        relative = max(relative, error.max() / scale)
    return over, relative


def identical(a, b):
    return all(x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def judge(model, name, path, steps):
    """One row of the table, and lamina's outputs."""
    row = {"model": model, "input": name, "steps": len(steps)}
    peer = speed.peer_session(path)
    outputs = [p.name for p in peer.get_outputs()]
    theirs = run_steps(lambda feed: peer.run(None, feed), steps, outputs)
    start, ours = time.perf_counter(), {}
    try:
        for threads in (1, 2):
            ours[threads] = run_steps(lamina_runner(path, threads), steps, outputs)
    except lamina.Error as e:
        return {**row, "ok": False, "why": str(e)}, None
    atol = model_inputs.LOOSE.get(model, ATOL)
    over, relative = difference(ours[1], theirs, atol)
    over2, _ = difference(ours[2], theirs, atol)
    same = identical(ours[1], ours[2])
    ok = bool(over <= 1 and over2 <= 1 and same)
    why = "" if ok else "threads differ" if over <= 1 and over2 <= 1 else "differs from onnxruntime"
    return {**row, "atol": atol, "max_rel_diff": float(relative), "of_tolerance": float(over),
            "threads_identical": same, "seconds": time.perf_counter() - start, "ok": ok,
            "why": why}, ours[1]


def same_bits(a, b):
    """As identical, for outputs that may be words."""
    return all(np.array_equal(x, y) if x.dtype.kind in "OU" else identical([x], [y])
               for x, y in zip(a, b, strict=True))


def judge_learned(case):
    """One row of a classical model. What onnxruntime cannot load is held against the library."""
    row = {"model": case.name, "input": "held-in rows", "steps": 1}
    path = os.path.join(benchlib.BUILD, "learned", learned_models.file_name(case.name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(case.data)
    try:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        peer = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        theirs, against = learned_models.flat(peer.run(None, case.feed)), "onnxruntime"
    except Exception as e:  # onnxruntime has no common base of its errors
        theirs, against = learned_models.flat(case.own), "the library"
        row["onnxruntime"] = str(e)[:200]
    start = time.perf_counter()
    try:
        ours = [learned_models.flat(lamina_runner(path, threads)(case.feed)) for threads in (1, 2)]
    except lamina.Error as e:
        return {**row, "ok": False, "why": str(e)}
    if against == "the library":  # it predicts in its own types
        theirs = [b.astype(a.dtype) for a, b in zip(ours[0], theirs)]
    over, relative = difference(ours[0][:len(theirs)], theirs)
    same = same_bits(*ours)
    ok = bool(over <= 1 and same and theirs)
    return {**row, "max_rel_diff": float(relative), "of_tolerance": float(over),
            "threads_identical": same, "seconds": time.perf_counter() - start, "ok": ok,
            "why": "" if ok else f"differs from {against}", "against": against}


def learned_rows(chosen):
    """Rows of the classical models whose name contains `chosen`."""
    lacking = learned_models.missing()
    if lacking:
        print(f"classical models: skipped, {lacking} is not installed (tools/setup.sh learned)")
        return
    for name, make in learned_models.models():
        if chosen in name:
            yield judge_learned(make())


def silero_row(name, by_graph):
    """The graphs' probabilities beside those of the first: one value a frame each."""
    graphs = sorted(by_graph)
    probabilities = {}
    for g in graphs:
        per_step = 3 if "sequence" in g else 2
        probabilities[g] = np.concatenate([o.ravel() for o in by_graph[g][::per_step]])
    first = probabilities[graphs[0]]
    over, relative = max(difference([probabilities[g]], [first]) for g in graphs[1:])
    same = bool(over <= 1)
    return {"model": f"{len(graphs)} silero graphs agree", "input": name, "steps": len(first),
            "max_rel_diff": float(relative), "of_tolerance": float(over), "threads_identical": True,
            "ok": same, "why": "" if same else "the graphs disagree"}


def cases():
    """(model, input name, path, steps), made one at a time."""
    for model, name, make in model_inputs.CASES:
        yield model, name, lambda m=model: os.path.join(CACHE, m), lambda f=make: f(CACHE)
    for case, (model, dims, _) in speed.CASES.items():
        def steps(model=model, dims=dims):
            return [speed.feed_of(speed.peer_session(benchlib.model_file(model)), dims)]
        yield f"generated {case}", "random", lambda m=model: benchlib.model_file(m), steps


def show(row):
    if "max_rel_diff" in row:
        text = f"{row['max_rel_diff']:12.2e}  {'yes' if row['threads_identical'] else 'NO':>9}"
    else:
        text = f"{'-':>12}  {'-':>9}"
    library = " to the library" if row.get("against") == "the library" else ""
    print(f"{row['model']:27} {row['input']:18} {row['steps']:5} {text}  "
          f"{'equal' + library if row['ok'] else 'FAILS: ' + row['why']}"
          f"{' within ' + format(row['atol'], 'g') if row.get('atol', ATOL) > ATOL else ''}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", help="only models whose name contains this")
    args = parser.parse_args()
    fetch_models.fetch(CACHE, True)
    print(f"{'model':27} {'input':18} {'steps':>5} {'max rel diff':>12}  {'1 = 2 thr':>9}  verdict "
          f"(onnxruntime {ort.__version__})")
    rows, silero = [], {}
    for model, name, path, steps in cases():
        if args.filter not in model:
            continue
        row, outputs = judge(model, name, path(), steps())
        if "silero" in model and outputs:
            silero.setdefault(name, {})[model] = outputs
        rows.append(row)
        show(row)
    for name, by_graph in silero.items():
        if len(by_graph) > 1:
            rows.append(silero_row(name, by_graph))
            show(rows[-1])
    for row in learned_rows(args.filter):
        rows.append(row)
        show(row)
    good = sum(r["ok"] for r in rows)
    print(f"{good} of {len(rows)} equal")
    os.makedirs(benchlib.BUILD, exist_ok=True)
    with open(os.path.join(benchlib.BUILD, "models.json"), "w", encoding="utf-8") as f:
        json.dump({"onnxruntime": ort.__version__, "rtol": RTOL, "atol": ATOL,
                   "machine": benchlib.machine(), "rows": rows}, f, indent=1)
        f.write("\n")
    return 0 if rows and good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
