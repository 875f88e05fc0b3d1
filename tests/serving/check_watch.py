"""
What `lamina serve` tells of itself while it runs, and what of that can be changed: settings of
traces and of the log.
"""
import json
import re
import threading
import time

from serving import (SLOW, Server, ends_beside, o, replace, run, scale_model, triton_http,
                     two_models, want)


def settings(program, d):
    with Server(program, d, "--admin", "127.0.0.1:0", "--model-control", "explicit", "--load",
                "*") as s:
        got, _, body = s.ask("GET", "/v2/trace/setting")
        want(got == 200 and body["trace_level"] == ["OFF"] and body["trace_rate"] == "1000",
             f"settings of traces: {got} {body}")
        got, _, body = s.ask("POST", "/v2/trace/setting", '{"trace_rate": "5"}')
        want(got == 403 and "admin" in body["error"], f"a change by anybody: {got} {body}")
        got, _, body = s.ask("POST", "/v2/trace/setting", '{"trace_rate": "5"}', admin=True)
        want(got == 200 and body["trace_rate"] == "5", f"a change: {got} {body}")
        got, _, body = s.ask("POST", "/v2/models/a/trace/setting", '{"trace_rate": 7}', admin=True)
        want(got == 200 and body["trace_rate"] == "7", f"of a model: {got} {body}")
        _, _, body = s.ask("GET", "/v2/models/b/trace/setting")
        want(body["trace_rate"] == "5", f"of another model: {body}")
        got, _, body = s.ask("POST", "/v2/models/a/trace/setting", '{"trace_rate": null}',
                             admin=True)
        want(got == 200 and body["trace_rate"] == "5", f"taken back: {got} {body}")
        for path, change, part in [
                ("/v2/trace/setting", {"trace_file": "/tmp/trace"}, "trace_file"),
                ("/v2/trace/setting", {"trace_level": ["TENSORS"]}, "TENSORS"),
                ("/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}, "--otlp"),
                ("/v2/trace/setting", {"nonsense": 1}, "nonsense"),
                ("/v2/logging", {"log_file": "/tmp/log"}, "log_file"),
                ("/v2/logging", {"log_info": 1}, "log_info"), ("/v2/logging", [], "object")]:
            got, _, body = s.ask("POST", path, json.dumps(change), admin=True)
            want(got == 400 and part in body["error"], f"{path} {change}: {got} {body}")
        got, _, body = s.ask("GET", "/v2/models/none/trace/setting")
        want(got == 404, f"of a model that is not there: {got}")
        got, _, _ = s.ask("GET", "/v2/models/a/versions/1/trace/setting")
        want(got == 404, f"of a version: {got}")
        got, headers, _ = s.ask("DELETE", "/v2/logging")
        want(got == 405 and headers["Allow"] == "GET, HEAD, POST, OPTIONS", f"DELETE: {got}")
        got, _, body = s.ask("POST", "/v2/logging", '{"log_info": false, "log_verbose_level": 1}',
                             admin=True)
        want(got == 200 and body["log_info"] is False and body["log_verbose_level"] == 1,
             f"settings of the log: {got} {body}")
        triton(s)


def triton(s):
    """Settings by Triton's client."""
    th = triton_http()
    if not th:
        return
    c = th.InferenceServerClient(f"127.0.0.1:{s.port}")
    a = th.InferenceServerClient(f"127.0.0.1:{s.admin}")
    got = a.update_trace_settings(settings={"trace_rate": "9", "trace_count": "100"})
    want(got["trace_rate"] == "9" and c.get_trace_settings()["trace_count"] == "100",
         f"tritonclient: {got}")
    got = a.update_trace_settings("b", {"trace_rate": "3"})
    want(got["trace_rate"] == "3" and c.get_trace_settings("b")["trace_rate"] == "3",
         f"tritonclient, a model: {got}")
    got = a.update_trace_settings("b", {"trace_rate": None})
    want(got["trace_rate"] == "9", f"tritonclient, taken back: {got}")
    got = a.update_log_settings({"log_verbose_level": 3, "log_warning": False})
    want(got["log_verbose_level"] == 3 and c.get_log_settings()["log_warning"] is False,
         f"tritonclient, log: {got}")


def loop_model():
    """y = x + n, one at a time: as slow as its client wants."""
    body = o.graph([o.node("Identity", ["c"], ["c2"]), o.node("Add", ["v", "one"], ["v2"])],
                   [o.info("i", o.I64, ()), o.info("c", o.BOOL, ()), o.info("v", dims=[4])],
                   [o.info("c2", o.BOOL, ()), o.info("v2", dims=[4])],
                   [o.floats("one", [1], [1.0])], name="body")
    return o.model(o.graph([o.node("Loop", ["n", "", "x"], ["y"], o.attr("body", "g", body))],
                           [o.info("n", o.I64, ()), o.info("x", dims=[4])],
                           [o.info("y", dims=[4])]))


def ask_loop(s, n):
    return s.ask("POST", "/v2/models/loop/infer", json.dumps({"inputs": [
        {"name": "n", "shape": [], "datatype": "INT64", "data": [n]},
        {"name": "x", "shape": [4], "datatype": "FP32", "data": [0, 0, 0, 0]}]}))


def hangs(program, d):
    """An instance whose run takes far longer than its warm-up."""
    replace(d / "hang" / "loop" / "1" / "model.onnx", loop_model())
    replace(d / "hang" / "loop" / "config.json",
            json.dumps({"parameters": {"run": {"string_value": "threads"}}}))
    replace(d / "hang" / "a" / "1" / "model.onnx", scale_model(2))
    with Server(program, d / "hang") as s:
        got, _, body = ask_loop(s, 100)
        want(got == 200 and body["outputs"][0]["data"] == [100] * 4, f"the loop: {got} {body}")
        c = s.connect()
        c.request("POST", "/v2/models/loop/infer", json.dumps({"inputs": [
            {"name": "n", "shape": [], "datatype": "INT64", "data": [1 << 40]},
            {"name": "x", "shape": [4], "datatype": "FP32", "data": [0, 0, 0, 0]}]}))
        until = time.monotonic() + 20 * SLOW
        overdue = 'lamina_instances{model="loop",version="1",state="overdue"} 1'
        while overdue not in s.ask("GET", "/metrics")[2].decode() and time.monotonic() < until:
            time.sleep(0.1)
        text = s.ask("GET", "/metrics")[2].decode()
        want(overdue in text, "no watchdog in the metrics")
        took = re.search(r'lamina_run_seconds\{model="loop",version="1"\} ([0-9.]+)', text)
        want(took and float(took[1]) > 1, f"how long it runs: {took}")
        want('lamina_instances{model="a",version="1",state="idle"} 1' in text, "an idle instance")
        got, _, body = s.ask("GET", "/v2/models/loop/ready")
        want(got == 503 and body["ready"] is False, f"ready while it hangs: {got} {body}")
        want(s.ask("GET", "/v2/models/a/ready")[0] == 200, "another model's health")
        want(s.infer("a", [1] * 4)[0] == 200, "another model")
        want(b"overdue" in s.ask("GET", "/")[2], "no watchdog on the page")
        c.close()  # nobody waits any more: it is stopped
        until = time.monotonic() + 20 * SLOW
        while s.ask("GET", "/v2/models/loop/ready")[0] != 200 and time.monotonic() < until:
            time.sleep(0.05)
        want(s.ask("GET", "/v2/models/loop/ready")[0] == 200, "it hangs for good")
        want(ask_loop(s, 10)[0] == 200, "a request after it")


def captured(program, d):
    """What the engine does, on the admin address."""
    with Server(program, d, "--admin", "127.0.0.1:0") as s:
        path = "/v2/admin/trace?seconds=1"
        want(s.ask("GET", path)[0] == 403, "a capture by anybody")
        for bad in ("seconds=0", "seconds=61", "seconds=x", "level=4", "what=1", "seconds=1&"):
            got = s.ask("GET", "/v2/admin/trace?" + bad, admin=True)[0]
            want(got == (200 if bad.endswith("&") else 400), f"{bad}: {got}")
        got = []
        t = threading.Thread(target=lambda: got.append(s.ask("GET", path, admin=True)))
        t.start()
        time.sleep(0.2)
        want(s.ask("GET", path, admin=True)[0] == 503, "two captures at once")
        while t.is_alive():  # of runs this short one in many is noted
            s.infer("a", [1] * 4)
        t.join()
        status, _, body = got[0]
        events = body["traceEvents"]
        nodes = [e for e in events if e["cat"] == "node"]
        runs = [e for e in events if e["name"] == "run"]
        want(status == 200 and nodes and runs and nodes[0]["ph"] == "X" and nodes[0]["dur"] >= 0 and
             "kernel" in nodes[0]["args"], f"{events[:3]}")
        want(body["otherData"]["events"] == len(events) and not body["otherData"]["truncated"],
             f"{body['otherData']}")
        ends_beside(s, "/v2/admin/trace?seconds=60")


def everything(program, d):
    two_models(d / "models")
    settings(program, d / "models")
    hangs(program, d)
    captured(program, d / "models")


if __name__ == "__main__":
    run(everything)
