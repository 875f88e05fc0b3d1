"""Write this project's own conformance cases into cases/: make_cases.py

Each is a model no stored ONNX case covers, and what it must give. Derivatives are expected as
central differences of onnx's reference evaluator in f64, pixels as Pillow decodes them. Run after
adding a case (Pillow is needed beside tools/requirements.txt); the files are kept, so that testing
needs neither Python nor onnx.
"""
import io
import os
import shutil

import numpy as np
from ml_dtypes import bfloat16
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")


def write(name, model, inputs, outputs):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(model.SerializeToString())
    for kind, values in (("input", inputs), ("output", outputs)):
        for i, value in enumerate(values):
            with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as f:
                f.write(numpy_helper.from_array(np.asarray(value)).SerializeToString())


def if_impossible_branch():
    """The branch that is not taken cannot work for the shapes at hand."""
    model = parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
        g (bool cond, float[N] x) => (float[M] y) {
            y = If (cond) <
                then_branch = a () => (float[A] p) { p = Neg (x) },
                else_branch = b () => (float s) { axes = Constant <value_ints = [0]> ()
                                                 s = Squeeze (x, axes) }>
        }''')
    x = np.array([1, 2, 3], np.float32)
    write("test_if_impossible_branch", model, [np.array(True), x], [-x])


def optional28():
    """Optional and its readers as of opset 28, which gave them bfloat16."""
    x = np.array([1.5, -2, 3], bfloat16)
    head = '<ir_version: 13, opset_import: ["": 28]> g '
    model = parser.parse_model(head + '''(bfloat16[N] x) => (bool has, bfloat16[N] y) {
        o = Optional (x)
        has = OptionalHasElement (o)
        y = OptionalGetElement (o) }''')
    write("test_opset28_optional_bfloat16", model, [x], [np.array(True), x])
    model = parser.parse_model(head + '''(bfloat16[N] a, bfloat16[M] b) => (bfloat16[K] y) {
        s = SequenceConstruct (a, b)
        o = Optional (s)
        t = OptionalGetElement (o)
        i = Constant <value_int = 1> ()
        y = SequenceAt (t, i) }''')
    write("test_opset28_optional_sequence", model, [x, x[:2]], [x[:2]])
    model = parser.parse_model(head + '''(bfloat16[N] x) => (bool plain, bool none) {
        plain = OptionalHasElement (x)
        none = OptionalHasElement () }''')
    write("test_opset28_optional_none", model, [x], [np.array(True), np.array(False)])


def gradient(name, forward, inputs, y):
    """Outputs: y and its derivatives by every input. `forward` is the text of the body."""
    ports = ", ".join(f"double[{','.join(map(str, v.shape))}] {k}" for k, v in inputs.items())
    text = f'<ir_version: 8, opset_import: ["": 17]> g ({ports}) => (double[?] {y}) {{ {forward} }}'
    model = parser.parse_model(text.replace("[?]", ""))
    reference = ReferenceEvaluator(model)

    def total(feed):
        return reference.run(None, feed)[0].sum()
    outputs = [reference.run(None, inputs)[0]]
    for k, v in inputs.items():
        d = np.zeros_like(v)
        for i in np.ndindex(v.shape):
            step = np.zeros_like(v)
            step[i] = 1e-6
            d[i] = (total({**inputs, k: v + step}) - total({**inputs, k: v - step})) / 2e-6
        outputs.append(d)
    grads = ["d" + k for k in inputs]
    model.graph.node.append(helper.make_node("Gradient", list(inputs), grads, xs=list(inputs), y=y,
                                             domain="ai.onnx.preview.training"))
    model.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))
    del model.graph.output[:]
    for port, value in zip([y, *grads], outputs):
        model.graph.output.append(
            helper.make_tensor_value_info(port, TensorProto.DOUBLE, value.shape))
    write(name, model, list(inputs.values()), outputs)


def gradients():
    rng = np.random.default_rng(5)
    x, b, w = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal((3, 4))
    gradient("test_gradient_layer", "s = Add (x, b) m = MatMul (s, w) t = Tanh (m) r = Relu (m) "
             "g = Sigmoid (m) u = Sum (t, r, g) y = Mul (u, m)", {"x": x, "b": b, "w": w}, "y")
    p, q = rng.random((2, 1, 3)) + 0.5, rng.random((4, 1)) + 0.5
    gradient("test_gradient_broadcast", "a = Div (p, q) l = Log (a) e = Exp (l) r = Sqrt (e) "
             "n = Neg (r) i = Identity (n) y = Sub (i, p)", {"p": p, "q": q}, "y")
    k, u = rng.standard_normal((5, 2, 3)), rng.standard_normal(3)
    gradient("test_gradient_unused_input", "y = Mul (k, k)", {"k": k, "u": u}, "y")


def quantized_lstm(name, w_scale, r_scale):
    """DynamicQuantizeLSTM gives what LSTM gives on the weights that its integers stand for."""
    rng, hidden = np.random.default_rng(9), 3
    x = rng.standard_normal((4, 2, 5)).astype(np.float32)
    w = rng.integers(-127, 128, (1, 5, 4 * hidden), dtype=np.int8)
    r = rng.integers(0, 256, (1, hidden, 4 * hidden), dtype=np.uint8)
    w_zero, r_zero = np.full(w_scale.shape, 3, np.int8), np.full(r_scale.shape, 128, np.uint8)
    weights = {"w": w, "r": r, "w_scale": w_scale, "w_zero": w_zero, "r_scale": r_scale,
               "r_zero": r_zero}
    node = helper.make_node(
        "DynamicQuantizeLSTM",
        ["x", "w", "r", "", "", "", "", "", "w_scale", "w_zero", "r_scale", "r_zero"], ["y", "h"],
        hidden_size=hidden, domain="com.microsoft")
    ports = [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in
             (("x", x.shape), ("y", (4, 1, 2, hidden)), ("h", (1, 2, hidden)))]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:],
                              [numpy_helper.from_array(v, k) for k, v in weights.items()])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])

    def real(integers, scale, zero):
        shape = (1, 1, -1)
        integers = integers.astype(np.float32) - zero.astype(np.float32).reshape(shape)
        return (integers * scale.reshape(shape)).transpose(0, 2, 1)
    plain = parser.parse_model(
        f'''<ir_version: 8, opset_import: ["": 17]>
        g (float[4,2,5] x, float[1,12,5] w, float[1,12,3] r) => (float[4,1,2,3] y, float[1,2,3] h)
        {{ y, h = LSTM <hidden_size = {hidden}> (x, w, r) }}''')
    want = ReferenceEvaluator(plain).run(None, {"x": x, "w": real(w, w_scale, w_zero),
                                                "r": real(r, r_scale, r_zero)})
    write(name, model, [x], want)


def picture(name, image, kind, **options):
    from PIL import Image
    model = parser.parse_model('''<ir_version: 9, opset_import: ["": 20]>
        g (uint8[N] file) => (uint8[H,W,3] rgb) { rgb = ImageDecoder (file) }''')
    with io.BytesIO() as f:
        image.save(f, format=kind, **options)
        data = np.frombuffer(f.getvalue(), np.uint8)
        rgb = np.array(Image.open(f).convert("RGB"))
    write("test_picture_" + name, model, [data], [rgb])


def pictures():
    """A smooth gradient with a bright disc: content at every frequency, odd sizes."""
    from PIL import Image
    y, x = np.mgrid[0:21, 0:37]
    disc = ((x - 20) ** 2 + (y - 9) ** 2 < 40) * 120
    rgb = np.stack([x * 5 + disc, y * 9, 200 - x * 3 - y], axis=2).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(rgb)
    picture("jpeg_420_restart", image, "JPEG", subsampling=2, restart_marker_blocks=2)
    picture("jpeg_422_progressive", image, "JPEG", subsampling=1, progressive=True)
    picture("jpeg_444", image, "JPEG", subsampling=0, quality=95)
    picture("jpeg_grey_progressive", image.convert("L"), "JPEG", progressive=True)
    picture("png_palette", image.quantize(13), "PNG")
    picture("png_filters", image, "PNG")
    picture("png_grey_1_bit", image.convert("1"), "PNG", compress_level=0)
    picture("tiff_grey", image.convert("L"), "TIFF")
    picture("bmp_32_bits", image.convert("RGBA"), "BMP")
    picture("pnm_grey", image.convert("L"), "PPM")


if __name__ == "__main__":
    quantized_lstm("test_quantized_lstm", np.array([0.01], np.float32),
                   np.array([0.008], np.float32))
    columns = np.linspace(0.004, 0.012, 12, dtype=np.float32)[None]
    quantized_lstm("test_quantized_lstm_per_column", columns, columns[:, ::-1].copy())
    if_impossible_branch()
    optional28()
    gradients()
    pictures()
