"""Operators that opset 28 changed, for make_ms_cases.py; the stored corpus of onnx 1.22.0 has none.

Opset 28 gave most of them bfloat16 or more element types and Cast, QuantizeLinear and
DequantizeLinear new ones. The values are NumPy's, written from the standard's text.
"""
import numpy as np
from make_ms_cases import Case, Draw, F16, F32, F64, I32, I64, I8, U8, arr
from ml_dtypes import bfloat16

I16, U16 = np.int16, np.uint16


def case(op, variant, inputs, numpy, attrs=None, **more):
    return Case(op, variant, inputs, attrs, domain="", family="opset28", numpy=numpy, **more)


def wide(a):
    return np.asarray(a).astype(F64)


def celu(alpha):
    return lambda x: [(np.maximum(0, wide(x)) + np.minimum(
        0, alpha * (np.exp(wide(x) / alpha) - 1))).astype(x.dtype)]


def swiglu(alpha):
    """The gate a times sigmoid(alpha a), times b."""
    return lambda a, b: [(wide(a) / (1 + np.exp(-alpha * wide(a))) * wide(b)).astype(a.dtype)]


def elementwise():
    d = Draw("opset28")
    for dt in (F16, bfloat16, F64):
        name = np.dtype(dt).name
        yield case("SwiGLU", name, [d.f(2, 7, dt=dt), d.f(2, 7, dt=dt)], swiglu(1.5),
                   {"alpha": 1.5})
        yield case("Celu", name, [d.f(3, 5, dt=dt, scale=2)], celu(0.5), {"alpha": 0.5})
    for dt in (bfloat16, F16):
        a, b = d.f(4, 6, dt=dt, scale=4), d.f(6, dt=dt, scale=2)
        yield case("Mod", "fmod_" + np.dtype(dt).name, [a, b], lambda a, b: [
            np.fmod(wide(a), wide(b)).astype(a.dtype)], {"fmod": 1})
    yield case("Mod", "int16", [d.i(9, dt=I16, lo=-20, hi=20), arr([3] * 4 + [-7] * 5, I16)],
               lambda a, b: [np.mod(a, b)])
    for dt in (I8, I16, I32, I64):
        for way in ("LEFT", "RIGHT"):
            shift = np.left_shift if way == "LEFT" else np.right_shift
            yield case("BitShift", f"{way.lower()}_{np.dtype(dt).name}",
                       [d.i(8, dt=dt, lo=0, hi=30), arr([0, 1, 2, 3] * 2, dt)],
                       lambda a, b, f=shift: [f(a, b).astype(a.dtype)], {"direction": way})
    yield case("Compress", "bfloat16", [d.f(4, 3, dt=bfloat16), arr([1, 0, 1], bool)],
               lambda x, c: [np.compress(c, x, axis=0)], {"axis": 0}, symbolic=True)


def moving():
    d = Draw("moving28")

    def depth(x, b, mode):
        n, c, h, w = x.shape
        if mode == "DCR":
            y = x.reshape(n, b, b, c // b // b, h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, c // b // b, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return [np.ascontiguousarray(y.reshape(n, c // b // b, h * b, w * b))]
    for mode in ("DCR", "CRD"):
        yield case("DepthToSpace", "bfloat16_" + mode.lower(), [d.f(2, 8, 2, 3, dt=bfloat16)],
                   lambda x, m=mode: depth(x, 2, m), {"blocksize": 2, "mode": mode})
    yield case("SpaceToDepth", "bfloat16", [d.f(2, 2, 4, 6, dt=bfloat16)], lambda x: [
        np.ascontiguousarray(x.reshape(2, 2, 2, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(
            2, 8, 2, 3))], {"blocksize": 2})

    def reverse(x, lengths):
        y = x.copy()
        for b, n in enumerate(lengths):
            y[:n, b] = x[:n, b][::-1]
        return [y]
    yield case("ReverseSequence", "bfloat16", [d.f(5, 3, 2, dt=bfloat16), arr([5, 1, 3], I64)],
               reverse, {"time_axis": 0, "batch_axis": 1})

    def one_hot(indices, depth, values):
        hot = np.arange(depth) == (indices % depth)[..., None]
        return [np.where(hot, values[1], values[0]).astype(values.dtype)]
    yield case("OneHot", "bfloat16", [arr([0, 2, -1, 1], I64), arr(4, I64), arr([0, 2], bfloat16)],
               one_hot, const=[1])
    yield case("Unique", "bfloat16", [arr([2, 1, 1, 3, 4, 3], bfloat16)], lambda x: [
        v.astype(x.dtype) if i == 0 else v.astype(I64) for i, v in enumerate(np.unique(
            wide(x), return_index=True, return_inverse=True, return_counts=True))], outputs=4,
        symbolic=True)


def reducing():
    d = Draw("reducing28")
    for op, f in (("ReduceLogSum", lambda x: np.log(x.sum(1, keepdims=True))),
                  ("ReduceLogSumExp", lambda x: np.log(np.exp(x).sum(1, keepdims=True)))):
        for dt in (F16, bfloat16):
            yield case(op, np.dtype(dt).name, [d.u(3, 4, 2, dt=dt, lo=0.5, hi=3), arr([1], I64)],
                       lambda x, axes, f=f: [f(wide(x)).astype(x.dtype)], const=[1])
    yield case("Einsum", "bfloat16", [d.f(3, 4, dt=bfloat16), d.f(4, 5, dt=bfloat16)],
               lambda a, b: [np.einsum("ij,jk->ki", wide(a), wide(b)).astype(a.dtype)],
               {"equation": "ij,jk->ki"})


def quantized():
    d = Draw("quantized28")

    def quantize(x, scale, zero):
        info = np.iinfo(zero.dtype)
        y = np.rint(wide(x) / wide(scale)) + wide(zero)
        return [y.clip(info.min, info.max).astype(zero.dtype)]

    def dequantize(x, scale, zero):
        return [((wide(x) - wide(zero)) * wide(scale)).astype(scale.dtype)]
    for dt in (U8, I8, U16, I16):
        name = np.dtype(dt).name
        yield case("QuantizeLinear", name, [d.f(3, 4, scale=40), arr(0.25), arr(3, dt)], quantize)
        yield case("DequantizeLinear", name, [d.q(3, 4, dt=dt), arr(0.25), arr(3, dt)], dequantize)
    yield case("Cast", "bfloat16_int8", [arr([-3.5, 0.25, 7.75, 100], bfloat16)],
               lambda x: [np.trunc(wide(x)).astype(I8)], {"to": 3})
    yield case("Cast", "int64_float16", [arr([-3, 60001, 2049, 0], I64)],
               lambda x: [x.astype(F64).astype(F16)], {"to": 10})


def opset28_cases():
    for family in (elementwise, moving, reducing, quantized):
        yield from family()
