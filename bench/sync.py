#!/usr/bin/env python3
"""
Queues and pools beside their peers: sync.py [SUBJECT...] [--quick | --soak]. Builds bench_sync
(bench/sync/, C and C++) in build-bench and runs its subjects: every contender once a round in one
process, ratios round by round, medians. The distance between two processors is measured before and
after; figures of different placement classes are not to be compared. What was lost, doubled or out
of order fails, whatever the speed. `make bench-sync`, `make soak-sync`.
"""
import json
import os
import subprocess
import sys

import benchlib

NAME = "sync"
BUILD = os.path.join(benchlib.ROOT, "build-bench")
PROGRAM = os.path.join(BUILD, "bin", "bench_sync")
SUBJECTS = ("spsc", "trips", "mpmc", "stall", "pool", "alloc", "locks")
QUICK = {"spsc": ["--rounds", "3", "--items", "200000"],
         "trips": ["--rounds", "3", "--items", "2000"],
         "mpmc": ["--rounds", "3", "--items", "100000"],
         "stall": ["--seconds", "0.2"],
         "pool": ["--rounds", "3", "--items", "10000"],
         "alloc": ["--rounds", "3", "--items", "20000"],
         "locks": ["--rounds", "3", "--items", "100000"]}
FIGURES = ("m_per_s", "p50_ns", "p99_ns", "ns", "ms")  # samples a round
FACTS = ("threads", "idle_percent", "garbage", "bound", "items", "order", "progress", "errors")
QUIET = 1.5  # load above which an absolute figure is not judged
BOOST1, BOOST = "boost::lockfree::spsc_queue", "boost::lockfree::queue"
TBB, MOODY = "oneTBB concurrent_queue", "moodycamel, tokens"
RING, CONDVAR = "mutex ring, spinning", "mutex and condvar"


def build():
    quiet = {"capture_output": True, "text": True}
    for command in (["cmake", "-S", benchlib.ROOT, "-B", BUILD, "-G", "Ninja",
                     "-DLAMINA_BENCH_SYNC=ON", "-DLAMINA_TESTS=OFF"],
                    ["ninja", "-C", BUILD, "bench_sync"]):
        done = subprocess.run(command, **quiet)
        if done.returncode != 0:
            print(done.stdout[-3000:] + done.stderr[-3000:])
            sys.exit(f"{NAME}: {command[0]} failed")


def peers():
    """Versions of the installed packages of tools/sync_peers.txt."""
    with open(os.path.join(benchlib.ROOT, "tools", "sync_peers.txt")) as f:
        names = [line.split()[0] for line in f if line.strip() and line[0] != "#"]
    try:
        out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names],
                             capture_output=True, text=True).stdout
    except OSError:
        return {}
    return dict(line.split() for line in out.splitlines() if " " in line)


def measure(subject, args):
    # room for the thread-local storage of an allocator that is opened late (jemalloc)
    env = {**os.environ, "GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=65536"}
    out = subprocess.run([PROGRAM, subject, *args], stdout=subprocess.PIPE, text=True, env=env)
    try:
        return json.loads(out.stdout)
    except ValueError:
        sys.exit(f"{NAME}: bench_sync {subject} ended with {out.returncode}: {out.stdout[-500:]}")


def spread(samples):
    """Median distance from the median, in percent of it."""
    m = benchlib.median(samples)
    return 100 * benchlib.median([abs(s - m) for s in samples]) / m if m else 0.0


class Result:
    """Rows of one subject by name and configuration; ratios are medians over rounds."""

    def __init__(self, got):
        self.rows = {(r["name"], r["config"]): r for r in got["rows"]}

    def get(self, name, key, config=None):
        for (n, c), r in self.rows.items():
            if n == name and config in (None, c) and key in r:
                return r[key]
        return None

    def ratio(self, a, b, key, config=None, better=max):
        x, y = self.get(a, key, config), self.get(b, key, config)
        if not x or not y:
            return None
        return benchlib.median([p / q if better is max else q / p for p, q in zip(x, y)])


class Bars:
    """Bars as they come; what a missing peer leaves open is said."""

    def __init__(self):
        self.bars, self.rows = {}, []

    def add(self, key, value, unit, goal, peer, at_least=True):
        if value is None:
            self.skip(key, f"{peer} is not here")
        else:
            self.bars[key] = benchlib.bar(value, unit, goal, peer, at_least)

    def skip(self, key, why):
        self.rows.append({"bar": key, "not run": why})
        print(f"bar {key}: not run: {why}")


def judge_spsc(r, bars, load):
    one = "lmn_spsc"
    bars.add("B1 single", r.ratio(one, BOOST1, "m_per_s"), "x", 1.0, BOOST1)
    bars.add("B1 spans of 32", r.ratio(one + " spans of 32", BOOST1, "m_per_s"), "x", 2.5, BOOST1)
    if load > QUIET:
        bars.skip("B1 50 M/s", f"load {load:.1f}; wants a quiet machine")
    else:
        bars.add("B1 50 M/s", benchlib.median(r.get(one, "m_per_s")), "M/s", 50, "itself")


def judge_trips(r, bars, _):
    for key, goal, peer in (("p50", 3.2, RING), ("p99", 5.0, RING), ("p50", 20.0, CONDVAR)):
        bars.add(f"B2 {key} {peer}", r.ratio("lmn_spsc", peer, f"{key}_ns", better=min), "x", goal,
                 peer)


def judge_mpmc(r, bars, _):
    ours, key = "lmn_mpmc", "m_per_s"
    for config in ("1:1", "2:2", "8:8"):
        best = [x for x in (r.ratio(ours, name, key, config) for name in (BOOST, BOOST + ", fixed"))
                if x]
        bars.add(f"B3 strict {config}", min(best) if best else None, "x", 2.0, BOOST)
    two, eight = r.get(ours, key, "2:2"), r.get(ours, key, "8:8")
    bars.add("B3 strict 8:8 beside 2:2", benchlib.median([b / a for a, b in zip(two, eight)]), "x",
             0.7, "itself")
    bars.add("B3 strict 8:8 beside oneTBB", r.ratio(ours, TBB, key, "8:8"), "x", 5.0, TBB)
    if r.get("lmn_mpmc_relaxed", key):
        for config in ("2:2", "8:8"):
            bars.add(f"B3 relaxed {config}", r.ratio("lmn_mpmc_relaxed", MOODY, key, config), "x",
                     1.0, MOODY)


def judge_stall(r, bars, _):
    for (name, _), row in r.rows.items():
        if not row["ours"]:
            continue
        before, stuck, after = row["m_per_s"]
        outside = (before + after) / 2
        bars.add(f"B4 {name} others", stuck / outside if outside else 0.0, "x", 0.8,
                 "the same thread asleep outside")
        if "bound" in row:
            bars.add(f"B4 {name} garbage", row["garbage"], "objects", row["bound"],
                     "the printed bound", False)


def judge_alloc(r, bars, _):
    key, config = "ns", "batch of 256"
    for ours, peer, goal in (("lmn_arena", "glibc", 20.0), ("lmn_objpool", "glibc", 4.0),
                             ("lmn_objpool", "mimalloc", 1.3)):
        bars.add(f"B6 {ours} beside {peer}", r.ratio(ours, peer, key, config, min), "x", goal, peer)


def judge_pool(r, bars, _):
    ours, task = "lmn_workpool", "oneTBB task_group"
    for peer, goal in ((task, 0.8), ("mutex pool", 1.0)):
        x = r.ratio(ours, peer, "ns", better=min)
        bars.add(f"B5 empty tasks {peer}", x and 1 / x, "x time", goal, peer, False)
    bars.add("B5 fib(30)", r.ratio(ours, task, "ms", better=min), "x", 1.3, task)
    bars.add("B5 idle", r.get(ours, "idle_percent"), "% of a processor", 0.5, "itself", False)


def judge_locks(r, bars, _):
    """No bar was set for locks and caches: their rows are shown."""


JUDGES = {"spsc": judge_spsc, "trips": judge_trips, "mpmc": judge_mpmc, "stall": judge_stall,
          "pool": judge_pool, "alloc": judge_alloc, "locks": judge_locks}


def show(subject, got):
    """The table of a subject and what places it; the rows as they go to the file."""
    print(f"\n{subject}: {got['rounds']} rounds; "
          + "; ".join(f"{when} {p['placement']}, p50 {p['p50_ns']:.0f} ns, load {p['load']:.1f}"
                      for when, p in (("before", got["before"]), ("after", got["after"]))))
    if got["before"]["placement"] != got["after"]["placement"]:
        print("the placement changed on the way: measure again before comparing with other runs")
    rows = []
    for r in got["rows"]:
        row = {"subject": subject, **{k: r[k] for k in ("name", "config") + FACTS if k in r}}
        for key in FIGURES:
            if key in r:
                row[key], row[key + "_spread"] = benchlib.median(r[key]), spread(r[key])
        rows.append(row)
    keys = ["config"] + [k + end for k in FIGURES for end in ("", "_spread")] + list(FACTS)
    keys = [k for k in keys if any(k in r for r in rows)]
    names = {"m_per_s": "M/s", "p50_ns": "p50 ns", "p99_ns": "p99 ns", "idle_percent": "idle %"}
    benchlib.table(["contender"] + ["+- %" if k.endswith("_spread") else names.get(k, k)
                                    for k in keys],
                   [[r["name"]] + [r.get(k, "") for k in keys] for r in rows])
    return rows


def soak():
    """10^7 items x 100 rounds and 10 minutes for each of ours."""
    build()
    got = measure("soak", ["--rounds", "100", "--items", "10000000", "--seconds", "600"])
    rows = show("soak", got)
    bars = {f"B1 {r['name']} lost, doubled, out of order": benchlib.bar(
        r["errors"], "items", 0, f"{r['items']:,} items", False) for r in rows}
    return 0 if benchlib.write("sync_soak", bars, rows) else 1


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    unknown = [a for a in words if a not in SUBJECTS]
    if unknown:
        sys.exit(f"{NAME}: no subject {unknown[0]}; there are {', '.join(SUBJECTS)}")
    if "--soak" in sys.argv:
        return soak()
    build()
    bars, rows, wrong = Bars(), [{"peers": peers()}], 0
    for subject in words or SUBJECTS:
        got = measure(subject, QUICK[subject] if "--quick" in sys.argv else [])
        rows += [{"subject": subject, "before": got["before"], "after": got["after"],
                  "missing": got["missing"]}] + show(subject, got)
        wrong += sum(r["errors"] for r in got["rows"])
        JUDGES[subject](Result(got), bars, max(got["before"]["load"], got["after"]["load"]))
    print()
    bars.add("lost, doubled, out of order", wrong, "items", 0, "none", False)
    return 0 if benchlib.write(NAME, bars.bars, rows + bars.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
