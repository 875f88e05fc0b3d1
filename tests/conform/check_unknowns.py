"""Unknowns of symbolic inference: check_unknowns.py PROGRAM [--write] [--ops]

Runs the program `unknowns` over the stored ONNX cases (found as tools/conformance.py finds them)
and holds the counts against tests/graph/unknowns.txt: they may only fall. Trained and generated
models count where they have been fetched or made. --write stores lower counts, --ops prints the
operators that lose most. Exit 77 without the cases.
"""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import conformance  # noqa: E402

LIMITS = os.path.join(ROOT, "tests", "graph", "unknowns.txt")
MODELS = {"trained": os.path.join(conformance.CACHE, "models"),
          "generated": os.environ.get("LAMINA_BENCH_MODELS",
                                      os.path.join(conformance.CACHE, "bench-models"))}


def models_below(folder):
    return sorted(os.path.join(where, name) for where, _, names in os.walk(folder)
                  for name in names if name.endswith(".onnx"))


def cases(corpus):
    """(name of the row, its model files) of what is here."""
    for name in ("node", *conformance.OTHERS):
        yield name, models_below(os.path.join(corpus, name))
    for kind, folder in MODELS.items():
        for path in models_below(folder):
            yield f"{kind}/{os.path.relpath(path, folder)}", [path]


def read_limits():
    limits = {}
    with open(LIMITS, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, ranks, dims = line.split()
                limits[name] = (int(ranks), int(dims))
    return limits


def write_limits(limits):
    with open(LIMITS, encoding="utf-8") as f:
        head = [line for line in f if line.startswith("#")]
    with open(LIMITS, "w", encoding="utf-8") as f:
        f.writelines(head)
        f.writelines(f"{name} {ranks} {dims}\n" for name, (ranks, dims) in limits.items())


def count(program, files, lost):
    """(values without a rank, unknown dims, values, sentences of what did not infer)."""
    total, errors = [0, 0, 0], []
    out = subprocess.run([program, *files], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        kind, *rest = line.split()
        if kind == "model":
            total = [a + int(b) for a, b in zip(total, rest)]
        elif kind == "op":
            ranks, dims = lost.get(rest[2], (0, 0))
            lost[rest[2]] = (ranks + int(rest[0]), dims + int(rest[1]))
        elif kind == "error":
            errors.append(line)
    return (*total, errors)


def show(lost, most=25):
    print("lost by operators all of whose inputs had a rank: ranks, dims")
    for name, (ranks, dims) in sorted(lost.items(), key=lambda r: -sum(r[1]))[:most]:
        print(f"  {ranks:5} {dims:5}  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--write", action="store_true", help="store lower counts")
    parser.add_argument("--ops", action="store_true", help="operators that lose most")
    args = parser.parse_args()
    corpus = conformance.stored()
    if not corpus:
        print("skip: the ONNX cases are not here (LAMINA_CORPUS)")
        return 77
    limits, lost, failed = read_limits(), {}, False
    print(f"{'set':32} {'no rank':>8} {'dims':>6} {'values':>7}")
    for name, files in cases(corpus):
        ranks, dims, values, errors = count(args.program, files, lost)
        before = limits.get(name, (ranks, dims))
        wrong = ranks > before[0] or dims > before[1]
        failed |= wrong or bool(errors)
        print(f"{name:32} {ranks:8} {dims:6} {values:7}"
              f"{f'  MORE than {before[0]} and {before[1]}' if wrong else ''}")
        for e in errors[:5]:
            print("  " + e)
        if args.write:
            limits[name] = (min(ranks, before[0]), min(dims, before[1]))
    if args.ops:
        show(lost)
    if args.write:
        write_limits(limits)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
