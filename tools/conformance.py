"""Run the ONNX conformance cases: conformance.py [--asan]

The stored corpus (LAMINA_CORPUS, or the archive beside the checkout) and the cases that the pinned
`onnx` package generates are counted separately. What is missing is said, not skipped in silence.
The counts may only rise: the floors below are raised when they do.
"""
import json
import os
import subprocess
import sys
import tarfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lamina")
ARCHIVE = os.path.join(ROOT, "..", "shared", "data", "onnx-conformance-1.22.0.tar.xz")
FLOORS = {"node": 1720, "simple": 15, "pytorch-converted": 82, "pytorch-operator": 35,
          "generated": 0}


def stored():
    corpus = os.environ.get("LAMINA_CORPUS", os.path.join(CACHE, "corpus", "onnx-1.22.0"))
    if not os.path.isdir(corpus) and os.path.exists(ARCHIVE):
        with tarfile.open(ARCHIVE) as t:
            t.extractall(os.path.join(CACHE, "corpus"), filter="data")
    return corpus if os.path.isdir(corpus) else None


def generated():
    """The node cases of the installed onnx package, written as folders once."""
    try:
        import onnx
        from onnx.backend.test.case.node import collect_testcases
        from onnx.backend.test.cmd_tools import generate_data
    except ImportError:
        return None
    target = os.path.join(CACHE, f"cases-{onnx.__version__}")
    if not os.path.isdir(os.path.join(target, "node")):
        try:
            subprocess.run([sys.executable, "-m", "onnx.backend.test.cmd_tools", "generate-data",
                            "-o", target], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        except subprocess.CalledProcessError:
            return None
    del collect_testcases, generate_data
    return os.path.join(target, "node")


def run(name, folder, program):
    out = os.path.join(ROOT, "build", f"conformance-{name}.json")
    command = [program, "--json", out, "--min", str(FLOORS[name]), folder]
    p = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    print(f"{name:20} {p.stdout.strip()}", flush=True)
    return p.returncode == 0, json.load(open(out))


def main():
    build = "build-asan" if "--asan" in sys.argv else "build"
    program = os.path.join(ROOT, build, "bin", "conformance")
    ok, corpus = True, stored()
    if corpus:
        for name in ("node", "simple", "pytorch-converted", "pytorch-operator"):
            ok &= run(name, os.path.join(corpus, name), program)[0]
    else:
        print("stored corpus: not here (set LAMINA_CORPUS); skipped")
    cases = generated()
    if cases and os.path.isdir(cases):
        ok &= run("generated", cases, program)[0]
    else:
        print("generated cases: the onnx package is missing or cannot write them; skipped")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
