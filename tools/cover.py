#!/usr/bin/env python3
"""
Line and branch coverage a room, out of the counters of a --coverage build after its tests ran.
Usage: cover.py BUILD_DIR
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import gatelib as g


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    counters = [str(p) for p in (build / "src").rglob("*.gcda")]
    lines, branches = {}, {}
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(["gcov", "-b", "--json-format", *counters], cwd=tmp, check=True,
                       capture_output=True)
        for report in pathlib.Path(tmp).glob("*.gcov.json.gz"):
            for f in json.loads(gzip.open(report).read())["files"]:
                path = pathlib.Path(f["file"])
                path = path if path.is_absolute() else build / path
                if not path.is_relative_to(g.ROOT / "src"):
                    continue
                room = path.relative_to(g.ROOT / "src").parts[0]
                for line in f["lines"]:
                    key = (room, str(path), line["line_number"])
                    lines[key] = lines.get(key, 0) + line["count"]
                    for i, b in enumerate(line["branches"]):
                        branches[key + (i,)] = branches.get(key + (i,), 0) + b["count"]
    for room in sorted({k[0] for k in lines}):
        hit = [c > 0 for k, c in lines.items() if k[0] == room]
        taken = [c > 0 for k, c in branches.items() if k[0] == room] or [True]
        print(f"{room:10} lines {sum(hit) / len(hit):6.1%} of {len(hit):6}   "
              f"branches {sum(taken) / len(taken):6.1%} of {len(taken):6}")


if __name__ == "__main__":
    main()
