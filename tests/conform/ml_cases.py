"""Operators of ai.onnx.ml, for make_ms_cases.py: the cases that the ONNX corpus lacks."""
from make_ms_cases import Case, Draw, I64, arr

ML = "ai.onnx.ml"
KERNELS = {"LINEAR": [1.0, 0.0, 3.0], "POLY": [0.5, 1.0, 3.0], "RBF": [0.4, 0.0, 3.0],
           "SIGMOID": [0.3, 0.2, 3.0]}
POSTS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def floats(a):
    return [float(v) for v in a.ravel()]


def kernel_attrs(kernel):
    return {"kernel_type": kernel, "kernel_params": KERNELS[kernel]}


def svm_regressor():
    d, op, n, f = Draw("svmr"), "SVMRegressor", 6, 4
    for kernel in KERNELS:
        attrs = {"n_supports": n, "support_vectors": floats(d.f(n, f)),
                 "coefficients": floats(d.f(n)), "rho": [0.25], **kernel_attrs(kernel)}
        yield Case(op, kernel.lower(), [d.f(3, f)], attrs, domain=ML)
        yield Case(op, kernel.lower() + "oneclass", [d.f(40, f)], {**attrs, "one_class": 1},
                   domain=ML, symbolic=True)
    yield Case(op, "nosupport", [d.f(3, f)], {"coefficients": floats(d.f(f)), "rho": [-0.5],
                                              "n_supports": 0,
                                              **kernel_attrs("LINEAR")}, domain=ML)


def svm_classifier():
    d, op, f = Draw("svmc"), "SVMClassifier", 3

    def attrs(per_class, kernel="RBF", labels=None, prob=False):
        n, c = sum(per_class), len(per_class)
        pairs = c * (c - 1) // 2
        out = {"vectors_per_class": per_class, "support_vectors": floats(d.f(n, f)),
               "coefficients": floats(d.f(c - 1, n)), "rho": floats(d.f(pairs)),
               **kernel_attrs(kernel)}
        out.update(labels or {"classlabels_ints": [5, 3, 9, 7][:c]})
        if prob:
            out.update(prob_a=floats(d.u(pairs, lo=-2, hi=-1)), prob_b=floats(d.f(pairs)))
        return out

    def case(tag, a, rows=5, **kw):
        strings = "classlabels_strings" in a
        return Case(op, tag, [d.f(rows, f)], a, outputs=2, domain=ML,
                    out_types=["STRING" if strings else "INT64", "FLOAT"], **kw)
    words = {"classlabels_strings": ["a", "b", "c"]}
    for kernel in KERNELS:
        yield case(kernel.lower(), attrs([2, 3, 2], kernel))
    yield case("strings", attrs([2, 1, 2], labels=words))
    yield case("four", attrs([2, 1, 3, 2]), rows=40, symbolic=True)
    for post in POSTS:
        for per_class in ([2, 3], [2, 1, 2]):
            for prob in (False, True):
                if post == "PROBIT" and len(per_class) == 2 and not prob:
                    continue  # onnxruntime leaves the second score unset
                tag = f"{post.lower().replace('_', '')}{len(per_class)}{'prob' if prob else ''}"
                yield case(tag, {**attrs(per_class, prob=prob), "post_transform": post})
        for labels in ([4, 6], [4, 6, 1]):
            for rho in (1, 3):
                a = {"coefficients": floats(d.f(len(labels), f)), "rho": floats(d.f(rho)),
                     "classlabels_ints": labels, "post_transform": post,
                     **kernel_attrs("LINEAR")}
                yield case(f"linear{post.lower().replace('_', '')}{len(labels)}r{rho}", a)
    a = {"coefficients": floats(abs(d.f(2, f))), "rho": [0.1], "classlabels_ints": [4, 6],
         **kernel_attrs("LINEAR")}
    yield case("linearpositive", a, rows=20)
    for prob in (False, True):
        a = {**attrs([2, 3], prob=prob), "coefficients": floats(abs(d.f(5))), "rho": [-0.7]}
        yield case("positiveprob" if prob else "positive", a, rows=20)
    a = {"coefficients": floats(d.f(f)), "rho": [0.1], "classlabels_ints": [4],
         **kernel_attrs("LINEAR")}
    yield case("linearone", a, rows=6)
    yield case("linearonelogistic", {**a, "post_transform": "LOGISTIC"}, rows=6)


def category():
    op = "CategoryMapper"
    lists = {"cats_strings": ["cat", "", "dog"], "cats_int64s": [7, -3, 0]}
    yield Case(op, "strings", [arr([["dog", "cow"], ["", "cat"]], object)],
               {**lists, "default_int64": 99}, domain=ML, out_types=["INT64"])
    yield Case(op, "ints", [arr([0, 7, 8, -3], I64)], {**lists, "default_string": "?"}, domain=ML,
               out_types=["STRING"])


def all_ml_cases():
    for family in (svm_regressor, svm_classifier, category):
        yield from family()
