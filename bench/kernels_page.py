"""
docs/benchmarks/kernels-NAME.md and its plot, from cases of kernels.py: the tables, the geomeans
and the bars of a run, or of several with other numbers of threads.
"""
import os
import sys

import benchlib

sys.path.insert(0, os.path.join(benchlib.ROOT, "tools"))
import figures  # noqa: E402

WHAT = """
Written by `make bench-kernels ARGS=--page={name}`: everyone in one process, samples in a rotating
order, a burst of FMAs beside each, results checked in f64, warm operands; thread CPU time at one
thread, else wall time. Gop/s; a ratio is the median over rounds of the best peer's time by ours:
above 1 we are faster. Packed: weights packed beforehand, on both sides. What a busy neighbour does
to one contender it does to all, so trust ratios, not rates.
"""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def number(v):
    return f"{v:.3g}"


def geomean_rows(means):
    return [[f"{d} {s}", kind, number(v[0]), number(v[1]), v[2]]
            for (d, s, kind), v in means.items() if kind != "roof"]


def write(name, runs, bench):
    """runs: {threads: (head, cases)}; bench: kernels.py itself."""
    folder = os.path.join(benchlib.ROOT, "docs", "benchmarks")
    m = benchlib.machine()
    features = ", ".join(m["features"])
    out = [f"# Kernels beside others: {name}", "",
           f"{m['cpu']}, {m['cores']} cores, {features}; {m['utc'][:10]}, load {m['load']}.", ""]
    out += [WHAT.strip().format(name=name), ""]
    for threads, (head, cases) in runs.items():
        burst, calm = benchlib.median([c["burst"] for c in cases]), min(c["calm"] for c in cases)
        out += [f"## {threads} thread{'s' * (threads > 1)}", "",
                f"Peers: {', '.join(head['peers'])}; absent: "
                f"{', '.join(head['absent']) or 'none'}. "
                f"FMA burst: median {burst:.0f} GFLOP/s, at worst {100 * calm:.0f} % of the best.",
                ""]
        means = bench.geomeans(cases)
        out += table(["set", "kind", "geomean", "least", "where"], geomean_rows(means)) + [""]
        if threads == 1:
            out += [f"![geomeans](kernels-{name}.svg)", ""]
            bars = [(s + (", packed" if k == "packed" else ""), [v[0]])
                    for (_, s, k), v in means.items() if k != "roof"]
            with open(os.path.join(folder, f"kernels-{name}.svg"), "w", encoding="utf-8") as f:
                f.write(figures.svg("Beside the best peer of each shape, geomean (the line is 1x)",
                                    bars, ["ours / best"]))
        sets = {}
        for c in cases:
            sets.setdefault((c["domain"], c["set"]), []).append(c)
        for (domain, which), group in sets.items():
            names = bench.columns(group)
            out += [f"**{domain}, {which}**", ""]
            out += table(bench.heads(names), [bench.line(c, names) for c in group]) + [""]
        judged = bench.judge(cases) if threads == 1 else {}
        out += table(["bar", "value", "goal", "beside", "met"],
                     [[k, f"{number(b['value'])} {b['unit']}", number(b["goal"]), b["peer"],
                       "yes" if b["pass"] else "no"] for k, b in judged.items()]) if judged else []
        out += [""]
    with open(os.path.join(folder, f"kernels-{name}.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(out).rstrip() + "\n")
    print(f"docs/benchmarks/kernels-{name}.md is written")
