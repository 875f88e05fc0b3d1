#!/usr/bin/env python3
"""
Gate: a library for one model. Builds one of the operators of a MobileNetV2 alone, holds its size,
runs a small model of that kind with it and with the whole library (the answers must be equal bit by
bit), and looks at what it says of an operator that it lacks. check_small.py [BUILD [JOBS]]
"""
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
import onnxpb as pb  # noqa: E402

LIMIT = 400_000
SMALL = os.path.join(ROOT, "build-small")
ISA = "neon" if platform.machine() in ("aarch64", "arm64") else "avx2"
OPTIONS = ["-DCMAKE_BUILD_TYPE=MinSizeRel", "-DLAMINA_TESTS=OFF", "-DLAMINA_TYPES=f32",
           f"-DLAMINA_ISAS={ISA}", "-DLAMINA_DEPTHWISE=3",
           "-DLAMINA_OPS=Conv,Clip,Add,GlobalAveragePool,Flatten,Reshape,Gemm"]


def values(n, seed):
    """n numbers of about -0.5 .. 0.5, the same everywhere."""
    out = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        out.append(seed / 0x7fffffff - 0.5)
    return out


def conv(nodes, inits, x, name, shape, stride, pad, group=1, clip=True):
    count = shape[0] * shape[1] * shape[2] * shape[3]
    inits.append(pb.floats(name + "_w", shape, values(count, count)))
    inits.append(pb.floats(name + "_b", [shape[0]], values(shape[0], 7)))
    nodes.append(pb.node("Conv", [x, name + "_w", name + "_b"], [name],
                         pb.attr("strides", "ints", [stride] * 2),
                         pb.attr("pads", "ints", [pad] * 4), pb.attr("group", "i", group)))
    if not clip:
        return name
    nodes.append(pb.node("Clip", [name, "zero", "six"], [name + "_c"]))
    return name + "_c"


def small_mobilenet(path):
    nodes, inits = [], [pb.floats("zero", [], [0.0]), pb.floats("six", [], [6.0])]
    x = conv(nodes, inits, "x", "stem", [16, 3, 3, 3], 2, 1)
    for i, (stride, wide) in enumerate(((1, 24), (2, 32), (1, 32))):
        narrow = 16 if i == 0 else 24
        was = x
        x = conv(nodes, inits, x, f"e{i}", [wide, 16 if i < 2 else 24, 1, 1], 1, 0)
        x = conv(nodes, inits, x, f"d{i}", [wide, 1, 3, 3], stride, 1, group=wide)
        x = conv(nodes, inits, x, f"p{i}", [narrow, wide, 1, 1], 1, 0, clip=False)
        if i != 1:
            nodes.append(pb.node("Add", [was, x], [f"a{i}"]))
            x = f"a{i}"
    nodes.append(pb.node("GlobalAveragePool", [x], ["pooled"]))
    nodes.append(pb.node("Flatten", ["pooled"], ["flat"]))
    inits += [pb.floats("fc", [10, 24], values(240, 3)), pb.floats("fb", [10], values(10, 4))]
    nodes.append(pb.node("Gemm", ["flat", "fc", "fb"], ["y"], pb.attr("transB", "i", 1)))
    write(path, nodes, inits, [1, 10])


def write(path, nodes, inits, dims):
    graph = pb.graph(nodes, [pb.info("x", dims=[1, 3, 32, 32])], [pb.info("y", dims=dims)], inits)
    with open(path, "wb") as f:
        f.write(pb.model(graph))


def run(build, model):
    program = os.path.join(SMALL, "run_model_" + os.path.basename(os.path.abspath(build)))
    lib = os.path.join(build, "lib")
    subprocess.run(["cc", "-std=c17", "-I" + os.path.join(ROOT, "include"), "-o", program,
                    os.path.join(ROOT, "tests", "consumers", "small", "run_model.c"),
                    "-L" + lib, "-llamina", "-Wl,-rpath," + lib], check=True)
    done = subprocess.run([program, model], capture_output=True, text=True,
                          env=dict(os.environ, LAMINA_ISA=ISA))
    return done.returncode, done.stdout


def check(build, jobs):
    log = subprocess.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", SMALL, *OPTIONS],
                         capture_output=True, text=True)
    if log.returncode == 0:
        log = subprocess.run(["ninja", "-C", SMALL, f"-j{jobs}", "lamina"], capture_output=True,
                             text=True)
    if log.returncode:
        return log.stdout[-4000:] + log.stderr[-2000:], 0
    stripped = os.path.join(SMALL, "stripped.so")
    subprocess.run(["strip", "-o", stripped, os.path.join(SMALL, "lib", "liblamina.so")],
                   check=True)
    size = os.path.getsize(stripped)
    if size > LIMIT:
        return f"stripped it has {size} bytes, limit {LIMIT}", size
    model = os.path.join(SMALL, "small.onnx")
    small_mobilenet(model)
    ours, whole = run(SMALL, model), run(build, model)
    if ours[0] or ours != whole or len(ours[1].split()) != 10:
        return f"answers differ: {ours} and {whole} of the whole library", size
    write(model, [pb.node("Softmax", ["x"], ["y"])], [], [1, 3, 32, 32])
    code, text = run(SMALL, model)
    if code != 1 or "Softmax" not in text or "LAMINA_OPS" not in text:
        return f"of an operator that it lacks it says: {code} {text}", size
    return None, size


def main():
    build = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else "build")
    problem, size = check(build, sys.argv[2] if len(sys.argv) > 2 else str(os.cpu_count()))
    if problem:
        print(problem)
        print("gate small: FAILED")
        return 1
    print(f"gate small: ok, {size} bytes of {LIMIT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
