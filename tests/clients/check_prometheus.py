#!/usr/bin/env python3
"""
/metrics as readers of Prometheus take it: both parsers of prometheus_client (the one of OpenMetrics
is strict), with the rules that they do not check: histograms that add up, names that fit their
units, counters that never fall; promtool where it is installed.
"""
import pathlib
import shutil
import subprocess
import tempfile

from judged import PROGRAM, Server, check, finish, need, repository

need("prometheus_client")
from prometheus_client import parser  # noqa: E402
from prometheus_client.openmetrics import parser as strict  # noqa: E402

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# What Prometheus itself sends.
ACCEPT = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
          "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")


def histograms(families):
    """Buckets rise up to +Inf, which is the count; there is a sum."""
    n = 0
    for f in families:
        if f.type != "histogram":
            continue
        rows = {}
        for s in f.samples:
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            rows.setdefault(key, []).append(s)
        for key, samples in rows.items():
            buckets = [(float(s.labels["le"]), s.value) for s in samples if "le" in s.labels]
            count = [s.value for s in samples if s.name.endswith("_count")]
            total = [s.value for s in samples if s.name.endswith("_sum")]
            good = (buckets == sorted(buckets) and buckets[-1][0] == float("inf") and
                    all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:], strict=False)) and
                    count == [buckets[-1][1]] and len(total) == 1 and total[0] >= 0)
            check(good, f"histogram {f.name} {key}: {buckets} {count} {total}")
            n += 1
    return n


def counters(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families
            if f.type in ("counter", "histogram") for s in f.samples}


def scrape(server, accept):
    got, headers, text = server.ask("GET", "/metrics", None, {"Accept": accept} if accept else None)
    check(got == 200, f"{accept}: {got}")
    return headers["Content-Type"], text.decode()


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d)
        with Server(PROGRAM, d) as s:
            for model in ("scale", "none", "scale"):
                s.infer(model, [1, 2, 3, 4])
            s.infer("scale", [1])
            for accept, want in ((None, TEXT), ("*/*", TEXT), ("text/plain", TEXT), (ACCEPT, OPEN),
                                 ("application/openmetrics-text", OPEN)):
                kind, text = scrape(s, accept)
                check(kind == want, f"{accept}: {kind}")
                check(text.endswith("# EOF\n") == (want == OPEN), f"{accept}: {text[-40:]}")
            old = list(parser.text_string_to_metric_families(scrape(s, None)[1]))
            new = list(strict.text_string_to_metric_families(scrape(s, ACCEPT)[1]))
            check(len({f.name for f in old}) == len(old) > 10, "families twice")
            check({f.name.removesuffix("_total") for f in old} == {f.name for f in new},
                  {f.name for f in old} ^ {f.name for f in new})
            for f in new:
                check(f.documentation and f.name.startswith("lamina_"), f"{f.name} says nothing")
                check(not f.unit or f.name.endswith("_" + f.unit), f"{f.name}: unit {f.unit}")
                check(f.type != "unknown", f"{f.name} has no type")
            check(histograms(new) >= 10 and histograms(old) >= 10, "too few histograms")
            before = counters(new)
            s.infer("scale", [1, 2, 3, 4])
            after = counters(strict.text_string_to_metric_families(scrape(s, ACCEPT)[1]))
            check(set(before) <= set(after), set(before) - set(after))
            check(all(after[k] >= v for k, v in before.items()), "a counter fell")
            key = ("lamina_inference_requests_total", (("model", "scale"), ("outcome", "ok"),
                                                       ("version", "2")))
            check(after.get(key) == before.get(key, 0) + 1, f"{before.get(key)} {after.get(key)}")
            if shutil.which("promtool"):
                p = subprocess.run(["promtool", "check", "metrics"], input=scrape(s, None)[1],
                                   capture_output=True, text=True, check=False)
                check(p.returncode == 0, f"promtool: {p.stdout} {p.stderr}")
    finish()


main()
