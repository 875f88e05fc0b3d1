"""Classical models, trained here on seeded data and converted to ONNX: for judge_models.py.

scikit-learn through skl2onnx, XGBoost and LightGBM through onnxmltools. models() yields a Case
each: the file's bytes, a feed, and what the library itself predicts, for the few that onnxruntime
cannot load (text without the locale en_US). The packages are those of requirements-learned.txt;
without them missing() says which one is not there.
"""
import dataclasses
import importlib
import re
import warnings

import numpy as np

PACKAGES = ("sklearn", "skl2onnx", "lightgbm", "xgboost", "onnxmltools")
OPSETS = {"": 18, "ai.onnx.ml": 3, "com.microsoft": 1}
ROWS = 60


@dataclasses.dataclass
class Case:
    name: str
    data: bytes
    feed: dict
    own: list  # what the library predicts


def missing():
    """Name of a package that cannot be imported, or None."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except Exception:  # a library that lacks one of its own is missing too
            return name
    return None


def numbers(classes=3, columns=6, seed=0):
    """Features and labels that depend on them, with some noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, columns)).astype(np.float32)
    score = x[:, 0] * 2 + x[:, 1] ** 2 - x[:, 2] + rng.normal(scale=0.3, size=len(x))
    edges = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
    return x, np.digitize(score, edges), score


def names_of(model, kind):
    """What kind of model: its class, or the steps of a pipeline."""
    steps = [type(s).__name__ for _, s in getattr(model, "steps", [])] or [type(model).__name__]
    return " + ".join(steps) + (f" ({kind})" if kind else "")


def classifiers():
    from sklearn import (calibration, discriminant_analysis, ensemble, linear_model, multiclass,
                         naive_bayes, neighbors, neural_network, svm, tree)
    logistic, stump = linear_model.LogisticRegression, tree.DecisionTreeClassifier
    return [logistic(), logistic(C=0.1, solver="liblinear"), linear_model.SGDClassifier(
                loss="log_loss", random_state=0), linear_model.RidgeClassifier(),
            linear_model.Perceptron(), svm.LinearSVC(), svm.SVC(probability=True, random_state=0),
            svm.SVC(kernel="poly"), svm.NuSVC(probability=True, random_state=0),
            stump(max_depth=5), ensemble.RandomForestClassifier(30, max_depth=7, random_state=0),
            ensemble.ExtraTreesClassifier(20, max_depth=6, random_state=0),
            ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
            ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0),
            ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
            ensemble.BaggingClassifier(stump(max_depth=4), 8, random_state=0),
            ensemble.VotingClassifier([("a", logistic()), ("b", stump(max_depth=3))],
                                      voting="soft", flatten_transform=False),
            ensemble.StackingClassifier([("a", logistic()), ("b", stump(max_depth=3))]),
            neighbors.KNeighborsClassifier(), neighbors.KNeighborsClassifier(3, weights="distance"),
            naive_bayes.GaussianNB(), naive_bayes.BernoulliNB(),
            neural_network.MLPClassifier((20, 10), max_iter=60, random_state=0),
            discriminant_analysis.LinearDiscriminantAnalysis(),
            discriminant_analysis.QuadraticDiscriminantAnalysis(),
            multiclass.OneVsRestClassifier(logistic()),
            calibration.CalibratedClassifierCV(logistic(), cv=3)]


def regressors():
    from sklearn import ensemble, linear_model, neighbors, neural_network, svm, tree
    return [linear_model.LinearRegression(), linear_model.Ridge(), linear_model.Lasso(0.01),
            linear_model.ElasticNet(0.01), linear_model.BayesianRidge(),
            linear_model.HuberRegressor(), linear_model.PoissonRegressor(), svm.SVR(),
            svm.NuSVR(kernel="poly"), svm.LinearSVR(), tree.DecisionTreeRegressor(max_depth=6),
            ensemble.RandomForestRegressor(30, max_depth=7, random_state=0),
            ensemble.ExtraTreesRegressor(20, max_depth=6, random_state=0),
            ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
            ensemble.HistGradientBoostingRegressor(max_iter=20, random_state=0),
            ensemble.AdaBoostRegressor(n_estimators=8, random_state=0),
            neighbors.KNeighborsRegressor(), neighbors.KNeighborsRegressor(3, weights="distance"),
            neural_network.MLPRegressor(hidden_layer_sizes=(20,), max_iter=60, random_state=0)]


def wide_regressors():
    """Of float64: in float32 the first is lost in noise."""
    from sklearn import gaussian_process, linear_model, svm
    return [gaussian_process.GaussianProcessRegressor(alpha=0.1), linear_model.Ridge(),
            linear_model.LassoLars(0.01), svm.SVR()]


def transformers():
    from sklearn import cluster, decomposition, feature_selection, impute, mixture, preprocessing
    return [preprocessing.StandardScaler(), preprocessing.MinMaxScaler(),
            preprocessing.MaxAbsScaler(), preprocessing.RobustScaler(),
            preprocessing.Normalizer(), preprocessing.Binarizer(threshold=0.2),
            preprocessing.PolynomialFeatures(2), preprocessing.PowerTransformer(),
            preprocessing.KBinsDiscretizer(4, encode="onehot-dense", subsample=None,
                                           quantile_method="averaged_inverted_cdf"),
            preprocessing.KBinsDiscretizer(3, encode="ordinal", strategy="uniform", subsample=None),
            decomposition.PCA(3), decomposition.TruncatedSVD(2, random_state=0),
            impute.SimpleImputer(strategy="median"),
            impute.KNNImputer(n_neighbors=3), feature_selection.SelectKBest(k=2),
            feature_selection.VarianceThreshold(),
            cluster.KMeans(3, n_init=2, random_state=0),
            mixture.GaussianMixture(2, random_state=0)]


def outliers():
    from sklearn import ensemble, neighbors, svm
    return [ensemble.IsolationForest(n_estimators=20, random_state=0), svm.OneClassSVM(),
            neighbors.LocalOutlierFactor(novelty=True)]


def convert(model, types, **options):
    import skl2onnx
    return skl2onnx.convert_sklearn(model, initial_types=types, target_opset=OPSETS,
                                    **options).SerializeToString()


def matrix(x):
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    kind = DoubleTensorType if x.dtype == np.float64 else FloatTensorType
    return [("x", kind([None, x.shape[1]]))]


def numeric_cases():
    """Each classifier on two and three classes, numbers and names, with ZipMap and without."""
    x, three, score = numbers()
    two, words = (three > 0).astype(np.int64), np.array(["low", "mid", "top"])[three]
    feed = {"x": x[:ROWS]}
    for model in classifiers():
        for kind, y, zipmap in (("2 classes", two, True), ("3 classes", three, False),
                                ("names", words, True)):
            if kind != "2 classes" and getattr(model, "solver", "") == "liblinear":
                continue
            options = {"options": {id(model): {"zipmap": zipmap}}}
            if type(model).__name__ == "LinearSVC":
                options = {}
            yield names_of(model, kind), lambda m=model, y=y, o=options: (
                convert(m.fit(x, y), matrix(x), **o), feed, [m.predict(feed["x"])])
    for model in regressors():
        y = np.abs(score) if "Poisson" in type(model).__name__ else score
        yield names_of(model, ""), lambda m=model, y=y: (
            convert(m.fit(x, y), matrix(x)), feed, [m.predict(feed["x"]).reshape(-1, 1)])
    wide = x.astype(np.float64)
    for model in wide_regressors():
        yield names_of(model, "float64"), lambda m=model: (
            convert(m.fit(wide, score), matrix(wide)), {"x": wide[:ROWS]},
            [m.predict(wide[:ROWS]).reshape(-1, 1)])
    holes = x[:ROWS].copy()
    holes[::3, 1] = np.nan
    for model in transformers():
        given = {"x": holes} if "Imputer" in type(model).__name__ else feed
        yield names_of(model, ""), lambda m=model, g=given: (
            convert(m.fit(g["x"] if g is not feed else x, three[:len(g["x"])] if g is not feed
                          else three), matrix(x)), g, [])
    for model in outliers():
        yield names_of(model, ""), lambda m=model: (
            convert(m.fit(x), matrix(x)), feed, [m.predict(feed["x"])])


def table():
    """Two columns of numbers, one with holes, and two of words."""
    rng = np.random.default_rng(1)
    age, fare = rng.integers(1, 80, 400).astype(np.float32), rng.gamma(2, 20, 400)
    fare = fare.astype(np.float32)
    fare[::11] = np.nan
    town = rng.choice(["Ulm", "Köln", "Bonn", "東京"], 400).astype(object)
    size = rng.choice(["small", "medium", "large"], 400).astype(object)
    label = ((age > 40) ^ (town == "Ulm")) | (size == "large")
    columns = {"age": age, "fare": fare, "town": town, "size": size}
    return {k: v.reshape(-1, 1) for k, v in columns.items()}, label.astype(np.int64)


def column_case(last, categories):
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn import compose, impute, pipeline, preprocessing
    columns, label = table()
    scaled = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    model = pipeline.make_pipeline(compose.ColumnTransformer(
        [("numbers", scaled, [0, 1]), ("words", categories, [2, 3])]), last)
    whole = np.concatenate(list(columns.values()), axis=1).astype(object)
    model.fit(whole, label)
    types = [(k, StringTensorType([None, 1]) if v.dtype == object else FloatTensorType([None, 1]))
             for k, v in columns.items()]
    feed = {k: v[:ROWS] for k, v in columns.items()}
    return convert(model, types), feed, [model.predict(whole[:ROWS])]


def column_cases():
    from sklearn import ensemble, linear_model, preprocessing
    one_hot, ordinal = preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder
    for last in (linear_model.LogisticRegression(),
                 ensemble.RandomForestClassifier(20, max_depth=6, random_state=0)):
        for encoder in (one_hot(handle_unknown="ignore"), one_hot(drop="first"), ordinal()):
            name = f"columns, {type(encoder).__name__} + {type(last).__name__}"
            yield name, lambda a=last, e=encoder: column_case(a, e)


TEXTS = ["the cat sat on the mat", "a dog barked at the cat", "cats and dogs are friends",
         "The end, it is near", "no end in sight", "birds fly", "the mat is flat", "fish swim, too"]


def text_case(vectorizer, last):
    from skl2onnx.common.data_types import StringTensorType
    from sklearn import pipeline
    x = np.array(TEXTS, dtype=object)
    model = pipeline.make_pipeline(vectorizer, last)
    model.fit(x, [0, 1, 1, 0, 0, 1, 0, 1])
    data = convert(model, [("x", StringTensorType([None]))], options={id(last): {"zipmap": False}})
    return data, {"x": x}, [model.predict(x), model.predict_proba(x)]


def text_cases():
    from sklearn import linear_model, naive_bayes
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    logistic = linear_model.LogisticRegression
    for kind, v, last in (
            ("words", TfidfVectorizer(), logistic()),
            ("case kept", TfidfVectorizer(lowercase=False), logistic()),
            ("pairs", TfidfVectorizer(ngram_range=(1, 2)), logistic()),
            ("stop words", TfidfVectorizer(stop_words=["the", "a"]), logistic()),
            ("sublinear", TfidfVectorizer(sublinear_tf=True, norm="l1"), logistic()),
            ("characters", TfidfVectorizer(analyzer="char", ngram_range=(2, 3)), logistic()),
            ("counts", CountVectorizer(), naive_bayes.MultinomialNB()),
            ("binary", CountVectorizer(binary=True), naive_bayes.BernoulliNB())):
        yield f"{type(v).__name__} + {type(last).__name__} ({kind})", lambda v=v, a=last: (
            text_case(v, a))


def boosted_cases():
    """XGBoost and LightGBM, by onnxmltools."""
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    x, three, score = numbers()
    feed, types = {"x": x[:ROWS]}, [("x", FloatTensorType([None, x.shape[1]]))]
    two = (three > 0).astype(np.int64)
    forest = {"n_estimators": 40, "max_depth": 5, "random_state": 0}

    def case(to_onnx, model, y):
        model.fit(x, y)
        return (to_onnx(model, initial_types=types, target_opset=15).SerializeToString(), feed,
                [model.predict(feed["x"])])

    of_xgb, of_lgbm = onnxmltools.convert_xgboost, onnxmltools.convert_lightgbm
    for kind, y in (("2 classes", two), ("3 classes", three)):
        yield f"XGBClassifier ({kind})", lambda y=y: case(
            of_xgb, xgboost.XGBClassifier(**forest), y)
        yield f"LGBMClassifier ({kind})", lambda y=y: case(
            of_lgbm, lightgbm.LGBMClassifier(verbose=-1, **forest), y)
    yield "XGBRegressor", lambda: case(of_xgb, xgboost.XGBRegressor(**forest), score)
    yield "XGBRFRegressor", lambda: case(of_xgb, xgboost.XGBRFRegressor(**forest), score)
    yield "LGBMRegressor", lambda: case(
        of_lgbm, lightgbm.LGBMRegressor(verbose=-1, **forest), score)


def models():
    """(name, function that trains and makes the Case), one at a time."""
    warnings.filterwarnings("ignore")
    for source in (numeric_cases, column_cases, text_cases, boosted_cases):
        for name, make in source():
            yield name, lambda name=name, make=make: Case(name, *make())


def file_name(name):
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") + ".onnx"


def flat(outputs):
    """Arrays of the outputs: a list of dicts becomes its keys and its matrix of values."""
    arrays = []
    for o in outputs:
        if isinstance(o, list):
            keys = sorted(o[0]) if o else []
            arrays += [np.array(keys), np.array([[row[k] for k in keys] for row in o])]
        else:
            arrays.append(np.asarray(o))
    return arrays
