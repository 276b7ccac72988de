"""Commands of `covidctnet model` that compare, promote, roll back and say which version was live when."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import model_options as options
from cli.console import err, load_libraries, out, print_json, progress_bars, table

if TYPE_CHECKING:
    from covidctnet.promotion.aliases import Aliases
    from covidctnet.promotion.decision import Decision
    from covidctnet.promotion.log import PromotionLog


REFUSED = 3
"""Exit code where the gate refuses the candidate."""

Folder = Annotated[Path, typer.Argument(help="What `model compare` wrote.")]


def compare(
    candidate: Annotated[str, typer.Argument(help="Bundle folder, models:/NAME/VERSION or models:/NAME@ALIAS.")],
    champion: Annotated[str, typer.Argument(help="The model in production, alike; none with --first.")] = "",
    *,
    cohort: Annotated[Path, typer.Option(help="Cohort that holds the hold-out.")],
    ledger: Annotated[Path, typer.Option(help="splits.csv.")],
    output: Annotated[Path, typer.Option(help="Where reports and decision go.")] = Path("decision"),
    policy: options.PolicyName = "default",
    first: Annotated[bool, typer.Option("--first", help="There is no champion yet.")] = False,
    validation: Annotated[Path | None, typer.Option(help="verdict.json of the validation of the data.")] = None,
    demographics: Annotated[Path | None, typer.Option(help="CSV: patient, sex, age_band.")] = None,
    uses: Annotated[Path | None, typer.Option(help="Record of hold-out use; beside the ledger if not given.")] = None,
    why: options.Why = "comparison",
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    json_output: options.JsonFlag = False,
) -> None:
    """Evaluate two bundles on one hold-out and decide by a policy; exit code 3 where the candidate is refused."""
    from covidctnet.promotion.policy import load_policy

    if first is bool(champion):
        raise typer.BadParameter("name the champion, or say --first where there is none")
    limits = load_policy(policy)
    load_libraries()
    from covidctnet.promotion.compare import compare_models
    from integrations.aliases_mlflow import resolve_bundle

    settings = options.tracking_settings(tracking, model)
    with progress_bars(quiet=json_output) as report:
        decision = compare_models(
            resolve_bundle(candidate, settings=settings, workspace=output),
            resolve_bundle(champion, settings=settings, workspace=output) if champion else None,
            cohort=cohort,
            ledger=ledger,
            policy=limits,
            uses=uses or ledger.with_name("holdout-uses.jsonl"),
            why=why,
            output=output,
            validation=validation,
            demographics=demographics,
            on_progress=report,
        )
    _print_decision(decision, json_output=json_output)
    if not decision.promote:
        raise typer.Exit(REFUSED)


def _print_decision(decision: "Decision", *, json_output: bool) -> None:
    from covidctnet.promotion.page import format_number

    if json_output:
        print_json(json.dumps(decision.to_dict(), indent=2))
        return
    rows = [
        (r.title, format_number(r.value), format_number(r.low), format_number(r.limit), r.verdict)
        for r in decision.rules
    ]
    title = f"candidate {decision.candidate}, champion {decision.champion}, policy {decision.policy.name}"
    out.print(table(title, ("rule", "value", "lower bound", "limit", "verdict"), rows))
    out.print(
        f"hold-out {decision.holdout_version}: used {decision.holdout_uses} times, "
        f"{decision.holdout_candidates} candidates",
        highlight=False,
    )
    out.print("may be promoted" if decision.promote else "refused", style="bold")
    for reason in decision.reasons:
        out.print(reason, markup=False, highlight=False)
    out.print("Research use only. Not a medical device.", style="bold")


def promote(
    decision: Folder,
    why: options.Why,
    who: options.Who = "",
    policy: options.PolicyName = "default",
    challenger: Annotated[bool, typer.Option("--challenger", help="Set `challenger` only.")] = False,
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    json_output: options.JsonFlag = False,
) -> None:
    """Make the candidate of a decision the champion, if the decision says so and the champion is still the same."""
    from covidctnet.promotion import moves
    from covidctnet.promotion.policy import load_policy

    opened = options.open_promotion_log(log, heads, key, public_key, writable=True)
    move = moves.challenge if challenger else moves.promote
    history = move(opened, decision, policy=load_policy(policy), who=options.person(who), why=why)
    _print_aliases(history.aliases, json_output=json_output)
    _follow(opened, tracking, model)


def rollback(
    why: options.Why,
    who: options.Who = "",
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    json_output: options.JsonFlag = False,
) -> None:
    """Go back to the model that was live before; needs a reason, and no decision."""
    from covidctnet.promotion import moves

    opened = options.open_promotion_log(log, heads, key, public_key, writable=True)
    history = moves.rollback(opened, who=options.person(who), why=why)
    _print_aliases(history.aliases, json_output=json_output)
    _follow(opened, tracking, model)


def _follow(log: "PromotionLog", tracking: str, model: str) -> None:
    settings = options.tracking_settings(tracking, model)
    if settings is not None:
        from integrations.aliases_mlflow import sync_aliases

        sync_aliases(log, settings)


def _print_aliases(aliases: "Aliases", *, json_output: bool, versions: dict[str, int] | None = None) -> None:
    found = asdict(aliases)
    numbers = {name: (versions or {}).get(pair) for name, pair in found.items()}
    if json_output:
        print_json(json.dumps(found | ({"versions": numbers} if versions is not None else {}), indent=2))
        return
    rows = [
        (name, pair or "none", *([numbers[name] or "-"] if versions is not None else []))
        for name, pair in found.items()
    ]
    columns = ("alias", "bundle", *(["version"] if versions is not None else []))
    out.print(table("aliases", columns, rows))


def _versions(tracking: str, model: str) -> dict[str, int] | None:
    """Registered versions by `pair_id`; None where no registry is named, or it does not answer."""
    settings = options.tracking_settings(tracking, model)
    if settings is None:
        return None
    from covidctnet.errors import TrackingError
    from integrations.registry import list_models

    try:
        models = list_models(replace(settings, retry_seconds=0.0))
    except TrackingError as error:
        err.print(f"without versions: {error}", style="yellow", markup=False, highlight=False)
        return None
    # Of two versions of one bundle the newer one has the alias.
    return {one.tags.get("pair_id", ""): one.version for one in reversed(models)}


def history(
    at: Annotated[str, typer.Option("--at", help="Which version was live then, as 2026-11-01T10:00Z.")] = "",
    lines: Annotated[bool, typer.Option("--lines", help="Print the signed JSON lines as they are.")] = False,
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    json_output: options.JsonFlag = False,
) -> None:
    """Check the log and show every move, or which version was live at a moment."""
    from covidctnet.promotion.aliases import parse_time

    opened = options.open_promotion_log(log, heads, key, public_key, writable=False)
    found = opened.read()
    if lines:
        print_json("\n".join(opened.lines()))
        return
    if at:
        live = found.aliases_at(parse_time(at))
        _print_aliases(live, json_output=json_output, versions=_versions(tracking, model))
        return
    rows = [{**asdict(move), "at": move.at.isoformat(timespec="seconds")} for move in found.moves]
    if json_output:
        print_json(json.dumps({"moves": rows, "interrupted": found.interrupted}, indent=2))
        return
    columns = ("sequence", "at", "who", "action", "model", "came_from", "why", "decision")
    shown = [(*(row[name] for name in columns[:-1]), (row["decision"] or "none")[:12]) for row in rows]
    out.print(table("promotion log, checked", columns, shown))


def show_aliases(
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
    json_output: options.JsonFlag = False,
) -> None:
    """Show the aliases of now, and whether the registry has the same."""
    settings = options.tracking_settings(tracking, model)
    aliases = options.open_promotion_log(log, heads, key, public_key, writable=False).read().aliases
    _print_aliases(aliases, json_output=json_output)
    if settings is not None:
        from integrations.aliases_mlflow import registered_aliases

        if registered_aliases(settings) != aliases:
            out.print("the registry has other aliases; run `covidctnet model sync`", style="yellow", highlight=False)


def sync(
    log: options.LogPlace = options.LOG,
    heads: options.HeadPlace = options.HEADS,
    key: options.Key = options.KEY,
    public_key: options.PublicKey = None,
    tracking: options.Tracking = "",
    model: options.Model = "covidctnet",
) -> None:
    """Make the registry's aliases those of the log, after an outage."""
    settings = options.tracking_settings(tracking, model)
    if settings is None:
        raise typer.BadParameter("say where the registry is with --tracking")
    _follow(options.open_promotion_log(log, heads, key, public_key, writable=False), tracking, model)


def make_key(key: options.Key = options.KEY) -> None:
    """Make a pair of keys that signs and checks: the log, or bundles."""
    from covidctnet.promotion.signing import make_keys

    out.print(f"private key {key}, public key {make_keys(key)}", highlight=False)


def add_commands(app: typer.Typer) -> None:
    """Add the commands to `covidctnet model`."""
    app.command("compare")(compare)
    app.command("promote")(promote)
    app.command("rollback")(rollback)
    app.command("history")(history)
    app.command("aliases")(show_aliases)
    app.command("sync")(sync)
    app.command("key")(make_key)
