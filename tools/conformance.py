"""Run the ONNX conformance cases: conformance.py [--asan] [--verbose] [--threads N] [SET...]

Two sources, counted separately: the stored corpus of onnx 1.22.0 (LAMINA_CORPUS, the user's cache,
or the archive beside the checkout) and the pinned onnx package, which generates its node cases
(written into the cache once) and carries the simple, pytorch and light ones. The set microsoft
holds com.microsoft, ai.onnx.ml and opset 28 against onnxruntime or NumPy. What is missing is said
plainly. SET names sets to run, such as package/node. Totals and every case: build/conformance. The
floors below may only rise.
"""
import argparse
import glob
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lamina")
ARCHIVE = os.path.join(ROOT, "..", "shared", "data", "onnx-conformance-1.22.0.tar.xz")
OTHERS = {"simple": 23, "pytorch-converted": 82, "pytorch-operator": 35, "light": 9}
MICROSOFT = 452
FLOORS = {"stored": {"node": 1763, **OTHERS}, "package": {"node": 1882, **OTHERS}}


def stored():
    """Folder of the stored corpus, or None; the archive is unpacked into the cache once."""
    corpus = os.environ.get("LAMINA_CORPUS", os.path.join(CACHE, "corpus", "onnx-1.22.0"))
    if not os.path.isdir(corpus) and os.path.exists(ARCHIVE):
        os.makedirs(CACHE, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as part, tarfile.open(ARCHIVE) as t:
            t.extractall(part, filter="data")
            os.makedirs(os.path.dirname(corpus), exist_ok=True)
            os.replace(os.path.join(part, os.path.basename(corpus)), corpus)
    return corpus if os.path.isdir(corpus) else None


def write_value(path, value, info):
    from onnx import TensorProto, numpy_helper
    convert = {"sequence_type": numpy_helper.from_list, "map_type": numpy_helper.from_dict,
               "optional_type": numpy_helper.from_optional, "tensor_type": numpy_helper.from_array}
    kind = info.type.WhichOneof("value")
    proto = value if isinstance(value, TensorProto) else convert[kind](value, info.name)
    with open(path, "wb") as f:
        f.write(proto.SerializeToString())


def write_case(folder, case):
    os.makedirs(folder)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(case.model.SerializeToString())
    for i, (inputs, outputs) in enumerate(case.data_sets):
        data = os.path.join(folder, f"test_data_set_{i}")
        os.mkdir(data)
        for name, values, infos in (("input", inputs, case.model.graph.input),
                                    ("output", outputs, case.model.graph.output)):
            for j, (value, info) in enumerate(zip(values, infos, strict=True)):
                write_value(os.path.join(data, f"{name}_{j}.pb"), value, info)


def generate(target):
    """Write the node cases of the installed onnx package below target, all or nothing."""
    import warnings
    warnings.simplefilter("ignore")  # of numpy: the cases divide by zero on purpose
    from onnx.backend.test.case.node import collect_testcases
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as part:
        node = os.path.join(part, "node")
        for case in collect_testcases():
            write_case(os.path.join(node, case.name), case)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(node, target)


def package():
    """Folders of the onnx package's sets by name, and its version; empty without the package."""
    try:
        import onnx
    except ImportError:
        return {}, None
    target = os.path.join(CACHE, f"node-cases-onnx-{onnx.__version__}")
    if not os.path.isdir(target):
        print(f"writing the node cases of onnx {onnx.__version__} into the cache", flush=True)
        generate(target)
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    return {"node": target, **{n: os.path.join(data, n) for n in OTHERS}}, onnx.__version__


def microsoft():
    """Folder of the com.microsoft cases, whose answers onnxruntime gives; None without it."""
    if not all(importlib.util.find_spec(m) for m in ("onnx", "onnxruntime")):
        return None
    sys.path.insert(0, os.path.join(ROOT, "tests", "conform"))
    from make_ms_cases import default_folder
    folder = default_folder()
    if not os.path.isdir(folder):
        print("writing the com.microsoft cases into the cache", flush=True)
        script = os.path.join(ROOT, "tests", "conform", "make_ms_cases.py")
        subprocess.run([sys.executable, script, folder], check=False, stdout=subprocess.DEVNULL)
    return folder if os.path.isdir(folder) else None


def run(name, folder, floor, args):
    build = "build-asan" if args.asan else "build"
    program = os.path.join(ROOT, build, "bin", "conformance")
    out = os.path.join(ROOT, build, "conformance", name.replace("/", "-") + ".json")
    os.makedirs(os.path.dirname(out), exist_ok=True)
    command = [program, "--json", out, "--min", str(floor), "--threads", str(args.threads)]
    command += ["--limit", "600"] if args.asan else []
    command += ["--verbose"] if args.verbose else []
    env = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1", **os.environ}
    p = subprocess.run(command + [folder], check=False, stdout=subprocess.PIPE, text=True, env=env)
    lines = p.stdout.strip().splitlines() or ["the runner said nothing"]
    for line in lines[:-1]:
        print("  " + line)
    print(f"{name:26} {lines[-1]}", flush=True)
    with open(out, encoding="utf-8") as f:
        result = json.load(f)
    if not args.verbose:
        for case in result["cases"]:
            if case["result"] != "pass":
                print(f"  {case['result']}: {case['name']}: {case.get('why', '')[:200]}")
    if result["pass"] < floor:
        print(f"  FEWER PASS THAN BEFORE: {result['pass']}, the floor is {floor}")
    return p.returncode == 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asan", action="store_true", help="run build-asan/bin/conformance")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    parser.add_argument("--threads", type=int, default=1, help="width of the engine (default 1)")
    parser.add_argument("sets", nargs="*", metavar="SET", help="such as stored/node, package/light")
    return parser.parse_args()


def main():
    args = parse()
    sets, skipped = [], []
    corpus = stored()
    if corpus:
        sets += [(f"stored/{n}", os.path.join(corpus, n), m) for n, m in FLOORS["stored"].items()]
    else:
        skipped.append("the stored corpus of onnx 1.22.0 is not here (set LAMINA_CORPUS)")
    folders, version = package()
    if version:
        print(f"package: onnx {version}")
        sets += [(f"package/{n}", folders[n], m) for n, m in FLOORS["package"].items()]
    else:
        skipped.append("the onnx package is not installed (tools/setup.sh does it)")
    folder = microsoft()
    if folder:
        sets.append(("microsoft", folder, MICROSOFT))
    else:
        skipped.append("the com.microsoft cases need onnxruntime (tools/setup.sh installs it)")
    ok, ran = True, 0
    for name, folder, floor in sets:
        if args.sets and name not in args.sets:
            continue
        if not glob.glob(os.path.join(glob.escape(folder), "*")):
            skipped.append(f"{name}: {folder} is empty")
            continue
        ok &= run(name, folder, floor, args)
        ran += 1
    for what in skipped:
        print(f"skipped: {what}")
    return 0 if ok and ran else 1


if __name__ == "__main__":
    sys.exit(main())
