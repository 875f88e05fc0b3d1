"""
A client for model servers that speak KServe v2 (`lamina serve`, Triton and others) over HTTP:

    from lamina.client import Client

    with Client("127.0.0.1:8000") as client:
        y = client.infer("model", {"x": array})["y"]

`AsyncClient` has the same methods, each to be awaited. Arrays travel as bytes behind the JSON and
are not copied on the way. Connections are kept and used again. docs/howto/serve.md has more.
"""
import asyncio
import fcntl
import mmap
import os
import re
import threading
import time
import urllib.parse

import numpy as np

from . import _kserve, _wire
from ._errors import Error, Timeout
from ._kserve import Result
from ._wire import ConnectionLost, ProtocolError

ANSWER_BYTES = 1 << 30
IDLE = 64  # connections that are kept
REGION = "lamina"  # what shared memory is called, on its connection

_STATUS = {400: "E_INVALID", 401: "E_PERM", 403: "E_PERM", 404: "E_STATE", 405: "E_UNSUPPORTED",
           408: "E_TIMEOUT", 413: "E_LIMIT", 415: "E_UNSUPPORTED", 429: "E_BUSY",
           501: "E_UNSUPPORTED", 503: "E_BUSY", 504: "E_TIMEOUT"}


class ServerError(Error):
    """The server's refusal: str(error) is its reason, `http_status` its number, `retry_after` the
    seconds it asks to wait, or None."""

    http_status = 0
    retry_after = None


class NotFound(ServerError):
    """404: no such model, version or path."""


class Denied(ServerError):
    """401, 403: the token is missing, wrong, or for something else."""


class Busy(ServerError):
    """429, 503: later, or elsewhere."""


_CLASS = {401: Denied, 403: Denied, 404: NotFound, 429: Busy, 503: Busy}


def _refusal(answer):
    try:
        reason = _kserve.json_of(answer)["error"]
    except (ProtocolError, KeyError, TypeError):
        reason = answer.body[:200].decode("utf-8", "replace")
    reason = str(reason) or f"the server answered {answer.status}"
    cls = _CLASS.get(answer.status, ServerError)
    e = _wire.failure(cls, _STATUS.get(answer.status, "E_PROTO"), reason)
    e.http_status = answer.status
    wait = answer.fields.get("retry-after", "")
    e.retry_after = int(wait) if re.fullmatch("[0-9]{1,9}", wait) else None
    return e


def _checked(answer):
    if answer.status != 200:
        raise _refusal(answer)
    return answer


def _name(text):
    return urllib.parse.quote(str(text), safe="")


def _of_model(model, version, what=""):
    at = f"/versions/{_name(version)}" if version else ""
    return f"/v2/models/{_name(model)}{at}{what}"


def _get(target):
    return _kserve.json_of(_checked((yield _wire.Ask("GET", target))))


def _is_true(target):
    return (yield _wire.Ask("GET", target)).status == 200


def _post(target, body=b"{}"):
    ask = _wire.Ask("POST", target, [body], [("Content-Type", "application/json")])
    return _kserve.json_of(_checked((yield ask)))


def _text(target, accept):
    answer = _checked((yield _wire.Ask("GET", target, (), [("Accept", accept)])))
    return answer.body.decode()


def _wait(target, within):
    until = time.monotonic() + within
    pause, why = 0.01, None
    while True:
        try:
            if (yield _wire.Ask("GET", target)).status == 200:
                return
            why = None
        except ConnectionLost as e:
            why = e
        if time.monotonic() + pause > until:
            raise _wire.failure(Timeout, "E_TIMEOUT",
                                f"not ready within {within:.3g} s") from why
        yield pause
        pause = min(2 * pause, 0.5)


def _arrays(inputs, model, version):
    """Lists and numbers become what the model wants, which it is asked for."""
    if all(isinstance(x, np.ndarray | np.generic) for x in inputs.values()):
        return {k: np.asarray(x) for k, x in inputs.items()}
    said = yield from _get(_of_model(model, version))
    types = {t["name"]: t["datatype"] for t in said["inputs"]}
    out = {}
    for name, x in inputs.items():
        if not isinstance(x, np.ndarray | np.generic) and name in types:
            out[name] = _kserve.array_of(x, types[name])
        else:
            out[name] = np.asarray(x)
    return out


def _infer(model, inputs, version, outputs, parameters, id, binary, fields,  # noqa: A002
           lent, memory):
    arrays = yield from _arrays(inputs, model, version)
    body, tail = _kserve.request(arrays, outputs, parameters, id, binary, lent)
    if binary:
        fields = [*fields, ("Content-Type", "application/octet-stream"),
                  ("Inference-Header-Content-Length", len(body))]
    else:
        fields = [*fields, ("Content-Type", "application/json")]
    ask = _wire.Ask("POST", _of_model(model, version, "/infer"), [body, *tail], fields)
    return _kserve.result(_checked((yield ask)), memory)


class _Api:
    """What can be asked, for both kinds of client: `_run` takes a generator that yields requests,
    and pauses in seconds, and is sent answers."""

    _lent = _memory = None  # memory that the server sees: SharedClient

    def __init__(self, address, *, token=None, timeout=60.0, ca=None, cert=None, tls=None,
                 answer_bytes=ANSWER_BYTES):
        self._address = _wire.Address(str(address), ca, cert, tls)
        self._token, self._timeout, self._limit = token, float(timeout), int(answer_bytes)
        self._idle = []

    def __repr__(self):
        return f"<{type(self).__name__} of {self._address.name}>"

    def _give(self, connection, answer):
        if answer.keep and len(self._idle) < IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def infer(self, model, inputs, outputs=None, *, version="", id="", binary=True,  # noqa: A002
              priority=0, deadline=None, parameters=None, timing=False, traceparent=None):
        """
        Run a model: a `Result`, which is a mapping from names of outputs to arrays.

        `inputs` maps names to arrays; for lists and numbers the server is asked for the types.
        `outputs` are the names that are wanted, or a mapping from them to parameters, as in
        {"prob": {"classification": 3}}; None is all. `deadline` is seconds that the server may
        take: what it cannot run in time it refuses. `binary=False` says all in JSON.
        """
        more = dict(parameters or {})
        if priority:
            more["priority"] = int(priority)
        if deadline is not None:
            more["timeout"] = max(1, round(deadline * 1e6))
        fields = [("Prefer", "server-timing")] if timing else []
        if traceparent:
            fields.append(("traceparent", traceparent))
        return self._run(_infer(model, inputs, version, outputs, more, id, binary, fields,
                                self._lent, self._memory))

    def live(self):
        """Whether the server is there."""
        return self._run(_is_true("/v2/health/live"))

    def ready(self):
        """Whether all its models are."""
        return self._run(_is_true("/v2/health/ready"))

    def model_ready(self, model, version=""):
        return self._run(_is_true(_of_model(model, version, "/ready")))

    def wait_ready(self, within=60.0, model=None, version=""):
        """Wait till the server, or that model, is ready; a server that is not there yet is waited
        for. Raises Timeout."""
        target = _of_model(model, version, "/ready") if model else "/v2/health/ready"
        return self._run(_wait(target, within))

    def server(self):
        """Name, version and extensions."""
        return self._run(_get("/v2"))

    def metadata(self, model, version=""):
        """Name, versions, inputs and outputs."""
        return self._run(_get(_of_model(model, version)))

    def config(self, model, version=""):
        return self._run(_get(_of_model(model, version, "/config")))

    def statistics(self, model=None, version=""):
        """Counts and times of a model, or of all: a list."""
        target = _of_model(model, version, "/stats") if model else "/v2/models/stats"

        def only():
            return (yield from _get(target))["model_stats"]
        return self._run(only())

    def index(self, ready=False):
        """Every version of every model: name, version, state, reason."""
        return self._run(_post("/v2/repository/index", b'{"ready":true}' if ready else b"{}"))

    def load(self, model):
        """Load, or load anew: on the admin address."""
        return self._run(_post(f"/v2/repository/models/{_name(model)}/load"))

    def unload(self, model):
        return self._run(_post(f"/v2/repository/models/{_name(model)}/unload"))

    def metrics(self, openmetrics=False):
        """The text that Prometheus reads."""
        kind = "application/openmetrics-text; version=1.0.0" if openmetrics else "text/plain"
        return self._run(_text("/metrics", kind))


class Client(_Api):
    """
    A client of one server. Threads may share it: each call has a connection of its own.

    `address`: "host:port", "http://host:port/prefix", "https://...", "unix:/PATH".
    `timeout`: seconds of a call in all. `token`: sent as "Authorization: Bearer".
    `ca`: a file of certificates to trust for https; else those of the system. `cert`: the
    client's own, a file or (certificate, key). `tls`: an ssl.SSLContext instead of both.
    """

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    def close(self):
        """Close the connections; a later call opens new ones."""
        while self._idle:
            self._idle.pop().close()

    def _run(self, steps):
        try:
            want = next(steps)
            while True:
                if isinstance(want, float):
                    time.sleep(want)
                    want = next(steps)
                    continue
                try:
                    answer = self._call(want)
                except ConnectionLost as e:
                    want = steps.throw(e)
                else:
                    want = steps.send(answer)
        except StopIteration as end:
            return end.value

    def _open(self, deadline):
        return _wire.Plain(self._address, deadline)

    def _call(self, ask):
        deadline = time.monotonic() + self._timeout
        while True:
            connection = None
            try:
                connection = self._idle.pop()
            except IndexError:
                pass
            used = connection is not None
            try:
                connection = connection or self._open(deadline)
                answer = connection.talk(ask, self._address, self._token, self._limit, deadline)
            except BaseException as e:
                if connection:
                    connection.close()
                if isinstance(e, TimeoutError) and not isinstance(e, Error):
                    raise _wire.late(self._address, self._timeout) from None
                if not isinstance(e, _wire.LOST) or isinstance(e, Error):
                    raise
                if used and not connection.heard:
                    continue  # it had ended while it rested
                raise _wire.lost(self._address, e) from e
            self._give(connection, answer)
            return answer


class SharedClient(Client):
    """
    A client over a UNIX socket with memory that the server sees too: inputs that lie in it are not
    sent, and outputs can be written into it.

        with SharedClient("unix:/run/lamina.sock", 1 << 24) as client:
            x, y = client.array((1, 224, 224, 3)), client.array((1, 1000))
            x[:] = picture
            client.infer("resnet", {"image": x}, {"prob": y})   # the answer is in y

    Such memory belongs to one connection, so calls wait for each other; what a call reads or
    writes must be left alone until it returns.
    """

    def __init__(self, address, nbytes, **options):
        super().__init__(address, **options)
        if not self._address.path:
            raise _wire.invalid("memory is shared over unix:/PATH alone")
        self._one, self._used = threading.Lock(), 0
        self._fd = os.memfd_create("lamina", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._fd, nbytes)
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._bytes = np.frombuffer(mmap.mmap(self._fd, nbytes), np.uint8)
        self._memory = memoryview(self._bytes)

    def array(self, shape, dtype=np.float32):
        """An array in the memory, of zeros where it was not used before."""
        dtype = np.dtype(dtype)
        begin = -(-self._used // 64) * 64
        end = begin + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.hasobject or end > len(self._bytes):
            raise _wire.invalid(f"{dtype} of shape {shape} has no room in the memory")
        self._used = end
        return self._bytes[begin:end].view(dtype).reshape(shape)

    def clear(self):
        """Give all arrays back: later ones lie where they lay."""
        self._used = 0

    def _lent(self, x):
        begin = x.__array_interface__["data"][0] - self._bytes.__array_interface__["data"][0]
        if not (0 <= begin <= begin + x.nbytes <= len(self._bytes) and x.flags.c_contiguous and
                x.nbytes and x.dtype.isnative):
            return None
        return {"shared_memory_region": REGION, "shared_memory_byte_size": x.nbytes,
                "shared_memory_offset": begin}

    def _open(self, deadline):
        connection = super()._open(deadline)
        ask = _wire.Ask("POST", f"/v2/systemsharedmemory/region/{REGION}/register", [b"{}"],
                        [("Content-Type", "application/json")], [self._fd])
        try:
            _checked(connection.talk(ask, self._address, self._token, self._limit, deadline))
        except BaseException:
            connection.close()
            raise
        return connection

    def _call(self, ask):
        with self._one:
            return super()._call(ask)

    def close(self):
        super().close()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class AsyncClient(_Api):
    """A client for one event loop: the methods of `Client`, each to be awaited."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *what):
        await self.close()

    async def close(self):
        while self._idle:
            connection = self._idle.pop()
            connection.close()
            await connection.closed()

    async def _run(self, steps):
        try:
            want = next(steps)
            while True:
                if isinstance(want, float):
                    await asyncio.sleep(want)
                    want = next(steps)
                    continue
                try:
                    answer = await self._call(want)
                except ConnectionLost as e:
                    want = steps.throw(e)
                else:
                    want = steps.send(answer)
        except StopIteration as end:
            return end.value

    async def _call(self, ask):
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await self._try(ask)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _wire.late(self._address, self._timeout) from None

    async def _try(self, ask):
        while True:
            connection = self._idle.pop() if self._idle else None
            used = connection is not None
            try:
                connection = connection or await _wire.Async.open(self._address)
                answer = await connection.talk(ask, self._address, self._token, self._limit)
            except BaseException as e:
                if connection:
                    connection.close()
                if not isinstance(e, _wire.LOST) or isinstance(e, Error):
                    raise
                if used and not connection.heard:
                    continue
                raise _wire.lost(self._address, e) from e
            self._give(connection, answer)
            return answer


__all__ = ["AsyncClient", "Busy", "Client", "ConnectionLost", "Denied", "NotFound",
           "ProtocolError", "Result", "ServerError", "SharedClient"]
