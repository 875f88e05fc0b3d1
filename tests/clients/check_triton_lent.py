#!/usr/bin/env python3
"""
tritonclient over gRPC with memory that its process has lent: inputs and outputs by
set_shared_memory, blocking, in flight, in streams and by asyncio, each beside tensors in the
message; status, unregister, and what is refused. The memory is a memfd whose descriptor went over
the same UNIX socket by HTTP.
"""
import asyncio
import fcntl
import mmap
import os
import pathlib
import queue
import socket
import tempfile
import threading

from judged import PROGRAM, Server, check, finish, has_plugin, need, raises, repository

need("numpy", "tritonclient", "grpc")
import numpy as np  # noqa: E402
import tritonclient.grpc as triton  # noqa: E402
import tritonclient.grpc.aio as aio  # noqa: E402
from tritonclient.utils import (InferenceServerException, deserialize_bytes_tensor,  # noqa: E402
                                serialize_byte_tensor)

BYTES = 1 << 20


class Lent:
    """A region of its own connection, mapped here."""

    def __init__(self, path, name, size=BYTES):
        self.name = name
        fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, 1033, 2 | 4)  # F_ADD_SEALS: F_SEAL_SHRINK, F_SEAL_GROW
        self.map = mmap.mmap(fd, size)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        socket.send_fds(self.s, [f"POST /v2/systemsharedmemory/region/{name}/register HTTP/1.1\r\n"
                                 "Host: x\r\nContent-Length: 0\r\n\r\n".encode()], [fd])
        check(self.s.recv(4096).startswith(b"HTTP/1.1 200"), f"register {name}")
        os.close(fd)

    def put(self, data, at=0):
        self.map[at:at + len(data)] = data

    def array(self, at, like):
        return np.frombuffer(self.map[at:at + like.nbytes], like.dtype).reshape(like.shape)

    def close(self):
        self.s.close()


def given(region, x, at=0, name="x", datatype="FP32"):
    region.put(x.tobytes(), at)
    t = triton.InferInput(name, list(x.shape), datatype)
    return t.set_shared_memory(region.name, x.nbytes, at)


def wanted(region, size, at, name="y"):
    out = triton.InferRequestedOutput(name)
    out.set_shared_memory(region.name, size, at)
    return out


def plain(x, name="x", datatype="FP32"):
    return triton.InferInput(name, list(x.shape), datatype).set_data_from_numpy(x)


def blocking(c, a, b):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    r = c.infer("scale", [given(a, x)], outputs=[wanted(b, 32, 64)])
    out = r.get_output("y")
    check(np.array_equal(b.array(64, x), 3 * x), "in and out")
    check(out.parameters["shared_memory_region"].string_param == "b" and
          out.parameters["shared_memory_byte_size"].int64_param == 32 and
          out.parameters["shared_memory_offset"].int64_param == 64, out)
    check(np.array_equal(c.infer("scale", [given(a, x, 128)]).as_numpy("y"), 3 * x), "in")
    c.infer("scale", [plain(x)], outputs=[wanted(b, 1000, 0)])
    check(np.array_equal(b.array(0, x), 3 * x), "out, with room to spare")
    m, n = np.arange(4, dtype=np.int32).reshape(1, 4), np.ones((1, 4), np.int32)
    for ins in ([given(a, m, 0, "a", "INT32"), plain(n, "b", "INT32")],
                [plain(n, "b", "INT32"), given(a, m, 0, "a", "INT32")]):
        outs = [triton.InferRequestedOutput("s"), wanted(b, 16, 16, "d")]
        r = c.infer("two", ins, outputs=outs)
        check(np.array_equal(r.as_numpy("s"), m + n), "one of two in the message")
        check(np.array_equal(b.array(16, m), m - n), "and one not")
    words = np.array([["a", "ä", "", "longer"]], dtype=object)
    raw = serialize_byte_tensor(words).item()
    a.put(raw)
    t = triton.InferInput("x", [1, 4], "BYTES")
    t.set_shared_memory("a", len(raw))
    r = c.infer("text", [t], outputs=[wanted(b, 4096, 0)])
    size = r.get_output("y").parameters["shared_memory_byte_size"].int64_param
    check(size == len(raw) and b.map[:size] == raw, "strings")
    check([w.decode() for w in deserialize_bytes_tensor(b.map[:size])] == list(words[0]), "texts")
    big = np.random.default_rng(1).random((8, BYTES // 64), np.float32)
    c.infer("big", [given(a, big)], outputs=[wanted(b, big.nbytes, 0)])
    check(np.array_equal(b.array(0, big), big), "half a megabyte")


def in_flight(c, a, b):
    done, wrong = threading.Semaphore(0), []

    def told(result, error):
        if error:
            wrong.append(error)
        done.release()
    rows = [np.full((1, 4), i, np.float32) for i in range(200)]
    for i, x in enumerate(rows):
        c.async_infer("scale", [given(a, x, 16 * i)], told, outputs=[wanted(b, 16, 16 * i)])
    for _ in rows:
        done.acquire(timeout=60)
    check(not wrong and all(np.array_equal(b.array(16 * i, x), 3 * x) for i, x in enumerate(rows)),
          f"in flight: {wrong[:1]}")
    answers = queue.Queue()
    c.start_stream(lambda result, error: answers.put((result, error)))
    for i, x in enumerate(rows):
        c.async_stream_infer("scale", [given(a, x, 16 * i)], outputs=[wanted(b, 16, 8192 + 16 * i)],
                             request_id=str(i))
    got = [answers.get(timeout=60) for _ in rows]
    c.stop_stream()
    check(all(e is None for _, e in got) and
          all(np.array_equal(b.array(8192 + 16 * i, x), 3 * x) for i, x in enumerate(rows)),
          "a stream")


async def by_asyncio(at, a, b):
    async with aio.InferenceServerClient(at) as c:
        rows = [np.full((1, 4), i, np.float32) for i in range(100)]
        await asyncio.gather(*(c.infer("scale", [given(a, x, 16 * i)],
                                       outputs=[wanted(b, 16, 16 * i)])
                               for i, x in enumerate(rows)))
        check(all(np.array_equal(b.array(16 * i, x), 3 * x) for i, x in enumerate(rows)), "aio")
        status = await c.get_system_shared_memory_status()
        check(sorted(status.regions) == ["a", "b"], status)


def refusals(c, tcp, path, a, b):
    x = np.ones((1, 4), np.float32)

    def fails(code, word, call, *args, **more):
        e = raises(InferenceServerException, lambda: call(*args, **more), word)
        if e:
            check(e.status() == f"StatusCode.{code}" and word in e.message(), f"{word}: {e}")
    fails("UNIMPLEMENTED", "pass its descriptor", c.register_system_shared_memory, "n", "/n", 64)
    fails("NOT_FOUND", "no such region", c.get_system_shared_memory_status, "n")
    fails("NOT_FOUND", "no region", c.unregister_system_shared_memory, "n")
    fails("UNIMPLEMENTED", "CUDA", c.get_cuda_shared_memory_status)
    for region, size, at, word in (("n", 16, 0, 'no region "n"'), ("a", 20, 0, "bytes"),
                                   ("a", 16, BYTES - 8, "past the end"),
                                   ("a", 16, 1 << 62, "past the end")):
        t = triton.InferInput("x", [1, 4], "FP32")
        fails("INVALID_ARGUMENT", word, c.infer, "scale", [t.set_shared_memory(region, size, at)])
    fails("INVALID_ARGUMENT", "15 of its region", c.infer, "scale", [given(a, x)],
          outputs=[wanted(b, 15, 0)])
    fails("INVALID_ARGUMENT", "past the end", c.infer, "scale", [given(a, x)],
          outputs=[wanted(b, 16, BYTES - 15)])
    fails("INVALID_ARGUMENT", "UNIX sockets", tcp.infer, "scale", [given(a, x)])
    check(not tcp.get_system_shared_memory_status().regions, "regions over TCP")
    again = Lent(path, "a", 4096)
    fails("INVALID_ARGUMENT", "several connections", c.infer, "scale", [given(a, x)])
    again.close()
    for _ in range(1000):
        try:
            c.infer("scale", [given(a, x)])
            break
        except InferenceServerException:
            pass


def ends(c, a):
    """What is in use when a region is taken back stays until it is answered."""
    rows = np.full((1, 4), 5, np.float32)
    results = []
    for i in range(200):
        c.async_infer("scale", [given(a, rows)], lambda result, error: results.append(
            error if error else result.as_numpy("y")))
        if i == 100:
            c.unregister_system_shared_memory("a")
    check("b" in c.get_system_shared_memory_status("b").regions, "the other region")
    c.unregister_system_shared_memory()
    check(not c.get_system_shared_memory_status().regions, "all were taken back")
    for _ in range(6000):
        if len(results) == 200:
            break
        threading.Event().wait(0.01)
    right = [r for r in results if isinstance(r, np.ndarray)]
    check(len(results) == 200 and all(np.array_equal(r, 3 * rows) for r in right) and
          all('no region "a"' in str(e) for e in results if not isinstance(e, np.ndarray)),
          f"{len(right)} of {len(results)}")


def main():
    if not has_plugin("h2"):
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "models")
        path = str(d / "lent.sock")
        with Server(PROGRAM, d / "models", "--listen", f"unix:{path}") as s:
            a, b = Lent(path, "a"), Lent(path, "b")
            with triton.InferenceServerClient(f"unix:{path}") as c, \
                    triton.InferenceServerClient(f"127.0.0.1:{s.port}") as tcp:
                blocking(c, a, b)
                in_flight(c, a, b)
                asyncio.run(by_asyncio(f"unix:{path}", a, b))
                refusals(c, tcp, path, a, b)
                ends(c, a)
            a.close()
            b.close()
    finish()


main()
