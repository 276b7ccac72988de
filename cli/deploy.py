"""`covidctnet deploy`: roll a registered version out to a Kubernetes cluster, in stages."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from cli.console import err, out, print_json
from cli.model import DEMO, JsonFlag, Server, Workspace, model_uri, registry_settings
from covidctnet.errors import ConfigError

if TYPE_CHECKING:
    from covidctnet.rollout.judgement import Figures
    from covidctnet.rollout.machine import Rollout
    from integrations.rollout.deploy import Plan

REFUSED = 3
"""Exit code where the roll-out went back to the earlier version."""

_VARIABLE = "COVIDCTNET_DEPLOY_"


Gateway = Annotated[
    str, typer.Option(envvar=f"{_VARIABLE}GATEWAY", help="NAMESPACE/NAME of the Gateway that clients come by.")
]
Template = Annotated[
    str, typer.Option(envvar=f"{_VARIABLE}TEMPLATE", help="cpu, gpu, or a file: kubectl kustomize YOUR-OVERLAY.")
]
RolloutPolicy = Annotated[
    str, typer.Option("--policy", envvar=f"{_VARIABLE}POLICY", help="Stages and bounds: `default`, or a YAML file.")
]
Storage = Annotated[
    str, typer.Option(envvar=f"{_VARIABLE}STORAGE", help="Address of bundles with {pair_id}; the registry's own.")
]
Hostname = Annotated[list[str] | None, typer.Option(help="That the route answers for; may be repeated.")]
Route = Annotated[str, typer.Option(help="Name of the HTTPRoute.")]
Namespace = Annotated[str, typer.Option("--namespace", help="The context's own if not given.")]
Context = Annotated[str, typer.Option(help="Of the kubeconfig.")]


def deploy(
    model: Annotated[str, typer.Argument(help="A version, or @ and an alias: 3, @champion.")] = "",
    gateway: Gateway = "",
    template: Template = "cpu",
    policy: RolloutPolicy = "default",
    storage: Storage = "",
    hostname: Hostname = None,
    route: Route = "covidctnet",
    namespace: Namespace = "",
    context: Context = "",
    at_once: Annotated[bool, typer.Option("--at-once", help="Without shadow and canary: the way back.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Try a version that was returned before.")] = False,
    abort: Annotated[str, typer.Option("--abort", help="Go back to the earlier version, for this reason.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print manifests and the difference only.")] = False,
    workspace: Workspace = DEMO,
    server: Server = "",
    json_output: JsonFlag = False,
) -> None:
    """Have a registered version serve on a cluster; exit code 3 where the earlier one serves again."""
    from integrations.rollout import deploy as rolling

    if bool(model) is bool(abort):
        raise ConfigError("name a version, or say --abort and why")
    require_gateway(gateway)
    settings = rolling.DeploySettings(
        gateway=gateway,
        template=template,
        policy=policy,
        namespace=namespace,
        context=context,
        hostnames=tuple(hostname or ()),
        route=route,
        storage=storage,
    )
    if abort:
        ended = rolling.abort(settings=settings, why=abort, on_change=_show)
    else:
        registry = registry_settings(workspace, server)
        uri = model_uri(model, registry)
        if dry_run:
            pair = rolling.find_pair(uri, registry=registry, storage=storage)
            _print_plan(rolling.plan(pair, rolling.open_site(settings)))
            return
        ended = rolling.roll_out(
            uri, registry=registry, settings=settings, at_once=at_once, again=again, on_change=_show
        )
    _conclude(ended, json_output=json_output)


def require_gateway(gateway: str) -> None:
    """Refuse a roll-out that no client would come by.

    Raises:
        ConfigError: no Gateway is named.
    """
    if not gateway:
        raise ConfigError("name the Gateway that clients come by with --gateway NAMESPACE/NAME")


def _print_plan(plan: "Plan") -> None:
    print_json(yaml.safe_dump_all(plan.manifests, sort_keys=False).rstrip())
    print_json(plan.difference)


def _show(rollout: "Rollout", figures: "Figures | None") -> None:
    words: str = rollout.stage
    if rollout.stage == "canary":
        words = f"canary {rollout.policy.canary[rollout.step].weight} %"
    if figures is not None:
        seen = figures.candidate
        words += f": {seen.requests} requests, {seen.failures} failed"
        if rollout.stage == "shadow":
            words += f", {figures.differing} of {figures.joined} answered differently"
    err.print(words, highlight=False)


def _conclude(rollout: "Rollout | None", *, json_output: bool) -> None:
    if rollout is None:
        out.print("there is no roll-out here")
        return
    if json_output:
        print_json(json.dumps(rollout.to_dict(), indent=2))
    else:
        serving = rollout.serving
        name = "no pair" if serving is None else f"pair {serving.pair_id}, version {serving.model_version},"
        out.print(f"{name} serves", highlight=False)
        for reason in rollout.reasons:
            out.print(reason, markup=False, highlight=False)
    if rollout.stage == "returned":
        raise typer.Exit(REFUSED)
