"""
docs/benchmarks/kernels-NAME.md and its plot: the geomeans, the bars and the tables of one run of
kernels.py.
"""
import os
import sys

import benchlib

sys.path.insert(0, os.path.join(benchlib.ROOT, "tools"))
import figures  # noqa: E402

WHAT = """
Written by `make bench-kernels ARGS=--page={name}`: everyone in one process, samples in a rotating
order, a burst of FMAs beside each, results checked in f64, warm operands (each sample begins with
a call that does not count); thread CPU time at one thread, else wall time. Gop/s; a ratio is the
median over rounds of the best peer's time by ours: above 1 we are faster. Packed: weights packed
beforehand, on both sides. What a busy neighbour does to one contender it does to all, so trust
ratios, not rates.
"""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def number(v):
    return f"{v:.3g}"


def geomean_rows(means):
    return [[f"{d} {s}", kind, number(v[0]), number(v[1]), v[2]]
            for (d, s, kind), v in means.items() if kind != "roof"]


def draw(path, means):
    """The geomeans as bars."""
    bars = [(s + (", packed" if k == "packed" else ""), [v[0]])
            for (_, s, k), v in means.items() if k != "roof"]
    with open(path, "w", encoding="utf-8") as f:
        f.write(figures.svg("Beside the best peer of each shape, geomean (the line is 1x)", bars,
                            ["ours / best"]))


def write(name, threads, head, cases, bench):
    """Page and plot of one run; bench: kernels.py itself."""
    folder = os.path.join(benchlib.ROOT, "docs", "benchmarks")
    m = benchlib.machine()
    features = ", ".join(m["features"])
    burst, calm = benchlib.median([c["burst"] for c in cases]), min(c["calm"] for c in cases)
    out = [f"# Kernels beside others: {name}", "",
           f"{m['cpu']}, {m['cores']} cores, {features}; {m['utc'][:10]}; threads: {threads}; load "
           f"{m['load']}. Peers: {', '.join(head['peers'])}; absent: "
           f"{', '.join(head['absent']) or 'none'}. FMA burst: median {burst:.0f} GFLOP/s, at "
           f"worst {100 * calm:.0f} % of the best.", "",
           WHAT.strip().format(name=name), ""]
    means = bench.geomeans(cases)
    out += table(["set", "kind", "geomean", "least", "where"], geomean_rows(means)) + [""]
    draw(os.path.join(folder, f"kernels-{name}.svg"), means)
    out += [f"![geomeans](kernels-{name}.svg)", ""]
    judged = bench.judge(cases)
    out += table(["bar", "value", "goal", "beside", "met"],
                 [[k, f"{number(b['value'])} {b['unit']}", number(b["goal"]), b["peer"],
                   "yes" if b["pass"] else "no"] for k, b in judged.items()]) + [""]
    sets = {}
    for c in cases:
        sets.setdefault((c["domain"], c["set"]), []).append(c)
    for (domain, which), group in sets.items():
        names = bench.columns(group)
        out += [f"## {domain}, {which}", ""]
        out += table(bench.heads(names), [bench.line(c, names) for c in group]) + [""]
    with open(os.path.join(folder, f"kernels-{name}.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(out).rstrip() + "\n")
    print(f"docs/benchmarks/kernels-{name}.md is written")
