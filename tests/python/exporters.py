"""
Small transformers as exporters write them: a graph under construction, and the pieces in the forms
of torch.onnx (TorchScript and dynamo), optimum and timm. Weights follow from a seed.
"""
from pycommon import IR, TensorProto, helper, np, onnx

F32, F16, BF16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
I64, BOOL = TensorProto.INT64, TensorProto.BOOL
LOWEST = {F32: float(np.finfo(np.float32).min), F16: -65504.0, BF16: -3.3895314e38}
END = 2**63 - 1
DIM, HEADS, HEAD = 16, 4, 4
BATCH, LEN, PAST = 2, 5, 3
SIZES = {"B": BATCH, "S": LEN, "P": PAST, "T": LEN + PAST}


class Graph:
    """Operands are names, or numbers and arrays, which become initialisers."""

    def __init__(self, opset, dtype=F32):
        self.opset, self.dtype = opset, dtype
        self.rng = np.random.default_rng(7)
        self.nodes, self.inits, self.inputs, self.outputs, self.feed = [], [], [], [], {}

    def const(self, value, dtype=None):
        if dtype is None:
            kind = np.asarray(value).dtype.kind
            dtype = {"i": I64, "b": BOOL}.get(kind, self.dtype)
        array = np.asarray(value)
        name = f"c{len(self.inits)}"
        if dtype == BF16:
            flat = array.astype(np.float32).reshape(-1).tolist()
            self.inits.append(helper.make_tensor(name, BF16, array.shape, flat))
        else:
            array = np.array(array, helper.tensor_dtype_to_np_dtype(dtype), order="C")
            self.inits.append(onnx.numpy_helper.from_array(array, name))
        return name

    def op(self, kind, *ins, n=1, **attrs):
        names = [i if isinstance(i, str) else self.const(i) for i in ins]
        outs = [f"v{len(self.nodes)}_{k}" for k in range(n)]
        self.nodes.append(helper.make_node(kind, names, outs, name=f"{kind}_{len(self.nodes)}",
                                           **attrs))
        return outs[0] if n == 1 else outs

    def input(self, name, dims, dtype=None, values=None):
        dtype = dtype or self.dtype
        self.inputs.append(helper.make_tensor_value_info(name, dtype, dims))
        if values is None:
            values = self.rng.standard_normal([SIZES.get(d, d) for d in dims])
        self.feed[name] = np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(dtype))
        return name

    def output(self, value, name=None):
        if name:
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_empty_tensor_value_info(name or value))

    def weight(self, *dims):
        return self.const(self.rng.standard_normal(dims) / np.sqrt(dims[0]))

    def model(self):
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.inits)
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=min(IR, 10))

    # ---- shapes -----------------------------------------------------------------------------

    def size(self, x, axis):
        """One extent, [1]: as TorchScript takes it out of a shape."""
        return self.op("Unsqueeze", self.op("Gather", self.op("Shape", x), axis), [0])

    def reshape(self, x, *dims):
        """Extents are numbers or (value, axis)."""
        if all(isinstance(d, int) for d in dims):
            return self.op("Reshape", x, list(dims))
        parts = [[d] if isinstance(d, int) else self.size(*d) for d in dims]
        return self.op("Reshape", x, self.op("Concat", *parts, axis=0))

    def transpose(self, x, *perm):
        return self.op("Transpose", x, perm=list(perm))

    def slice(self, x, start, end, axis):
        return self.op("Slice", x, [start], [end], [axis], [1])

    def cast(self, x, dtype):
        return self.op("Cast", x, to=dtype)

    def unsqueeze(self, x, *axes):
        return self.op("Unsqueeze", x, list(axes))

    # ---- pieces -----------------------------------------------------------------------------

    def linear(self, x, n_in, n_out, bias=True):
        y = self.op("MatMul", x, self.weight(n_in, n_out))
        return self.op("Add", self.const(self.rng.standard_normal(n_out) / 8), y) if bias else y

    def conv1d(self, x, n_in, n_out):
        """GPT-2's linear layer: Gemm over two axes."""
        flat = self.reshape(x, -1, n_in)
        y = self.op("Gemm", flat, self.weight(n_in, n_out), self.rng.standard_normal(n_out) / 8,
                    beta=1.0, alpha=1.0)
        return self.reshape(y, (x, 0), (x, 1), n_out)

    def mean(self, x):
        if self.opset >= 18:
            return self.op("ReduceMean", x, [-1], keepdims=1)
        return self.op("ReduceMean", x, axes=[-1], keepdims=1)

    def layer_norm(self, x, eps=1e-5, up=False):
        """The operator from opset 17 on, before that as arithmetic; `up`: in f32 between casts."""
        scale, bias = 1 + self.rng.standard_normal(DIM) / 8, self.rng.standard_normal(DIM) / 8
        if self.opset >= 17 and not up:
            return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps)
        kind = F32 if up else self.dtype
        x = self.cast(x, F32) if up else x
        d = self.op("Sub", x, self.mean(x))
        var = self.mean(self.op("Pow", d, self.const(2.0, kind)))
        dev = self.op("Sqrt", self.op("Add", var, self.const(eps, kind)))
        y = self.op("Mul", self.op("Div", d, dev), self.const(scale, kind))
        y = self.op("Add", y, self.const(bias, kind))
        return self.cast(y, self.dtype) if up else y

    def rms_norm(self, x, eps=1e-6, form="div", up=False):
        """weight * x / sqrt(mean(x^2) + eps); `up`: all but the weight in f32 between casts."""
        h = self.cast(x, F32) if up else x
        kind = F32 if up else self.dtype
        var = self.mean(self.op("Pow", h, self.const(2.0, kind)))
        root = self.op("Sqrt", self.op("Add", var, self.const(eps, kind)))
        if form == "div":
            root = self.op("Div", self.const(1.0, kind), root)
        else:
            root = self.op("Reciprocal", root)
        y = self.op("Mul", h, root)
        y = self.cast(y, self.dtype) if up else y
        return self.op("Mul", self.const(1 + self.rng.standard_normal(DIM) / 8), y)

    def gelu(self, x, form):
        if form == "op":
            return self.op("Gelu", x)
        if form == "quick":
            return self.op("Mul", x, self.op("Sigmoid", self.op("Mul", x, 1.702)))
        if form == "erf":
            e = self.op("Add", self.op("Erf", self.op("Div", x, np.sqrt(2.0))), 1.0)
            return self.op("Mul", self.op("Mul", x, e), 0.5)
        if form == "erf_dynamo":
            e = self.op("Add", self.op("Erf", self.op("Mul", x, np.sqrt(0.5))), 1.0)
            return self.op("Mul", self.op("Mul", x, 0.5), e)
        cube = self.op("Mul", self.op("Pow", x, 3.0), 0.044715)
        t = self.op("Tanh", self.op("Mul", self.op("Add", x, cube), np.sqrt(2 / np.pi)))
        return self.op("Mul", self.op("Mul", 0.5, x), self.op("Add", t, 1.0))

    def mlp(self, x, form):
        return self.linear(self.gelu(self.linear(x, DIM, 2 * DIM), form), 2 * DIM, DIM)

    def swiglu(self, x):
        gate = self.linear(x, DIM, 2 * DIM, False)
        up = self.linear(x, DIM, 2 * DIM, False)
        act = self.op("Mul", gate, self.op("Sigmoid", gate))
        return self.linear(self.op("Mul", act, up), 2 * DIM, DIM, False)

    def heads(self, x, dynamic=True, n=HEADS):
        """[B, S, n * HEAD] to [B, n, S, HEAD]."""
        four = (((x, 0), (x, 1)) if dynamic else (0, 0)) + (n, HEAD)
        return self.transpose(self.reshape(x, *four), 0, 2, 1, 3)

    def merge(self, x, dynamic=True):
        y = self.transpose(x, 0, 2, 1, 3)
        return self.reshape(y, *(((y, 0), (y, 1)) if dynamic else (0, 0)), DIM)

    # ---- attention --------------------------------------------------------------------------

    def softmax(self, scores, guard=False, up=False):
        s = self.cast(scores, F32) if up else scores
        p = self.op("Softmax", s, axis=-1)
        p = self.cast(p, self.dtype) if up else p
        return self.op("Where", self.op("IsNaN", p), 0.0, p) if guard else p

    def eager(self, q, k, v, mask=None, scale="div", up=False):
        """Scores divided or multiplied afterwards, or queries scaled before ("none": they are)."""
        s = self.op("MatMul", q, self.transpose(k, 0, 1, 3, 2))
        if scale != "none":
            s = self.op("Div", s, np.sqrt(HEAD)) if scale == "div" else self.op("Mul", s, 0.5)
        if mask:
            s = self.op("Add", s, mask)
        return self.op("MatMul", self.softmax(s, up=up), v)

    def sdpa(self, q, k, v, mask=None, guard=False):
        """TorchScript's scaled_dot_product_attention: the root of the scale on both factors."""
        last = self.slice(self.op("Shape", q), -1, END, 0)
        scale = self.op("Div", self.const([1.0], self.dtype),
                        self.op("Sqrt", self.cast(last, self.dtype)))
        kt = self.op("Mul", self.transpose(k, 0, 1, 3, 2), self.op("Sqrt", scale))
        s = self.op("MatMul", self.op("Mul", q, self.op("Sqrt", scale)), kt)
        s = self.op("Add", s, mask) if mask else s
        return self.op("MatMul", self.softmax(s, guard), v)

    def sdpa_dynamo(self, q, k, v, mask=None, guard=False):
        """torchlib: the keys become [-1, T, d] to be transposed."""
        shape = self.op("Shape", k)
        last, rows = self.slice(shape, -1, END, 0), self.slice(shape, -2, -1, 0)
        flat = self.op("Reshape", k, self.op("Concat", [-1], rows, last, axis=0), allowzero=0)
        back = self.op("Concat", self.slice(shape, 0, -2, 0), last, rows, axis=0)
        kt = self.op("Reshape", self.transpose(flat, 0, 2, 1), back, allowzero=0)
        root = np.sqrt(1 / np.sqrt(HEAD))
        s = self.op("MatMul", self.op("Mul", q, root), self.op("Mul", kt, root))
        s = self.op("Add", s, mask) if mask else s
        return self.op("MatMul", self.softmax(s, guard), v)

    def bmm(self, q, k, v, mask=None):
        """BART's way: batch and heads are one axis, the mask is added on four axes."""
        flat = [self.reshape(x, -1, (x, 2), HEAD) for x in (q, k, v)]
        s = self.op("MatMul", flat[0], self.transpose(flat[1], 0, 2, 1))
        if mask:
            s4 = self.reshape(s, (q, 0), HEADS, (q, 2), (k, 2))
            s = self.reshape(self.op("Add", s4, mask), -1, (q, 2), (k, 2))
        y = self.op("MatMul", self.softmax(s), flat[2])
        return self.reshape(y, (q, 0), HEADS, (q, 2), HEAD)

    def qkv(self, x, k_bias=True):
        return [self.linear(x, DIM, DIM, b) for b in (True, k_bias, True)]

    # ---- masks ------------------------------------------------------------------------------

    def padding(self, name="attention_mask", length="S"):
        """i64 [B, T], the second row ends early; as [B, 1, 1, T] of 0 and the lowest number."""
        keep = np.ones((BATCH, SIZES[length]))
        keep[1, -2:] = 0
        m = self.unsqueeze(self.input(name, ["B", length], I64, keep), 1, 2)
        m = self.op("Sub", 1.0, self.cast(m, self.dtype))
        return self.op("Mul", m, LOWEST[self.dtype])

    def causal(self, q, k):
        """[S, T] of 0 and -inf by Trilu, as is_causal of TorchScript."""
        rows = self.slice(self.op("Shape", q), -2, -1, 0)
        cols = self.slice(self.op("Shape", k), -2, -1, 0)
        ones = self.op("Expand", self.const([1.0]), self.op("Concat", rows, cols, axis=0))
        low = self.op("Trilu", ones, upper=0)
        return self.op("Where", self.op("Equal", low, 0.0), -np.inf, 0.0)
