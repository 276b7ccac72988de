"""What a data version has that the last trained one had not, and whether that is worth a run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from covidctnet.cohort import Case
from covidctnet.errors import DataStoreError
from integrations.data_history import cases_of, compare
from integrations.data_workspace import Workspace
from pipelines.retraining.policy import RetrainPolicy


@dataclass(frozen=True, kw_only=True)
class News:
    """Counts of cases, by class, site and scanner model; no case and no patient is named.

    Attributes:
        data_version: the new one.
        since: the one that was trained on last; empty where nothing was.
        cases: of the new version.
        added, removed, relabelled: against `since`.
        labels: added cases by class.
        sites: cases by site that `since` does not have.
        scanners: cases by scanner model that `since` does not have.
    """

    data_version: str
    since: str
    cases: int
    added: int
    removed: int
    relabelled: int
    labels: dict[str, int]
    sites: dict[str, int]
    scanners: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is new, and what the policy makes of it.

    Attributes:
        news: see there.
        worth: whether to train.
        reasons: why, or why not, in words.
        start_from: `pair_id` of the bundle that training would start from; empty for the seed.
    """

    news: News
    worth: bool
    reasons: tuple[str, ...]
    start_from: str = ""

    def to_markdown(self) -> str:
        """The plan as a comment on a change shows it."""
        news = self.news
        rows = [
            ("cases", str(news.cases)),
            ("added", _counts(news.added, news.labels)),
            ("removed", str(news.removed)),
            ("with a corrected label", str(news.relabelled)),
            ("new sites", _names(news.sites)),
            ("new scanners", _names(news.scanners)),
            ("training starts from", f"bundle {self.start_from}" if self.start_from else "the seed"),
        ]
        return "\n".join(
            [
                "### Retraining plan",
                "",
                f"Data version `{news.data_version}`, trained last: `{news.since or 'nothing'}`.",
                "",
                "| | |",
                "|---|---|",
                *(f"| {name} | {value} |" for name, value in rows),
                "",
                f"**{'Worth a run' if self.worth else 'Not worth a run'}:** {'; '.join(self.reasons)}.",
                "",
                "Research use only. Not a medical device.",
            ]
        )


def tell_news(workspace: Workspace, version: str, since: str) -> News:
    """Compare two data versions of a workspace.

    Args:
        workspace: holds the table of each version.
        version: the new one.
        since: the one that was trained on last, empty where nothing was.

    Raises:
        DataStoreError: a version is not in the workspace's log.
    """
    new = cases_of(workspace, version)
    if not since:
        return _describe(version, "", (), new)
    try:
        old = cases_of(workspace, since)
    except DataStoreError:
        raise DataStoreError(
            f"data version {since} was trained last, but is not in this workspace's log: what is new cannot be told; "
            "bring versions/ back, or name another version with --since"
        ) from None
    return _describe(version, since, old, new)


def _describe(version: str, since: str, old: Sequence[Case], new: Sequence[Case]) -> News:
    change = compare(old, new)
    added = set(change.added)
    sites, scanners = ({getattr(case, name) for case in old} for name in ("site", "scanner"))
    return News(
        data_version=version,
        since=since,
        cases=len(new),
        added=len(added),
        removed=len(change.removed),
        relabelled=len(change.relabelled),
        labels=_count(case.label for case in new if case.case in added),
        sites=_count(case.site for case in new if case.site not in sites),
        scanners=_count(case.scanner for case in new if case.scanner not in scanners),
    )


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def make_plan(news: News, policy: RetrainPolicy, *, start_from: str = "") -> Plan:
    """Apply the policy; a pure function.

    Args:
        news: what is new.
        policy: what is enough.
        start_from: `pair_id` of the champion, where the policy starts from it.
    """
    if not news.since:
        return Plan(news=news, worth=True, reasons=("nothing was trained yet",), start_from=start_from)
    counted = [
        ("cases were added", news.added, policy.new_cases),
        ("cases have a corrected label", news.relabelled, policy.relabelled_cases),
        ("cases were removed", news.removed, policy.removed_cases),
        *((f"cases of the new site {name}", count, policy.new_site_cases) for name, count in news.sites.items()),
        *(
            (f"cases of the new scanner {name}", count, policy.new_scanner_cases)
            for name, count in news.scanners.items()
        ),
    ]
    enough = [f"{count} {what}, {limit} are enough" for what, count, limit in counted if limit and count >= limit]
    short = [
        f"{count} {what}, {f'{limit} are needed' if limit else 'which is no reason by itself'}"
        for what, count, limit in counted
        if count and not (limit and count >= limit)
    ]
    reasons = tuple(enough) or tuple(short) or ("no case was added, removed or relabelled",)
    return Plan(news=news, worth=bool(enough), reasons=reasons, start_from=start_from)


def _counts(total: int, parts: dict[str, int]) -> str:
    return f"{total} ({_names(parts)})" if parts else str(total)


def _names(parts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in parts.items()) or "none"
