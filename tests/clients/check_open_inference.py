#!/usr/bin/env python3
"""
The clients that the protocol's own group publishes: open-inference-openapi (REST, made from the
official description) and open-inference-grpc.
"""
import pathlib
import tempfile

from judged import PROGRAM, Server, check, finish, has_plugin, need, raises, repository

need("open_inference.openapi", "open_inference.grpc", "grpc")
from open_inference.openapi.client import OpenInferenceClient  # noqa: E402
from open_inference.openapi.core.api_error import ApiError  # noqa: E402
from open_inference.openapi.errors import BadRequestError, NotFoundError  # noqa: E402
from open_inference.openapi.types import (  # noqa: E402
    InferenceRequest,
    RequestInput,
    RequestOutput,
)


def asked(name="x", data=(1, 2, 3, 4), shape=(1, 4), datatype="FP32", **more):
    return InferenceRequest(inputs=[RequestInput(name=name, shape=list(shape), datatype=datatype,
                                                 data=list(data))], **more)


def rest(at):
    c = OpenInferenceClient(base_url=at)
    check(c.check_server_liveness() is None, "live")
    check(c.check_server_readiness() is None, "ready")
    check(c.check_model_readiness("scale") is None, "model ready")
    check(c.check_model_version_readiness("scale", "1") is None, "version ready")
    raises(NotFoundError, lambda: c.check_model_readiness("none"), "no model")
    m = c.read_server_metadata()
    check(m.name == "lamina" and m.version and "binary_tensor_data" in m.extensions, m)
    m = c.read_model_metadata("scale")
    check(m.name == "scale" and m.versions == ["2", "1"] and m.platform, m)
    check((m.inputs[0].name, m.inputs[0].datatype, m.inputs[0].shape) == ("x", "FP32", [-1, 4]), m)
    check(c.read_model_version_metadata("scale", "1").versions == ["1"], "metadata of a version")
    r = c.model_infer("scale", request=asked(id="7", outputs=[RequestOutput(name="y")]))
    check(r.model_name == "scale" and r.model_version == "2" and r.id == "7", r)
    check(r.outputs[0].data.__root__ == [3, 6, 9, 12] and r.outputs[0].shape == [1, 4], r)
    r = c.model_version_infer("scale", "1", request=asked(parameters={"mine": 1}))
    check(r.outputs[0].data.__root__ == [2, 4, 6, 8], r)
    r = c.model_infer("text", request=asked(data=["a", "ä"], shape=[1, 2], datatype="BYTES"))
    check(r.outputs[0].data.__root__ == ["a", "ä"], r)
    e = raises(BadRequestError, lambda: c.model_infer("scale", request=asked("z")), "a name")
    check(e.body["error"], e)
    e = raises(ApiError, lambda: c.model_infer("none", request=asked()), "no model")
    check(e.status_code == 404, e)


def by_grpc(port):
    import grpc  # noqa: PLC0415
    from open_inference.grpc import protocol as pb  # noqa: PLC0415
    from open_inference.grpc.service import GRPCInferenceServiceStub  # noqa: PLC0415
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        c = GRPCInferenceServiceStub(channel)
        check(c.ServerLive(pb.ServerLiveRequest()).live, "gRPC: live")
        check(c.ServerReady(pb.ServerReadyRequest()).ready, "gRPC: ready")
        check(c.ModelReady(pb.ModelReadyRequest(name="scale")).ready, "gRPC: model ready")
        check(not c.ModelReady(pb.ModelReadyRequest(name="none")).ready, "gRPC: no model")
        check(c.ServerMetadata(pb.ServerMetadataRequest()).name == "lamina", "gRPC: metadata")
        m = c.ModelMetadata(pb.ModelMetadataRequest(name="scale"))
        check(list(m.versions) == ["2", "1"] and m.inputs[0].datatype == "FP32", m)
        q = pb.ModelInferRequest(model_name="scale", model_version="1", id="7")
        t = q.inputs.add(name="x", datatype="FP32", shape=[1, 4])
        t.contents.fp32_contents.extend([1, 2, 3, 4])
        r = c.ModelInfer(q)
        import struct  # noqa: PLC0415
        y = (list(r.outputs[0].contents.fp32_contents) or
             list(struct.unpack("<4f", r.raw_output_contents[0])))
        check(y == [2, 4, 6, 8] and r.id == "7" and r.model_version == "1", r)
        q.inputs[0].name = "z"
        e = raises(grpc.RpcError, lambda: c.ModelInfer(q), "gRPC: a name")
        check(e.code() == grpc.StatusCode.INVALID_ARGUMENT and e.details(), e)
        q.model_name = "none"
        e = raises(grpc.RpcError, lambda: c.ModelInfer(q), "gRPC: no model")
        check(e.code() == grpc.StatusCode.NOT_FOUND, e)


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d)
        with Server(PROGRAM, d) as s:
            rest(f"http://127.0.0.1:{s.port}")
            if has_plugin("h2"):
                by_grpc(s.port)
    finish()


main()
