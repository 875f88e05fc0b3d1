#!/usr/bin/env python3
"""Put what the benches measured into README.md and docs/benchmarks: figures.py [--check]. Every
build/bench/*.json adds its bars to the table between the two marks, and the benches in PLOTS are
drawn as docs/benchmarks/NAME.svg; only measured numbers get there. --check says whether the table
could be written, without writing it.
"""
import glob
import html
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- figures: written by tools/figures.py -->", "<!-- end of figures -->"

# bench: (title, label of a row, ((field, legend), ...)).
PLOTS = {
    "models": ("Speed beside the fastest peer, one thread (more is better; the line is 1x)",
               "model", (("ratio", "Lamina / fastest of onnxruntime, OpenVINO"),)),
    "start": ("Cold start, exec to the first output, ms (less is better)", "model",
              (("lamina_total_ms", "Lamina"), ("ort_total_ms", "onnxruntime"))),
    "python_call": ("A call from Python on a small MLP, us (less is better)", "case",
                    (("ours_us", "Lamina"), ("peer_us", "onnxruntime"))),
}
COLOURS = ("#2a6f97", "#c9a227")


def text(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def rows():
    """One row a bar, and the machines they come from."""
    out, machines = [], set()
    for path in sorted(glob.glob(os.path.join(ROOT, "build", "bench", "*.json"))):
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        m = d.get("machine", {})
        machines.add(f"{m.get('cpu', '?')}, {m.get('cores', '?')} cores, "
                     f"{m.get('utc', '?')[:10]}")
        for name, bar in d.get("bars", {}).items():
            name = re.sub(r"^B\d+ ", "", name).replace("_", " ")
            out.append((d.get("bench", ""), name, f"{text(bar['value'])} {bar['unit']}",
                        text(bar["goal"]), bar.get("peer", ""), "yes" if bar["pass"] else "no"))
    return out, sorted(machines)


def table(found, machines):
    lines = [BEGIN, "", "Measured on " + "; ".join(machines) + ".", "",
             "| bench | bar | value | goal | beside | met |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(r) + " |" for r in found]
    return "\n".join([*lines, "", END])


def svg(title, bars, legends):
    """Horizontal bars: `bars` holds (label, values), a value a legend. A ratio gets a line at 1."""
    step, left, width = 16 * len(legends) + 10, 170, 420
    top = max(v for _, values in bars for v in values)
    y, out = 40, []
    for label, values in bars:
        out.append(f'<text x="{left - 8}" y="{y + 8 * len(values) + 4}" text-anchor="end">'
                   f'{html.escape(label)}</text>')
        for k, v in enumerate(values):
            out.append(f'<rect x="{left}" y="{y + 16 * k}" width="{max(1, v / top * width):.1f}" '
                       f'height="13" fill="{COLOURS[k]}"/>'
                       f'<text x="{left + v / top * width + 5:.1f}" y="{y + 16 * k + 11}">'
                       f'{text(v)}</text>')
        y += step
    if len(legends) == 1:
        x = left + width / top
        out.append(f'<line x1="{x:.1f}" y1="34" x2="{x:.1f}" y2="{y}" stroke="#888" '
                   'stroke-dasharray="3 3"/>')
    for k, name in enumerate(legends):
        x = left + 150 * k
        out.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[k]}"/>'
                   f'<text x="{x + 17}" y="{y + 10}">{html.escape(name)}</text>')
    size = f'width="{left + width + 60}" height="{y + 22}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" '
            f'font-size="11"><rect {size} fill="#fff"/><text x="12" y="22" font-size="13">'
            f'{html.escape(title)}</text>' + "\n".join(out) + "</svg>\n")


def draw(folder):
    """One picture a bench of PLOTS that was run; returns how many."""
    n = 0
    for name, (title, label, fields) in PLOTS.items():
        path = os.path.join(ROOT, "build", "bench", name + ".json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            bars = [(r[label], [r[k] for k, _ in fields]) for r in json.load(f)["rows"]]
        with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as f:
            f.write(svg(title, bars, [legend for _, legend in fields]))
        n += 1
    return n


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
    pictures = draw(os.path.join(ROOT, "docs", "benchmarks"))
    print(f"README.md: {len(found)} figures; docs/benchmarks: {pictures} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
