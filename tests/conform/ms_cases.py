"""The com.microsoft operators and their variants, for make_ms_cases.py."""
import numpy as np
from make_ms_cases import Case, Draw, F16, F32, F64, I32, I64, I8, U8, arr
from ml_cases import all_ml_cases
from ms_attention_cases import attention_cases
from ms_weight_cases import weight_cases
from opset28_cases import opset28_cases



def elementwise():
    for op in ("Gelu", "QuickGelu"):
        for dt, tag in ((F32, "f32"),):
            d = Draw(op + tag)
            yield Case(op, tag, [d.f(3, 4, 5, dt=dt, scale=2)])
    yield Case("QuickGelu", "alpha", [Draw("qg").f(4, 6)], {"alpha": 1.0})
    d = Draw("fastgelu")
    yield Case("FastGelu", "plain", [d.f(2, 3, 8, scale=2)])
    yield Case("FastGelu", "bias", [d.f(2, 3, 8, scale=2), d.f(8)])
    yield Case("FastGelu", "symbolic", [d.f(2, 3, 8, scale=2), d.f(8)], symbolic=True)
    yield Case("BiasGelu", "f32", [d.f(2, 3, 8), d.f(8)])
    yield Case("Trilu", "upper", [d.f(2, 5, 4), arr(1, I64)])
    yield Case("Trilu", "lower", [d.i(4, 6, dt=I64), arr(-1, I64)], {"upper": 0})
    yield Case("Range", "f32", [arr([1.0]), arr([4.0]), arr([0.5])])
    yield Case("Range", "nodelta", [arr(2, I64), arr(9, I64)])
    yield Case("Pad", "constant", [d.f(2, 3), arr([[0, 1, 2, 0]], I64), arr([1.5])])
    yield Case("Pad", "reflect", [d.f(3, 4), arr([1, 1, 1, 2], I64)], {"mode": "reflect"})
    yield Case("Unique", "f32", [arr([2, 1, 1, 3, 4, 3])], outputs=3,
               out_types=["FLOAT", "INT64", "INT64"])
    yield Case("ExpandDims", "axis1", [d.f(2, 3), arr(1, I32)], const=[1])
    yield Case("ExpandDims", "last", [d.f(2, 3), arr(-1, I32)], const=[1])
    yield Case("GatherND", "i32", [d.f(3, 4, 5), arr([[0, 1], [2, 3]], I32)])
    for mode in ("bilinear", "nearest", "bicubic"):
        for pad in ("zeros", "border", "reflection"):
            yield Case("GridSample", f"{mode}_{pad}",
                       [d.f(2, 3, 4, 5), d.u(2, 3, 2, 2, lo=-1.3, hi=1.3)],
                       {"mode": mode, "padding_mode": pad, "align_corners": len(pad) % 2})
    yield Case("GridSample", "default", [d.f(1, 2, 4, 5), d.u(1, 3, 2, 2, lo=-1.0)])


def linear():
    d = Draw("linear")
    a, b = d.f(2, 3, 4), d.f(2, 4, 5)
    t = lambda x: np.ascontiguousarray(np.swapaxes(x, -1, -2))
    yield Case("FusedMatMul", "plain", [a, b])
    yield Case("FusedMatMul", "alpha", [a, b], {"alpha": 0.25})
    yield Case("FusedMatMul", "ta", [t(a), b], {"transA": 1})
    yield Case("FusedMatMul", "tb", [a, t(b)], {"transB": 1, "alpha": 2.0})
    yield Case("FusedMatMul", "tatb", [t(a), t(b)], {"transA": 1, "transB": 1})
    yield Case("FusedMatMul", "vector", [d.f(4), d.f(4, 5)], {"transA": 1})
    yield Case("FusedMatMul", "constb", [a, t(b)], {"transB": 1}, const=[1])
    yield Case("FusedMatMul", "batcha", [d.f(3, 2, 6, 4), d.f(2, 6, 4, 5)], {"transBatchA": 1})
    yield Case("FusedMatMul", "batchab", [d.f(3, 2, 6, 4), d.f(4, 2, 6, 5)],
               {"transBatchA": 1, "transBatchB": 1})
    yield Case("FusedMatMul", "batchta", [d.f(3, 2, 6, 4), d.f(2, 6, 3, 5)],
               {"transBatchA": 1, "transA": 1})
    yield Case("TransposeMatMul", "tb", [a, t(b)], {"transB": 1})
    yield Case("FusedMatMulActivation", "relu", [a, t(b)],
               {"transB": 1, "alpha": 0.5, "activation": "Relu"},
               numpy=lambda x, y: [np.maximum(0, 0.5 * (x @ t(y))).astype(F32)])
    yield Case("FusedMatMulActivation", "leaky", [t(a), b],
               {"transA": 1, "activation": "LeakyRelu", "activation_alpha": 0.25},
               numpy=lambda x, y: [np.where(t(x) @ y > 0, t(x) @ y, 0.25 * (t(x) @ y)).astype(F32)])
    for act, more in (("Relu", {}), ("Tanh", {}), ("Sigmoid", {}),
                      ("LeakyRelu", {"activation_alpha": 0.2}), ("Elu", {"activation_alpha": 0.7}),
                      ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
                      ("Softplus", {}), ("Softsign", {}),
                      ("ThresholdedRelu", {"activation_alpha": 0.5})):
        yield Case("FusedGemm", act.lower(), [d.f(3, 4), d.f(5, 4), d.f(5)],
                   {"activation": act, "transB": 1, "alpha": 0.5, "beta": 2.0, **more})
    yield Case("FusedGemm", "noc", [d.f(3, 4), d.f(4, 5)], {"activation": "Relu"})
    x, w = d.f(2, 4, 6, 5), d.f(3, 4, 3, 3)
    yield Case("FusedConv", "relu", [x, w, d.f(3)], {"activation": "Relu", "pads": [1, 1, 1, 1]})
    yield Case("FusedConv", "leaky", [x, w], {"activation": "LeakyRelu", "activation_params": [0.1],
                                              "strides": [2, 2]})
    yield Case("FusedConv", "clip", [x, w, d.f(3)], {"activation": "Clip",
                                                     "activation_params": [-0.5, 1.5]})
    yield Case("FusedConv", "hardsigmoid", [x, w, d.f(3)], {"activation": "HardSigmoid",
                                                            "activation_params": [0.25, 0.4]})
    yield Case("FusedConv", "residual", [x, w, d.f(3), d.f(2, 3, 6, 5)],
               {"activation": "Relu", "pads": [1, 1, 1, 1]}, const=[1, 2])
    yield Case("FusedConv", "none", [x, w, None, d.f(2, 3, 4, 3)])

    def nhwc(x, w, b=None, z=None):
        """NumPy: stride 1, pads 1, 3x3; w is [M, C, 3, 3]."""
        p = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        y = sum(np.einsum("nhwc,mc->nhwm", p[:, i:i + x.shape[1], j:j + x.shape[2]], w[:, :, i, j])
                for i in range(3) for j in range(3))
        return y + (0 if b is None else b) + (0 if z is None else z)

    x = d.f(2, 5, 6, 4)
    attrs = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    yield Case("NhwcConv", "bias", [x, np.ascontiguousarray(w.transpose(0, 2, 3, 1)), d.f(3)],
               attrs,
               numpy=lambda x, w, b: [nhwc(x, w.transpose(0, 3, 1, 2), b).astype(F32)])
    yield Case("NhwcFusedConv", "relu", [x, w, d.f(3), d.f(2, 5, 6, 3)],
               {**attrs, "activation": "Relu"},
               numpy=lambda *v: [np.maximum(nhwc(*v), 0).astype(F32)])
    for dt in (U8, I8):
        yield Case("NhwcMaxPool", dt.__name__, [d.q(1, 6, 7, 3, dt=dt)],
                   {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]})


def norms():
    d = Draw("norms")
    x, g, b = d.f(2, 3, 8), d.f(8), d.f(8)
    yield Case("SkipLayerNormalization", "plain", [x, d.f(2, 3, 8), g])
    yield Case("SkipLayerNormalization", "all", [x, d.f(2, 3, 8), g, b, d.f(8)],
               {"epsilon": 1e-5}, outputs=[True, False, False, True])
    yield Case("SkipLayerNormalization", "broadcast", [x, d.f(3, 8), g, b])
    yield Case("SkipLayerNormalization", "broadcast3", [x, d.f(1, 3, 8), g, b], symbolic=True)
    h = [v.astype(F16) for v in (x, d.f(2, 3, 8), g, b)]
    yield Case("SkipLayerNormalization", "f16", h)
    yield Case("SkipSimplifiedLayerNormalization", "plain", [x, d.f(2, 3, 8), g],
               {"epsilon": 1e-6})
    yield Case("SkipSimplifiedLayerNormalization", "all", [x, d.f(2, 3, 8), g, d.f(8)],
               {"epsilon": 1e-6}, outputs=[True, False, False, True])
    yield Case("SimplifiedLayerNormalization", "plain", [x, g], {"epsilon": 1e-6, "axis": -1},
               domain="")
    yield Case("SimplifiedLayerNormalization", "stat", [x, d.f(3, 8)], {"epsilon": 1e-5, "axis": 1},
               domain="", outputs=2)
    ids, seg = d.i(2, 5, hi=11), d.i(2, 5, hi=2)
    tables = [d.f(11, 8), d.f(7, 8)]
    mask = arr([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], I32)
    types = ["FLOAT", "INT32", "FLOAT"]
    yield Case("EmbedLayerNormalization", "all", [ids, seg, *tables, d.f(2, 8), g, b, mask],
               {"epsilon": 1e-5}, outputs=3, out_types=types)
    yield Case("EmbedLayerNormalization", "nosegment", [ids, None, *tables, None, g, b], outputs=2,
               out_types=types[:2])
    yield Case("EmbedLayerNormalization", "positions",
               [ids, seg, *tables, d.f(2, 8), g, b, None, d.i(2, 5, hi=7)], outputs=2,
               out_types=types[:2], const=[2, 3, 4, 5, 6])
    yield Case("EmbedLayerNormalization", "symbolic", [ids, seg, *tables, d.f(2, 8), g, b, mask],
               outputs=2, out_types=types[:2], symbolic=True,
               const=[2, 3, 4, 5, 6])
    q = [d.q(11, 8), d.q(7, 8), d.q(2, 8), d.q(8), d.q(8)]
    scales = [arr(v) for v in (0.02, 0.03, 0.01, 0.02, 0.015)]
    zps = [arr(v, U8) for v in (120, 128, 99, 3, 130)]
    yield Case("QEmbedLayerNormalization", "u8",
               [ids, seg, *q, mask, *scales, *zps], outputs=2, out_types=types[:2],
               const=list(range(2, 7)) + list(range(8, 18)))


def qlinear():
    for dt in (U8, I8):
        tag, z = dt.__name__, (lambda v, dt=dt: arr(v if dt is U8 else v - 128, dt))
        d = Draw("qlinear" + tag)
        x, y = d.q(2, 3, 4, dt=dt), d.q(3, 4, dt=dt)
        for op, scale in (("QLinearAdd", 0.043), ("QLinearMul", 0.051)):
            yield Case(op, tag, [x, arr(0.021), z(120), y, arr(0.017), z(99), arr(scale), z(131)])
            yield Case(op, tag + "_scalar",
                       [x, arr(0.021), z(120), d.q(1, dt=dt), arr(0.017), z(99), arr(scale),
                        z(131)])
        qp = [arr(0.07), z(110), arr(0.006), z(5)]
        yield Case("QLinearSigmoid", tag, [x, *qp])
        yield Case("QLinearLeakyRelu", tag, [x, arr(0.07), z(110), arr(0.06), z(20)],
                   {"alpha": 0.13})
        soft = [arr(0.05), z(128), arr(1 / 256), z(0)]
        yield Case("QLinearSoftmax", tag, [x, *soft], {"axis": -1, "opset": 13})
        yield Case("QLinearSoftmax", tag + "_axis1", [x, *soft], {"axis": 1, "opset": 13})
        yield Case("QLinearSoftmax", tag + "_flat", [x, *soft], {"axis": 1, "opset": 11})
        img = d.q(2, 3, 6, 5, dt=dt)
        last = np.ascontiguousarray(img.transpose(0, 2, 3, 1))
        pool = [arr(0.03), z(128), arr(0.021), z(120)]
        attrs = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
        yield Case("QLinearAveragePool", tag, [img, *pool], attrs)
        yield Case("QLinearAveragePool", tag + "_pad", [img, *pool],
                   {**attrs, "count_include_pad": 1})
        yield Case("QLinearAveragePool", tag + "_last", [last, *pool],
                   {**attrs, "channels_last": 1})
        yield Case("QLinearGlobalAveragePool", tag, [img, arr(0.03), z(128), arr(0.005), z(120)])
        yield Case("QLinearGlobalAveragePool", tag + "_last",
                   [last, arr(0.03), z(128), arr(0.005), z(120)], {"channels_last": 1})
        yield Case("QLinearConcat", tag,
                   [arr(0.05), z(100), x, arr(0.05), z(100), d.q(2, 1, 4, dt=dt), arr(0.04), z(77)],
                   {"axis": 1}, out_types=["UINT8" if dt is U8 else "INT8"],
                   const=[0, 1, 3, 4, 6, 7])
        yield Case("QLinearWhere", tag,
                   [d.i(2, 3, 4, hi=2).astype(bool), x, arr(0.02), z(99), y, arr(0.03), z(120),
                    arr(0.04), z(128)], out_types=["UINT8" if dt is U8 else "INT8"],
                   const=[2, 3, 5, 6, 7, 8])

        def mean(x, xs, xz, ys, yz, dt=dt):
            m = np.mean((x.astype(F32) - xz) * xs, axis=(0, 2), keepdims=True)
            info = np.iinfo(dt)
            return [np.clip(np.rint(m / ys) + yz, info.min, info.max).astype(dt)]
        yield Case("QLinearReduceMean", tag, [x, arr(0.02), z(99), arr(0.0041), z(120)],
                   {"axes": [0, 2], "keepdims": 1}, numpy=mean)
        conv = [arr(0.02), z(128), d.q(4, 3, 3, 3, dt=I8), d.u(4, lo=0.01, hi=0.03),
                np.zeros(4, I8), arr(0.3), z(120), d.i(4, lo=-900, hi=900)]
        if dt is U8:
            yield Case("QLinearConv", "first", [img, *conv], {"pads": [1, 1, 1, 1]},
                       const=[1, 2, 3, 4, 5, 6, 7, 8])
            yield Case("QLinearConv", "last", [last, *conv],
                       {"pads": [1, 1, 1, 1], "channels_last": 1}, const=[1, 2, 3, 4, 5, 6, 7, 8])


def qmatmul():
    d = Draw("qmatmul")
    a, b = d.q(2, 5, 8), d.q(8, 6, dt=I8)
    yield Case("MatMulIntegerToFloat", "scalar", [a, b, arr(0.02), arr(0.03), arr(120, U8)],
               out_types=["FLOAT"])
    yield Case("MatMulIntegerToFloat", "column",
               [a, b, arr(0.02), d.u(6, lo=0.01, hi=0.05), arr(120, U8), d.q(6, dt=I8), d.f(6)],
               out_types=["FLOAT"])
    yield Case("MatMulIntegerToFloat", "signed",
               [d.q(5, 8, dt=I8), b, arr(0.02), arr([0.03]), arr(3, I8), arr(-7, I8)],
               out_types=["FLOAT"])
    yield Case("DynamicQuantizeMatMul", "scalar", [d.f(2, 5, 8), b, arr(0.02)])
    yield Case("DynamicQuantizeMatMul", "column",
               [d.f(5, 8), b, d.u(6, lo=0.01, hi=0.05), d.q(6, dt=I8), d.f(6)],
               const=[1, 2, 3, 4])
    yield Case("DynamicQuantizeMatMul", "u8", [d.f(5, 8), d.q(8, 6), arr(0.03), arr(100, U8)])
    qa, qb, c = d.q(4, 8), d.q(8, 6), d.i(6, lo=-900, hi=900)
    yield Case("QGemm", "float", [qa, arr(0.02), arr(99, U8), qb, arr(0.03), arr(110, U8), c],
               {"alpha": 0.5}, out_types=["FLOAT"])
    yield Case("QGemm", "u8", [qa, arr(0.02), arr(99, U8), np.ascontiguousarray(qb.T), arr(0.03),
                               arr(110, U8), c, arr(0.9), arr(120, U8)], {"transB": 1})
    yield Case("QGemm", "column", [np.ascontiguousarray(qa.T), arr(0.02), arr(99, U8),
                                   d.q(8, 6, dt=I8), d.u(6, lo=0.01, hi=0.05), np.zeros(6, I8),
                                   None, arr(0.9), arr(120, U8)], {"transA": 1})
    i16 = np.int16
    yield Case("MatMulInteger16", "i16", [d.i(3, 4, dt=i16, lo=-900, hi=900),
                                          d.i(4, 5, dt=i16, lo=-900, hi=900)], out_types=["INT32"])


def qdq():
    d = Draw("qdq")
    for dt, t in ((U8, "UINT8"), (I8, "INT8"), (np.uint16, "UINT16"), (np.int16, "INT16")):
        wide = np.iinfo(dt).bits == 16
        s = 0.0003 if wide else 0.03
        yield Case("QuantizeLinear", t.lower(), [d.f(3, 4, scale=3), arr(s), arr(7, dt)],
                   out_types=[t])
        yield Case("DequantizeLinear", t.lower(), [d.q(3, 4, dt=dt), arr(s), arr(7, dt)],
                   out_types=["FLOAT"])
    yield Case("QuantizeLinear", "axis", [d.f(3, 4), d.u(3, lo=0.01, hi=0.1), d.q(3)], {"axis": 0},
               out_types=["UINT8"])
    yield Case("QuantizeLinear", "f16", [d.f(3, 4, dt=F16), arr(0.03, F16), arr(7, U8)],
               out_types=["UINT8"])
    yield Case("DequantizeLinear", "axis", [d.q(3, 4), d.u(4, lo=0.01, hi=0.1), d.q(4)],
               {"axis": 1}, out_types=["FLOAT"])
    yield Case("DequantizeLinear", "i32", [d.i(3, 4, lo=-9999, hi=9999), arr(0.01)],
               out_types=["FLOAT"])


def lstm(x, w, r, ws, wz, rs, rz, bias=None):
    """Exact activations, forward direction: X [T, B, I], W [1, I, 4H]."""
    wf = (w[0].astype(F64) - wz) * ws
    rf = (r[0].astype(F64) - rz) * rs
    n = r.shape[1]
    h = c = np.zeros((x.shape[1], n))
    bias = 0 if bias is None else bias[0, :4 * n] + bias[0, 4 * n:]
    sig = lambda v: 1 / (1 + np.exp(-v))
    out = []
    for xt in x:
        g = xt @ wf + h @ rf + bias
        i, o, f, k = np.split(g, 4, axis=1)
        c = sig(f) * c + sig(i) * np.tanh(k)
        h = sig(o) * np.tanh(c)
        out.append(h)
    return [np.stack(out)[:, None].astype(F32), h[None].astype(F32), c[None].astype(F32)]


def recurrent():
    d = Draw("lstm")
    t, b, i, h = 4, 2, 3, 5
    x, w, r = d.f(t, b, i), d.q(1, i, 4 * h), d.q(1, h, 4 * h)
    q = [arr([0.004]), arr([120], U8), arr([0.005]), arr([131], U8)]
    yield Case("DynamicQuantizeLSTM", "tensor", [x, w, r, None, None, None, None, None, *q],
               outputs=3, numpy=lambda x, w, r, *m: lstm(x, w, r, *m[-4:]))
    col = [d.u(1, 4 * h, lo=0.003, hi=0.006), d.q(1, 4 * h, dt=I8) // 4,
           d.u(1, 4 * h, lo=0.003, hi=0.006), d.q(1, 4 * h, dt=I8) // 4]
    yield Case("DynamicQuantizeLSTM", "column",
               [x, d.q(1, i, 4 * h, dt=I8), d.q(1, h, 4 * h, dt=I8), d.f(1, 8 * h), None, None,
                None, None, *col], outputs=3,
               numpy=lambda x, w, r, b, *m: lstm(x, w, r, *m[-4:], bias=b))


def tokenizer():
    op = "Tokenizer"
    words = ["the cat's 12 hats", "", "a  b", "\u00fcber-\u03b1\u03b2 na\u00efve", "  "]
    one, two = arr(words, object), arr([words[:2], words[2:4]], object)
    base = {"mark": 0, "pad_value": "#", "mincharnum": 1}
    for tag, exp in (("word", "[a-zA-Z0-9_]+"), ("longest", "a|at|[bc]?a+t?|[0-9]"),
                     ("two", "[^ ][^ ]"), ("edge", "\\b[a-z]"), ("lazy", "t.*?s|a")):
        yield Case(op, tag, [one], {**base, "tokenexp": exp}, symbolic=True)
    yield Case(op, "mark", [two], {**base, "tokenexp": "[a-z]+", "mark": 1, "mincharnum": 2})
    yield Case(op, "chars", [two], {**base, "separators": [""]})
    yield Case(op, "charsmark", [one], {**base, "separators": [""], "mark": 1})
    yield Case(op, "separators", [one], {**base, "separators": [" ", "-"]})
    yield Case(op, "nothing", [one], {**base, "tokenexp": "Q", "mark": 1})


def all_cases():
    yield from tokenizer()
    for family in (elementwise, linear, norms, qlinear, qmatmul, qdq, recurrent):
        yield from family()
    yield from attention_cases()
    yield from weight_cases()
    yield from all_ml_cases()
    yield from opset28_cases()
