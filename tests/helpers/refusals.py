"""What a refusal of the transformer looks like, over HTTP and gRPC."""

from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from tests.helpers.serving import Process


def refusal(response: httpx.Response, status: int, code: str) -> str:
    """The detail of a refusal of the one shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"code", "message", "detail", "request_id"}
    assert body["code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert "/" not in body["detail"].replace("application/", "").replace("multipart/", "")
    return body["detail"]


def ask_grpc(server: Process, metadata: tuple[tuple[str, str], ...] = (), **fields: Any) -> grpc.RpcError:
    """The error with which a call of ModelInfer ends."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(pb.ModelInferRequest(**fields), timeout=60, metadata=metadata)
    return refused.value
