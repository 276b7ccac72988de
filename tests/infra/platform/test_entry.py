"""The hospitals' entry: a certificate, a token of their identity provider, and a few routes."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from serving.settings import ServingSettings
from serving.transformer.progress import progress_routes
from serving.transformer.routes import state_routes, study_routes
from tests.infra.platform.conftest import OVERLAYS, Platform
from tests.infra.serving.conftest import render


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def entered(request: pytest.FixtureRequest) -> Platform:
    return Platform(request.param, render(OVERLAYS / request.param))


def test_every_listener_asks_for_a_valid_certificate(entered: Platform) -> None:
    spec = entered.one("Gateway")["spec"]
    assert spec["tls"]["frontend"]["default"]["validation"]["mode"] == "AllowValidOnly"
    (authority,) = spec["tls"]["frontend"]["default"]["validation"]["caCertificateRefs"]
    made = {item["spec"]["target"]["name"] for item in entered.of("ExternalSecret")}
    assert authority["name"] in made
    for listener in spec["listeners"]:
        assert (listener["protocol"], listener["tls"]["mode"]) == ("HTTPS", "Terminate")
        assert {reference["name"] for reference in listener["tls"]["certificateRefs"]} <= made


def test_a_request_without_the_issuer_s_token_is_refused(entered: Platform) -> None:
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "hospitals"}
    (rule,) = entered.one("RequestAuthentication")["spec"]["jwtRules"]
    policy = entered.one("AuthorizationPolicy")["spec"]
    assert entered.one("RequestAuthentication")["spec"]["targetRefs"] == policy["targetRefs"] == [gateway]
    # With a policy ALLOW, what matches no rule is refused, and a request without a valid token has no principal.
    assert policy["action"] == "ALLOW"
    for allowed in policy["rules"]:
        (source,) = allowed["from"]
        assert source["source"]["requestPrincipals"] == [f"{rule['issuer']}/*"]
    assert rule["audiences"] == ["covidctnet"]
    # The transformer's own token has that header to itself.
    assert "Authorization" not in {header["name"] for header in rule["fromHeaders"]}


def test_only_what_a_hospital_needs_is_routed_and_serving_has_it(entered: Platform) -> None:
    (rule,) = entered.one("HTTPRoute")["spec"]["rules"]
    routed = {match["path"]["value"] for match in rule["matches"]}
    # What they serve with is not asked for as long as nobody calls a route.
    plane: Any = SimpleNamespace(settings=ServingSettings(), dataplane=None)
    nothing: Any = None
    routers = (study_routes(plane, "covidctnet", nothing), state_routes(plane, nothing, nothing))
    served = [route.path for router in (*routers, progress_routes(nothing)) for route in router.routes]
    for match in rule["matches"]:
        path = match["path"]["value"] + ("/any" if match["path"]["type"] == "PathPrefix" else "")
        assert any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", name), path) for name in served), path
    assert not any(path.startswith(("/metrics", "/v1/drift", "/openapi", "/v2/health/live")) for path in routed)
    assert "/" not in routed
    (backend,) = rule["backendRefs"]
    grant = entered.one("ReferenceGrant")
    assert grant["metadata"]["namespace"] == backend["namespace"]
    assert [item["name"] for item in grant["spec"]["to"]] == [backend["name"]]


def test_the_entry_lets_a_study_take_its_time(entered: Platform) -> None:
    (rule,) = entered.one("HTTPRoute")["spec"]["rules"]
    seconds = entered.one("InferenceService")["spec"]["transformer"]["timeout"]
    assert rule["timeouts"]["request"] == rule["timeouts"]["backendRequest"] == f"{seconds}s"
