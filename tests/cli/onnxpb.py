"""
Just enough of the ONNX wire format to write models that no exporter would: messages are bytes, a
field is (number, value) with int -> varint, bytes or str -> length-delimited. Needs no package.
"""
import struct

F32, U8, I32, I64, STRING, BOOL, F16 = 1, 2, 6, 7, 8, 9, 10


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out + bytes([v]))


def field(num, value):
    if isinstance(value, int):
        return varint(num << 3) + varint(value)
    if isinstance(value, float):
        return varint(num << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(num << 3 | 2) + varint(len(value)) + value


def msg(*fields):
    return b"".join(field(n, v) for n, v in fields if v is not None)


def dim(d):
    return msg((2, d)) if isinstance(d, str) else b"" if d is None else msg((1, d))


def tensor_type(dtype, dims):
    shape = None if dims is None else msg(*[(1, dim(d)) for d in dims])
    return msg((1, msg((1, dtype), (2, shape))))


def info(name, dtype=F32, dims=("N",)):
    return msg((1, name), (2, tensor_type(dtype, dims)))


def tensor(name, dims, dtype=F32, raw=None, more=()):
    return msg(*[(1, d) for d in dims], (2, dtype), (8, name), (9, raw), *more)


def floats(name, dims, values):
    return tensor(name, dims, F32, struct.pack(f"<{len(values)}f", *values))


def ints(name, values):
    return tensor(name, [len(values)], I64, struct.pack(f"<{len(values)}q", *values))


def external(name, dims, location, **more):
    pairs = [("location", location)] + [(k, str(v)) for k, v in more.items()]
    return tensor(name, dims, more=[(13, msg((1, k), (2, v))) for k, v in pairs] + [(14, 1)])


ATTR_TYPES = {"f": (2, 1), "i": (3, 2), "s": (4, 3), "t": (5, 4), "g": (6, 5), "sparse": (22, 11)}


def attr(name, kind, value):
    """kind: f i s t g sparse, or ints floats strings."""
    if kind in ("ints", "floats", "strings"):
        num, typ = {"floats": (7, 6), "ints": (8, 7), "strings": (9, 8)}[kind]
        return msg((1, name), *[(num, v) for v in value], (20, typ))
    num, typ = ATTR_TYPES[kind]
    return msg((1, name), (num, value), (20, typ))


def node(op, ins, outs, *attrs, name=None, domain=None):
    return msg(*[(1, i) for i in ins], *[(2, o) for o in outs], (3, name), (4, op), (7, domain),
               *[(5, a) for a in attrs])


def graph(nodes, ins=(), outs=(), inits=(), name="g", more=()):
    return msg(*[(1, n) for n in nodes], (2, name), *[(5, t) for t in inits],
               *[(11, v) for v in ins], *[(12, v) for v in outs], *more)


def opset(version, domain=""):
    return msg((1, domain) if domain else (1, None), (2, version))


def model(g, opsets=((17, ""),), functions=(), ir=8, more=()):
    return msg((1, ir), *[(8, opset(v, d)) for v, d in opsets], (7, g),
               *[(25, f) for f in functions], *more)


def function(name, ins, outs, nodes, domain="my", opsets=((17, ""), (1, "my"))):
    return msg((1, name), *[(4, i) for i in ins], *[(5, o) for o in outs],
               *[(7, n) for n in nodes], *[(9, opset(v, d)) for v, d in opsets], (10, domain))


def simple(nodes, ins=None, outs=None, inits=(), **kw):
    """A model with input x float[N] and output y unless said otherwise."""
    return model(graph(nodes, ins if ins is not None else [info("x")],
                       outs if outs is not None else [info("y", dims=None)], inits), **kw)
