"""Validate the scanner metadata of a data version with Great Expectations, by a policy file."""

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.errors import ConfigError
from covidctnet.scanner_metadata import COLUMNS
from integrations.metadata_docs import render_docs
from integrations.metadata_policy import Check, Policy, load_policy
from integrations.metadata_tables import read_cases, read_splits, summarise_cohort

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check that was not met.

    Attributes:
        check: what was expected, in words.
        then: fail, quarantine or warn.
        cases: names of the cases, or pseudonyms of the patients, that did not meet it; empty where the
            check is about the whole cohort.
        seen: values that were seen, a few of them.
    """

    check: str
    then: str
    cases: tuple[str, ...]
    seen: tuple[str, ...]

    def __str__(self) -> str:
        seen = f": {', '.join(self.seen)}" if self.seen else ""
        where = f" ({len(self.cases)} rows, {', '.join(self.cases[:_NAMED])})" if self.cases else ""
        return f"not met: {self.check}{seen}{where}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What follows from the validation.

    Attributes:
        passed: whether the data version may be trained on, without the quarantined cases.
        failures: why not, in words.
        quarantined: names of the cases to leave out, sorted.
        reasons: of each quarantined case, in words.
        warnings: what a person should know, in words.
        html: the data docs, one page without outside references.
    """

    passed: bool
    failures: tuple[str, ...]
    quarantined: tuple[str, ...]
    reasons: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]
    html: Path


def validate_metadata(
    metadata: Path, *, ledger: Path | None, policy: Path | None, output: Path, data_version: str = ""
) -> Verdict:
    """Validate the table of `covidctnet.scanner_metadata.describe_cohort`.

    The checks of single cases come first; those of the whole cohort look at the cases that are left.

    Args:
        metadata: one row a case.
        ledger: `splits.csv`; its checks are left out when None or not there.
        policy: the policy file; the shipped one when None.
        output: folder that holds `suite-*.json`, `result-*.json`, `verdict.json`, `policy.yaml` and
            `data_docs.html` afterwards.
        data_version: what the table describes, kept with the verdict; a gate asks for the same one.

    Raises:
        CohortError: the table has other columns or no rows.
        ConfigError: the policy is refused, or one of its checks cannot be evaluated.
    """
    rules = load_policy(policy)
    output.mkdir(parents=True, exist_ok=True)
    if policy is not None:
        shutil.copyfile(policy, output / "policy.yaml")
    cases = read_cases(metadata, COLUMNS)
    results = {"cases": _validate("cases", cases, rules.cases, rules, "case", output)}
    findings = _findings(results["cases"], rules.cases, "case")
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        if finding.then == "quarantine":
            for name in finding.cases:
                reasons.setdefault(name, []).append(finding.check)
    left = cases[~cases["case"].isin(list(reasons))]
    summary = summarise_cohort(left, len(cases), rules.metadata_classifier)
    results["cohort"] = _validate("cohort", summary, rules.cohort, rules, None, output)
    findings += _findings(results["cohort"], rules.cohort, None)
    if ledger is not None and ledger.is_file():
        splits = read_splits(ledger, left)
        results["splits"] = _validate("splits", splits, rules.splits, rules, "patient", output)
        findings += _findings(results["splits"], rules.splits, "patient")
    html = output / "data_docs.html"
    failures = tuple(str(finding) for finding in findings if finding.then == "fail")
    verdict = Verdict(
        passed=not failures,
        failures=failures,
        quarantined=tuple(sorted(reasons)),
        reasons={name: tuple(reasons[name]) for name in sorted(reasons)},
        warnings=tuple(str(finding) for finding in findings if finding.then == "warn"),
        html=html,
    )
    render_docs(html, verdict, results)
    about = {"data_version": data_version} if data_version else {}
    _write_json(output / "verdict.json", {**asdict(verdict), "html": html.name, **about})
    return verdict


def _validate(
    name: str, table: "pd.DataFrame", checks: Sequence[Check], policy: Policy, key: str | None, output: Path
) -> Any:
    gx = _load_great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset(name)
    definition = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name=name))
    for check in checks:
        suite.add_expectation(_expectation(check, policy))
    _write_json(output / f"suite-{name}.json", suite.to_json_dict())
    validation = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=definition, suite=suite))
    how: dict[str, Any] = {"result_format": "COMPLETE"}
    if key is not None:
        how["unexpected_index_column_names"] = [key]
    result: Any = validation.run(batch_parameters={"dataframe": table}, result_format=how)
    _write_json(output / f"result-{name}.json", result.to_json_dict())
    return result


def _load_great_expectations() -> Any:
    # It may send usage data unless told not to before it is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # It looks for every cloud's library, and each that is absent warns.
        warnings.simplefilter("ignore")
        import great_expectations

    return great_expectations


def _expectation(check: Check, policy: Policy) -> Any:
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl
    from pydantic.v1 import ValidationError

    arguments = dict(check.arguments)
    named = arguments.get("value_set")
    if isinstance(named, str):
        if named not in policy.value_sets:
            raise ConfigError(f"{check.check!r} names the list {named!r}; use one of {', '.join(policy.value_sets)}")
        arguments["value_set"] = policy.value_sets[named]
    try:
        return get_expectation_impl(f"expect_{check.expect}")(
            **arguments, meta={"check": check.check, "then": check.then}
        )
    except ExpectationNotFoundError:
        raise ConfigError(
            f"{check.check!r} uses expect_{check.expect}, which Great Expectations does not know"
        ) from None
    except (ValidationError, TypeError) as error:
        raise ConfigError(f"the arguments of {check.check!r} are refused: {error}") from None


def _findings(result: Any, checks: Sequence[Check], key: str | None) -> list[Finding]:
    findings = []
    for outcome in result.results:
        config: Any = outcome.expectation_config
        check = next(check for check in checks if check.check == config.meta["check"])
        if outcome.exception_info.get("raised_exception") or "exception_message" not in outcome.exception_info:
            raise ConfigError(f"{check.check!r} cannot be evaluated: does its column exist? {check.arguments}")
        if not outcome.success:
            details = outcome.result
            rows = details.get("unexpected_index_list") or []
            cases = tuple(sorted({str(row[key]) for row in rows})) if key else ()
            seen = dict.fromkeys(_word(value) for value in details.get("partial_unexpected_list", []))
            findings.append(Finding(check=check.check, then=check.then, cases=cases, seen=tuple(seen)[:_NAMED]))
    return findings


def _word(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write_json(path: Path, content: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2, default=str), "utf-8")
    os.replace(partial, path)
