"""
Traces and metrics of `lamina serve` as a collector of OpenTelemetry gets them: protobuf bodies,
parsed by the official messages, every field known; a collector that is away, refuses or hangs.
"""
import http.server
import json
import re
import sys
import threading
import time

from serving import SLOW, Server, run, two_models, want

try:
    from google.protobuf import unknown_fields
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
except ImportError:
    print("opentelemetry-proto is not there")
    sys.exit(77)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def all_known(m):
    """No field that the messages do not have, at any depth."""
    if len(unknown_fields.UnknownFieldSet(m)):
        return False
    for field, value in m.ListFields():
        if field.message_type:
            many = value if hasattr(value, "__len__") else [value]
            if not all(all_known(v) for v in many):
                return False
    return True


class Collector:
    """Keeps what it gets. `say`: the status it answers, None: nothing at all."""

    def __init__(self, port=0):
        outer = self
        self.say, self.traces, self.metrics, self.calls = 200, [], [], 0
        self.prefix, self.closed = "", False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.closed:
                    self.close_connection = True
                    return
                outer.calls += 1
                if outer.say is None:
                    time.sleep(30)
                    return
                if outer.say == 200:
                    outer.take(self.path, self.headers["Content-Type"], body)
                self.send_response(outer.say)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, kind, body):
        want(kind == "application/x-protobuf", f"Content-Type {kind}")
        if path == self.prefix + "/v1/traces":
            self.traces.append(trace_pb.ExportTraceServiceRequest.FromString(body))
        else:
            want(path == self.prefix + "/v1/metrics", f"path {path}")
            self.metrics.append(metrics_pb.ExportMetricsServiceRequest.FromString(body))

    def close(self):
        for m in self.traces[:2] + self.metrics[-1:]:
            want(all_known(m), "an unknown field")
        self.closed = True  # also for a connection that is open
        self.server.shutdown()
        self.server.server_close()

    def spans(self):
        return [s for m in list(self.traces) for r in m.resource_spans for c in r.scope_spans
                for s in c.spans]

    def await_spans(self, n, seconds=10):
        until = time.monotonic() + seconds * SLOW
        while len(self.spans()) < n and time.monotonic() < until:
            time.sleep(0.05)
        return self.spans()


def attributes(s):
    return {a.key: a.value.string_value or a.value.int_value for a in s.attributes}


def traced(program, repo):
    c = Collector()
    c.prefix = "/some/where"
    before = time.time_ns()
    with Server(program, repo, "--otlp", f"http://localhost:{c.port}/some/where/", "--admin",
                "127.0.0.1:0") as s:
        got, head, _ = s.infer("a", [1] * 4, None, {"traceparent": PARENT,
                                                    "tracestate": "vendor=1,other=x"})
        mine = head["traceparent"]
        want(got == 200 and re.fullmatch(PARENT[:36] + "[0-9a-f]{16}-01", mine) and mine != PARENT,
             f"traceparent of the answer: {mine}")
        # The first request that nobody traces is the one in 1000; more are not.
        for _ in range(20):
            s.infer("a", [1] * 4)
        _, head, _ = s.infer("a", [1] * 4, None, {"traceparent": PARENT[:-2] + "00"})
        want(head["traceparent"].endswith("-00"), f"not sampled: {head['traceparent']}")
        got, _, _ = s.infer("a", [1], None, {"traceparent": PARENT})
        want(got == 400, f"a bad request: {got}")
        spans = c.await_spans(5 + 5 + 1)
        want(len(spans) == 11, f"{len(spans)} spans, not 11")
        check_trace(spans, mine, before)
        text = s.ask("GET", "/metrics")[2].decode()
        want('lamina_otlp_traces_total{outcome="sent"} 3' in text, "sent traces are not counted")
    check_metrics(c)
    c.close()


def check_trace(spans, mine, before):
    by = {s.span_id: s for s in spans}
    want(len(by) == len(spans), "ids of spans twice")
    root = by.get(bytes.fromhex(mine.split("-")[2]))
    if not want(root is not None, "the answer's span is not among them"):
        return
    want(root.trace_id.hex() == PARENT.split("-")[1] and
         root.parent_span_id.hex() == PARENT.split("-")[2], "ids of the client")
    want(root.kind == 2 and root.name == "infer a" and root.trace_state == "vendor=1,other=x",
         f"{root}")
    a = attributes(root)
    want(a["lamina.model"] == "a" and a["lamina.version"] == 1 and a["lamina.rows"] == 1 and
         a["http.response.status_code"] == 200, f"{a}")
    want(before < root.start_time_unix_nano <= root.end_time_unix_nano < time.time_ns(), "times")
    stages = [s for s in spans if s.parent_span_id == root.span_id]
    want([s.name for s in stages] == ["input", "queue", "compute", "output"], f"{stages}")
    at = root.start_time_unix_nano
    for s in stages:
        want(s.kind == 1 and s.trace_id == root.trace_id, f"{s}")
        want(s.start_time_unix_nano == at and s.end_time_unix_nano >= at, f"times of {s.name}")
        at = s.end_time_unix_nano
    want(at == root.end_time_unix_nano, "stages end with the request")
    bad = [s for s in spans if attributes(s).get("http.response.status_code") == 400]
    want(len(bad) == 1 and bad[0].status.code == 0, "the bad request")
    own = [s for s in spans if s.name == "infer a" and not s.parent_span_id]
    want(len(own) == 1 and any(own[0].trace_id), "a trace of our own")


def check_metrics(c):
    """The last ones come at the end, so they say all."""
    if not want(c.metrics, "no metrics"):
        return
    scope = c.metrics[-1].resource_metrics[0]
    names = {a.key: a.value.string_value for a in scope.resource.attributes}
    want(names["service.name"] == "lamina" and names["service.version"], f"{names}")
    by = {m.name: m for m in scope.scope_metrics[0].metrics}
    h = by["lamina_inference_duration_seconds"].histogram
    p = next(p for p in h.data_points
             if {a.key: a.value.string_value for a in p.attributes}["model"] == "a")
    want(p.count == 22 and sum(p.bucket_counts) == 22 and h.aggregation_temporality == 2 and
         len(p.bucket_counts) == len(p.explicit_bounds) + 1 and p.sum > 0, f"{p}")
    want(by["lamina_inference_duration_seconds"].unit == "s", "unit")
    want(by["lamina_batch_rows"].histogram.data_points, "rows of batches")
    r = by["lamina_http_requests"].sum
    want(r.is_monotonic and r.aggregation_temporality == 2 and
         any(p.as_int >= 22 for p in r.data_points), "requests")
    want(by["lamina_memory_bytes"].gauge.data_points[0].as_int > 0, "memory")
    want(by["lamina_cpu_seconds"].sum.data_points[0].as_double > 0, "cpu")
    start = r.data_points[0].start_time_unix_nano
    want(0 < start < r.data_points[0].time_unix_nano <= time.time_ns(), "times of metrics")


def settings(program, repo):
    """Rate and count are changed while it runs."""
    c = Collector()
    with Server(program, repo, "--otlp", f"http://127.0.0.1:{c.port}", "--trace-rate", "1",
                "--admin", "127.0.0.1:0") as s:
        change = {"trace_count": "3"}
        got, _, _ = s.ask("POST", "/v2/trace/setting", json.dumps(change), admin=True)
        for _ in range(10):
            s.infer("a", [1] * 4)
        want(len(c.await_spans(15)) == 15, "trace_count")
        time.sleep(1.5)
        want(len(c.spans()) == 15, "trace_count is no bound")
        _, _, body = s.ask("GET", "/v2/trace/setting")
        want(body["trace_count"] == "0" and body["trace_level"] == ["TIMESTAMPS"], f"{body}")
        s.ask("POST", "/v2/models/b/trace/setting", '{"trace_count": "-1"}', admin=True)
        s.infer("a", [1] * 4)
        s.infer("b", [1] * 4)
        spans = c.await_spans(20)
        want(len(spans) == 20 and spans[15].name == "infer b", "settings of a model")
        s.ask("POST", "/v2/trace/setting", '{"trace_level": ["OFF"]}', admin=True)
        _, head, _ = s.infer("a", [1] * 4, None, {"traceparent": PARENT})
        want(head["traceparent"].endswith("-00"), "not traced, but says so")
    c.close()


def away(program, repo, ring):
    """A collector that refuses, is not there, comes back."""
    c = Collector()
    c.say = 503
    with Server(program, repo, "--otlp", f"http://127.0.0.1:{c.port}", "--trace-rate", "1", "--log",
                str(ring)) as s:
        for _ in range(5):
            s.infer("a", [1] * 4)
        until = time.monotonic() + 10 * SLOW
        while c.calls < 3 and time.monotonic() < until:
            time.sleep(0.05)
        want(not c.traces, "taken")
        c.say = 200
        want(len(c.await_spans(25, 20)) == 25, f"{len(c.spans())} spans after it came back")
        c.close()
        n = 6000  # more than wait for it
        begin = time.monotonic()
        one = s.connect()
        for _ in range(n):
            one.request("POST", "/v2/models/a/infer", json.dumps(
                {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32",
                             "data": [1, 2, 3, 4]}]}))
            r = one.getresponse()
            r.read()
            if not want(r.status == 200, f"{r.status} without a collector"):
                break
        one.close()
        want(time.monotonic() - begin < 60 * SLOW, "slow without a collector")
        text = s.ask("GET", "/metrics")[2].decode()
        dropped = int(re.search(r'lamina_otlp_traces_total\{outcome="dropped"\} (\d+)', text)[1])
        want(dropped == n - 4096 - 1024, f"{dropped} dropped of {n}")
        back = Collector(c.port)
        want(len(back.await_spans(5 * 5120, 60)) == 5 * 5120, f"{len(back.spans())} spans")
        back.close()


def hangs(program, repo):
    """A collector that takes a request and says nothing: the server ends all the same."""
    c = Collector()
    c.say = None
    with Server(program, repo, "--otlp", f"http://127.0.0.1:{c.port}", "--trace-rate", "1",
                "--drain-delay", "1ms") as s:
        for _ in range(5):
            s.infer("a", [1] * 4)
        until = time.monotonic() + 10 * SLOW
        while not c.calls and time.monotonic() < until:
            time.sleep(0.05)
        begin = time.monotonic()
        got, _, _ = s.infer("a", [1] * 4)
        want(got == 200 and time.monotonic() - begin < SLOW, "a request beside a call that hangs")
        s.p.terminate()
        s.p.wait(60 * SLOW)
        want(time.monotonic() - begin < 10 * SLOW, "the end takes long")
    c.close()


def everything(program, d):
    two_models(d / "models")
    (d / "ring").mkdir()
    traced(program, d / "models")
    settings(program, d / "models")
    away(program, d / "models", d / "ring")
    hangs(program, d / "models")


if __name__ == "__main__":
    run(everything)
