"""The training pipeline: a data version in, a registered candidate and a decision about it out. One call an arrow."""

from typing import Any, NamedTuple

from kfp import dsl

from components.assign_splits import assign_splits
from components.evaluate import evaluate
from components.extract_residuals import extract_residuals
from components.fetch_dataset import fetch_dataset
from components.gate import gate
from components.gather_shards import gather_shards
from components.preprocess import preprocess
from components.register import register
from components.train_classifier import train_classifier
from components.train_denoiser import train_denoiser
from components.validate_scanner_metadata import validate_scanner_metadata
from pipelines.placement import place
from pipelines.settings import PipelineSettings

NAME = "covidctnet-training"


class TrainingOutputs(NamedTuple):
    """What the pipeline leaves behind."""

    bundle: dsl.Model
    results: dsl.Dataset
    registration: dsl.Dataset
    decision: dsl.Dataset


def build_pipeline(settings: PipelineSettings) -> Any:
    """The pipeline, with each step placed as the settings say."""

    @dsl.pipeline(name=NAME, description="Train CovidCTNet on a data version, register the candidate and judge it.")
    def training(
        repository: str,
        data_version: str,
        config: str,
        code_version: str,
        tracking: str,
        store: str,
        ledger: str,
        state: str,
        champion: str,
        gate_policy: str,
        endpoint: str = "",
        policy: str = "",
        cases_per_shard: int = settings.cases_per_shard,
    ) -> TrainingOutputs:
        run = {"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking}

        fetched = fetch_dataset(repository=repository, endpoint=endpoint, store=store, **run)
        place(fetched, "fetch dataset", settings)
        cohort = fetched.outputs["cohort"]

        assigned = assign_splits(cohort=cohort, ledger=ledger, **run)
        place(assigned, "assign splits", settings)
        splits = assigned.outputs["splits"]

        checked = validate_scanner_metadata(
            cohort=cohort, splits=splits, policy=policy, cases_per_shard=cases_per_shard, **run
        )
        place(checked, "validate scanner metadata", settings)
        validated = checked.outputs["validated"]

        with dsl.ParallelFor(checked.outputs["Output"], parallelism=settings.parallelism) as shard:
            prepared = preprocess(cohort=cohort, splits=splits, validated=validated, shard=shard, **run)
            place(prepared, "preprocess", settings)
        # Collected anew for each consumer: the compiler changes what it was given.
        slices, healthy, records = (prepared.outputs[name] for name in ("Output", "healthy", "records"))

        denoised = train_denoiser(records=dsl.Collected(records), healthy=dsl.Collected(healthy), state=state, **run)
        place(denoised, "train denoiser", settings)
        denoiser = denoised.outputs["denoiser"]

        shards = gather_shards(addresses=dsl.Collected(slices))
        place(shards, "gather shards", settings)
        with dsl.ParallelFor(shards.output, parallelism=settings.parallelism) as address:
            # The shard's own slices by their address: a step that took them collected would fetch those of all.
            own = dsl.importer(artifact_uri=address, artifact_class=dsl.Dataset, reimport=False)
            extracted = extract_residuals(slices=own.output, denoiser=denoiser, **run)
            place(extracted, "extract residuals", settings)
        residuals = extracted.outputs["residuals"]

        classified = train_classifier(
            records=dsl.Collected(records),
            residuals=dsl.Collected(residuals),
            denoiser=denoiser,
            state=state,
            **run,
        )
        place(classified, "train classifier", settings)

        evaluated = evaluate(
            cohort=cohort,
            splits=splits,
            validated=validated,
            records=dsl.Collected(records),
            denoiser=denoiser,
            residuals=dsl.Collected(residuals),
            training=classified.outputs["training"],
            bundle=classified.outputs["bundle"],
            **run,
        )
        place(evaluated, "evaluate", settings)

        registered = register(evaluated=evaluated.outputs["evaluated"], records=dsl.Collected(records), **run)
        place(registered, "register", settings)

        # Nothing follows: a decision is the end of the pipeline, and no condition here promotes.
        judged = gate(
            cohort=cohort,
            splits=splits,
            validated=validated,
            evaluated=evaluated.outputs["evaluated"],
            registration=registered.outputs["registration"],
            ledger=ledger,
            champion=champion,
            gate_policy=gate_policy,
            **run,
        )
        place(judged, "gate", settings)

        return TrainingOutputs(
            bundle=evaluated.outputs["evaluated"],
            results=evaluated.outputs["results"],
            registration=registered.outputs["registration"],
            decision=judged.outputs["decision"],
        )

    return training
