"""Packed weights and other com.microsoft operators, for make_ms_cases.py."""
import numpy as np
from make_ms_cases import Case, Draw, F16, F32, I32, I64, I8, U8, arr


def nbits():
    d = Draw("nbits")
    op, n, k = "MatMulNBits", 6, 40

    def packed(bits, block):
        blocks = -(-k // block)
        return blocks, d.q(n, blocks, block * bits // 8), d.u(n, blocks, lo=0.01, hi=0.1)
    for bits in (2, 4, 8):
        for block in (16, 32):
            blocks, b, s = packed(bits, block)
            attrs = {"K": k, "N": n, "bits": bits, "block_size": block}
            zp = d.q(n, -(-blocks * bits // 8))
            tag = f"{bits}b{block}"
            yield Case(op, tag, [d.f(3, k), b, s], attrs, const=[1, 2])
            yield Case(op, tag + "zp", [d.f(2, 3, k), b, s, zp], attrs, const=[1, 2, 3])
    blocks, b, s = packed(4, 16)
    attrs = {"K": k, "N": n, "bits": 4, "block_size": 16}
    yield Case(op, "one", [d.f(1, k), b, s, None, None, d.f(n)], attrs, const=[1, 2, 5])
    yield Case(op, "bias", [d.f(2, 3, k), b, s, None, None, d.f(n)], attrs, symbolic=True,
               const=[1, 2, 5])
    yield Case(op, "zpfloat", [d.f(3, k), b, s, d.u(n, blocks, lo=0, hi=15)], attrs,
               const=[1, 2, 3])
    yield Case(op, "f16", [d.f(3, k, dt=F16), b, s.astype(F16)], attrs, const=[1, 2])
    blocks, b, s = packed(4, 32)
    yield Case(op, "level1", [d.f(3, k), b, s], {**attrs, "block_size": 32, "accuracy_level": 1},
               const=[1, 2])
    n, k = 70, 256
    blocks, b, s = packed(4, 32)
    big = {"K": k, "N": n, "bits": 4, "block_size": 32}
    zp = d.q(n, 4)
    for rows in (1, 5, 33):
        yield Case(op, f"rows{rows}", [d.f(rows, k), b, s, zp], big, const=[1, 2, 3])
    for kind in (0, 1):
        q, absmax = d.q(16 * 32 // 2), d.u(16 * 32 // 16, lo=0.5, hi=2)
        yield Case("MatMulBnb4", f"type{kind}", [d.f(3, 32), q, absmax],
                   {"N": 16, "K": 32, "block_size": 16, "quant_type": kind}, const=[1, 2])


def gather():
    d = Draw("gatherq")
    op, ids = "GatherBlockQuantized", arr([[3, 0], [-1, 2]], I64)
    attrs = {"gather_axis": 0, "quantize_axis": 1, "block_size": 16}
    for bits in (4, 8):
        cols = 40 * bits // 8
        x, s = d.q(5, cols), d.u(5, 3, lo=0.01, hi=0.1)
        zp = d.q(5, -(-3 * bits // 8))
        yield Case(op, f"u8b{bits}", [x, ids, s], {**attrs, "bits": bits}, const=[0, 2],
                   out_types=["FLOAT"])
        yield Case(op, f"u8b{bits}zp", [x, ids.astype(I32), s, zp], {**attrs, "bits": bits},
                   const=[0, 2, 3], out_types=["FLOAT"])
    yield Case(op, "f16", [x, ids, s.astype(F16)], {**attrs, "bits": 8}, const=[0, 2],
               out_types=["FLOAT16"])
    x, s, zp = d.q(3, 4, 16), d.u(3, 4, 2, lo=0.01, hi=0.1), d.q(3, 4, 1)
    yield Case(op, "rank3", [x, arr([2, 0], I64), s, zp], {**attrs, "quantize_axis": 2, "bits": 4},
               const=[0, 2, 3], out_types=["FLOAT"])


def misc():
    d = Draw("misc")
    yield Case("Inverse", "one", [d.f(4, 4)])
    yield Case("Inverse", "batch", [d.f(2, 3, 3, 3)])
    yield Case("Inverse", "pivot", [arr([[0, 1, 0], [1, 0, 0], [0, 0, 2]])])
    boxes = arr([[0.1, 0.2, 0.7, 0.9], [-0.2, 0.0, 0.6, 1.3], [0.9, 0.8, 0.1, 0.2]])
    for mode in ("bilinear", "nearest"):
        yield Case("CropAndResize", mode, [d.f(2, 3, 5, 6), boxes, arr([0, 1, 1], I32),
                                           arr([3, 4], I32)],
                   {"mode": mode, "extrapolation_value": 0.5})
    yield Case("CropAndResize", "point", [d.f(2, 3, 5, 6), boxes, arr([0, 1, 1], I32),
                                          arr([1, 1], I32)], const=[3])


def weight_cases():
    for family in (nbits, gather, misc):
        yield from family()
