"""Prometheus metrics; no label comes from a study except through a fixed list."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_RESIDUAL = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4)
_BRANDS = frozenset(
    {"Siemens", "GE", "Philips", "Toshiba", "Canon", "Hitachi", "Neusoft", "Fujifilm", "United Imaging"}
)


class Metrics:
    """What the transformer counts.

    Args:
        registry: where the metrics are kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "covidctnet_requests", "Requests by protocol and status", ("protocol", "status"), registry=registry
        )
        self.refused = Counter("covidctnet_refused", "Refusals by reason", ("code",), registry=registry)
        self.request_seconds = Histogram(
            "covidctnet_request_seconds", "Time to an answer", ("protocol",), buckets=_SECONDS, registry=registry
        )
        self.stage_seconds = Histogram(
            "covidctnet_stage_seconds", "Time in one stage", ("stage",), buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("covidctnet_queue", "Studies by state", ("state",), registry=registry)
        self.ready = Gauge("covidctnet_ready", "Whether both halves are of one pair", registry=registry)
        self.studies = Counter("covidctnet_studies", "Studies by scanner brand", ("brand",), registry=registry)
        self.answers = Counter("covidctnet_answers", "Answers by label", ("label",), registry=registry)
        self.residual = Histogram(
            "covidctnet_residual_energy", "Mean absolute residual", buckets=_RESIDUAL, registry=registry
        )
        self.drift_studies = Gauge(
            "covidctnet_drift_studies", "Studies in the window that is compared with training", registry=registry
        )
        self.drift_index = Gauge(
            "covidctnet_drift_index",
            "Population stability index of recent studies against training; absent with too few studies",
            ("statistic",),
            registry=registry,
        )
        self.drift_by_chance = Gauge(
            "covidctnet_drift_by_chance", "Index that chance explains", ("statistic",), registry=registry
        )
        self.drift_level = Gauge(
            "covidctnet_drift_level", "0 none, 1 moderate, 2 major", ("statistic",), registry=registry
        )
        self.drift_outside = Gauge(
            "covidctnet_drift_outside",
            "Share of recent studies outside of the training range",
            ("statistic",),
            registry=registry,
        )


def brand_label(brand: str) -> str:
    """A brand as a metric's label: a header may hold anything, so that an unknown one is `other`."""
    return brand if brand in _BRANDS else "other"
