#!/usr/bin/env python3
"""
Ensembles of `lamina serve`: the example of Triton's documentation, the same bits as composing the
models by hand, steps that run side by side and share batches with others, what happens when a step
fails or is refused, members that are replaced and unloaded, and configurations that do not fit.
Usage: check_ensemble.py LAMINA
"""
import concurrent.futures
import json
import random
import struct
import time

from serving import SLOW, Server, o, replace, run, want

TRITONS = """
name: "ensemble_model"
platform: "ensemble"
max_batch_size: 4
input [ { name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] } ]
output [
  { name: "CLASSIFICATION" data_type: TYPE_FP32 dims: [ 10 ] },
  { name: "SEGMENTATION" data_type: TYPE_FP32 dims: [ 3, 2, 2 ] }
]
ensemble_scheduling {
  step [
    {
      model_name: "image_preprocess_model"
      model_version: -1
      input_map { key: "RAW_IMAGE" value: "IMAGE" }
      output_map { key: "PREPROCESSED_OUTPUT" value: "preprocessed_image" }
    },
    {
      model_name: "classification_model"
      model_version: -1
      input_map { key: "FORMATTED_IMAGE" value: "preprocessed_image" }
      output_map { key: "CLASSIFICATION_OUTPUT" value: "CLASSIFICATION" }
    },
    {
      model_name: "segmentation_model"
      model_version: -1
      input_map { key: "FORMATTED_IMAGE" value: "preprocessed_image" }
      output_map { key: "SEGMENTATION_OUTPUT" value: "SEGMENTATION" }
    }
  ]
}
"""


def dense(n_in, n_out, seed):
    """y = tanh(x W) with random weights."""
    r = random.Random(seed)
    w = [r.uniform(-1, 1) for _ in range(n_in * n_out)]
    nodes = [o.node("MatMul", ["x", "w"], ["h"]), o.node("Tanh", ["h"], ["y"])]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", n_in])], [o.info("y", dims=["N", n_out])],
                           [o.floats("w", [n_in, n_out], w)]))


def binary(op, dims=("N", 8)):
    return o.model(o.graph([o.node(op, ["a", "b"], ["y"])],
                           [o.info("a", dims=dims), o.info("b", dims=dims)],
                           [o.info("y", dims=dims)]))


def lookup():
    """y = table[i]: an index out of range fails."""
    nodes = [o.node("Gather", ["t", "i"], ["y"])]
    return o.model(o.graph(nodes, [o.info("i", o.I64, ["N"])], [o.info("y", dims=["N"])],
                           [o.floats("t", [4], [0, 10, 20, 30])]))


def cast(to, name, kind):
    at = o.attr("to", "i", to)
    return o.model(o.graph([o.node("Cast", ["x"], ["y"], at)], [o.info("x", name, ["N"])],
                           [o.info("y", kind, ["N"])]))


def port(name, dims, kind="TYPE_FP32", **more):
    return dict(name=name, data_type=kind, dims=dims, **more)


def step(model, ins, outs, version=-1):
    return dict(model_name=model, model_version=version, input_map=ins, output_map=outs)


def ensemble(ins, outs, steps, batch=64):
    return json.dumps(dict(platform="ensemble", max_batch_size=batch, input=ins, output=outs,
                           ensemble_scheduling=dict(step=steps)))


def put(repo, name, model, config=None):
    replace(repo / name / "1" / "model.onnx", model)
    if config:
        replace(repo / name / "config.json", config)


def ask(s, model, outputs=(), params=None, **tensors):
    """Status, and outputs as bytes by name (or the error); tensors are (datatype, shape, bytes)."""
    ins = [dict(name=n, datatype=t, shape=shape, parameters=dict(binary_data_size=len(raw)))
           for n, (t, shape, raw) in tensors.items()]
    body = dict(inputs=ins, parameters=dict(binary_data_output=True, **(params or {})))
    if outputs:
        body["outputs"] = [dict(name=n, parameters=dict(binary_data=True)) for n in outputs]
    head = json.dumps(body).encode()
    got, fields, data = s.ask("POST", f"/v2/models/{model}/infer",
                              head + b"".join(raw for _, _, raw in tensors.values()),
                              {"Inference-Header-Content-Length": str(len(head))})
    if got != 200:
        return got, data["error"] if isinstance(data, dict) else data
    n = int(fields["Inference-Header-Content-Length"])
    at, out = n, {}
    for t in json.loads(data[:n])["outputs"]:
        size = t["parameters"]["binary_data_size"]
        out[t["name"]] = (t["datatype"], t["shape"], data[at:at + size])
        at += size
    return got, out


def f32(shape, seed=0):
    n = 1
    for d in shape:
        n *= d
    r = random.Random(seed)
    return "FP32", shape, struct.pack(f"<{n}f", *[r.uniform(-2, 2) for _ in range(n)])


def text(words):
    return "BYTES", [len(words), 1], b"".join(struct.pack("<I", len(w)) + w for w in words)


def tritons_example(program, d):
    repo = d / "triton"
    nodes = [o.node("Cast", ["RAW_IMAGE"], ["PREPROCESSED_OUTPUT"], o.attr("to", "i", o.F32))]
    put(repo, "image_preprocess_model",
        o.model(o.graph(nodes, [o.info("RAW_IMAGE", o.STRING, ["N", 1])],
                        [o.info("PREPROCESSED_OUTPUT", dims=["N", 1])])),
        '{"max_batch_size": 4}')  # not found out: the words that are tried are no numbers
    w = o.floats("w", [1, 10], range(10))
    put(repo, "classification_model",
        o.model(o.graph([o.node("MatMul", ["FORMATTED_IMAGE", "w"], ["CLASSIFICATION_OUTPUT"])],
                        [o.info("FORMATTED_IMAGE", dims=["N", 1])],
                        [o.info("CLASSIFICATION_OUTPUT", dims=["N", 10])], [w])))
    nodes = [o.node("MatMul", ["FORMATTED_IMAGE", "w"], ["h"]),
             o.node("Reshape", ["h", "s"], ["SEGMENTATION_OUTPUT"])]
    put(repo, "segmentation_model",
        o.model(o.graph(nodes, [o.info("FORMATTED_IMAGE", dims=["N", 1])],
                        [o.info("SEGMENTATION_OUTPUT", dims=["N", 3, 2, 2])],
                        [o.floats("w", [1, 12], range(12)), o.ints("s", [-1, 3, 2, 2])])))
    replace(repo / "ensemble_model" / "config.pbtxt", TRITONS)
    with Server(program, repo) as s:
        got, out = ask(s, "ensemble_model", IMAGE=text([b"1.5", b"-2"]))
        if not want(got == 200, f"Triton's example: {got} {out}"):
            return
        want(out["CLASSIFICATION"][1] == [2, 10] and out["SEGMENTATION"][1] == [2, 3, 2, 2],
             f"shapes {out}")
        values = struct.unpack("<20f", out["CLASSIFICATION"][2])
        want(list(values) == [1.5 * i for i in range(10)] + [-2.0 * i for i in range(10)],
             f"classes {values}")
        got, out = ask(s, "ensemble_model", ["SEGMENTATION"], IMAGE=text([b"3"]))
        want(got == 200 and list(out) == ["SEGMENTATION"], f"one output: {got} {out}")
        stats = s.ask("GET", "/v2/models/classification_model/stats")[2]["model_stats"][0]
        want(stats["execution_count"] == 1, "a step that no output needs is run")
        want(stats["inference_stats"]["success"]["count"] == 1 and stats["inference_count"] == 2,
             f"steps are not counted with their model: {stats}")
        stats = s.ask("GET", "/v2/models/ensemble_model/stats")[2]["model_stats"][0]
        want(stats["inference_stats"]["success"]["count"] == 2 and stats["execution_count"] == 2,
             f"the ensemble is not counted: {stats}")
        meta = s.ask("GET", "/v2/models/ensemble_model")[2]
        want(meta["platform"] == "ensemble" and meta["inputs"][0]["shape"] == [-1, 1],
             f"metadata {meta}")
        config = s.ask("GET", "/v2/models/ensemble_model/config")[2]
        want(len(config["ensemble_scheduling"]["step"]) == 3 and "instance_group" not in config,
             f"config {config}")
        page = s.ask("GET", "/metrics")[2].decode()
        want('lamina_inference_requests_total{model="segmentation_model",version="1",'
             'outcome="ok"} 2' in page, "metrics of a member")


def diamond(program, d):
    """x -> first -> (left, right) -> join -> last, first again: the same bits as by hand."""
    repo = d / "diamond"
    threads = json.dumps(dict(max_batch_size=64, dynamic_batching={},
                              parameters=dict(run=dict(string_value="threads"))))
    delayed = json.dumps(dict(
        max_batch_size=64, dynamic_batching=dict(max_queue_delay_microseconds=3000),
        parameters=dict(run=dict(string_value="inline"))))
    put(repo, "first", dense(8, 8, 1))
    put(repo, "left", dense(8, 8, 2), threads)
    put(repo, "right", dense(8, 8, 3))
    put(repo, "slow", dense(8, 8, 4), delayed)
    put(repo, "join", binary("Sub"), threads)
    steps = [step("join", dict(a="l", b="r"), dict(y="j")),
             step("first", dict(x="j"), dict(y="k")),
             step("slow", dict(x="k"), dict(y="out")),
             step("right", dict(x="f"), dict(y="r")),
             step("left", dict(x="f"), dict(y="l")),
             step("first", dict(x="in"), dict(y="f"))]
    replace(repo / "all" / "config.json",
            ensemble([port("in", [8])], [port("out", [8]), port("f", [8])], steps))
    replace(repo / "wide" / "config.json",
            ensemble([port("x", [8])], [port("y", [8])],
                     [step("first", dict(x="x"), dict(y="m")),
                      step("right", dict(x="m"), dict(y="y"))], batch=4096))
    outer = [step("all", {"in": "x"}, dict(out="m")), step("join", dict(a="m", b="x"), dict(y="z"))]
    replace(repo / "nested" / "config.json",
            ensemble([port("x", [8])], [port("z", [8])], outer))

    def by_hand(s, x):
        def one(model, **t):
            return ask(s, model, **t)[1]["y"]
        f = one("first", x=x)
        k = one("first", x=one("join", a=one("left", x=f), b=one("right", x=f)))
        return f, one("slow", x=k)

    with Server(program, repo, "--loops", "2") as s:
        def check(i):
            x = f32([1 + i % 5, 8], i)
            got, out = ask(s, "all", ["out", "f"] if i % 3 else [], **{"in": x})
            f, last = by_hand(s, x)
            if got != 200 or out["out"] != last or out["f"] != f:
                return f"{i}: {got} {out if got != 200 else 'other bits'}"
            if i % 4 == 0:
                got, out = ask(s, "nested", x=x)
                if got != 200 or out["z"] != ask(s, "join", a=last, b=x)[1]["y"]:
                    return f"nested {i}: {got} {out}"
            return None
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            bad = [b for b in pool.map(check, range(400)) if b]
        want(not bad, f"{len(bad)} of 400: {bad[:2]}")
        stats = {m["name"]: m for m in s.ask("GET", "/v2/models/stats")[2]["model_stats"]}
        want(stats["all"]["execution_count"] == 500, f"{stats['all']}")
        runs, rows = stats["left"]["execution_count"], stats["left"]["inference_count"]
        sizes = stats["left"]["batch_stats"]
        want(sum(b["compute_infer"]["count"] for b in sizes) == runs and
             sum(b["batch_size"] * b["compute_infer"]["count"] for b in sizes) >= rows,
             f"runs by size: {sizes}")
        want(runs < 900, f"steps share no batch: {runs} runs of {rows} rows")
        # nobody comes: the one that waits for company must still be run
        began = time.monotonic()
        want(ask(s, "all", **{"in": f32([1, 8])})[0] == 200, "alone")
        want(time.monotonic() - began < 5 * SLOW, "a delayed step is forgotten")
        # "first" and "right" found out what a batch is: larger ones run in parts there
        x = f32([300, 8])
        got, out = ask(s, "wide", x=x)
        rows = [ask(s, "wide", x=(x[0], [1, 8], x[2][32 * i:32 * i + 32])) for i in range(300)]
        want(got == 200 and out["y"][1] == [300, 8], f"more rows than a batch: {got} {out}")
        if got == 200:
            one = b"".join(r[1]["y"][2] for r in rows)
            pairs = zip(struct.unpack("<2400f", one), struct.unpack("<2400f", out["y"][2]))
            want(all(abs(a - b) < 1e-5 for a, b in pairs), "parts of an ensemble differ")
        got = ask(s, "all", **{"in": f32([65, 8])})
        want(got[0] == 400 and "65 rows" in got[1], f"too many rows: {got}")


def failing(program, d):
    repo = d / "failing"
    put(repo, "cast", cast(o.I64, o.F32, o.I64))
    put(repo, "table", lookup(), json.dumps(dict(max_batch_size=4, dynamic_batching={})))
    put(repo, "slow", dense(2048, 2048, 9), json.dumps(dict(
        max_batch_size=1, dynamic_batching=dict(
            default_queue_policy=dict(allow_timeout_override=True)),
        parameters=dict(run=dict(string_value="threads")))))
    replace(repo / "e" / "config.json",
            ensemble([port("x", [1])], [port("y", [1])], [], 0).replace(
                '"step": []', '"step": ' + json.dumps([
                    step("cast", dict(x="x"), dict(y="i")), step("table", dict(i="i"),
                                                                 dict(y="y"))]))
            .replace("[1]", "[-1]"))
    replace(repo / "chain" / "config.json",
            ensemble([port("x", [2048])], [port("y", [2048])],
                     [step("slow", dict(x="x"), dict(y="m")),
                      step("slow", dict(x="m"), dict(y="y"))], 1))
    with Server(program, repo) as s:
        def index(v):
            return ask(s, "e", x=("FP32", [1], struct.pack("<f", v)))
        got, out = index(2)
        want(got == 200 and struct.unpack("<f", out["y"][2]) == (20.0,), f"{got} {out}")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(index, [i % 8 for i in range(64)]))
        for i, (got, out) in enumerate(answers):
            if i % 8 < 4:
                want(got == 200 and struct.unpack("<f", out["y"][2])[0] == 10.0 * (i % 8),
                     f"a neighbour fails: {got} {out}")
            else:
                want(got in (400, 500) and out.startswith('step 2 ("table"): '),
                     f"{i}: {got} {out}")
        # more than its models take: refused at once or at a step, never stuck
        x = f32([1, 2048])
        with concurrent.futures.ThreadPoolExecutor(200) as pool:
            answers = list(pool.map(lambda _: ask(s, "chain", x=x)[0], range(400)))
        want(set(answers) <= {200, 503} and 200 in answers, f"overload: {set(answers)}")
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(
                lambda _: ask(s, "chain", params=dict(timeout=20000), x=x), range(40)))
        want({a[0] for a in answers} <= {200, 503, 504}, f"deadline: {answers[:2]}")
        want(ask(s, "chain", x=x)[0] == 200, "after the overload")


def members(program, d):
    """Models that come, are replaced and go under an ensemble of them."""
    repo = d / "members"
    put(repo, "a", dense(8, 8, 1))
    put(repo, "b", dense(8, 8, 2))
    chain = [step("a", dict(x="x"), dict(y="m")), step("b", dict(x="m"), dict(y="y"))]
    replace(repo / "e" / "config.json", ensemble([port("x", [8])], [port("y", [8])], chain))
    x = f32([2, 8])
    cached = json.loads((repo / "e" / "config.json").read_text())
    cached["response_cache"] = dict(enable=True)
    replace(repo / "kept" / "config.json", json.dumps(cached))
    with Server(program, repo, "--model-control", "explicit", "--load", "e", "--load", "kept",
                "--admin", "127.0.0.1:0") as s:
        def change(what, model):
            return s.ask("POST", f"/v2/repository/models/{model}/{what}", admin=True)[0]

        def composed():
            return ask(s, "b", x=ask(s, "a", x=x)[1]["y"])[1]["y"]

        def state(model):
            rows = s.ask("POST", "/v2/repository/index")[2]
            return next((r["state"], r["reason"]) for r in rows if r["name"] == model)
        want(ask(s, "e", x=x)[1]["y"] == composed(), "its models are not loaded with it")
        bad, stop = [], []

        def load_it():
            while not stop:
                got, out = ask(s, random.choice(("e", "kept")), x=x)
                if got != 200:
                    bad.append(out)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(load_it)
            try:
                for i in range(20):
                    put(repo, "b", dense(8, 8, 3 + i))
                    want(change("load", "b") == 200, "reload of a member")
                    want(ask(s, "e", x=x)[1]["y"] == composed(), f"{i}: the old member is served")
                    want(ask(s, "kept", x=x)[1]["y"] == composed(), f"{i}: kept of the old member")
            finally:
                stop.append(1)
        want(not bad, f"{len(bad)} failed while members were replaced: {bad[:2]}")
        put(repo, "b", dense(4, 8, 3))
        want(change("load", "b") == 200, "a member of another shape")
        want(ask(s, "e", x=x)[0] == 200 and "shape" in state("e")[1],
             f"the ensemble does not go on with what it holds: {state('e')}")
        want(change("unload", "a") == 200 and ask(s, "e", x=x)[0] == 503, "a member goes")
        want(state("e")[0] == "UNAVAILABLE", f"{state('e')}")
        put(repo, "b", dense(8, 8, 3))
        want(change("load", "b") == 200 and change("load", "a") == 200, "members come back")
        want(ask(s, "e", x=x)[1]["y"] == composed(), "the ensemble does not come back")
        want(change("unload", "e") == 200 and ask(s, "e", x=x)[0] == 503, "unload")


def cached(program, d):
    """The whole answer is kept: what was asked before asks nothing of the steps."""
    repo = d / "cached"
    put(repo, "a", dense(8, 8, 1))
    put(repo, "b", dense(8, 8, 2))
    steps = [step("a", dict(x="x"), dict(y="m")), step("b", dict(x="m"), dict(y="y"))]
    config = dict(json.loads(ensemble([port("x", [8])], [port("m", [8]), port("y", [8])], steps)),
                  response_cache=dict(enable=True))
    replace(repo / "e" / "config.json", json.dumps(config))
    outer = [step("e", dict(x="x"), dict(y="p")), step("e", dict(x="p"), dict(y="y"))]
    replace(repo / "twice" / "config.json", ensemble([port("x", [8])], [port("y", [8])], outer))
    with Server(program, repo) as s:
        want(s.ask("GET", "/v2/models/e/config")[2]["response_cache"] == {"enable": True}, "config")

        def counts(model):
            row = s.ask("GET", f"/v2/models/{model}/stats")[2]["model_stats"][0]
            return [int(row["inference_stats"][k]["count"]) for k in ("cache_hit", "cache_miss")]

        def runs():
            return s.ask("GET", "/v2/models/b/stats")[2]["model_stats"][0]["execution_count"]
        x, z = f32([2, 8]), f32([1, 8])
        first, before = ask(s, "e", x=x), runs()
        want(ask(s, "e", x=x) == first and first[0] == 200, "another answer from the cache")
        want(runs() == before and counts("e") == [1, 1], f"{runs()}, {before}, {counts('e')}")
        got, some = ask(s, "e", ["m"], x=x)
        want(got == 200 and some["m"] == first[1]["m"] and "y" not in some, "one output")
        want(counts("e") == [1, 2], "other outputs are another request")
        want(ask(s, "e", x=z)[0] == 200 and counts("e") == [1, 3], "other inputs")
        other = ask(s, "twice", x=z)
        want(other[0] == 200 and ask(s, "twice", x=z) == other, "in another ensemble")
        want(counts("twice") == [0, 0] and counts("e") == [3, 5], f"{counts('e')}")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            all_of = list(pool.map(lambda i: ask(s, "twice" if i % 2 else "e", x=z), range(400)))
        want(all(a == (other if i % 2 else ask(s, "e", x=z)) for i, a in enumerate(all_of)), "many")


def refused(program, d):
    """What does not fit is told when it is loaded."""
    repo = d / "refused"
    put(repo, "a", dense(8, 8, 1))
    put(repo, "ab", binary("Add"))
    ins, outs = [port("x", [8])], [port("y", [8])]
    fine = step("a", dict(x="x"), dict(y="y"))
    cases = {
        "cycle": (ins, outs, [step("ab", dict(a="x", b="q"), dict(y="p")),
                              step("a", dict(x="p"), dict(y="q")),
                              step("a", dict(x="q"), dict(y="y"))], "cycle"),
        "unwritten": (ins, outs, [step("a", dict(x="z"), dict(y="y"))], 'nothing writes'),
        "twice": (ins, outs, [fine, fine], "written twice"),
        "over": (ins, outs, [step("a", dict(x="x"), dict(y="x")), fine], "written twice"),
        "output": (ins, [port("z", [8])], [fine], 'no step writes the output "z"'),
        "straight": (ins, [port("x", [8])], [fine], "no step writes"),
        "unread": (ins + [port("w", [8])], outs, [fine], 'no step reads the input "w"'),
        "noport": (ins, outs, [step("a", dict(q="x"), dict(y="y"))], 'no input "q"'),
        "noout": (ins, outs, [step("a", dict(x="x"), dict(q="y"))], 'no output "q"'),
        "missing": (ins, outs, [step("ab", dict(a="x"), dict(y="y"))], 'given to its input "b"'),
        "type": ([port("x", [8], "TYPE_INT32")], outs, [fine], "another type"),
        "shape": ([port("x", [9])], outs, [fine], "another shape"),
        "rank": ([port("x", [8, 1])], outs, [fine], "number of dimensions"),
        "outshape": (ins, [port("y", [9])], [fine], "another shape"),
        "nomodel": (ins, outs, [step("nobody", dict(x="x"), dict(y="y"))], "not loaded"),
        "noversion": (ins, outs, [step("a", dict(x="x"), dict(y="y"), 7)], "not loaded"),
        "itself": (ins, outs, [step("itself", dict(x="x"), dict(y="y"))], "step of itself"),
        "dots": (ins, outs, [step("../a", dict(x="x"), dict(y="y"))], "not loaded"),
    }
    for name, (i, u, steps, _) in cases.items():
        replace(repo / name / "config.json", ensemble(i, u, steps))
    put(repo, "four", dense(8, 8, 1), '{"max_batch_size": 4}')
    four = [step("four", dict(x="x"), dict(y="y"))]
    replace(repo / "batch" / "config.json", ensemble(ins, outs, four, 5))
    with Server(program, repo) as s:
        rows = {r["name"]: r for r in s.ask("POST", "/v2/repository/index")[2]}
        for name, (_, _, _, why) in cases.items():
            want(rows[name]["state"] == "UNAVAILABLE" and why in rows[name]["reason"],
                 f"{name}: {rows[name]}")
        want("4 rows at most" in rows["batch"]["reason"], f"{rows['batch']}")
        want(rows["a"]["state"] == "READY", "a model that is one of their steps")


if __name__ == "__main__":
    run(tritons_example, diamond, failing, members, cached, refused)
