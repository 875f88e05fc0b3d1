"""Operators of ai.onnx.ml, for make_ms_cases.py: the cases that the ONNX corpus lacks."""
import numpy as np
from make_ms_cases import Case, Draw, F32, F64, I64, arr, type_of
from onnx import numpy_helper

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


def ml(op, variant, inputs, attrs, out="FLOAT", **more):
    return Case(op, variant, inputs, attrs, domain=ML, out_types=out if isinstance(out, list)
                else [out], **more)


def maps():
    x, scores = {"a": 1.5, "zz": 3.0, "c": 2.0}, arr([[0.5, 2, -3], [4, 0, 6]])
    yield ml("ZipMap", "ints", [scores], {"classlabels_int64s": [5, -3, 9]}, [type_of([{1: 1.0}])])
    yield ml("ZipMap", "strings", [scores[0]], {"classlabels_strings": ["b", "a", ""]},
             [type_of([{"a": 1.0}])])
    yield ml("DictVectorizer", "strings", [x], {"string_vocabulary": ["c", "none", "a"]})
    numbers = {2: 1.5, 0: -2.75, 7: 0.125}
    for to, out in (("TO_FLOAT", "FLOAT"), ("TO_INT64", "INT64"), ("TO_STRING", "STRING")):
        for form in ("DENSE", "SPARSE"):
            yield ml("CastMap", f"{out.lower()}_{form.lower()}", [numbers],
                     {"cast_to": to, "map_form": form, "max_map": 4}, out)


def columns():
    d = Draw("columns")
    x = d.f(3, 4)
    for dt, name in ((F32, "FLOAT"), (F64, "DOUBLE"), (I64, "INT64")):
        v = (d.f(2, 5) * 9).astype(dt)
        yield ml("ArrayFeatureExtractor", name.lower(), [v, arr([[3, 0, 3]], I64)], {}, name)
    yield ml("Binarizer", "threshold", [x], {"threshold": 0.25})
    yield ml("FeatureVectorizer", "three", [x, d.f(3, 2), d.f(3, 3)],
             {"inputdimensions": [4, 2, 3]})
    holes = x.copy()
    holes[0, 1] = holes[2, 3] = np.nan
    yield ml("Imputer", "each", [holes], {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0],
                                          "replaced_value_float": float("nan")})
    yield ml("Imputer", "one", [arr([[1, -1, 3], [-1, 0, 2]], I64)],
             {"imputed_value_int64s": [7], "replaced_value_int64": -1}, "INT64")
    for norm in ("MAX", "L1", "L2"):
        yield ml("Normalizer", norm.lower(), [x], {"norm": norm})
    yield ml("Scaler", "each", [x], {"offset": floats(d.f(4)), "scale": floats(d.f(4))})
    yield ml("Scaler", "one", [x], {"offset": [0.5], "scale": [2.0]})
    yield ml("OneHotEncoder", "ints", [arr([[1, 5], [9, 3]], I64)], {"cats_int64s": [1, 3, 5],
                                                                    "zeros": 1})
    yield ml("OneHotEncoder", "strings", [arr(["b", "a", "b"], object)],
             {"cats_strings": ["a", "b"]})


def labels():
    yield ml("LabelEncoder", "string_int", [arr(["a", "zz", "c"], object)],
             {"keys_strings": ["a", "c"], "values_int64s": [3, -4], "default_int64": 42}, "INT64")
    yield ml("LabelEncoder", "int_float", [arr([[1, 2], [3, 9]], I64)],
             {"keys_int64s": [1, 3, 2], "values_floats": [0.5, -2.0, 8.0], "default_float": 0.25})
    yield ml("LabelEncoder", "float_string", [arr([1, np.nan, 7])],
             {"keys_floats": [1.0, float("nan")], "values_strings": ["one", "none"],
              "default_string": "?"}, "STRING", ml=4)


def linear():
    d = Draw("linearml")
    x = d.f(4, 3)
    for post in POSTS:
        tag = post.lower().replace("_", "")
        attrs = {"coefficients": floats(d.f(9)), "intercepts": floats(d.f(3)),
                 "post_transform": post}
        yield Case("LinearClassifier", tag, [x], {**attrs, "classlabels_ints": [4, 2, 7]},
                   outputs=2, domain=ML, out_types=["INT64", "FLOAT"])
        if post != "PROBIT":
            yield ml("LinearRegressor", tag, [x], {**attrs, "targets": 3})
    yield Case("LinearClassifier", "two_strings", [x], {
        "coefficients": floats(d.f(6)), "intercepts": floats(d.f(2)),
        "classlabels_strings": ["no", "yes"], "post_transform": "LOGISTIC"}, outputs=2, domain=ML,
        out_types=["STRING", "FLOAT"])


def old_trees(prefix):
    """Two trees, the second one leaf deep: a split on each side of the first, NaN to either."""
    tree, node = [0] * 5 + [1] * 3, [0, 1, 2, 3, 4, 0, 1, 2]
    leaf = [0, 0, 1, 1, 1, 0, 1, 1]
    votes = [i for i, is_leaf in enumerate(leaf) if is_leaf]
    return {"nodes_treeids": tree, "nodes_nodeids": node,
            "nodes_featureids": [0, 2, 0, 0, 0, 1, 0, 0],
            "nodes_values": [0.1, -0.3, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0],
            "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0],
            "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
            "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 0],
            f"{prefix}_treeids": [tree[i] for i in votes],
            f"{prefix}_nodeids": [node[i] for i in votes],
            f"{prefix}_weights": [0.5, -1.0, 2.0, 0.75, 1.25]}, leaf


def trees():
    d = Draw("trees")
    x = d.f(9, 3)
    x[3, 0] = x[5, 2] = np.nan
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        attrs, leaf = old_trees("target")
        attrs["nodes_modes"] = ["LEAF" if is_leaf else "BRANCH_" + mode for is_leaf in leaf]
        yield ml("TreeEnsembleRegressor", mode.lower(), [x], {
            **attrs, "target_ids": [0, 1, 0, 1, 1], "n_targets": 2})
    # One target: onnxruntime omits the base values of targets without votes, the standard does not.
    yield ml("TreeEnsembleRegressor", "base", [x], {
        **attrs, "target_ids": [0] * 5, "n_targets": 1, "base_values": [0.5]})
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        yield ml("TreeEnsembleRegressor", aggregate.lower(), [x], {
            **attrs, "target_ids": [0] * 5, "n_targets": 1, "aggregate_function": aggregate})
    attrs, leaf = old_trees("class")
    attrs["nodes_modes"] = ["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf]
    for post in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"):
        yield Case("TreeEnsembleClassifier", post.lower().replace("_", ""), [x], {
            **attrs, "class_ids": [0, 1, 2, 0, 2], "classlabels_int64s": [3, 1, 8],
            "post_transform": post}, outputs=2, domain=ML, out_types=["INT64", "FLOAT"])
    yield Case("TreeEnsembleClassifier", "binary", [x], {
        **attrs, "class_ids": [0] * 5, "classlabels_strings": ["no", "yes"],
        "post_transform": "LOGISTIC"}, outputs=2, domain=ML, out_types=["STRING", "FLOAT"])
    for dt, name in ((F32, "FLOAT"), (F64, "DOUBLE")):
        tensor = lambda v, t=dt: numpy_helper.from_array(np.array(v, t))
        yield ml("TreeEnsemble", name.lower(), [x.astype(dt)], {
            "n_targets": 2, "aggregate_function": 1, "post_transform": 0, "tree_roots": [0, 2],
            "nodes_modes": tensor([0, 4, 1], np.uint8), "nodes_featureids": [0, 1, 2],
            "nodes_splits": tensor([0.1, 0.5, -0.2]), "nodes_truenodeids": [1, 1, 3],
            "nodes_trueleafs": [0, 1, 1], "nodes_falsenodeids": [0, 2, 4],
            "nodes_falseleafs": [1, 1, 1], "leaf_targetids": [0, 1, 0, 1, 1],
            "leaf_weights": tensor([0.5, -1.0, 2.0, 0.75, 1.25])}, name, ml=5)


def all_ml_cases():
    for family in (svm_regressor, svm_classifier, category, maps, columns, labels, linear, trees):
        yield from family()
