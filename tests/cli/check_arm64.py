#!/usr/bin/env python3
"""
An arm64 build gives the answers of the native one, bit for bit where the kernels say so: small
models of every family of kernels and, where they are in the cache, the trained models of the demo,
on seeded inputs. The native program stays with AVX2, whose tiles and sums the NEON rows have.
Usage: check_arm64.py NATIVE EMULATOR... LAMINA
"""
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import onnxpb as o

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lamina")
TRAINED = ("efficientnet-lite0.onnx", "magika/magika.onnx")
BF16 = 16  # of ONNX
problems = []


def weights(rng, name, dims):
    n = 1
    for d in dims:
        n *= d
    return o.floats(name, dims, [rng.uniform(-1, 1) for _ in range(n)])


def bytes_of(rng, name, dims, dtype):
    n = 1
    for d in dims:
        n *= d
    return o.tensor(name, dims, dtype, bytes(rng.randrange(256) for _ in range(n)))


def one(name, op, dims, inits=(), *attrs, x="x"):
    nodes = [o.node(op, [x, *(n for n, _ in inits)], ["y"], *attrs)]
    return name, o.simple(nodes, [o.info(x, o.F32, dims)], [o.info("y", o.F32, None)],
                          [t for _, t in inits])


def ints(name, *values):
    return o.attr(name, "ints", values)


def models():
    rng = random.Random(3)

    def w(name, *dims):
        return name, weights(rng, name, dims)

    yield one("gemm", "MatMul", [37, 70], [w("b", 70, 51)])
    yield one("few_rows", "MatMul", [2, 130], [w("b", 130, 67)])
    yield one("nt", "Gemm", [9, 33], [w("b", 21, 33), w("c", 21)], o.attr("transB", "i", 1))
    yield one("conv1x1", "Conv", [1, 20, 9, 7], [w("w", 33, 20, 1, 1), w("b", 33)])
    yield one("conv3x3", "Conv", [1, 32, 19, 17], [w("w", 48, 32, 3, 3)], ints("pads", 1, 1, 1, 1))
    yield one("stem", "Conv", [1, 3, 33, 31], [w("w", 24, 3, 5, 5)], ints("strides", 2, 2))
    yield one("depthwise", "Conv", [1, 18, 15, 21], [w("w", 18, 1, 3, 3)], o.attr("group", "i", 18),
              ints("pads", 1, 1, 1, 1))
    yield one("pool", "MaxPool", [1, 5, 13, 19], (), ints("kernel_shape", 3, 3),
              ints("strides", 2, 2))
    yield one("average", "AveragePool", [1, 5, 13, 19], (), ints("kernel_shape", 2, 3))
    yield one("mean", "ReduceMean", [3, 4, 37])
    yield one("norm", "LayerNormalization", [7, 45], [w("s", 45), w("b", 45)])
    for op in ("Softmax", "Sigmoid", "Tanh", "Erf", "Exp", "Sqrt", "HardSwish", "Floor"):
        yield one(op.lower(), op, [5, 43])
    for dtype, kind in (("f16", o.F16), ("bf16", BF16)):
        for m, trans in ((2, 1), (40, 0)):
            nodes = [o.node("Cast", ["x"], ["h"], o.attr("to", "i", kind)),
                     o.node("Cast", ["b"], ["w"], o.attr("to", "i", kind)),
                     o.node("Gemm", ["h", "w"], ["z"], o.attr("transB", "i", trans)),
                     o.node("Cast", ["z"], ["y"], o.attr("to", "i", o.F32))]
            dims = [51, 130] if trans else [130, 51]
            yield f"{dtype}_{m}", o.simple(nodes, [o.info("x", o.F32, [m, 130])],
                                           [o.info("y", o.F32, None)], [weights(rng, "b", dims)])
    yield one("einsum", "Einsum", [21, 33], [w("b", 33, 17)], o.attr("equation", "s", "ik,kj->ij"))
    for m in (1, 5):
        q = bytes_of(rng, "q", [45, 5, 16], o.U8)
        nodes = [o.node("MatMulNBits", ["x", "q", "s"], ["y"], o.attr("K", "i", 150),
                        o.attr("N", "i", 45), o.attr("bits", "i", 4),
                        o.attr("block_size", "i", 32), o.attr("accuracy_level", "i", 4),
                        domain="com.microsoft")]
        yield f"nbits_{m}", o.simple(nodes, [o.info("x", o.F32, [m, 150])],
                                     [o.info("y", o.F32, None)],
                                     [q, weights(rng, "s", [45, 5])],
                                     opsets=((17, ""), (1, "com.microsoft")))
    zero = o.tensor("bz", [], o.U8, b"\x70")
    nodes = [o.node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
             o.node("MatMulInteger", ["q", "b", "z", "bz"], ["y"])]
    yield "int8", o.simple(nodes, [o.info("x", o.F32, [11, 70])], [o.info("y", o.I32, None)],
                           [bytes_of(rng, "b", [70, 37], o.U8), zero])


def answer(command, model, folder, env):
    folder.mkdir()
    p = subprocess.run([*command, "run", str(model), "--random", "5", "--output", str(folder),
                        "--quiet"], capture_output=True, text=True, timeout=600, check=False,
                       env=dict(os.environ, **env))
    if p.returncode:
        problems.append(f"{model.name}: {command[0]}: {(p.stdout + p.stderr)[-300:]}")
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def values(npy):
    at = 10 + struct.unpack_from("<H", npy, 8)[0]
    return [v for v, in struct.iter_unpack("<f", npy[at:])] if b"<f4" in npy[:at] else None


def compare(model, folder, native, emulated):
    a = answer([native], model, folder / (model.stem + "_native"), {"LAMINA_ISA": "avx2"})
    b = answer(emulated, model, folder / (model.stem + "_arm64"), {})
    if a.keys() != b.keys() or not a:
        problems.append(f"{model.name}: outputs {sorted(a)} and {sorted(b)}")
        return
    same = a == b
    print(f"{model.stem}: {'the same bits' if same else 'other bits'}")
    if not same:
        x, y = ([v for n in sorted(d) for v in values(d[n]) or []] for d in (a, b))
        far = max((abs(p - q) for p, q in zip(x, y)), default=-1)
        problems.append(f"{model.name}: other bits, differences up to {far}")


def main():
    native, emulated = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        for name, data in models():
            path = folder / (name + ".onnx")
            path.write_bytes(data)
            compare(path, folder, native, emulated)
        for name in TRAINED:
            if (CACHE / "models" / name).exists():
                compare(CACHE / "models" / name, folder, native, emulated)
    for p in problems:
        print("FAIL " + p)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
