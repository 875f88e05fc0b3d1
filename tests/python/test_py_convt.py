"""
ConvTranspose against its definition in f64: every input spreads its taps over the output. Ranks 1
to 3, groups, strides, dilations, padding on either side, output_padding, images large enough for
every path of the convolutions it is made of.
"""
import itertools

from pycommon import TensorProto, helper, main, np, unittest

import lamina


def definition(x, w, b, group, strides, dilations, pads, extra):
    """The result and the sum of magnitudes behind each element."""
    rank, m = x.ndim - 2, w.shape[1]
    full = [(x.shape[2 + a] - 1) * strides[a] + (w.shape[2 + a] - 1) * dilations[a] + 1 + extra[a]
            for a in range(rank)]
    y = np.zeros((2, x.shape[0], m * group, *full))
    c = x.shape[1] // group
    for tap in itertools.product(*(range(k) for k in w.shape[2:])):
        at = tuple(slice(t * d, t * d + (n - 1) * s + 1, s)
                   for t, d, s, n in zip(tap, dilations, strides, x.shape[2:]))
        for g in range(group):
            of = w[(slice(g * c, g * c + c), slice(None)) + tap].astype(np.float64)
            part = x[:, g * c:g * c + c].astype(np.float64)
            to = (slice(None), slice(g * m, g * m + m)) + at
            y[0][to] += np.einsum("nc...,cm->nm...", part, of)
            y[1][to] += np.einsum("nc...,cm->nm...", abs(part), abs(of))
    cut = tuple(slice(pads[a], full[a] - pads[rank + a]) for a in range(rank))
    y = y[(slice(None),) * 3 + cut]
    if b is not None:
        y = y + np.stack([b, abs(b)]).reshape(2, 1, -1, *(1,) * rank)
    return y


class ConvTranspose(unittest.TestCase):
    def check(self, rng, spatial, kernel, c, m, group=1, strides=None, dilations=None, pads=None,
              extra=None, bias=True, n=1):
        rank = len(spatial)
        strides, dilations = strides or [1] * rank, dilations or [1] * rank
        pads, extra = pads or [0] * (2 * rank), extra or [0] * rank
        feed = {"x": rng.standard_normal((n, c * group, *spatial)).astype(np.float32),
                "w": rng.standard_normal((c * group, m, *kernel)).astype(np.float32)}
        if bias:
            feed["b"] = rng.standard_normal(m * group).astype(np.float32)
        node = helper.make_node("ConvTranspose", list(feed), ["y"], group=group, strides=strides,
                                dilations=dilations, pads=pads, output_padding=extra)
        graph = helper.make_graph([node], "g", [helper.make_tensor_value_info(
            k, TensorProto.FLOAT, v.shape) for k, v in feed.items()],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        y = lamina.InferenceSession(model.SerializeToString()).run(["y"], feed)[0]
        want, size = definition(feed["x"], feed["w"], feed.get("b"), group, strides, dilations,
                                pads, extra)
        self.assertEqual(y.shape, want.shape)
        terms = c * np.prod(kernel) + 40  # Winograd's tiles lose a few bits more
        self.assertLessEqual(float(np.max(abs(y - want) - terms * 2.0**-22 * (size + 1))), 0)

    def test_random(self):
        rng = np.random.default_rng(5)
        for case in range(80):
            rank = int(rng.integers(1, 4))
            kernel = [int(k) for k in rng.integers(1, 5, rank)]
            strides = [int(s) for s in rng.integers(1, 4, rank)]
            spread = case % 4 == 0
            with self.subTest(case=case):
                self.check(rng, [int(d) for d in rng.integers(5, 9, rank)], kernel,
                           int(rng.integers(1, 5)), int(rng.integers(1, 5)),
                           int(rng.integers(1, 3)), strides,
                           [int(d) for d in rng.integers(1, 3, rank)] if spread else None,
                           [int(rng.integers(0, k)) for k in kernel + kernel],
                           [int(rng.integers(0, s)) for s in strides], case % 3 != 0,
                           int(rng.integers(1, 3)))

    def test_layers(self):
        """Layers of decoders: even kernels of stride 2, Winograd, depthwise, no overlap at all."""
        rng = np.random.default_rng(6)
        self.check(rng, [20, 18], [4, 4], 24, 20, strides=[2, 2], pads=[1] * 4)
        self.check(rng, [24, 24], [3, 3], 32, 32, pads=[1] * 4)
        self.check(rng, [14, 14], [3, 3], 16, 16, strides=[2, 2], pads=[1] * 4, extra=[1, 1])
        self.check(rng, [9, 11], [2, 2], 40, 30, strides=[2, 2])
        self.check(rng, [12, 12], [4, 4], 1, 1, group=19, strides=[2, 2], pads=[1] * 4)
        self.check(rng, [30], [16], 12, 10, strides=[8], pads=[4, 4])
        self.check(rng, [30, 1], [16, 1], 12, 10, strides=[8, 2], pads=[4, 0, 4, 0])
        self.check(rng, [9, 1, 11], [3, 1, 2], 5, 4, strides=[2, 1, 1])
        self.check(rng, [6, 7], [1, 1], 3, 5, strides=[3, 2])


if __name__ == "__main__":
    main()
