#!/usr/bin/env python3
"""Put what the benches measured into README.md: figures.py [--check]. Every build/bench/*.json adds
its bars to the table between the two marks; only measured numbers get there. --check says whether
the table could be written, without writing it.
"""
import glob
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- figures: written by tools/figures.py -->", "<!-- end of figures -->"


def text(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def rows():
    """One row a bar, and the machines and commits they come from."""
    out, machines = [], set()
    for path in sorted(glob.glob(os.path.join(ROOT, "build", "bench", "*.json"))):
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        m = d.get("machine", {})
        machines.add(f"{m.get('cpu', '?')}, {m.get('cores', '?')} cores")
        commit = m.get("commit", "?").removesuffix("-dirty")
        for name, bar in d.get("bars", {}).items():
            out.append((name.replace("_", " "), f"{text(bar['value'])} {bar['unit']}",
                        text(bar["goal"]), bar.get("peer", ""), "yes" if bar["pass"] else "no",
                        d.get("bench", ""), commit))
    return out, sorted(machines)


def table(found, machines):
    lines = [BEGIN, "", "Measured on " + "; ".join(machines) + ".", "",
             "| bar | value | goal | beside | met | bench | commit |",
             "|---|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(r) + " |" for r in found]
    return "\n".join([*lines, "", END])


def main():
    path = os.path.join(ROOT, "README.md")
    with open(path, encoding="utf-8") as f:
        readme = f.read()
    if BEGIN not in readme or END not in readme:
        print("README.md has lost the marks of the table")
        return 1
    found, machines = rows()
    if "--check" in sys.argv or not found:
        print(f"{len(found)} figures in build/bench")
        return 0
    a, b = readme.index(BEGIN), readme.index(END) + len(END)
    with open(path, "w", encoding="utf-8") as f:
        f.write(readme[:a] + table(found, machines) + readme[b:])
    print(f"README.md: {len(found)} figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
