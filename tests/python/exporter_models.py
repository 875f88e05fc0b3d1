"""
Transformers of two layers in every form that exporters give them: MODELS maps a name to a function
that makes (graph, what the passes must find in it).
"""
from exporters import BATCH, BF16, BOOL, DIM, END, F16, F32, HEAD, HEADS, I64, LEN, LOWEST, Graph
from pycommon import helper, np

LAYERS = 2
ONE = helper.make_tensor("one", I64, [1], [1])
MODELS = {}


def model(*cases):
    """Each case is a name and the arguments with which the function makes it."""
    def register(fn):
        for name, *args in cases:
            MODELS[name] = lambda args=tuple(args): fn(*args)
        return fn
    return register


def embed(g):
    ids = g.input("input_ids", ["B", "S"], I64, np.arange(BATCH * LEN).reshape(BATCH, LEN))
    return g.op("Gather", g.weight(16, DIM), ids)


def visible(g):
    """bool [B, 1, 1, S]: the first sequence sees nothing at all."""
    keep = np.ones((BATCH, 1, 1, LEN), bool)
    keep[0] = False
    return g.input("visible", ["B", 1, 1, "S"], BOOL, keep)


@model(("bert_eager", "eager", 16), ("bert_no_mask", "plain", 14), ("bert_mul", "mul", 17),
       ("bert_sdpa", "sdpa", 14), ("bert_sdpa_guarded", "guard", 14), ("bert_dynamo", "dynamo", 20),
       ("bert_dynamo_guarded", "dynamo_guard", 18), ("bert_rank3", "bmm", 14))
def bert(form, opset):
    g = Graph(opset)
    x = g.layer_norm(embed(g), 1e-12)
    mask = None if form == "plain" or "guard" in form else g.padding()
    if "guard" in form:
        mask = g.op("Where", visible(g), 0.0, -np.inf)
    gelu = "op" if opset >= 20 else "erf_dynamo" if opset == 18 else "erf"
    for _ in range(LAYERS):
        q, k, v = g.qkv(x)
        if form == "bmm":
            q = g.op("Mul", q, 0.5)
        q, k, v = (g.heads(y, "dynamo" not in form) for y in (q, k, v))
        if form == "bmm":
            y = g.bmm(q, k, v, mask)
        elif "dynamo" in form:
            y = g.sdpa_dynamo(q, k, v, mask, form == "dynamo_guard")
        elif form in ("sdpa", "guard"):
            y = g.sdpa(q, k, v, mask, form == "guard")
        else:
            y = g.eager(q, k, v, mask, "mul" if form == "mul" else "div")
        x = g.layer_norm(g.op("Add", g.linear(g.merge(y), DIM, DIM), x), 1e-12)
        x = g.layer_norm(g.op("Add", g.mlp(x, gelu), x), 1e-12)
    g.output(x, "last_hidden_state")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1, "Transpose": 0}


@model(("gpt2_where", "where", 13), ("gpt2_trilu", "trilu", 14), ("gpt2_mask", "mask", 18))
def gpt2(form, opset):
    g = Graph(opset)
    x = embed(g)
    pad = g.padding(length="T") if form != "trilu" else None
    tril = g.const(np.tril(np.ones((1, 1, 32, 32), bool)))
    for i in range(LAYERS):
        a = g.layer_norm(x)
        if opset >= 18:
            q, k, v = g.op("Split", g.conv1d(a, DIM, 3 * DIM), n=3, axis=2, num_outputs=3)
        else:
            q, k, v = g.op("Split", g.conv1d(a, DIM, 3 * DIM), [DIM] * 3, n=3, axis=2)
        q, k, v = (g.heads(y) for y in (q, k, v))
        if form != "trilu":
            k, v = (g.op("Concat", g.input(f"past_{n}{i}", ["B", HEADS, "P", HEAD]), y, axis=2)
                    for n, y in (("k", k), ("v", v)))
        if form == "where":
            rows, cols = g.size(q, 2), g.size(k, 2)
            causal = g.op("Slice", tril, g.op("Sub", cols, rows), cols, [2], [1])
            causal = g.op("Slice", causal, [0], cols, [3], [1])
            s = g.op("Div", g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2)), 2.0)
            s = g.op("Where", causal, s, LOWEST[F32])
            y = g.op("MatMul", g.softmax(g.op("Add", s, pad)), v)
        elif form == "trilu":
            y = g.sdpa(q, k, v, g.causal(q, k))
        else:
            y = g.sdpa(q, k, v, pad)
        x = g.op("Add", g.conv1d(g.merge(y), DIM, DIM), x)
        x = g.op("Add", g.mlp(g.layer_norm(x), "tanh"), x)
        if form != "trilu":
            g.output(k, f"present_k{i}"), g.output(v, f"present_v{i}")
    g.output(g.layer_norm(x), "hidden")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1}


@model(("whisper_encoder", "eager", 14), ("whisper_encoder_rank3", "bmm", 12),
       ("whisper_encoder_dynamo", "dynamo", 18))
def whisper_encoder(form, opset):
    g = Graph(opset)
    x = g.input("mel", [1, LEN, DIM])
    for _ in range(LAYERS):
        q, k, v = g.qkv(g.layer_norm(x), k_bias=False)
        q = g.op("Mul", q, 0.5) if form != "dynamo" else q
        q, k, v = (g.heads(y, form != "dynamo") for y in (q, k, v))
        if form == "dynamo":
            y = g.sdpa_dynamo(q, k, v)
        else:
            y = g.bmm(q, k, v) if form == "bmm" else g.eager(q, k, v, scale="none")
        x = g.op("Add", x, g.linear(g.merge(y, form != "dynamo"), DIM, DIM))
        x = g.op("Add", x, g.mlp(g.layer_norm(x), "erf"))
    g.output(g.layer_norm(x), "hidden")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1}


@model(("whisper_decoder", "eager", 14), ("whisper_decoder_sdpa", "sdpa", 17))
def whisper_decoder(form, opset):
    g = Graph(opset)
    x = embed(g)
    for i in range(LAYERS):
        q, k, v = (g.heads(y) for y in g.qkv(g.layer_norm(x), k_bias=False))
        k, v = (g.op("Concat", g.input(f"past_{n}{i}", ["B", HEADS, "P", HEAD]), y, axis=2)
                for n, y in (("k", k), ("v", v)))
        if form == "sdpa":
            y = g.sdpa(q, k, v)
        else:
            y = g.eager(g.op("Mul", q, 0.5), k, v, scale="none")
        g.output(k, f"present_k{i}"), g.output(v, f"present_v{i}")
        x = g.op("Add", x, g.linear(g.merge(y), DIM, DIM))
        q = g.heads(g.linear(g.layer_norm(x), DIM, DIM))
        cross = [g.input(f"cross_{n}{i}", ["B", HEADS, "T", HEAD]) for n in "kv"]
        y = g.sdpa(q, *cross) if form == "sdpa" else g.eager(q, *cross, scale="mul")
        x = g.op("Add", x, g.linear(g.merge(y), DIM, DIM))
        x = g.op("Add", x, g.mlp(g.layer_norm(x), "erf"))
    g.output(g.layer_norm(x), "hidden")
    return g, {"FusedAttention": 2 * LAYERS, "LayerNormalization": 3 * LAYERS + 1}


@model(("vit_timm", "gather", 14), ("vit_split", "split", 18), ("vit_hf", "sdpa", 14),
       ("clip", "clip", 14))
def vit(form, opset):
    g = Graph(opset)
    x = g.input("patches", ["B", LEN, DIM])
    for _ in range(LAYERS):
        a = g.layer_norm(x)
        if form in ("sdpa", "clip"):
            q, k, v = g.qkv(a)
            q = g.op("Mul", q, 0.5) if form == "clip" else q
            q, k, v = (g.heads(y) for y in (q, k, v))
            y = g.bmm(q, k, v) if form == "clip" else g.sdpa(q, k, v)
        else:
            five = g.reshape(g.linear(a, DIM, 3 * DIM), (a, 0), (a, 1), 3, HEADS, HEAD)
            five = g.transpose(five, 2, 0, 3, 1, 4)
            if form == "gather":
                q, k, v = (g.op("Gather", five, i, axis=0) for i in range(3))
            else:
                parts = g.op("Split", five, n=3, axis=0, num_outputs=3)
                q, k, v = (g.op("Squeeze", p, [0]) for p in parts)
            y = g.eager(g.op("Mul", q, 0.5), k, v, scale="none")
        x = g.op("Add", x, g.linear(g.merge(y), DIM, DIM))
        x = g.op("Add", x, g.mlp(g.layer_norm(x), "quick" if form == "clip" else "erf"))
    g.output(g.layer_norm(x), "hidden")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1}


# ---- Llama -------------------------------------------------------------------------------------


def angles(g, form):
    """cos and sin, [B, 1, S, HEAD]: of the position, or rows of a table."""
    ids = g.input("position_ids", ["B", "S"], I64, np.tile(np.arange(LEN), (BATCH, 1)) + 3)
    freq = 1 / 10000 ** (np.arange(0, HEAD, 2) / HEAD)
    if form == "table":
        turn = np.outer(np.arange(32), np.concatenate([freq, freq]))
        return [g.unsqueeze(g.op("Gather", g.const(f(turn)), ids), 1) for f in (np.cos, np.sin)]
    wide = g.op("Expand", g.const(freq.reshape(1, -1, 1), F32),
                g.op("Concat", g.size(ids, 0), [HEAD // 2], [1], axis=0))
    turn = g.op("MatMul", wide, g.cast(g.unsqueeze(ids, 1), F32))
    turn = g.transpose(turn, 0, 2, 1)
    turn = g.op("Concat", turn, turn, axis=-1)
    pair = [g.op("Mul", g.op(f, turn), g.const(1.0, F32)) for f in ("Cos", "Sin")]
    pair = [g.cast(c, g.dtype) for c in pair]
    return [g.unsqueeze(c, 1) for c in pair]


def rotate(g, x, pair, form):
    half = HEAD // 2
    if form == "dynamic":  # TorchScript takes the half out of the shape
        cut = g.op("Div", g.size(x, 3), [2])
        low = g.op("Slice", x, [0], cut, [3], [1])
        high = g.op("Slice", x, cut, [END], [3], [1])
    else:
        low, high = g.slice(x, 0, half, 3), g.slice(x, half, END, 3)
    turned = g.op("Concat", g.op("Neg", high), low, axis=-1)
    return g.op("Add", g.op("Mul", x, pair[0]), g.op("Mul", turned, pair[1]))


def repeat(g, x, form):
    """[B, HEADS / 2, T, HEAD] to all heads."""
    five = g.unsqueeze(x, 2)
    to = g.op("Concat", g.size(x, 0), [HEADS // 2], [2], g.size(x, 2), [HEAD], axis=0)
    if form == "dynamic":  # expand(): -1 in the shape means "as it is"
        ones = g.op("ConstantOfShape", [5], value=ONE)
        to = g.op("Where", g.op("Equal", to, g.op("Mul", ones, -1)), ones, to)
    return g.reshape(g.op("Expand", five, to), (x, 0), HEADS, (x, 2), HEAD)


def llama_mask(g, q, k):
    """[B, 1, S, T]: causal, and what the caller hides."""
    keep = np.ones((BATCH, LEN + 3))
    keep[1, 0] = 0
    given = g.input("attention_mask", ["B", "T"], I64, keep)
    rows = g.op("Range", g.op("Sub", shape_of(g, k), shape_of(g, q)), shape_of(g, k), 1)
    cols = g.op("Range", 0, shape_of(g, k), 1)
    seen = g.op("LessOrEqual", g.unsqueeze(cols, 0), g.unsqueeze(rows, 1))
    both = g.op("And", g.unsqueeze(seen, 0, 1), g.cast(g.unsqueeze(given, 1, 2), BOOL))
    return g.op("Where", both, 0.0, LOWEST[g.dtype])


def shape_of(g, x):
    return g.op("Gather", g.op("Shape", x), 2)


@model(("llama_eager", "dynamic", 17, F32), ("llama_sdpa", "static", 18, F32),
       ("llama_table", "table", 14, F32), ("llama_f16", "static", 17, F16),
       ("llama_bf16", "dynamic", 18, BF16))
def llama(form, opset, dtype):
    g = Graph(opset, dtype)
    half = dtype != F32
    x = embed(g)
    pair, mask = angles(g, form), None
    norm = "div" if opset < 18 else "reciprocal"
    for i in range(LAYERS):
        a = g.rms_norm(x, form=norm, up=half)
        q = g.heads(g.linear(a, DIM, DIM, False))
        k, v = (g.heads(g.linear(a, DIM, DIM // 2, False), n=HEADS // 2) for _ in range(2))
        q, k = rotate(g, q, pair, form), rotate(g, k, pair, form)
        k, v = (g.op("Concat", g.input(f"past_{n}{i}", ["B", HEADS // 2, "P", HEAD]), y, axis=2)
                for n, y in (("k", k), ("v", v)))
        mask = mask or llama_mask(g, q, k)
        g.output(k, f"present_k{i}"), g.output(v, f"present_v{i}")
        k, v = repeat(g, k, form), repeat(g, v, form)
        y = g.sdpa(q, k, v, mask) if form == "static" and not half else \
            g.eager(q, k, v, mask, up=half)
        x = g.op("Add", x, g.linear(g.merge(y), DIM, DIM, False))
        x = g.op("Add", x, g.swiglu(g.rms_norm(x, form=norm, up=half)))
    g.output(g.rms_norm(x, form=norm, up=half), "hidden")
    return g, {"FusedAttention": LAYERS, "RMSNormalization": 2 * LAYERS + 1,
               "RotaryEmbedding": 2 * LAYERS}


# ---- relative positions ------------------------------------------------------------------------


@model(("swin", "plain", 14))
def swin(form, opset):
    """Windows of an image; a bias a head, and for shifted ones a mask a window."""
    g = Graph(opset)
    windows, size = 4, LEN
    x = g.input("windows", [BATCH * windows, size, DIM])
    hidden = g.rng.integers(0, 2, (windows, size, size)) * -100.0
    for _ in range(LAYERS):
        a = g.layer_norm(x)
        q, k, v = (g.heads(y, False) for y in g.qkv(a))
        s = g.op("Div", g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2)), 2.0)
        s = g.op("Add", s, g.const(g.rng.standard_normal((1, HEADS, size, size))))
        if form == "shifted":
            s = g.reshape(s, BATCH, windows, HEADS, size, size)
            s = g.op("Add", s, g.const(hidden.reshape(1, windows, 1, size, size)))
            s = g.reshape(s, -1, HEADS, size, size)
        x = g.op("Add", x, g.linear(g.merge(g.op("MatMul", g.softmax(s), v), False), DIM, DIM))
        x = g.op("Add", x, g.mlp(g.layer_norm(x), "erf"))
    g.output(g.layer_norm(x), "hidden")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1}


@model(("t5", "one", 14), ("t5_two_biases", "two", 17))
def t5(form, opset):
    """No scale; a bias looked up by distance; the mask joins it once, or is added every time."""
    g = Graph(opset)
    x = embed(g)
    pad = g.padding()
    place = g.op("Range", 0, g.op("Gather", g.op("Shape", x), 1), 1)
    far = g.op("Sub", g.unsqueeze(place, 0), g.unsqueeze(place, 1))
    bucket = g.op("Clip", g.op("Abs", far), 0, 7)
    bias = g.transpose(g.op("Gather", g.weight(8, HEADS), bucket), 2, 0, 1)
    bias = g.unsqueeze(bias, 0)
    bias = g.op("Add", bias, pad) if form == "one" else bias
    for _ in range(LAYERS):
        q, k, v = (g.heads(g.linear(a, DIM, DIM, False)) for a in [g.rms_norm(x)] * 3)
        s = g.op("Add", g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2)), bias)
        s = g.op("Add", s, pad) if form == "two" else s
        y = g.op("MatMul", g.softmax(s), v)
        x = g.op("Add", x, g.linear(g.merge(y), DIM, DIM, False))
        x = g.op("Add", x, g.mlp(g.rms_norm(x), "tanh"))
    g.output(g.rms_norm(x), "hidden")
    return g, {"FusedAttention": LAYERS, "RMSNormalization": 2 * LAYERS + 1}


@model(("bert_f16", F16), ("bert_bf16", BF16))
def bert_half(dtype):
    """Half precision, the norms in f32 between casts."""
    g = Graph(17, dtype)
    x = g.layer_norm(embed(g), up=True)
    mask = g.padding()
    for _ in range(LAYERS):
        y = g.eager(*(g.heads(y) for y in g.qkv(x)), mask)
        x = g.layer_norm(g.op("Add", g.linear(g.merge(y), DIM, DIM), x), up=True)
        x = g.layer_norm(g.op("Add", g.mlp(x, "erf"), x), up=True)
    g.output(x, "hidden")
    return g, {"FusedAttention": LAYERS, "LayerNormalization": 2 * LAYERS + 1}
