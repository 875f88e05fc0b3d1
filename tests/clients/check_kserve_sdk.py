#!/usr/bin/env python3
"""
The client of the KServe SDK, over REST and, where HTTP/2 is spoken, gRPC.
"""
import asyncio
import logging
import pathlib
import tempfile

from judged import PROGRAM, Server, check, finish, has_plugin, need, repository

need("kserve", "numpy")
logging.disable(logging.CRITICAL)
import numpy as np  # noqa: E402
from kserve import InferInput, InferRequest  # noqa: E402
from kserve.inference_client import (  # noqa: E402
    InferenceGRPCClient,
    InferenceRESTClient,
    RESTConfig,
)


def asked(model, x, datatype, binary=False):
    t = InferInput(name="x", shape=list(x.shape), datatype=datatype)
    t.set_data_from_numpy(x, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[t], request_id="7")


async def refused(call, what):
    """The exception; None if there was none."""
    try:
        got = await call
    except Exception as e:  # noqa: BLE001, whatever the client makes of it
        check(True, what)
        return e
    check(False, f"{what}: {got}")
    return None


async def rest(at):
    c = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    check(await c.is_server_live(at) and await c.is_server_ready(at), "health")
    check(await c.is_model_ready(at, "scale"), "model ready")
    check(not await c.is_model_ready(at, "none"), "no model")
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    for binary in (False, True):
        r = await c.infer(at, asked("scale", x, "FP32", binary), model_name="scale")
        check(np.array_equal(r.outputs[0].as_numpy(), 3 * x), f"infer, binary {binary}: {r}")
        check((r.id, r.model_name) == ("7", "scale"), r)  # it drops the version
    words = np.array([["a", "ä"]], dtype=object)
    for binary in (False, True):
        r = await c.infer(at, asked("text", words, "BYTES", binary), model_name="text")
        got = [v.decode() if isinstance(v, bytes) else v for v in r.outputs[0].as_numpy().flat]
        check(got == ["a", "ä"], f"strings, binary {binary}: {got}")
    e = await refused(c.infer(at, asked("scale", x[:, :3], "FP32"), model_name="scale"), "a shape")
    check("400" in str(e), e)
    e = await refused(c.infer(at, asked("none", x, "FP32"), model_name="none"), "no model")
    check("404" in str(e), e)
    xs = [np.full((1, 4), i, np.float32) for i in range(50)]
    rs = await asyncio.gather(*(c.infer(at, asked("scale", x, "FP32"), model_name="scale")
                                for x in xs))
    for x, r in zip(xs, rs, strict=True):
        check(np.array_equal(r.outputs[0].as_numpy(), 3 * x), "many at once")
    await c.close()


async def by_grpc(port):
    async with InferenceGRPCClient(f"127.0.0.1:{port}") as c:
        check(await c.is_server_live() and await c.is_server_ready(), "gRPC: health")
        check(await c.is_model_ready("scale"), "gRPC: model ready")
        x = np.arange(4, dtype=np.float32).reshape(1, 4)
        for binary in (False, True):
            r = await c.infer(asked("scale", x, "FP32", binary))
            check(np.array_equal(r.outputs[0].as_numpy(), 3 * x), f"gRPC: infer {binary}: {r}")
        await refused(c.infer(asked("scale", x[:, :3], "FP32")), "gRPC: a shape")
        await refused(c.infer(asked("none", x, "FP32")), "gRPC: no model")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d)
        with Server(PROGRAM, d) as s:
            asyncio.run(rest(f"http://127.0.0.1:{s.port}"))
            if has_plugin("h2"):
                asyncio.run(by_grpc(s.port))
    finish()


main()
