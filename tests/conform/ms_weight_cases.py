"""Packed weights and other com.microsoft operators, for make_ms_cases.py."""
import math

import numpy as np
from make_ms_cases import Case, Draw, F16, F32, F64, I32, I64, arr


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
    for bits in (4, 8):  # rows of integers that rounding to 8 bits leaves as they are
        blocks, b, s = packed(bits, 32)
        level4 = {**big, "bits": bits, "accuracy_level": 4}
        for rows in (1, 7):
            x = np.clip(d.q(rows, k).astype(F32) - 128, -126, 126)
            x[:, ::32] = 127
            zp = d.q(n, blocks * bits // 8)
            tag = f"level4b{bits}rows{rows}"
            yield Case(op, tag, [x, b, s], level4, const=[1, 2])
            yield Case(op, tag + "zp", [x, b, s, zp], level4, const=[1, 2, 3])
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


def moe():
    d = Draw("moe")
    t, e, h, n = 5, 4, 16, 32
    x, router = d.f(t, h), d.f(t, e)
    w1, w2 = d.f(e, n, h, scale=0.3), d.f(e, h, n, scale=0.3)
    b1, b2 = d.f(e, n), d.f(e, h)
    for act in ("relu", "gelu", "silu", "identity"):
        yield Case("MoE", act, [x, router, w1, b1, w2, b2], {"k": 2, "activation_type": act})
    yield Case("MoE", "normal", [x.reshape(1, t, h), router, w1, None, w2],
               {"k": 2, "normalize_routing_weights": 1})
    glu = {"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1, "normalize_routing_weights": 1}
    up, ub = d.f(e, 2 * n, h, scale=0.3), d.f(e, 2 * n)
    yield Case("MoE", "swiglu", [x, router, up, ub, w2, b2], glu)
    yield Case("MoE", "limit", [x, router, up, ub, w2, b2],
               {**glu, "swiglu_limit": 0.7, "activation_alpha": 1.702, "activation_beta": 1.0})
    for bits in (4, 8):
        q = {"k": 2, "activation_type": "relu", "expert_weight_bits": bits, "accuracy_level": 1,
             "normalize_routing_weights": 1}
        p1, p2 = d.q(e, n, h * bits // 8), d.q(e, h, n * bits // 8)
        s1, s2 = d.u(e, n, lo=0.01, hi=0.05), d.u(e, h, lo=0.01, hi=0.05)
        more = {"const": [2, 3, 4, 5, 6, 7]}
        yield Case("QMoE", f"row{bits}", [x, router, p1, s1, b1, p2, s2, b2], q, **more)
        yield Case("QMoE", f"rowzp{bits}",
                   [x, router, p1, s1, b1, p2, s2, b2, None, None, None,
                    d.q(e, n * bits // 8), d.q(e, h * bits // 8)], q, const=[*range(2, 8), 11, 12])
    q["expert_weight_bits"] = 4
    soft, mix = {**q, "normalize_routing_weights": 0}, [None] * 6 + [d.u(t, e)]
    ins = [x, router, d.q(e, n, h // 2), s1, b1, d.q(e, h, n // 2), s2, b2]
    yield Case("QMoE", "softmax", ins, soft, **more)
    yield Case("QMoE", "mix", ins + mix, soft, **more)
    yield Case("QMoE", "mixnormal", ins + mix, q, **more)
    p1, p2 = d.q(e, n, h // 2), d.q(e, h, n // 2)
    s1, s2 = d.u(e, n, 1, lo=0.01, hi=0.05), d.u(e, h, 2, lo=0.01, hi=0.05)
    yield Case("QMoE", "block", [x, router, p1, s1, b1, p2, s2, b2], {**q, "block_size": 16},
               **more)
    u1, us = d.q(e, 2 * n, h // 2), d.u(e, 2 * n, lo=0.01, hi=0.05)
    yield Case("QMoE", "swiglu", [x, router, u1, us, ub, p2, d.u(e, h, lo=0.01, hi=0.05), b2],
               {**glu, "expert_weight_bits": 4}, **more)


def state():
    d = Draw("state")
    x, w, b = d.f(2, 3, 6), d.f(3, 1, 4), d.f(3)
    yield Case("CausalConvWithState", "plain", [x, w], outputs=2)
    yield Case("CausalConvWithState", "silu", [x, w, b, d.f(2, 3, 3)], {"activation": "silu"},
               outputs=2)
    q, k, v, s = d.f(2, 5, 8), d.f(2, 5, 8, scale=0.3), d.f(2, 5, 12), d.f(2, 2, 4, 6)
    decay, beta = -d.u(2, 5, 2), d.u(2, 5, 2)
    heads = {"q_num_heads": 2, "kv_num_heads": 2}
    for rule, ins in (("linear", []), ("gated", [decay]), ("delta", [None, beta]),
                      ("gated_delta", [decay, beta])):
        yield Case("LinearAttention", rule, [q, k, v, s, *ins], {**heads, "update_rule": rule},
                   outputs=2)


def group_norm(x, g, b, silu=False):
    """Two groups, channels last, epsilon 1e-5."""
    n, h, w, c = x.shape
    p = x.astype(F64).reshape(n, h * w, 2, c // 2)
    m, v = p.mean(axis=(1, 3), keepdims=True), p.var(axis=(1, 3), keepdims=True)
    y = ((p - m) / np.sqrt(v + 1e-5)).reshape(x.shape) * g + b
    return (y / (1 + np.exp(-y)) if silu else y).astype(F32)


def diffusion():
    d = Draw("diffusion")
    x, g, b = d.f(2, 3, 4, 6), d.f(6), d.f(6)
    attrs = {"groups": 2, "epsilon": 1e-5, "activation": 0}
    yield Case("GroupNorm", "plain", [x, g, b], attrs, numpy=lambda *v: [group_norm(*v)])
    yield Case("GroupNorm", "silu", [x, g, b], {**attrs, "activation": 1},
               numpy=lambda *v: [group_norm(*v, silu=True)])
    yield Case("SkipGroupNorm", "skip2", [x, g, b, d.f(2, 6), d.f(6)], attrs, outputs=2,
               numpy=lambda x, g, b, s, t: [group_norm(x + s[:, None, None] + t, g, b),
                                            x + s[:, None, None] + t])
    yield Case("BiasAdd", "plain", [d.f(2, 4, 6), d.f(6), d.f(2, 4, 6)],
               numpy=lambda x, b, s: [x + b + s])

    def split_gelu(x, b):
        left, right = np.split((x + b).astype(F64), 2, axis=-1)
        erf = np.vectorize(math.erf)
        return [(left * right * 0.5 * (1 + erf(right / math.sqrt(2)))).astype(F32)]
    yield Case("BiasSplitGelu", "plain", [d.f(2, 4, 6), d.f(6)], numpy=split_gelu)


def gates():
    d = Draw("gates")
    x = d.f(2, 3, 8)
    yield Case("ScaledSiLU", "alpha", [x], {"alpha": 1.5})
    yield Case("ScaledSiLU", "scale", [x, arr(0.7)])
    yield Case("GatedAdd", "plain", [x, d.f(2, 3, 8), d.f(2, 3, 1)])
    for act in ("silu", "sigmoid"):
        yield Case("GatedRMSNorm", act, [x, d.f(4), d.f(2, 3, 8)],
                   {"activation": act, "epsilon": 1e-5})
    h = [v.astype(F16) for v in (x, d.f(8), d.f(2, 3, 8))]
    yield Case("GatedRMSNorm", "f16", h)
    yield Case("LinearAttentionGate", "plain", [x, d.f(8), -d.u(8), d.f(2, 3, 8)], outputs=2)
    yield Case("LinearAttentionGate", "decay", [x, d.f(8), -d.u(8)])

    def gemm_gelu(x, w, b):
        z = (x @ w + b).astype(F64)
        return [(0.5 * z * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z ** 3)))).astype(F32)]
    yield Case("GemmFastGelu", "bias", [x, d.f(8, 5), d.f(5)], numpy=gemm_gelu)
    for metric in ("euclidean", "sqeuclidean"):
        yield Case("CDist", metric, [d.f(4, 6), d.f(3, 6)], {"metric": metric})
    yield Case("UnfoldTensor", "last", [x], {"size": 3, "step": 2})
    yield Case("UnfoldTensor", "dim1", [d.f(2, 7, 3)], {"dim": 1, "size": 4})


def weight_cases():
    for family in (nbits, gather, misc, moe, state, diffusion, gates):
        yield from family()
