"""Experiments as pipelines: the training pipeline's components up to the residuals, then folds in place of a bundle."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.adopt_denoiser import adopt_denoiser
from components.compare_readers import compare_readers
from components.conclude import conclude
from components.extract_residuals import extract_residuals
from components.fetch_dataset import fetch_dataset
from components.gather_shards import gather_shards
from components.join_shards import join_shards
from components.list_folds import list_folds
from components.localise import localise
from components.preprocess import preprocess
from components.select_cases import select_cases
from components.stack_slices import stack_slices
from components.train_denoiser import train_denoiser
from components.train_fold import train_fold
from components.train_patches import train_patches
from components.validate_scanner_metadata import validate_scanner_metadata
from covidctnet.experiments.arms import BOTH, DENOISER, NEITHER, NOISE
from pipelines.experiment_plan import ExperimentPlan
from pipelines.placement import place
from pipelines.settings import PipelineSettings

_SCHEMES = {"crossval": "folds", "scanners": "brands,sites,folds"}


class _Flow:
    """The components in the order of the data flow, called with what all of them take."""

    def __init__(
        self, plan: ExperimentPlan, settings: PipelineSettings, run: Mapping[str, Any], places: Mapping[str, Any]
    ) -> None:
        self.plan, self.settings, self.run, self.places = plan, settings, dict(run), places
        self.cases: dict[str, Any] = {}

    def fetch(self) -> Any:
        fetched = fetch_dataset(
            repository=self.places["repository"],
            endpoint=self.places["endpoint"],
            store=self.places["store"],
            **self.run,
        )
        place(fetched, "fetch dataset", self.settings)
        return fetched.outputs["cohort"]

    def select(self) -> None:
        selected = select_cases(
            cohort=self.fetch(),
            cases=self.places["cases"],
            denoiser_controls=self.places["denoiser_controls"],
            store=self.places["store"],
            **self.run,
        )
        place(selected, "assign splits", self.settings, shown="select cases")
        self.cases = {"cohort": selected.outputs["selected"], "splits": selected.outputs["splits"]}

    def prepare(self) -> None:
        checked = validate_scanner_metadata(
            **self.cases,
            policy=self.places["policy"],
            cases_per_shard=self.places["cases_per_shard"],
            **self.run,
        )
        place(checked, "validate scanner metadata", self.settings)
        validated = checked.outputs["validated"]
        with dsl.ParallelFor(checked.outputs["Output"], parallelism=self.settings.parallelism) as shard:
            prepared = preprocess(**self.cases, validated=validated, shard=shard, **self.run)
            place(prepared, "preprocess", self.settings)
        self.prepared = prepared
        shards = gather_shards(addresses=self._collected("Output"))
        place(shards, "gather shards", self.settings)
        self.addresses = shards.output

    def _collected(self, name: str) -> Any:
        # Collected anew for each consumer: the compiler changes what it was given.
        return dsl.Collected(self.prepared.outputs[name])

    def _join(self, parts: Any, what: str) -> Any:
        joined = join_shards(parts=parts)
        place(joined, "gather shards", self.settings, shown=f"join {what}")
        return joined.outputs["joined"]

    def records(self) -> Any:
        return self._join(self._collected("records"), "records")

    def slices(self) -> Any:
        return self._join(self._collected("slices"), "slices")

    def denoiser(self, config: str) -> Any:
        trained = train_denoiser(
            records=self._collected("records"),
            healthy=self._collected("healthy"),
            state=self.places["state"],
            **{**self.run, "config": config},
        )
        place(trained, "train denoiser", self.settings)
        return trained.outputs["denoiser"]

    def residuals(self, config: str) -> Any:
        """Stacks of what a denoiser of this configuration takes out."""
        denoiser = self.denoiser(config)
        with dsl.ParallelFor(self.addresses, parallelism=self.settings.parallelism) as address:
            own = dsl.importer(artifact_uri=address, artifact_class=dsl.Dataset, reimport=False)
            extracted = extract_residuals(slices=own.output, denoiser=denoiser, **{**self.run, "config": config})
            place(extracted, "extract residuals", self.settings)
        return self._join(dsl.Collected(extracted.outputs["residuals"]), "residuals")

    def stacks(self, config: str, *, with_noise: bool) -> Any:
        """Stacks of the slices themselves."""
        with dsl.ParallelFor(self.addresses, parallelism=self.settings.parallelism) as address:
            own = dsl.importer(artifact_uri=address, artifact_class=dsl.Dataset, reimport=False)
            stacked = stack_slices(slices=own.output, with_noise=with_noise, **{**self.run, "config": config})
            place(stacked, "preprocess", self.settings, shown="stack slices")
        return self._join(dsl.Collected(stacked.outputs["residuals"]), "stacks")

    def fold(
        self,
        arm: str,
        config: str,
        records: Any,
        stacks: Any,
        *,
        training: Any = None,
        fold: Any = "split",
        clinical: str = "",
    ) -> Any:
        trained = train_fold(
            records=records,
            stacks=stacks,
            training=training or stacks,
            fold=fold,
            arm=arm,
            clinical=clinical,
            options=self.places["options"],
            state=self.places["state"],
            **{**self.run, "config": config},
        )
        place(trained, "train classifier", self.settings, shown=f"train {arm}")
        return trained

    def conclude(self, answers: Any) -> Any:
        concluded = conclude(
            **self.cases,
            answers=answers,
            experiment=self.plan.name,
            seeds=" ".join(map(str, self.plan.seeds)),
            **self.run,
        )
        place(concluded, "evaluate", self.settings, shown=f"conclude {self.plan.name}")
        return concluded.outputs["result"]

    def conclude_tasks(self, tasks: list[Any]) -> Any:
        """Conclude from single tasks: their addresses make a list, which outputs themselves do not."""
        gathered = gather_shards(addresses=[task.outputs["Output"] for task in tasks])
        place(gathered, "gather shards", self.settings, shown="gather answers")
        with dsl.ParallelFor(gathered.output, parallelism=self.settings.parallelism) as address:
            own = dsl.importer(artifact_uri=address, artifact_class=dsl.Dataset, reimport=False)
        return self.conclude(dsl.Collected(own.output))


def build_experiment(plan: ExperimentPlan, settings: PipelineSettings) -> Any:
    """The pipeline of an experiment, with each step placed as the settings say."""

    @dsl.pipeline(name=f"covidctnet-{plan.name}", description=f"CovidCTNet, experiment {plan.name}.")
    def experiment(
        repository: str,
        data_version: str,
        config: str,
        code_version: str,
        tracking: str,
        store: str,
        state: str,
        options: str,
        cases: int = plan.options.cases,
        denoiser_controls: int = plan.options.denoiser_controls,
        endpoint: str = "",
        policy: str = "",
        cases_per_shard: int = settings.cases_per_shard,
    ) -> dsl.Dataset:
        run = {"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking}
        places = {
            "repository": repository,
            "store": store,
            "state": state,
            "options": options,
            "cases": cases,
            "denoiser_controls": denoiser_controls,
            "endpoint": endpoint,
            "policy": policy,
            "cases_per_shard": cases_per_shard,
        }
        flow = _Flow(plan, settings, run, places)
        if plan.name != "readers":
            flow.select()
        return _BODIES[plan.name](flow)

    return experiment


def _ablation(flow: _Flow) -> Any:
    flow.prepare()
    records, tasks = flow.records(), []
    for seed in flow.plan.seeds:
        config, silent = flow.plan.variant(seed), flow.plan.variant(seed, noise=False)
        stacks = flow.stacks(config, with_noise=False)
        noisy = flow.stacks(config, with_noise=True)
        tasks += [
            flow.fold(NEITHER, config, records, stacks),
            flow.fold(NOISE, config, records, stacks, training=noisy),
            flow.fold(DENOISER, config, records, flow.residuals(silent)),
            flow.fold(BOTH, config, records, flow.residuals(config)),
        ]
    return flow.conclude_tasks(tasks)


def _patches(flow: _Flow) -> Any:
    flow.prepare()
    records, slices, tasks = flow.records(), flow.slices(), []
    for seed in flow.plan.seeds:
        config = flow.plan.variant(seed)
        baseline = train_patches(
            records=records,
            slices=slices,
            fold="split",
            options=flow.places["options"],
            state=flow.places["state"],
            **{**flow.run, "config": config},
        )
        place(baseline, "train classifier", flow.settings, shown="train patches")
        tasks += [baseline, flow.fold(BOTH, config, records, flow.residuals(config))]
    return flow.conclude_tasks(tasks)


def _clinical(flow: _Flow) -> Any:
    flow.prepare()
    records, tasks = flow.records(), []
    for seed in flow.plan.seeds:
        config = flow.plan.variant(seed)
        tasks.append(flow.fold(BOTH, config, records, flow.residuals(config), clinical=flow.plan.clinical))
    return flow.conclude_tasks(tasks)


def _folds(flow: _Flow) -> Any:
    flow.prepare()
    config = flow.plan.variant(flow.plan.seeds[0])
    records, stacks = flow.records(), flow.residuals(config)
    listed = list_folds(records=records, schemes=_SCHEMES[flow.plan.name], options=flow.places["options"], **flow.run)
    place(listed, "gather shards", flow.settings, shown="list folds")
    with dsl.ParallelFor(listed.output, parallelism=flow.settings.parallelism) as name:
        trained = flow.fold(BOTH, config, records, stacks, fold=name)
    return flow.conclude(dsl.Collected(trained.outputs["answers"]))


def _localisation(flow: _Flow) -> Any:
    plan = flow.plan
    if plan.bundle:
        adopted = adopt_denoiser(bundle=plan.bundle, pair_id=plan.pair_id, **flow.run)
        place(adopted, "gather shards", flow.settings, shown="adopt denoiser")
        denoiser = adopted.outputs["denoiser"]
    else:
        flow.prepare()
        denoiser = flow.denoiser(plan.variant(plan.seeds[0]))
    measured = localise(**flow.cases, denoiser=denoiser, masks=plan.masks, slice_labels=plan.slice_labels, **flow.run)
    place(measured, "evaluate", flow.settings, shown="localise")
    return measured.outputs["result"]


def _readers(flow: _Flow) -> Any:
    plan = flow.plan
    compared = compare_readers(
        cohort=flow.fetch(),
        bundle=plan.bundle,
        pair_id=plan.pair_id,
        readers=plan.readers,
        state=flow.places["state"],
        **flow.run,
    )
    place(compared, "evaluate", flow.settings, shown="compare readers")
    return compared.outputs["result"]


_BODIES = {
    "readers": _readers,
    "ablation": _ablation,
    "patches": _patches,
    "clinical": _clinical,
    "crossval": _folds,
    "scanners": _folds,
    "localisation": _localisation,
}
