#!/usr/bin/env python3
"""
What a second thread brings (bar B9 of the kernels): threads.py [CASE...]. Latency of models on one
thread and on all cores, in wall time, ours and onnxruntime's: four processes in turn, of which
three are stopped; the same beside a foreign process that keeps one core busy; what a run of a
tiny model costs with 1, 2 and 16 threads; and the processor time that a pool takes after its work
is done. Wants a quiet machine: the load is printed.
"""
import argparse
import os
import sys
import time

import benchlib

benchlib.need_modules("threads", "numpy", "onnxruntime")

import onnxruntime as ort  # noqa: E402

import laminalib  # noqa: E402
import models  # noqa: E402

CASES = ("mobilenetv2", "resnet50", "yolov8n", "bert_base S=128", "gpt2 decode 128")
GOAL_BESIDE, TINY, WIDE = 0.9, "mlp64", 16
# Asleep at once after a run, a pool may have spun 50 us for each of its threads but the caller's.
PARK_US, RUNS = 50, 200


def peer_session(path, threads):
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = threads, 1, 3
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def contend(case, who, threads):
    """A child's whole life: one model, one engine, some threads."""
    model, dims, _ = models.CASES[case]
    path = benchlib.model_file(model)
    peer = peer_session(path, threads)
    feed = models.feed_of(peer, dims)
    if who == "peer":
        return benchlib.answer_samples(models.OnnxRuntime(peer).timed(feed))
    names = [port.name for port in peer.get_inputs()]
    del peer
    s = laminalib.Session(path, threads)
    s.bind([feed[name] for name in names])
    return benchlib.answer_samples(s.run)


def measure(case, wide, samples):
    """Gains of both engines, and ours beside the peer's, quiet and beside a busy process."""
    kids = {(who, t): benchlib.Child([sys.executable, __file__, "--child", case, who, str(t)])
            for who in ("ours", "peer") for t in (1, wide)}
    row = {}
    try:
        for beside in (False, True):
            with benchlib.busy(beside):
                got, key = benchlib.rounds(kids, samples), " beside" if beside else ""
            for name, ours, peer in (("gain", ("ours", wide), ("ours", 1)),
                                     ("peer gain", ("peer", wide), ("peer", 1)),
                                     ("ratio", ("ours", wide), ("peer", wide))):
                row[name + key] = benchlib.faster(got, ours, peer)
    finally:
        for kid in kids.values():
            kid.close()
    return row


def overhead():
    """Microseconds of a run of the tiny model, by number of threads."""
    path, got = benchlib.model_file(TINY), {}
    feed = models.feed_of(models.peer_session(path), {})
    for threads in (1, 2, WIDE):
        s = laminalib.Session(path, threads)
        s.bind(list(feed.values()))
        got[threads] = 1e6 * min(benchlib.timed(lambda: [s.run() for _ in range(RUNS)],
                                                time.perf_counter) for _ in range(15)) / RUNS
        s.close()
    return got


def parking(case):
    """Microseconds of processor time a helper takes after a run, beyond what a sleep takes."""
    model, dims, _ = models.CASES[case]
    path, wide, cost = benchlib.model_file(model), len(os.sched_getaffinity(0)), {}
    feed = models.feed_of(models.peer_session(path), dims)
    for threads in (1, wide):
        s, after = laminalib.Session(path, threads), []
        s.bind(list(feed.values()))
        for _ in range(31):
            s.run()
            before = time.process_time_ns()
            time.sleep(0.02)
            after.append((time.process_time_ns() - before) / 1000)
        s.close()
        cost[threads] = benchlib.median(after)
    return (cost[wide] - cost[1]) / (wide - 1)


def main():
    parser = argparse.ArgumentParser(description="what more threads bring")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="; ".join(CASES))
    parser.add_argument("--samples", type=int, default=15, help="rounds of all four processes")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return contend(args.child[0], args.child[1], int(args.child[2]))
    wide = len(os.sched_getaffinity(0))
    if wide < 2:
        benchlib.not_run("threads", "one processor")
    print(f"{wide} threads, load {os.getloadavg()[0]:.2f}, onnxruntime {ort.__version__}")
    rows = [{"model": c, **measure(c, wide, args.samples)}
            for c in CASES if not args.cases or any(c.startswith(a) for a in args.cases)]
    keys = [k for k in rows[0] if k != "model"]
    benchlib.table(("model", *keys), [[r["model"], *(r[k] for k in keys)] for r in rows])
    cost, parked = overhead(), parking("mobilenetv2")
    benchlib.table(("threads", f"{TINY} us"), [(str(t), us) for t, us in cost.items()])
    print(f"{parked:.0f} us of processor time a helper after a run")
    name = f"onnxruntime {ort.__version__}"
    beside = [r["gain beside"] for r in rows]
    bars = {"scaling, least": benchlib.bar(min(r["gain"] for r in rows), "x own 1T", 1, "own 1T"),
            "to the peer, geomean": benchlib.bar(benchlib.geomean([r["ratio"] for r in rows]),
                                                 "x speed", 0.95, name),
            "beside a busy process, least": benchlib.bar(min(beside), "x own 1T", GOAL_BESIDE,
                                                         "own 1T"),
            f"{TINY}, {WIDE} threads": benchlib.bar(cost[WIDE] / cost[1], "x one", 1.1, "own 1T",
                                                    False),
            "parked": benchlib.bar(parked, "us", PARK_US, "-", False)}
    rows.append({"tiny_us": cost, "parked_us": parked})
    return 0 if benchlib.write("threads", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
