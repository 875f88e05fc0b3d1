#!/usr/bin/env python3
"""
Gate: function length at most 120 lines (kernels 200) and at most 8 parameters. clang-format puts
the braces of a function at column 0, so no parser is needed. --top N prints the N longest instead.
"""
import re
import sys

import gatelib as g

LINES, KERNEL_LINES, PARAMS = 120, 200, 8


def functions(path):
    """(name, first line, lines, parameters) of each function defined in the file."""
    lines = g.strip_c(path.read_text()).split("\n")
    start = 0  # of the text that may be a signature
    at = 0
    while at < len(lines):
        line = lines[at]
        if line == "{":
            end = at
            while end < len(lines) and lines[end] != "}":
                end += 1
            head = " ".join(s for s in lines[start:at] if not s.lstrip().startswith("#"))
            m = re.search(r"(\w+)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*$", head)
            if m:
                flat = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", m.group(2)))
                n_params = 0 if flat.strip() in ("", "void") else flat.count(",") + 1
                yield m.group(1), at + 1, end - at + 1, n_params
            at = end
            start = at + 1
        elif line == "" or line.endswith(("}", "};", ";")):
            start = at + 1
        at += 1


def main():
    problems, rows = [], []
    for path in g.files(".c", ".h"):
        limit = KERNEL_LINES if path.is_relative_to(g.ROOT / "src/kernels") else LINES
        for name, line, n, params in functions(path):
            where = f"{g.rel(path)}:{line}: {name}"
            rows.append((n, params, where))
            if n > limit:
                problems.append(f"{where}: {n} lines, limit {limit}")
            if params > PARAMS:
                problems.append(f"{where}: {params} parameters, limit {PARAMS}")
    if "--top" in sys.argv:
        for n, params, where in sorted(rows, reverse=True)[:int(sys.argv[-1])]:
            print(f"{n:4} lines {params:2} parameters  {where}")
        return
    g.report("length", problems, f"{len(rows)} functions")


if __name__ == "__main__":
    main()
