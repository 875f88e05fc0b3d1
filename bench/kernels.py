#!/usr/bin/env python3
"""
Kernels beside those of other libraries: kernels.py [--domain=D] [--set=S] [--only=TEXT]
[--threads=N] [--beside] [--samples=N] [--budget=SECONDS] [--quick] [--json=FILE] [--page=NAME].
Builds bench_kernels, fetches the peers of tools/kernel_peers.txt into the user's cache, runs the
program and reads its samples: a ratio is the median over rounds of peer / ours. LAMINA_PEERS names
folders of more libraries, KB_BLAS="NAME=PATH:..." more libraries of the CBLAS kind, such as AMD's
BLIS. --page writes docs/benchmarks/kernels-NAME.md.
`make bench-kernels ARGS=...`.
"""
import json
import os
import subprocess
import sys

import benchlib
import kernels_page

NAME = "kernels"
PROGRAM = os.path.join(benchlib.BUILD, "bin", "bench_kernels")
VENV = os.path.join(benchlib.CACHE, "kernel-peers")
LIST = os.path.join(benchlib.ROOT, "tools", "kernel_peers.txt")
BUSY = "--beside"  # a foreign process that keeps one core busy
CALM = 0.97  # of the best burst: a slower median says that the run was disturbed

# Bars: key, domain, sets, kind, geomean of ratios to the best peer of each shape, least of them.
BARS = (
    ("B1 squares", "f32", ("squares",), "plain", 1.0, 0.95),
    ("B1 transformer", "f32", ("transformer",), "plain", 1.0, 0.95),
    ("B1 attention", "f32", ("attention",), "plain", 1.0, 0.95),
    ("B1 packed", "f32", ("squares", "transformer", "attention"), "packed", 0.99, None),
    ("B2 small", "f32", ("small NT", "small NN"), "plain", 1.2, None),
    ("B2 small packed", "f32", ("small NT", "small NN"), "packed", 1.0, None),
    ("B3 edge and tiny", "f32", ("edge", "tiny"), "plain", 1.1, 0.95),
    ("B3 hot", "f32", ("edge", "tiny"), "hot", 0.9, None),
    ("B10 first call", "f32", ("first call",), "plain", 3.0, None),
    ("B10 first call packed", "f32", ("first call",), "packed", 3.0, None),
    ("B6 functions", "math", ("functions",), "plain", 1.2, None),
    ("B6 softmax", "math", ("softmax",), "plain", 1.2, None),
    ("B6 layer norm", "math", ("layer norm",), "plain", 1.2, None),
    ("B6 conv", "conv", ("3x3", "1x1", "stem", "other"), "packed", 1.0, None),
    ("B6 depthwise", "conv", ("depthwise",), "packed", 1.1, None),
    ("B4 small NT", "bf16", ("small NT",), "plain", 1.5, None),
    ("B4 regular packed", "bf16", ("squares", "transformer"), "packed", 0.99, None),
    ("B4 regular", "bf16", ("squares", "transformer"), "plain", 1.0, None),
    ("B4 edge", "bf16", ("edge",), "plain", 1.15, None),
    ("B5 regular packed", "int8", ("squares", "transformer", "attention"), "packed", 0.99, None),
    ("B5 small NT", "int8", ("small NT",), "plain", 1.5, None),
    ("B5 edge", "int8", ("edge",), "packed", 1.3, None),
)
# Bars of one shape: key, domain, case, kind, ratio.
SHAPES = (
    ("B2 4x4096x4096 NT", "f32", "4x4096x4096 NT", "plain", 1.7),
    ("B3 K = 16", "f32", "4096x4096x16 NN", "plain", 1.25),
    ("B3 N = 16", "f32", "4096x16x4096 NN", "plain", 1.05),
    ("K6 bf16 K = 16", "bf16", "4096x4096x16 NN", "plain", 1.3),
    ("K6 bf16 N = 16", "bf16", "4096x16x4096 NN", "plain", 1.1),
    ("K6 int8 K = 16", "int8", "4096x4096x16 NN", "plain", 1.5),
    ("K6 int8 N = 16", "int8", "4096x16x4096 NN", "plain", 1.3),
)
# Share of what a plain read of the same bytes takes: key, domain, sets, share.
ROOFS = (
    ("B2 vectors", "f32", ("vector",), 0.95),
    ("B7 int4", "weights", ("int4 M=1 panels",), 0.85),
    ("B7 int8", "weights", ("int8 M=1 panels",), 0.85),
    ("B7 int4 in place", "weights", ("int4 M=1",), 0.85),
    ("B7 int8 in place", "weights", ("int8 M=1",), 0.85),
)
# Share of the peak of the unit in question: key, domain, sets, share.
PEAKS = (
    ("B7 int4 M=8", "weights", ("int4 M=8 panels",), 0.5),
    ("B7 int8 M=8", "weights", ("int8 M=8 panels",), 0.5),
)


def fetch():
    """The peers, once; without a network the bench goes on with those that are here."""
    with open(LIST) as f:
        want = f.read()
    stamp = os.path.join(VENV, ".stamp")
    if os.path.exists(stamp):
        with open(stamp) as f:
            if f.read() == want:
                return
    try:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, capture_output=True)
        subprocess.run([os.path.join(VENV, "bin", "pip"), "install", "-q", "--no-deps",
                        "--disable-pip-version-check", "-r", LIST], check=True)
        with open(stamp, "w") as f:
            f.write(want)
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"{NAME}: the peers could not be fetched ({e}); going on with those that are here")


def told():
    """What makes peers use AVX-512 on an AMD CPU that is newer than they are: Zen 5, of which
    OpenBLAS 0.3.34 uses half and BLIS 0.9 a sixth otherwise."""
    with open("/proc/cpuinfo") as f:
        cpu = dict(line.partition(":")[::2] for line in f.read().partition("\n\n")[0].splitlines())
    cpu = {k.strip(): v.strip() for k, v in cpu.items()}
    if (cpu.get("vendor_id") == "AuthenticAMD" and int(cpu["cpu family"]) >= 26
            and "avx512_bf16" in cpu["flags"]):
        return {"OPENBLAS_CORETYPE": "SkylakeX", "BLIS_ARCH_TYPE": "skx"}
    return {}


def environment(threads):
    """Where the libraries lie and how many threads each has."""
    multiarch = f"/usr/lib/{os.uname().machine}-linux-gnu"
    places = [p for p in os.environ.get("LAMINA_PEERS", "").split(":") if p]
    places += [os.path.join(VENV, "lib")]
    places += [os.path.join(root, "lib") for root, dirs, _ in os.walk(os.path.join(VENV, "lib"))
               if "lib" in dirs and os.path.basename(root).startswith("scipy_openblas")]
    places += [os.path.join(multiarch, "blis-pthread")]
    n = str(threads)
    return {**os.environ, **told(), "LD_LIBRARY_PATH": ":".join(places), "OMP_NUM_THREADS": n,
            "MKL_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n, "BLIS_NUM_THREADS": n,
            "MKL_THREADING_LAYER": "SEQUENTIAL" if threads == 1 else "GNU",
            "MKL_INTERFACE_LAYER": "LP64", "OPENBLAS_THREAD_TIMEOUT": "4"}


def measure(args, threads, seen):
    """Run the program; seen() gets each case as it comes. Its first line says who is here."""
    p = subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, text=True,
                         env=environment(threads))
    cases, head = [], {}
    for line in p.stdout:
        row = json.loads(line)
        if "peers" in row:
            head = row
        else:
            cases.append(digest(row))
            seen(cases[-1])
    if p.wait() not in (0, 1):
        sys.exit(f"{NAME}: {os.path.basename(PROGRAM)} ended with {p.returncode}")
    return head, cases, p.returncode


def digest(row):
    """Rates, and ratios of ours to the best peer, by kind."""
    out = {k: row[k] for k in ("domain", "set", "case", "ops", "peak", "bytes", "threads")}
    out["burst"] = benchlib.median(row["burst"])
    out["calm"] = out["burst"] / max(row["burst"]) if max(row["burst"]) else 0.0
    out["rounds"] = len(row["contenders"][0]["seconds"])
    out["rates"], out["ratio"] = [], {}
    for c in row["contenders"]:
        t = benchlib.median(c["seconds"])
        out["rates"].append({"name": c["name"], "kind": c["kind"], "ours": c["ours"],
                             "gops": row["ops"] / t * 1e-9, "ns": t * 1e9, "error": c["error"]})
    for kind in ("plain", "packed", "hot", "roof"):
        ours = [c for c in row["contenders"]
                if c["ours"] and kind in ("roof", c["kind"])]
        peers = [c for c in row["contenders"] if not c["ours"] and c["kind"] == kind]
        pairs = [(benchlib.median([y / x for x, y in zip(o["seconds"], p["seconds"])]), p["name"])
                 for o in ours[:1] for p in peers]
        if pairs:
            value, peer = min(pairs)
            out["ratio"][kind] = {"value": value, "peer": peer}
    took = {c["kind"]: c["seconds"] for c in row["contenders"] if c["ours"]}
    if "alone" in took:
        out["gain"] = benchlib.median([y / x for x, y in zip(took["plain"], took["alone"])])
    return out


def columns(cases):
    names = []
    for c in cases:
        for r in c["rates"]:
            if r["kind"] != "roof" and (r["name"], r["kind"]) not in names:
                names.append((r["name"], r["kind"]))
    return names


def ratios_of(names):
    """Kinds that a table compares."""
    hot = ("hot",) if any(k == "hot" for _, k in names) else ()
    return ("plain", "packed", *hot, "roof")


def share_of(case, rate):
    """Of the peak; 0 if that is not known."""
    return case["burst"] and rate["gops"] / (case["burst"] * case["peak"] * case["threads"])


def line(case, names):
    """A row of the table: Gop/s of everyone, ratio to the best peer, share of the peak."""
    rates = {(r["name"], r["kind"]): r for r in case["rates"]}
    best = max((r for r in case["rates"] if r["ours"]), key=lambda r: r["gops"], default=None)
    text = [f"{rates[n]['gops']:.3g}" if n in rates else "-" for n in names]
    for kind in ratios_of(names):
        r = case["ratio"].get(kind)
        text.append(f"{r['value']:.2f} {r['peer']}" if r and kind != "roof" else
                    f"{100 * r['value']:.0f}" if r else "")
    share = best and share_of(case, best)
    gain = [f"{case['gain']:.2f}"] if "gain" in case else []
    return [case["case"]] + text + [f"{100 * share:.0f}" if share else ""] + gain


def heads(names):
    return (["MxNxK"] + [n + ("" if k == "plain" else " " + k) for n, k in names]
            + ["% of read" if k == "roof" else k + " / best" for k in ratios_of(names)]
            + ["% of peak"] + ["x own 1T"] * (("lamina", "alone") in names))


def geomeans(cases):
    """(domain, set, kind) -> (geomean, least, where) of the ratios to the best peer."""
    groups = {}
    for c in cases:
        for kind, r in c["ratio"].items():
            groups.setdefault((c["domain"], c["set"], kind), []).append((r["value"], c["case"]))
    return {k: (benchlib.geomean([v for v, _ in g]), *min(g)) for k, g in groups.items()}


def judge(cases):
    """The bars that these cases can answer."""
    bars = {}

    def ratios(domain, sets, kind):
        return [(c["ratio"][kind]["value"], c["case"]) for c in cases
                if c["domain"] == domain and c["set"] in sets and kind in c["ratio"]]

    for key, domain, sets, kind, goal, least in BARS:
        got = ratios(domain, sets, kind)
        if got:
            bars[key] = benchlib.bar(benchlib.geomean([v for v, _ in got]), "x", goal,
                                     f"geomean, best {kind} peer of each")
        if got and least:
            value, where = min(got)
            bars[key + ", least"] = benchlib.bar(value, "x", least, where)
    for key, domain, case, kind, goal in SHAPES:
        for c in cases:
            if c["domain"] == domain and c["case"] == case and kind in c["ratio"]:
                r = c["ratio"][kind]
                bars[key] = benchlib.bar(r["value"], "x", goal, r["peer"])
    for what, goal, least in (("never below", 1, 0),
                              ("beside" if BUSY in sys.argv else "from 192^3 up",
                               1.1 if BUSY in sys.argv else 1.85, 2 * 192 ** 3)):
        got = [(c["gain"], f"{c['case']} {c['domain']}") for c in cases
               if "gain" in c and c["ops"] >= least and not (least and c["bytes"])]
        if got:
            value, where = min(got)
            bars["B9 " + what] = benchlib.bar(value, "x own 1T", goal, where)
    for key, domain, sets, goal in ROOFS:
        got = ratios(domain, sets, "roof")
        if got:
            value, where = min(got)
            bars[key] = benchlib.bar(value, "of a read", goal, where)
    for key, domain, sets, goal in PEAKS:
        got = [(share_of(c, r), c["case"]) for c in cases for r in c["rates"]
               if c["domain"] == domain and c["set"] in sets and r["ours"]]
        if got:
            value, where = min(got)
            bars[key] = benchlib.bar(value, "of the peak", goal, where)
    return bars


def show(cases):
    """Tables set by set, then the geomeans."""
    sets = {}
    for c in cases:
        sets.setdefault((c["domain"], c["set"]), []).append(c)
    for (domain, name), group in sets.items():
        names = columns(group)
        print(f"\n{domain}, {name}, {group[0]['threads']} threads, Gop/s")
        benchlib.table(heads(names), [line(c, names) for c in group])
    print()
    benchlib.table(["geomean of ratios to the best peer", "kind", "geomean", "least", "where"],
                   [[f"{d}, {s}", k, *v] for (d, s, k), v in geomeans(cases).items()
                    if k != "roof"])


def run(args, threads):
    """One run of the program, shown. Who is here, the cases, the exit code."""
    head, cases, wrong = measure([*args, f"--threads={threads}"], threads, lambda c: print(
        f"{c['domain']} {c['set']}: {c['case']}, {c['rounds']} rounds", file=sys.stderr))
    if not cases:
        sys.exit(f"{NAME}: no case of that name")
    for who in head["absent"]:
        print(f"{who} is not here: left out")
    show(cases)
    burst, calm = benchlib.median([c["burst"] for c in cases]), min(c["calm"] for c in cases)
    print(f"\nFMA burst beside the samples: median {burst:.0f} GFLOP/s, {100 * calm:.0f} % of the "
          f"best in the worst case" + ("" if calm >= CALM else " (disturbed: measure again)"))
    return head, cases, wrong


def main():
    own = dict(a[2:].partition("=")[::2] for a in sys.argv[1:]
               if a.startswith(("--json=", "--page=", "--threads=")))
    args = [a for a in sys.argv[1:] if a != BUSY and a[2:].partition("=")[0] not in own]
    done = subprocess.run(["ninja", "-C", benchlib.BUILD, "bench_kernels"], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"{NAME}: {done.stdout[-3000:]}")
    fetch()
    threads = int(own.get("threads", 1))
    with benchlib.busy(BUSY in sys.argv):
        head, cases, wrong = run(args, threads)
    if own.get("page"):
        kernels_page.write(own["page"], threads, head, cases, sys.modules[__name__])
    bars = judge(cases)
    bars["wrong results"] = benchlib.bar(wrong, "runs", 0, "f64", False)
    if own.get("json"):
        with open(own["json"], "w") as f:
            json.dump({"machine": benchlib.machine(), "peers": head, "cases": cases}, f, indent=1)
    return 0 if benchlib.write(NAME, bars, [head] + cases) else 1


if __name__ == "__main__":
    sys.exit(main())
