"""The attention operators of com.microsoft and their variants, for make_ms_cases.py."""
import numpy as np
from make_ms_cases import Case, Draw, F16, F32, I32, I64, I8, arr


def attend(q, k, v, n):
    """Plain attention of [B, S, n * H] by NumPy, with the keys and values as [B, n, L, H]."""
    def split(x):
        return x.reshape(*x.shape[:2], n, -1).transpose(0, 2, 1, 3).astype(np.float64)
    q, k, v = (x if x.ndim == 4 else split(x) for x in (q, k, v))
    s = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    p = np.exp(s - s.max(axis=3, keepdims=True))
    y = (p / p.sum(axis=3, keepdims=True)) @ v
    return y.transpose(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], -1).astype(F32)


def rope():
    d = Draw("rope")
    b, s, n, h = 2, 3, 2, 8
    x, ids = d.f(b, s, n * h), d.i(b, s, dt=I64, hi=9)
    cos, sin = d.u(10, h // 2, lo=-1), d.u(10, h // 2, lo=-1)
    yield Case("RotaryEmbedding", "plain", [x, ids, cos, sin])
    yield Case("RotaryEmbedding", "interleaved", [x, ids, cos, sin], {"interleaved": 1})
    yield Case("RotaryEmbedding", "offset", [x, arr([4], I64), cos, sin])
    yield Case("RotaryEmbedding", "rank4", [d.f(b, n, s, h), ids, cos, sin])
    yield Case("RotaryEmbedding", "part", [x, ids, cos[:, :2].copy(), sin[:, :2].copy()],
               {"num_heads": n, "rotary_embedding_dim": 4})
    yield Case("RotaryEmbedding", "heads", [x, ids, cos, sin], {"num_heads": n})
    yield Case("RotaryEmbedding", "f16", [v.astype(F16) if v.dtype == F32 else v
                                          for v in (x, ids, cos, sin)])


def mha():
    d = Draw("mha")
    b, s, t, n, h, hv = 2, 3, 5, 2, 4, 6
    q, k, v = d.f(b, s, n * h), d.f(b, t, n * h), d.f(b, t, n * hv)
    heads = {"num_heads": n}
    op = "MultiHeadAttention"
    yield Case(op, "plain", [q, k, v], heads)
    yield Case(op, "symbolic", [q, k, v], heads, symbolic=True)
    yield Case(op, "scale", [q, k, v], {**heads, "scale": 0.3})
    yield Case(op, "bias", [q, k, v, d.f(n * (2 * h + hv))], heads)
    yield Case(op, "lengths", [q, k, v, None, arr([3, 5], I32)], heads)
    mask = arr([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], I32)
    yield Case(op, "mask2", [q, k, v, None, mask], heads)
    yield Case(op, "filter", [q, k, v, None, mask], {**heads, "mask_filter_value": -2.0})
    yield Case(op, "mask3", [q, k, v, None, d.i(b, s, t, hi=2)], heads)
    yield Case(op, "attnbias", [q, k, v, None, mask, d.f(1, n, s, t)], heads)
    yield Case(op, "attnbias1", [q, k, v, None, None, d.f(b, 1, s, t)], heads)
    self_k, self_v = d.f(b, s, n * h), d.f(b, s, n * h)
    yield Case(op, "causal", [q, self_k, self_v], {**heads, "unidirectional": 1})
    past = [d.f(b, n, 4, h), d.f(b, n, 4, h)]
    yield Case(op, "past", [q, self_k, self_v, None, None, None, *past], heads, outputs=3)
    yield Case(op, "pastcausal", [q, self_k, self_v, None, d.i(b, 7, hi=2), None, *past],
               {**heads, "unidirectional": 1}, outputs=3)
    yield Case(op, "present", [q, self_k, self_v], heads, outputs=3)
    yield Case(op, "qk", [q, k, v], heads, outputs=[True, False, False, True])
    yield Case(op, "qkcausal", [q, self_k, self_v], {**heads, "unidirectional": 1},
               outputs=[True, False, False, True])
    long = [d.f(b, 130, n * h), d.f(b, 90, n * h), d.f(b, 90, n * h)]
    yield Case(op, "long", [*long, None, d.i(b, 90, hi=2), d.f(1, n, 130, 90)], heads)
    yield Case(op, "longcausal", [long[0], d.f(b, 130, n * h), d.f(b, 130, n * h)],
               {**heads, "unidirectional": 1})
    yield Case(op, "bnsh", [q, d.f(b, n, t, h), d.f(b, n, t, h)], heads)

    def packed(x):
        return [attend(*(x[:, :, :, i].reshape(b, s, -1) for i in range(3)), n)]
    yield Case(op, "packedqkv", [d.f(b, s, n, 3, h)], heads, numpy=packed)
    yield Case(op, "packedkv", [q, d.f(b, t, n, 2, h)], heads,
               numpy=lambda q, kv: [attend(q, *(kv[:, :, :, i].reshape(b, t, -1)
                                                for i in range(2)), n)])


def attention():
    d = Draw("attention")
    b, s, w, n, h = 2, 4, 6, 2, 4
    x, weights, bias = d.f(b, s, w), d.f(w, 3 * n * h), d.f(3 * n * h)
    heads = {"num_heads": n}
    yield Case("Attention", "plain", [x, weights, bias], heads)
    yield Case("Attention", "const", [x, weights, bias], heads, const=[1, 2], symbolic=True)
    yield Case("Attention", "lengths", [x, weights, bias, arr([2, 4], I32)], heads)
    yield Case("Attention", "startend", [x, weights, bias, arr([3, 4, 0, 2], I32)], heads)
    yield Case("Attention", "mask2", [x, weights, bias, d.i(b, s, hi=2)], heads)
    yield Case("Attention", "mask3", [x, weights, bias, d.i(b, s, s, hi=2)], heads)
    yield Case("Attention", "causal", [x, weights, bias], {**heads, "unidirectional": 1})
    yield Case("Attention", "causalmask",
               [x, weights, bias, arr([[1, 1, 1, 0], [1, 1, 0, 1]], I32)],
               {**heads, "unidirectional": 1})
    yield Case("Attention", "past", [x, weights, bias, None, d.f(2, b, n, 3, h)],
               {**heads, "unidirectional": 1}, outputs=2)
    yield Case("Attention", "pastmask", [x, weights, bias, d.i(b, 7, hi=2), d.f(2, b, n, 3, h)],
               heads, outputs=2)
    yield Case("Attention", "present", [x, weights, bias], heads, outputs=2)
    yield Case("Attention", "attnbias", [x, weights, bias, None, None, d.f(1, n, s, s)], heads)
    yield Case("Attention", "sizes", [x, d.f(w, 2 * n * h + n * 3), d.f(2 * n * h + n * 3)],
               {**heads, "qkv_hidden_sizes": [n * h, n * h, n * 3]})
    qx, qw = d.q(b, s, w), d.q(w, 3 * n * h, dt=I8)
    q = [qx, qw, bias, arr(0.02), arr(0.01)]
    yield Case("QAttention", "plain", [*q, None, arr(120, np.uint8), arr(0, I8)], heads,
               out_types=["FLOAT"])
    yield Case("QAttention", "lengths", [*q, arr([2, 4], I32), arr(120, np.uint8), arr(3, I8)],
               {**heads, "unidirectional": 1}, out_types=["FLOAT"])
    yield Case("QAttention", "column",
               [qx, qw, bias, arr(0.02), d.u(3 * n * h, lo=0.005, hi=0.02), None,
                arr(120, np.uint8), d.q(3 * n * h, dt=I8)], heads, out_types=["FLOAT"],
               const=[1, 2, 4, 7])
    yield Case("QAttention", "past", [*q, None, arr(120, np.uint8), arr(0, I8),
                                      d.f(2, b, n, 3, h)], {**heads, "unidirectional": 1},
               outputs=2, out_types=["FLOAT", "FLOAT"])
    step = [d.f(b, 1, n * h) for _ in range(3)]
    op = "DecoderMaskedMultiHeadAttention"
    past = [d.f(b, n, 5, h), d.f(b, n, 5, h)]

    def grow(q, k, v, mask, bias, pk, pv, used=None):
        used = pk.shape[2] if used is None else int(used[0])
        out = []
        for new, old in ((k, pk), (v, pv)):
            new = new.reshape(b, 1, n, h).transpose(0, 2, 1, 3)
            out.append(np.concatenate([old[:, :, :used], new, old[:, :, used + 1:]], axis=2))
        return [attend(q, *(x[:, :, :used + 1].astype(np.float64) for x in out), n), *out]
    yield Case(op, "plain", [*step, None, None, *past], heads, outputs=3, numpy=grow)
    yield Case(op, "shared", [*step, None, None, *past, arr([3], I32)],
               {**heads, "past_present_share_buffer": 1}, outputs=3, numpy=grow)


def gqa():
    d = Draw("gqa")
    b, s, n, kv, h = 2, 4, 4, 2, 16
    op, heads = "GroupQueryAttention", {"num_heads": n, "kv_num_heads": kv}
    q, k, v = d.f(b, s, n * h), d.f(b, s, kv * h), d.f(b, s, kv * h)
    prompt = [arr([s - 1] * b, I32), arr([s], I32)]
    cos, sin = d.u(24, h // 2, lo=-1), d.u(24, h // 2, lo=-1)
    none = [None, None]

    def case(variant, ins, attrs=None, **more):
        return Case(op, variant, ins, {**heads, **(attrs or {})}, outputs=3, **more)
    yield case("prompt", [q, k, v, *none, *prompt])
    yield case("symbolic", [q, k, v, *none, *prompt], symbolic=True)
    yield case("rotary", [q, k, v, *none, *prompt, cos, sin], {"do_rotary": 1})
    yield case("interleaved", [q, k, v, *none, *prompt, cos, sin],
               {"do_rotary": 1, "rotary_interleaved": 1})
    yield case("packed", [d.f(b, s, (n + 2 * kv) * h), None, None, *none, *prompt, cos, sin],
               {"do_rotary": 1})
    yield case("scale", [q, k, v, *none, *prompt], {"scale": 0.4})
    yield case("softcap", [q, k, v, *none, *prompt], {"softcap": 1.5})
    yield case("window", [q, k, v, *none, *prompt], {"local_window_size": 2})
    yield case("smooth", [q, k, v, *none, *prompt], {"smooth_softmax": 1})
    yield case("sink", [q, k, v, *none, *prompt, None, None, None, None, d.f(n)])
    yield case("attnbias", [q, k, v, *none, *prompt, None, None, None, d.f(1, n, s, s)])
    yield case("bidirectional", [q, k, v, *none, *prompt], {"causal": 0})
    step = [d.f(b, 1, n * h), d.f(b, 1, kv * h), d.f(b, 1, kv * h)]
    past = [d.f(b, kv, 6, h), d.f(b, kv, 6, h)]
    yield case("step", [*step, *past, arr([6, 6], I32), arr([7], I32), cos, sin], {"do_rotary": 1})
    yield case("ragged", [*step, *past, arr([6, 3], I32), arr([7], I32), cos, sin],
               {"do_rotary": 1})
    yield case("buffer", [*step, d.f(b, kv, 12, h), d.f(b, kv, 12, h), arr([6, 4], I32),
                          arr([7], I32), cos, sin], {"do_rotary": 1})
    yield case("stepwindow", [*step, *past, arr([6, 6], I32), arr([7], I32)],
               {"local_window_size": 3})
    yield case("positions", [*step, *past, arr([6, 6], I32), arr([7], I32), cos, sin,
                             arr([[5], [9]], I64)], {"do_rotary": 1})
    one = [d.f(1, 3, n * h), d.f(1, 3, kv * h), d.f(1, 3, kv * h)]
    yield case("chunk", [*one, d.f(1, kv, 6, h), d.f(1, kv, 6, h), arr([8], I32), arr([9], I32),
                         cos, sin], {"do_rotary": 1})
    yield case("partrotary", [q, k, v, *none, *prompt, d.u(24, 8, lo=-1)[:, :8],
                              d.u(24, 8, lo=-1)[:, :8]], {"do_rotary": 1})
    half = [a.astype(F16) for a in (q, k, v)]
    yield case("f16", [*half, *none, *prompt, cos.astype(F16), sin.astype(F16)], {"do_rotary": 1})
    s = 150  # more than one block of queries
    long = [d.f(1, s, n * h), d.f(1, s, kv * h), d.f(1, s, kv * h)]
    first = [arr([s - 1], I32), arr([s], I32)]
    yield case("long", [*long, *none, *first])
    yield case("longwindow", [*long, *none, *first, None, None, None, None, d.f(n)],
               {"local_window_size": 37, "softcap": 2.0})
    yield case("longchunk", [*long, d.f(1, kv, 70, h), d.f(1, kv, 70, h), arr([s + 69], I32),
                             arr([s + 70], I32)])
    s = 4
    for mode in (1, 2):
        yield Case(op, f"qk{mode}", [q, k, v, *none, *prompt], {**heads, "qk_output": mode},
                   outputs=4)


def attention_cases():
    for family in (rope, mha, attention, gqa):
        yield from family()
