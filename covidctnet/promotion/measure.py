"""Bundles and hold-out -> reports, through the Predictor that serving uses."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.config import ReaderConfig
from covidctnet.errors import BundleError, StudyError
from covidctnet.predictor import Predictor
from covidctnet.progress import Progress, silent
from covidctnet.promotion.holdout import Holdout
from covidctnet.promotion.holdout_use import UseCount
from covidctnet.promotion.reports import CaseResult, ModelReport, Validation
from covidctnet.reading import read_volume
from covidctnet.volume import Scanner, Volume

Load = Callable[[Path], Predictor]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A bundle folder, and the bundle in it where it is intact.

    Attributes:
        folder: where it is.
        pair_id: what its manifest says, for a damaged bundle too.
        bundle: None where it is damaged.
    """

    folder: Path
    pair_id: str
    bundle: Bundle | None

    @classmethod
    def open(cls, folder: Path) -> "Contestant":
        """Check a bundle against its manifest.

        Raises:
            BundleError: the folder holds no manifest at all.
        """
        try:
            bundle = load_bundle(folder)
        except BundleError:
            return cls(folder=folder, pair_id=_claimed_pair_id(folder), bundle=None)
        return cls(folder=folder, pair_id=bundle.pair_id, bundle=bundle)


def _claimed_pair_id(folder: Path) -> str:
    try:
        return str(json.loads((folder / "manifest.json").read_text("utf-8"))["pair_id"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError("the folder is no bundle: it holds no readable manifest.json") from None


def answer_holdout(
    contestants: Mapping[str, Contestant],
    holdout: Holdout,
    *,
    load: Load = Predictor.load,
    on_progress: Progress = silent,
) -> dict[str, tuple[CaseResult, ...]]:
    """Let every intact bundle answer every case, as serving would: from its zip, with the bundle's own reader.

    Args:
        contestants: by role.
        holdout: the cases.
        load: opens a bundle for inference.
        on_progress: told of each finished case.

    Returns:
        One result a case by role, in the order of the cases; none for a damaged bundle. A bundle that cannot
        be loaded, fails to answer, or whose files changed meanwhile has none either.
    """
    predictors: dict[str, Predictor] = {}
    for role, contestant in contestants.items():
        if contestant.bundle is not None:
            with suppress(BundleError):
                predictors[role] = load(contestant.folder)
    results: dict[str, list[CaseResult]] = {role: [] for role in contestants}
    for number, case in enumerate(holdout.cohort.cases):
        volumes: dict[ReaderConfig, Volume | None] = {}
        for predictor in predictors.values():
            reader = predictor.bundle.config.reader
            if reader not in volumes:
                volumes[reader] = _read(holdout.cohort.path(case.case), reader)
        read = next((volume for volume in volumes.values() if volume is not None), None)
        brand = (read.scanner if read else Scanner(manufacturer=case.scanner)).brand
        blank = holdout.describe(case, brand=brand)
        for role, predictor in list(predictors.items()):
            answered = _answer(predictor, volumes[predictor.bundle.config.reader], blank)
            if answered is None:
                del predictors[role]
            else:
                results[role].append(answered)
        on_progress("compare", number + 1, len(holdout.cohort.cases))
    return {
        role: tuple(results[role]) if role in predictors and _unchanged(contestants[role]) else ()
        for role in contestants
    }


def _read(path: Path, reader: ReaderConfig) -> Volume | None:
    try:
        return read_volume(path, reader)
    except StudyError:
        return None


def _answer(predictor: Predictor, volume: Volume | None, blank: CaseResult) -> CaseResult | None:
    if volume is None:
        return blank
    try:
        answer = predictor.predict(volume)
    except StudyError:
        return blank
    except BundleError:
        return None
    if answer.pair_id != predictor.bundle.pair_id:
        return None
    control, covid, cap = answer.probabilities.values()
    return replace(blank, probabilities=(control, covid, cap), covid_positive=answer.covid_positive)


def _unchanged(contestant: Contestant) -> bool:
    try:
        return load_bundle(contestant.folder).pair_id == contestant.pair_id
    except BundleError:
        return False


def make_report(
    contestant: Contestant,
    cases: tuple[CaseResult, ...],
    holdout: Holdout,
    *,
    count: UseCount,
    validation: Validation | None,
    metadata_auc: float | None,
) -> ModelReport:
    """Put together what the gate judges by."""
    bundle = contestant.bundle
    return ModelReport(
        pair_id=contestant.pair_id,
        data_version=bundle.data_version if bundle else "unknown",
        code_version=bundle.code_version if bundle else "unknown",
        intact=bundle is not None and bool(cases),
        holdout_version=holdout.version,
        holdout_uses=count.uses,
        holdout_candidates=count.candidates,
        validation=validation,
        metadata_auc=metadata_auc,
        trained_on=bundle.reference.trained_on if bundle else (),
        cases=cases,
    )
