#!/usr/bin/env python3
"""
requests, httpx and aiohttp: bodies by generators (chunked), kept connections, many at once,
answers in pieces, uploads that are refused while they are sent.
"""
import asyncio
import json
import pathlib
import tempfile

from judged import PROGRAM, Server, check, finish, need, repository

need("requests", "aiohttp", "httpx")
import aiohttp  # noqa: E402
import httpx  # noqa: E402
import requests  # noqa: E402

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
RAW = json.dumps(BODY).encode()
Y = [3, 6, 9, 12]


def pieces(n=3):
    for i in range(0, len(RAW), n):
        yield RAW[i:i + n]


async def later(n=3):
    for p in pieces(n):
        await asyncio.sleep(0)
        yield p


def by_requests(url):
    with requests.Session() as s:
        for what, options in (("json", {"json": BODY}), ("data", {"data": RAW}),
                              ("a generator", {"data": pieces()}),
                              ("bytes one by one", {"data": pieces(1)})):
            r = s.post(url, timeout=60, **options)
            check(r.status_code == 200 and r.json()["outputs"][0]["data"] == Y,
                  f"requests, {what}: {r.status_code} {r.text[:100]}")
        r = s.post(url, files={"a": b"b"}, timeout=60)
        check(r.status_code == 400 and r.json()["error"], f"requests, a form: {r.text}")
        r = s.post(url, data=RAW, stream=True, timeout=60)
        got = b"".join(r.iter_content(7))
        check(json.loads(got)["outputs"][0]["data"] == Y, "requests, in pieces")

        def endless():
            while True:
                yield b" " * 65536
        try:
            r = s.post(url, data=endless(), timeout=60)
            check(r.status_code == 413, f"requests, endless: {r.status_code}")
        except requests.exceptions.ConnectionError:
            check(True, "requests, endless")  # it saw the end before it looked for an answer
        check(s.get(url.replace("/infer", ""), timeout=60).json()["name"] == "scale", "and then")


async def by_httpx(url):
    async with httpx.AsyncClient(timeout=60) as c:
        for what, options in (("json", {"json": BODY}), ("data", {"content": RAW}),
                              ("a generator", {"content": later()})):
            r = await c.post(url, **options)
            check(r.status_code == 200 and r.json()["outputs"][0]["data"] == Y, f"httpx, {what}")
        rs = await asyncio.gather(*(c.post(url, json=BODY) for _ in range(100)))
        check([r.status_code for r in rs] == [200] * 100, "httpx, many")


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as c:
        for what, options in (("json", {"json": BODY}), ("data", {"data": RAW}),
                              ("a generator", {"data": later()}),
                              ("Expect", {"data": later(), "expect100": True}),
                              ("chunked", {"data": RAW, "chunked": True})):
            async with c.post(url, **options) as r:
                check(r.status == 200 and (await r.json())["outputs"][0]["data"] == Y,
                      f"aiohttp, {what}: {r.status}")
        async with c.post(url, data=RAW, compress="gzip") as r:
            check(r.status == 415 and (await r.json())["error"], f"aiohttp, gzip: {r.status}")

        async def one(i):
            async with c.post(url, json={**BODY, "id": str(i)}) as r:
                said = await r.json()
                return said["id"] == str(i) and said["outputs"][0]["data"] == Y
        check(all(await asyncio.gather(*(one(i) for i in range(300)))), "aiohttp, many")
        async with c.head(url.replace("/infer", "")) as r:
            check(r.status == 200 and not await r.read(), "aiohttp, HEAD")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d)
        with Server(PROGRAM, d) as s:
            url = f"http://127.0.0.1:{s.port}/v2/models/scale/infer"
            by_requests(url)
            asyncio.run(by_httpx(url))
            asyncio.run(by_aiohttp(url))
    finish()


main()
