"""What `covidctnet deploy` ships is what the overlays say, and a pair's objects are of that pair alone."""

import json
import sys

import kubernetes_validate
import pytest
import yaml

from covidctnet.errors import ConfigError, RolloutError
from covidctnet.rollout.machine import Pair, Split
from integrations.rollout.manifests import (
    RouteSettings,
    load_template,
    read_pair,
    read_split,
    render_pair,
    render_route,
    template_names,
)
from serving.transformer.__main__ import _parse
from tests.helpers import crds
from tests.infra.serving.conftest import OVERLAYS, Rendered

PAIR = Pair(pair_id="0123456789abcdef", model_version="7", address="s3://models/7/data/bundle")


def test_every_overlay_is_shipped_as_it_is(rendered: Rendered) -> None:
    assert template_names() == sorted(path.name for path in OVERLAYS.iterdir())
    # Written by infra/serving/render.sh.
    assert load_template(rendered.overlay) == rendered.objects


@pytest.mark.real_data
@pytest.mark.skipif(not crds.CRDS.is_dir(), reason="the schemas of the kinds are not beside SHARED_DATA")
def test_objects_of_a_pair_fit_their_schemas(rendered: Rendered) -> None:
    kinds = []
    for item in render_pair(rendered.objects, PAIR):
        kinds.append(item["kind"])
        if item["kind"] in {"InferenceService", "ServingRuntime"}:
            crds.check(item)
        else:
            kubernetes_validate.validate(item, "1.30", strict=True)
    assert kinds == [
        "ConfigMap", *["NetworkPolicy"] * 3, *["PodDisruptionBudget"] * 2, "ServingRuntime", "InferenceService",
    ]  # fmt: skip


def test_a_pair_meets_no_other(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Pair(pair_id="f" * 16, model_version="8", address="s3://models/8/data/bundle")
    one, two = (render_pair(rendered.objects, pair) for pair in (PAIR, other))
    own = [item for item in one if item["kind"] != "ConfigMap"]
    names = {(item["kind"], item["metadata"]["name"]) for item in own}
    assert names.isdisjoint((item["kind"], item["metadata"]["name"]) for item in two)
    service = own[-1]
    assert service["metadata"]["name"] == f"covidctnet-{PAIR.pair_id}"
    # Nothing names the service of the template any more, or selects its pods.
    text = json.dumps(own)
    assert '"serving.kserve.io/inferenceservice": "covidctnet"' not in text
    assert "=covidctnet-predictor" not in text
    assert text.count(f'"serving.kserve.io/inferenceservice": "covidctnet-{PAIR.pair_id}"') >= 10
    (container,) = service["spec"]["transformer"]["containers"]
    monkeypatch.setattr(sys, "argv", ["serving.transformer", *container["args"]])
    flags = _parse()
    assert flags.pair_id == PAIR.pair_id
    assert flags.predictor_host == f"covidctnet-{PAIR.pair_id}-predictor:8500"
    assert service["spec"]["predictor"]["model"]["runtime"] == f"covidctnet-tensorflow-serving-{PAIR.pair_id}"
    assert read_pair(service) == PAIR
    assert render_pair(rendered.objects, PAIR) == one


def test_a_route_is_read_as_it_was_written() -> None:
    settings = RouteSettings(name="covidctnet", gateway="gateways/hospital", hostnames=("ct.example",))
    for split in (
        Split(weights={"a" * 16: 100}, mirror="b" * 16),
        Split(weights={"a" * 16: 90, "b" * 16: 10}),
    ):
        route = render_route(settings, "covidctnet", split)
        if crds.CRDS.is_dir():
            crds.check(route)
        assert read_split(route, "covidctnet") == split
        assert read_split(route, "another") is None
        assert route["spec"]["parentRefs"] == [{"name": "hospital", "namespace": "gateways"}]
    foreign = json.loads(json.dumps(route))
    foreign["spec"]["rules"][0]["filters"] = [{"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}]
    assert read_split(foreign, "covidctnet") is None


def test_templates_that_are_none_are_refused(tmp_path, rendered: Rendered) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "site.yaml"
    with pytest.raises(ConfigError, match="no template 'absent'"):
        load_template("absent")
    for text, says in (("a: [", "is not YAML"), ("kind: ConfigMap", "holds 0 objects of kind InferenceService")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=says):
            load_template(str(path))
    objects = json.loads(json.dumps(rendered.objects))
    (service,) = (item for item in objects if item["kind"] == "InferenceService")
    service["spec"]["transformer"]["containers"][0]["env"] = []
    path.write_text(yaml.safe_dump_all(objects))
    with pytest.raises(RolloutError, match="not like that of infra/serving/base"):
        render_pair(load_template(str(path)), PAIR)
