"""`covidctnet deploy`: rolls a registered version out to a cluster, or says what that would change."""

import difflib
from dataclasses import dataclass

import yaml

from covidctnet.errors import RolloutError
from covidctnet.rollout.machine import Pair, Rollout, Split, advance, begin, go_back
from covidctnet.rollout.policy import RolloutPolicy, load_rollout_policy
from integrations.kubernetes_api import FIELD_MANAGER, Cluster, Manifest, Patience, connect
from integrations.registry import RegisteredModel, bundle_address, find_model
from integrations.rollout.driver import OnChange, RolloutDriver, Site
from integrations.rollout.manifests import (
    MANAGED_LABEL,
    OF_A_PAIR,
    PAIR_LABEL,
    RouteSettings,
    base_name,
    load_template,
    read_pair,
    read_split,
    render_pair,
    render_route,
    service_name,
)
from integrations.rollout.store import Clock, RolloutStore
from integrations.tracking_client import TrackingSettings


@dataclass(frozen=True, kw_only=True)
class DeploySettings:
    """Where a site serves, and how a version gets there.

    Attributes:
        gateway: `NAMESPACE/NAME` of the Gateway that clients come by.
        template: a shipped template by name, or a file that `kubectl kustomize OVERLAY` wrote.
        policy: `default`, or a YAML file.
        namespace: of the service; that of the context or service account where empty.
        context: of the kubeconfig; the current one, or the pod's service account, where empty.
        hostnames: that the route answers for.
        route: name of the HTTPRoute; the state is kept beside it in a ConfigMap `ROUTE-rollout`.
        storage: address of a bundle, with `{pair_id}` in it; the registry's own where empty.
    """

    gateway: str
    template: str = "cpu"
    policy: str = "default"
    namespace: str = ""
    context: str = ""
    hostnames: tuple[str, ...] = ()
    route: str = "covidctnet"
    storage: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a roll-out would do.

    Attributes:
        manifests: of the pair, and the route as it is in the end.
        difference: unified difference between the cluster and what each object would become; empty where none would
            change.
    """

    manifests: list[Manifest]
    difference: str


def roll_out(
    model: str,
    *,
    registry: TrackingSettings,
    settings: DeploySettings,
    at_once: bool = False,
    again: bool = False,
    on_change: OnChange = lambda rollout, figures: None,
    clock: Clock | None = None,
) -> Rollout:
    """Have a registered version serve, by the stages of the policy; blocks until it or the earlier one does.

    Called again after any end of the process, it goes on where it was. Called with a version that serves already, it
    changes nothing. Called with the earlier version in the middle of a roll-out, it goes back to that. Called with a
    third one, it first brings a roll-out that nobody is at any more back to the earlier version.

    Args:
        model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
        registry: where MLflow is.
        settings: of the site.
        at_once: leave shadow and canary out, as for a way back to an earlier version.
        again: try a version that was returned before.
        on_change: told each state, and what was seen in it.
        clock: whose `sleep` may raise `RolloutInterruptedError`; this process's own if not given.

    Returns:
        The last state: stage `done`, or `returned` with its reasons.

    Raises:
        RolloutConflictError: another process is at it.
        RolloutError: the version was returned before, or the cluster refuses.
        TrackingError: there is no such version, or MLflow does not answer.
        ConfigError: a setting is wrong, or there is no access to a cluster.
    """
    pair = find_pair(model, registry=registry, storage=settings.storage)
    site, policy = open_site(settings, clock=clock), load_rollout_policy(settings.policy)
    return roll_out_pair(pair, site, policy, at_once=at_once, again=again, on_change=on_change)


def abort(*, settings: DeploySettings, why: str, on_change: OnChange = lambda rollout, figures: None) -> Rollout | None:
    """Go back to the earlier pair, whatever another process is doing; None where no roll-out is under way.

    Raises:
        RolloutError: the earlier pair is being removed or gone.
    """
    site = open_site(settings)
    store = _store(site)
    rollout = store.take(force=True)
    if rollout is None or rollout.ended:
        return rollout
    back = go_back(rollout, (f"ended by hand: {why}",), now=site.clock.now())
    return RolloutDriver(site, store, on_change).run(back)


def open_site(settings: DeploySettings, *, cluster: Cluster | None = None, clock: Clock | None = None) -> Site:
    """The site that settings name, connected.

    Raises:
        ConfigError: a setting is wrong, or there is no access to a cluster.
    """
    template = load_template(settings.template)
    route = RouteSettings(name=settings.route, gateway=settings.gateway, hostnames=settings.hostnames)
    opened = cluster or connect(settings.namespace, context=settings.context, patience=Patience())
    return Site(cluster=opened, template=template, route=route, clock=clock or Clock())


def find_pair(model: str, *, registry: TrackingSettings, storage: str) -> Pair:
    """The pair of a registered version.

    Raises:
        TrackingError: there is no such version, or MLflow does not answer.
        RolloutError: it was not registered by this product, or lies where KServe cannot fetch it.
    """
    found: RegisteredModel = find_model(model, settings=registry)
    pair_id = found.tags.get("pair_id", "")
    if not pair_id:
        raise RolloutError(f"version {found.version} of {found.name} was not registered by this product: no pair_id")
    address = storage.replace("{pair_id}", pair_id) if storage else bundle_address(found, settings=registry)
    if not address.startswith(("s3://", "gs://", "https://", "pvc://")):
        raise RolloutError(
            f"version {found.version} lies at {address.partition(':')[0]}:, where KServe cannot fetch it; give an "
            "address with --storage, such as s3://BUCKET/bundles/{pair_id}"
        )
    return Pair(pair_id=pair_id, model_version=str(found.version), address=address)


def roll_out_pair(
    pair: Pair,
    site: Site,
    policy: RolloutPolicy,
    *,
    at_once: bool = False,
    again: bool = False,
    on_change: OnChange = lambda rollout, figures: None,
) -> Rollout:
    """As `roll_out`, for a pair and an opened site."""
    store = _store(site)
    kept = store.read()
    if kept is not None and not kept.ended and kept.stable is not None and kept.stable.pair_id == pair.pair_id:
        # The earlier version is wanted again: whoever rolls the new one out must let go.
        kept = store.take(force=True)
        assert kept is not None
        if kept.stage != "retire":
            back = go_back(kept, (f"pair {pair.pair_id} is wanted again",), now=site.clock.now())
            return RolloutDriver(site, store, on_change).run(back)
    kept = store.take()
    if kept is not None and not kept.ended and kept.candidate.pair_id != pair.pair_id:
        # Nobody is at it any more, and its version is not wanted any more: one whole pair first, then the new one.
        left = _leave(kept, f"pair {pair.pair_id} is wanted instead", now=site.clock.now())
        kept = RolloutDriver(site, store, on_change).run(left)
    state = _resume_or_begin(kept, pair, site, policy, at_once=at_once, again=again)
    return RolloutDriver(site, store, on_change).run(state)


def _leave(kept: Rollout, reason: str, *, now: float) -> Rollout:
    """The shortest way to the end of a roll-out that another one takes the place of."""
    if kept.stage == "full" and kept.stable is None:
        # The first pair of a site serves already, and nothing else would.
        return advance(kept, now=now)
    return kept if kept.stage == "retire" else go_back(kept, (reason,), now=now)


def _resume_or_begin(
    kept: Rollout | None, pair: Pair, site: Site, policy: RolloutPolicy, *, at_once: bool, again: bool
) -> Rollout:
    if kept is not None and not kept.ended:
        return kept
    serving = kept.serving if kept is not None else _adopt(site)
    if kept is not None and serving is not None and serving.pair_id == pair.pair_id:
        return kept
    if kept is not None and kept.stage == "returned" and kept.candidate.pair_id == pair.pair_id and not again:
        raise RolloutError(
            f"pair {pair.pair_id} was returned before: {'; '.join(kept.reasons)}. To try it once more, say --again"
        )
    return begin(pair, serving, policy, now=site.clock.now(), at_once=at_once)


def _adopt(site: Site) -> Pair | None:
    """The pair that a route serves whose state was lost; None where there is no route.

    Raises:
        RolloutError: the route is of another form, or serves more than one pair.
    """
    route = site.cluster.get("HTTPRoute", site.route.name)
    if route is None:
        return None
    split = read_split(route, base_name(site.template))
    served = [pair for pair, weight in split.weights.items() if weight] if split is not None else []
    if len(served) != 1:
        raise RolloutError(
            f"HTTPRoute {site.route.name} is there, but no state of a roll-out, and it does not serve one pair; have "
            "it serve one, or remove it"
        )
    found = site.cluster.get("InferenceService", service_name(site.template, served[0]))
    if found is None:
        raise RolloutError(f"HTTPRoute {site.route.name} serves pair {served[0]}, which is not there; remove the route")
    return read_pair(found)


def plan(pair: Pair, site: Site) -> Plan:
    """What rolling a pair out would make of the cluster; nothing is changed."""
    name = base_name(site.template)
    final = render_route(site.route, name, Split(weights={pair.pair_id: 100}))
    manifests = [*render_pair(site.template, pair), final]
    parts: list[str] = []
    for manifest in manifests:
        live = site.cluster.get(manifest["kind"], manifest["metadata"]["name"])
        become = site.cluster.apply(manifest, dry_run=True)
        title = f"{manifest['kind']}/{manifest['metadata']['name']}"
        parts += difflib.unified_diff(
            _lines(live), _lines(become), f"{title} (now)", f"{title} (then)", lineterm="", n=2
        )
    for kind in OF_A_PAIR:
        for other in site.cluster.find(kind, f"{MANAGED_LABEL}={FIELD_MANAGER},{PAIR_LABEL}!={pair.pair_id}"):
            parts.append(f"--- {kind}/{other['metadata']['name']} (removed in the end)")
    return Plan(manifests=manifests, difference="\n".join(parts))


def _lines(manifest: Manifest | None) -> list[str]:
    """An object as YAML, without what the cluster alone says."""
    if manifest is None:
        return []
    shown = {name: value for name, value in manifest.items() if name != "status"}
    theirs = {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"}
    shown["metadata"] = {name: value for name, value in manifest["metadata"].items() if name not in theirs}
    return yaml.safe_dump(shown, sort_keys=True).splitlines()


def _store(site: Site) -> RolloutStore:
    return RolloutStore(site.cluster, f"{site.route.name}-rollout", site.clock)
