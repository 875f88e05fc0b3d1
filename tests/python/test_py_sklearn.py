"""
Models of scikit-learn exported by skl2onnx: labels and scores equal onnxruntime's, and for text,
which onnxruntime refuses where a locale is missing, scikit-learn's own.
"""
import sys
import warnings

from pycommon import np

try:
    import onnxruntime
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn import datasets, ensemble, linear_model, naive_bayes, neighbors
    from sklearn import neural_network, pipeline, preprocessing, svm, tree
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
except ImportError as e:
    print(f"skipped: {e.name} is not installed for {sys.executable}")
    sys.exit(77)

import lamina

warnings.filterwarnings("ignore")
OPSETS = {"": 18, "ai.onnx.ml": 3}


def classifiers():
    logistic = linear_model.LogisticRegression
    return [
        logistic(), svm.SVC(), svm.SVC(kernel="poly"), svm.NuSVC(), tree.DecisionTreeClassifier(),
        ensemble.RandomForestClassifier(20), ensemble.GradientBoostingClassifier(n_estimators=8),
        ensemble.AdaBoostClassifier(n_estimators=4), neighbors.KNeighborsClassifier(),
        naive_bayes.GaussianNB(), neural_network.MLPClassifier(max_iter=40),
        pipeline.make_pipeline(preprocessing.StandardScaler(), logistic()),
        pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), preprocessing.MinMaxScaler(),
                               svm.SVC(kernel="sigmoid")),
        pipeline.make_pipeline(preprocessing.Normalizer(), preprocessing.Binarizer(threshold=0.4),
                               naive_bayes.BernoulliNB())]


def regressors():
    return [linear_model.Ridge(), svm.SVR(), svm.NuSVR(kernel="poly"),
            ensemble.RandomForestRegressor(20), ensemble.GradientBoostingRegressor(n_estimators=8),
            neighbors.KNeighborsRegressor(), neural_network.MLPRegressor(max_iter=40)]


def export(model, kind, **options):
    return skl2onnx.convert_sklearn(model, initial_types=[("x", kind)], target_opset=OPSETS,
                                    **options).SerializeToString()


def equal(got, want):
    for g, w in zip(got, want):
        if np.asarray(w).dtype.kind in "OUS":
            assert np.array_equal(np.asarray(g).astype(str), np.asarray(w).astype(str))
        else:
            np.testing.assert_allclose(g, w, rtol=1e-3, atol=1e-4)


def check_numbers(model, x, **options):
    data = export(model, FloatTensorType([None, x.shape[1]]), **options)
    peer = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    equal(lamina.InferenceSession(data).run(None, {"x": x}), peer.run(None, {"x": x}))


def check_text(vectorizer):
    x = np.array(["the cat sat on the mat", "a dog", "cat and dog are friends", "The end, it is"],
                 dtype=object)
    model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression())
    model.fit(x, [0, 1, 1, 0])
    data = export(model, StringTensorType([None]), options={"zipmap": False})
    equal(lamina.InferenceSession(data).run(None, {"x": x}),
          [model.predict(x), model.predict_proba(x)])


def main():
    np.random.seed(1)
    x, y = datasets.load_iris(return_X_y=True)
    x, count, failed = x.astype(np.float32), 0, 0
    plain = {"options": {"zipmap": False}}
    work = [(check_numbers, m, labels, plain) for m in classifiers()
            for labels in (y, (y > 0).astype(int), np.array(["a", "b", "c"])[y])]
    work += [(check_numbers, m, x[:, 0] * 2 + x[:, 1] ** 2, {}) for m in regressors()]
    for check, model, labels, options in work:
        count += 1
        try:
            check(model.fit(x, labels), x, **options)
        except Exception as e:
            failed += 1
            print(f"{model}: {str(e)[:300]}")
    for v in (TfidfVectorizer(), CountVectorizer(), TfidfVectorizer(ngram_range=(1, 2)),
              TfidfVectorizer(analyzer="char", ngram_range=(2, 3))):
        count += 1
        try:
            check_text(v)
        except Exception as e:
            failed += 1
            print(f"{v}: {str(e)[:300]}")
    print(f"{count} models, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
