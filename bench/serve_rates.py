"""
Sets of bench/serve.py that ask how many requests a second and what each costs: json, grpc, heavy,
process, idle.
"""
import collections
import json
import os
import shutil
import socket
import urllib.request

import benchlib
import grpc_load
from serve_load import infer_body, middle, own_receives, turns, wrk, wrk_script
from serve_peers import (cpu_seconds, granian_server, lamina_server, mean_ms, nginx_server,
                         triton_server)

CONNECTIONS = (1, 64, 256, 1000)


def by_connections(runs, servers, model, script, connections):
    """A table of one model; returns {(server, connections): medians}."""
    medians, lines = {}, []
    for n in connections:
        got = turns(servers, runs.opts.rounds,
                    lambda s, n=n: wrk(s, model, script, n, runs.opts.seconds))
        for s in servers:
            m = {k: middle(got[s.name], k) for k in ("rate", "p50", "p99", "cpu", "bad")}
            medians[s.name, n] = m
            lines.append([s.name, n, round(m["rate"]), m["p50"], m["p99"], m["cpu"],
                          round(m["bad"])])
            runs.row(model=model, server=s.name, connections=n, **m)
    benchlib.table(["server", "connections", "req/s", "p50 us", "p99 us", "CPU us", "failed"],
                   sorted(lines, key=lambda r: (r[1], r[0])))
    return medians


def set_json(runs):
    """B1: the tiny model."""
    servers = runs.start((lamina_server, True), (triton_server, True), (granian_server, True),
                         (nginx_server, True))
    script = wrk_script(runs.folder, infer_body(16))
    print("tiny model, JSON of 16 floats")
    m = by_connections(runs, servers, "tiny", script, CONNECTIONS)
    for s in servers:
        s.close()
    ours, peer, floor = "lamina", "Triton, dynamic batching", "nginx, fixed answer"
    if (ours, 64) in m and (peer, 64) in m:
        runs.bar("B1 rate at 64", m[ours, 64]["rate"] / m[peer, 64]["rate"], "x", 3, peer)
        runs.bar("B1 CPU at 64", m[ours, 64]["cpu"] / m[peer, 64]["cpu"], "x", 1 / 3, peer, False)
    for n in (256, 1000):
        if (ours, n) in m and ("granian", n) in m:
            runs.bar(f"B1 rate at {n}", m[ours, n]["rate"] / m["granian", n]["rate"], "x", 2.8,
                     "granian")
    if (ours, 1) in m and (floor, 1) in m:
        runs.bar("B1 p50 at 1", m[ours, 1]["p50"] / m[floor, 1]["p50"], "x", 1.4, floor, False)


def set_grpc(runs):
    """B2: the tiny model by gRPC."""
    if not shutil.which("h2load"):
        print("not run: h2load is not here (Debian package nghttp2-client)")
        return
    servers = runs.start((lamina_server, True), (triton_server, True))
    body = grpc_load.write_request(runs.folder, "tiny", [0.25] * 16)
    print("tiny model, unary gRPC of 16 floats")

    def load(server, connections, streams):
        cpu = cpu_seconds(server.p.pid)
        n, took, mean, failed = grpc_load.h2load(server.grpc, body, connections, streams,
                                                 runs.opts.seconds)
        cpu = cpu_seconds(server.p.pid) - cpu
        return {"rate": n / took, "mean": mean, "cpu": cpu / max(1, n) * 1e6, "bad": failed}

    lines, medians = [], {}
    for shape in ((1, 1), (64, 1), (8, 32)):
        got = turns(servers, runs.opts.rounds, lambda s, shape=shape: load(s, *shape))
        for s in servers:
            m = {k: middle(got[s.name], k) for k in ("rate", "mean", "cpu", "bad")}
            medians[s.name, shape] = m
            lines.append([s.name, *shape, round(m["rate"]), m["mean"], m["cpu"], round(m["bad"])])
            runs.row(set="grpc", server=s.name, connections=shape[0], streams=shape[1], **m)
    benchlib.table(["server", "connections", "streams", "req/s", "mean us", "CPU us", "failed"],
                   lines)
    for s in servers:
        s.close()
    if len(servers) == 2:
        a, b = (medians[s.name, (64, 1)] for s in servers)
        runs.bar("B2 rate at 64", a["rate"] / b["rate"], "x", 3, servers[1].name)
        runs.bar("B2 CPU at 64", a["cpu"] / b["cpu"], "x", 1 / 3, servers[1].name, False)


def set_heavy(runs):
    """B3: a model of 2 ms, request by request and batched."""
    servers = runs.start((lamina_server, True), (lamina_server, False), (triton_server, True),
                         (triton_server, False))
    script = wrk_script(runs.folder, infer_body(16))
    print("heavy model, JSON of 16 floats")
    by_connections(runs, servers, "heavy", script, (1, 16, 64))
    for s in servers:
        s.close()


def in_process(model, rows):
    """Rows a second in process: a rate over all runs, since that is what wrk counts of a server."""
    return rows / mean_ms(model, rows) * 1e3


def running(server):
    """Requests of the heavy model that were answered, and the seconds in which it ran for them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v2/models/heavy/stats") as r:
        of = json.load(r)["model_stats"][0]["inference_stats"]["compute_infer"]
    return of["count"], of["ns"] * 1e-9


def process_round(runs, script, model, got):
    """One round. Servers are started for it, since where their weights come to lie in memory is a
    part of how fast they run, as it is of each run in process; those are run before and after."""
    batched, single = runs.start((lamina_server, True), (lamina_server, False))
    for s in (batched, single):
        s.rest()

    def turn(server, model, connections, key):
        server.wake()
        r = wrk(server, model, script, connections, runs.opts.seconds)
        server.rest()
        return r[key]

    def beside(rows, served):
        before = in_process(model, rows)
        rate = served()
        return (before + in_process(model, rows)) / 2, rate

    def steered():
        with own_receives() as told:
            return turn(single, "heavy", 16, "rate") if told else None

    def timed():
        single.wake()
        n, ran = running(single)
        rate = turn(single, "heavy", 16, "rate")
        single.wake()
        n_then, ran_then = running(single)
        single.rest()
        got["part of it that the model runs"].append((ran_then - ran) / (n_then - n) * rate)
        return rate

    for key, served, rows in (("singly", timed, 1), ("singly, own receives", steered, 1),
                              ("in batches", lambda: turn(batched, "heavy", 64, "rate"), 64)):
        alone, rate = beside(rows, served)
        if rate is not None:
            got["in process, " + key].append(alone)
            got["served " + key].append(rate)
    for key, server in (("p50 us, singly", single), ("p50 us, in batches", batched)):
        got[key].append(turn(server, "tiny", 1, "p50"))
    for s in (batched, single):
        s.wake()
        s.close()


def set_process(runs):
    """B3: the heavy model beside itself in process; what batching adds for one connection."""
    script = wrk_script(runs.folder, infer_body(16))
    model = os.path.join(runs.repo, "heavy/1/model.onnx")
    got = collections.defaultdict(list)
    for _ in range(runs.opts.rounds):
        process_round(runs, script, model, got)
    benchlib.table(["", "rows/s or us"], [[k, benchlib.median(v)] for k, v in got.items()])
    runs.row(set="process", **got)

    def share(key, goal, rows):
        if not got["served " + key]:
            print("not run: own receives: this kernel cannot be told to steer them")
            return
        pairs = zip(got["served " + key], got["in process, " + key])
        runs.bar(f"B3 {key}", benchlib.median([x / y for x, y in pairs]), "of in process", goal,
                 f"lamina bench, {rows}")

    share("singly", 0.97, "1 row")
    runs.bar("B3 singly, by its own clock", benchlib.median(got["part of it that the model runs"]),
             "of its time the model runs", 0.97, "a server that adds nothing")
    share("singly, own receives", 0.97, "1 row")
    share("in batches", 0.9, "64 rows")
    added = [b - a for a, b in zip(got["p50 us, singly"], got["p50 us, in batches"])]
    runs.bar("B3 batching adds", benchlib.median(added), "us", 5, "without batching", False)


def set_idle(runs):
    """B1: 1000 idle connections beside 64 that work."""
    servers = runs.start((lamina_server, True), (triton_server, True))
    script, lines = wrk_script(runs.folder, infer_body(16)), []
    print("tiny model at 64 connections, alone and beside 1000 idle ones")
    for s in servers:
        s.rest()
    for s in servers:
        s.wake()
        alone, beside = [], []
        for i in range(4 * runs.opts.rounds):  # a few percent are looked for: many short turns
            idle = []
            for there in (False, True) if i % 2 else (True, False):
                if there:
                    idle = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(1000)]
                (beside if there else alone).append(wrk(s, "tiny", script, 64, 1)["rate"])
                while idle and there:
                    idle.pop().close()
        s.rest()
        change = benchlib.median([b / a for a, b in zip(alone, beside)]) - 1
        lines.append([s.name, benchlib.median(alone), benchlib.median(beside), change * 100])
        runs.row(set="idle", server=s.name, alone=alone, beside=beside)
        if s.name == "lamina":
            runs.bar("B1 idle", -change * 100, "% slower", 3, "itself without them", False)
    benchlib.table(["server", "req/s alone", "req/s beside", "change %"], lines)
    for s in servers:
        s.wake()
        s.close()
