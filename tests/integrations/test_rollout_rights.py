"""A roll-out needs the rights of the shipped Role: each of them, and no other."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from covidctnet.errors import RolloutError
from integrations.rollout.deploy import plan, roll_out_pair
from tests.helpers.crds import ROOT
from tests.helpers.kubernetes_objects import Asked, Fault
from tests.helpers.rollout_world import A, B, Behaviour, C, World, quick

FOLDER = ROOT / "infra" / "serving" / "deploy"


def render(folder: Path) -> list[dict[str, Any]]:
    kubectl = Path(sys.executable).with_name("kubectl")
    text = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    return render(FOLDER)


@pytest.fixture(scope="module")
def receiver() -> list[dict[str, Any]]:
    return render(FOLDER / "receiver")


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def rights_of(asked: list[Asked]) -> set[tuple[str, str, str]]:
    """Group, resource and verb of each request; an apply that makes an object needs the right to create it as well."""
    found = {(ask.group, ask.resource, ask.verb) for ask in asked}
    return found | {(ask.group, ask.resource, "create") for ask in asked if ask.verb == "patch"}


def test_the_role_grants_what_is_used_and_nothing_else(rendered: list[dict[str, Any]]) -> None:
    world = World()
    world.api.schemas = False
    with world.site() as site:
        world.not_ready.add(A.pair_id)
        # Nothing is left of a first pair that does not come up, nor of its route.
        assert roll_out_pair(A, site, quick()).stage == "returned"
        world.not_ready.clear()
        roll_out_pair(A, site, quick(), again=True)
        plan(B, site)
        roll_out_pair(B, site, quick())
        world.behaviour[C.pair_id] = Behaviour(status=500)
        assert roll_out_pair(C, site, quick()).stage == "returned"
        lost_route(world, site)
    used = rights_of(world.api.asked)
    role = one(rendered, "Role")
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert "*" not in str(role["rules"])
    assert granted == used


def lost_route(world: World, site: Any) -> None:
    """A first roll-out whose route is there when it goes back: the route is removed."""
    for resource, name in list(world.api.objects):
        world.api.remove(resource, name)
    world._was_routed = False
    world.api.fault = lambda asked: Fault(403) if asked.resource == "pods" else None
    with contextlib.suppress(RolloutError):
        roll_out_pair(A, site, quick())
    assert world.route() == {}


def test_only_this_namespace_is_touched(rendered: list[dict[str, Any]]) -> None:
    assert {item["kind"] for item in rendered} == {"ServiceAccount", "Role", "RoleBinding", "Job", "NetworkPolicy"}
    assert {item["metadata"]["namespace"] for item in rendered} == {"covidctnet"}
    (subject,) = one(rendered, "RoleBinding")["subjects"]
    assert (subject["name"], subject["namespace"]) == (
        one(rendered, "ServiceAccount")["metadata"]["name"],
        "covidctnet",
    )


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_objects_fit_their_schemas(
    rendered: list[dict[str, Any]], receiver: list[dict[str, Any]], version: str
) -> None:
    for item in (*rendered, *receiver):
        kubernetes_validate.validate(item, version, strict=True)


def test_the_job_calls_what_is_there_and_does_not_repeat_a_decision(rendered: list[dict[str, Any]]) -> None:
    import typer.main

    from cli.deploy import REFUSED
    from cli.main import app

    spec = one(rendered, "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    program, *words = [*container["command"], *container["args"]]
    assert program == "covidctnet"
    command = typer.main.get_command(app)
    parsed = command.commands["deploy"].make_context("deploy", words[1:])  # type: ignore[attr-defined]
    assert (words[0], parsed.params["model"], parsed.params["gateway"]) == ("deploy", "@champion", "gateways/hospital")
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [REFUSED]}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    labels = one(rendered, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert labels.items() <= spec["template"]["metadata"]["labels"].items()


def test_the_receiver_calls_what_is_there_with_the_rights_of_a_roll_out(
    rendered: list[dict[str, Any]], receiver: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer.main

    from cli.main import app
    from cli.model_webhook import SECRET

    assert one(receiver, "Role")["rules"] == one(rendered, "Role")["rules"]
    assert {item["metadata"]["namespace"] for item in receiver} == {"covidctnet"}
    spec = one(receiver, "Deployment")["spec"]
    # Two at once would be two inboxes, or two writers of one.
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["serviceAccountName"] == one(receiver, "ServiceAccount")["metadata"]["name"]
    (container,) = pod["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    command = typer.main.get_command(app).commands["model"].commands["receive"]  # type: ignore[attr-defined]
    assert container["command"] == ["covidctnet", "model", "receive"]
    parsed = command.make_context("receive", list(container["args"])).params
    assert (parsed["gateway"], parsed["log"], parsed["heads"]) == (
        "gateways/hospital", "s3://promotion/log", "s3://promotion-heads/heads",
    )  # fmt: skip
    assert parsed["tracking"] == "http://mlflow.covidctnet-tracking:5000"
    mounts = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
    for name in ("certificate", "certificate_key", "inbox", "public_key"):
        assert parsed[name].parent in mounts, name
    (port,) = container["ports"]
    assert parsed["port"] == port["containerPort"]
    (service,) = one(receiver, "Service")["spec"]["ports"]
    assert service["targetPort"] == port["containerPort"]
    policy = one(receiver, "NetworkPolicy")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for selector in (policy["podSelector"]["matchLabels"], one(receiver, "Service")["spec"]["selector"]):
        assert selector.items() <= labels.items()
    (door,) = policy["ingress"]
    assert [entry["port"] for entry in door["ports"]] == [port["containerPort"]]
    text = (FOLDER / "receiver" / "deployment.yaml").read_text()
    assert SECRET in text
