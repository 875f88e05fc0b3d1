#!/usr/bin/env python3
"""
tritonclient over HTTP beyond what tests/serve/check_serve_client.py asks: asyncio, asynchronous
calls, many at once, large tensors, https, the repository by the admin address, what is not done.
"""
import asyncio
import pathlib
import subprocess
import tempfile

from judged import PROGRAM, Server, check, finish, has_plugin, need, raises, repository, tool

need("numpy", "tritonclient", "aiohttp", "geventhttpclient")
import numpy as np  # noqa: E402
import tritonclient.http as http  # noqa: E402
import tritonclient.http.aio as aio  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402


def given(x, name="x", datatype="FP32", module=http, binary=True):
    t = module.InferInput(name, list(x.shape), datatype)
    t.set_data_from_numpy(x, binary_data=binary)
    return t


def asynchronous(at):
    c = http.InferenceServerClient(at, concurrency=8)
    xs = [np.full((1, 4), i, np.float32) for i in range(64)]
    calls = [c.async_infer("scale", [given(x)], model_version="1") for x in xs]
    for x, r in zip(xs, calls, strict=True):
        check(np.array_equal(r.get_result().as_numpy("y"), 2 * x), "async_infer")
    x = np.random.default_rng(1).random((8, 100000), np.float32)
    check(np.array_equal(c.infer("big", [given(x)]).as_numpy("y"), x), "3 MB")
    out = [http.InferRequestedOutput("y", binary_data=False)]
    y = c.infer("big", [given(x[:, :2000], binary=False)], outputs=out).as_numpy("y")
    check(np.array_equal(y, x[:, :2000]), "16,000 floats as JSON, to the last bit")
    r = c.infer("scale", [given(xs[1])], query_params={"a": "b"}, headers={"X-Mine": "1"},
                parameters={"mine": "x"}, priority=1, timeout=10_000_000)
    check(np.array_equal(r.as_numpy("y"), 3 * xs[1]), "all that can be said beside")
    body, size = http.InferenceServerClient.generate_request_body([given(xs[2])])
    check(size and body, "generate_request_body")
    e = raises(InferenceServerException, lambda: c.infer("scale", [given(xs[0])], sequence_id=7),
               "a sequence")
    check(e.status() == "400" and "sequences" in e.message(), e)
    e = raises(InferenceServerException,
               lambda: c.infer("scale", [given(xs[0])], request_compression_algorithm="gzip"),
               "a compressed body")
    check(e.status() == "415" and "Content-Encoding" in e.message(), e)
    check(c.infer("scale", [given(xs[0])], response_compression_algorithm="gzip"), "gzip wanted")
    e = raises(InferenceServerException, lambda: c.load_model("scale"), "load by anybody")
    check(e.status() == "403", e)
    check(c.get_system_shared_memory_status() == [], "no memory is lent")
    raises(InferenceServerException,
           lambda: c.register_system_shared_memory("mine", "/mine", 64), "shared memory by a key")
    check({m["name"] for m in c.get_model_repository_index()} == {"scale", "two", "text", "big",
                                                                 "u8"}, "index")
    check(len(c.get_inference_statistics()["model_stats"]) == 6, "statistics of all")
    check(c.get_model_config("scale")["name"] == "scale", "config")
    c.close()


async def by_asyncio(at):
    async with aio.InferenceServerClient(at, conn_limit=16) as c:
        check(await c.is_server_live() and await c.is_server_ready(), "aio: health")
        check(await c.is_model_ready("scale", "2") and not await c.is_model_ready("none"), "aio")
        check((await c.get_server_metadata())["name"] == "lamina", "aio: metadata")
        check((await c.get_model_metadata("two"))["inputs"][0]["name"] == "a", "aio: metadata")
        check((await c.get_model_config("two"))["name"] == "two", "aio: config")
        check(await c.get_inference_statistics("two"), "aio: statistics")
        check(len(await c.get_model_repository_index()) >= 5, "aio: index")
        xs = [np.full((1, 4), i, np.float32) for i in range(200)]
        rs = await asyncio.gather(*(c.infer("scale", [given(x)], model_version="1",
                                            request_id=str(i)) for i, x in enumerate(xs)))
        for i, (x, r) in enumerate(zip(xs, rs, strict=True)):
            check(np.array_equal(r.as_numpy("y"), 2 * x), "aio: infer")
            check(r.get_response()["id"] == str(i), "aio: ids")
        words = np.array([["a", "ä", ""]], dtype=object)
        r = await c.infer("text", [given(words, datatype="BYTES")])
        check([v.decode() for v in r.as_numpy("y").flat] == list(words.flat), "aio: strings")
        try:
            await c.infer("none", [given(xs[0])])
            check(False, "aio: a model that is not there")
        except InferenceServerException as e:
            check(e.status() == "404" and "none" in e.message(), e)


def over_tls(d):
    pem, key = d / "server.pem", d / "server.key"
    subprocess.run([tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True, timeout=60)
    with Server(PROGRAM, d / "repo", "--tls", str(pem), str(key)) as s:
        c = http.InferenceServerClient(f"localhost:{s.port}", ssl=True,
                                       ssl_options={"ca_certs": str(pem)})
        x = np.ones((8, 50000), np.float32)
        check(np.array_equal(c.infer("big", [given(x)]).as_numpy("y"), x), "https")
        c.close()


def repository_calls(d):
    with Server(PROGRAM, d / "repo", "--model-control", "explicit", "--load", "scale", "--admin",
                "127.0.0.1:0") as s:
        c = http.InferenceServerClient(f"127.0.0.1:{s.admin}")
        check(not c.is_model_ready("two"), "not loaded yet")
        c.load_model("two")
        check(c.is_model_ready("two"), "loaded")
        c.unload_model("two")
        check(not c.is_model_ready("two"), "unloaded")
        raises(InferenceServerException, lambda: c.load_model("none"), "a model that is not there")
        raises(InferenceServerException, lambda: c.load_model("two", config="{}"), "with a config")
        c.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "repo")
        with Server(PROGRAM, d / "repo") as s:
            asynchronous(f"127.0.0.1:{s.port}")
            asyncio.run(by_asyncio(f"127.0.0.1:{s.port}"))
        repository_calls(d)
        if has_plugin("tls"):
            over_tls(d)
    finish()


main()
