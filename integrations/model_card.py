"""What is told of a registered model: card, tags and metrics, all from the bundle."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from covidctnet.bundle import Bundle
from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.tables import format_interval, format_value
from covidctnet.labels import LABELS
from covidctnet.predictor import DISCLAIMER

LIMITS = "A study of another scanner is answered with a warning; one too unlike the training data gets no class."
NOT_EVALUATED = "Not evaluated on a hold-out."
_NOT_RECORDED = "not recorded"
_LONGEST_TAG = 5000
_NO_NAME = re.compile(r"[^\w\-. /]", re.ASCII)
"""Characters that MLflow takes in no metric's name; a scanner's brand may hold them."""

_SHOWN = (
    ("accuracy, three classes", "three_class.accuracy"),
    ("AUC, macro average", "three_class.macro_auc"),
    ("Covid-19 or not: accuracy", "covid.accuracy"),
    ("Covid-19 or not: AUC", "covid.auc"),
    ("Covid-19 or not: sensitivity", "covid.sensitivity"),
    ("Covid-19 or not: specificity", "covid.specificity"),
    ("Brier score (0 best, 2 worst)", "brier"),
)


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Where patients come from.

    Attributes:
        sites: pseudonyms of their sites.
        scanners: brand and model of what scanned them.
    """

    sites: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()


def write_card(bundle: Bundle, *, sites: Sequence[str], judged_by: Origins, run_key: str) -> str:
    """The model card, in Markdown.

    Args:
        bundle: what is registered.
        sites: pseudonyms of the sites whose patients trained it.
        judged_by: the patients of validation and hold-out.
        run_key: which pipeline run made it.
    """
    facts = card_facts(bundle, sites=sites, judged_by=judged_by, run_key=run_key)
    lines = [
        f"# CovidCTNet {bundle.pair_id}",
        "",
        f"{DISCLAIMER} Triage of chest CT into {', '.join(LABELS[:-1])} and {LABELS[-1]}.",
        "",
        *(f"- {name}: {value}" for name, value in facts),
        "",
        *_metric_lines(bundle),
        "",
        LIMITS,
        "",
        'Use: `mlflow.pyfunc.load_model(...).predict({"study": PATH})`.',
    ]
    return "\n".join(lines)


def card_facts(bundle: Bundle, *, sites: Sequence[str], judged_by: Origins, run_key: str) -> list[tuple[str, str]]:
    """What the card says of a bundle, by name; arguments as for `write_card`."""
    config, calibration = bundle.config, bundle.calibration
    return [
        ("Sites of training", _join(sites)),
        ("Scanners of training", _join(bundle.reference.scanners)),
        ("Sites of validation and hold-out", _join(judged_by.sites)),
        ("Scanners of validation and hold-out", _join(judged_by.scanners)),
        ("Data version", bundle.data_version),
        ("Code version", bundle.code_version),
        ("Configuration", f"profile {config.name}, digest {config.digest}, seed {config.seed}"),
        ("Pipeline run", run_key or _NOT_RECORDED),
        ("Started from", _start(bundle)),
        ("Calibration", f"Covid-19 threshold {calibration.threshold:.3f}, temperature {calibration.temperature:.3f}"),
    ]


def _start(bundle: Bundle) -> str:
    return f"bundle {bundle.config.start_from}" if bundle.config.start_from else "the seed"


def _metric_lines(bundle: Bundle) -> list[str]:
    measured = (bundle.metrics or {}).get("metrics")
    if not measured:
        return [NOT_EVALUATED]
    return [
        f"Hold-out: {measured['cases']} cases of {measured['patients']} patients.",
        "",
        "| metric | value | interval |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in card_metrics(bundle)),
    ]


def card_metrics(bundle: Bundle) -> list[tuple[str, str, str]]:
    """Name, value and interval of the hold-out's metrics; none where the bundle was not evaluated."""
    measured = (bundle.metrics or {}).get("metrics")
    rows = []
    for words, name in _SHOWN if measured else ():
        value: Any = measured
        for part in name.split("."):
            value = value[part]
        estimate = Estimate(**value)
        rows.append((words, format_value(estimate.value), format_interval(estimate)))
    return rows


def model_tags(bundle: Bundle, *, sites: Sequence[str], run_key: str) -> dict[str, str]:
    """Tags by which a version is found again."""
    return {
        "pair_id": bundle.pair_id,
        "data_version": bundle.data_version,
        "code_version": bundle.code_version,
        "config_digest": bundle.config.digest,
        "profile": bundle.config.name,
        "run_key": run_key,
        "started_from": bundle.config.start_from or "seed",
        "sites": _join(sites)[:_LONGEST_TAG],
        "scanners": _join(bundle.reference.scanners)[:_LONGEST_TAG],
    }


def model_metrics(bundle: Bundle) -> dict[str, float]:
    """The hold-out's numbers by dotted name, without those that could not be computed."""
    return {
        _NO_NAME.sub("_", f"holdout.{name}"): value
        for name, value in _numbers((bundle.metrics or {}).get("metrics", {}))
    }


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            # An estimate goes by its own name; its bounds follow.
            yield from _numbers(value, "" if not name else f"{name}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield name.removesuffix(".value"), float(value)


def _join(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) or _NOT_RECORDED
