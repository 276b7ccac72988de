"""Who is trained on, who chooses temperature and threshold, and who is answered: by patient, by a seed alone."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from covidctnet.errors import ExperimentError
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.labels import LABELS
from covidctnet.stages.prepared import PreparedCase

Scheme = Literal["split", "folds", "brands", "sites"]
"""One random split, k folds, or one scanner brand or site left out at a time."""

_UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One training.

    Attributes:
        name: of the fold: `split`, `fold 1 of 5`, `brand Siemens` or `site a`.
        train, validation, test: cases; no patient is in two of them.
    """

    name: str
    train: tuple[PreparedCase, ...]
    validation: tuple[PreparedCase, ...]
    test: tuple[PreparedCase, ...]

    def require_classes(self) -> None:
        """Refuse a fold that nothing can be learnt from.

        Raises:
            ExperimentError: a class is missing from training or validation, or nobody is tested.
        """
        for part, cases in (("training", self.train), ("validation", self.validation)):
            missing = [name for index, name in enumerate(LABELS) if all(case.label != index for case in cases)]
            if missing:
                raise ExperimentError(
                    f"{part} of {self.name} holds no {missing[0]} patient; give more cases, or fewer folds"
                )
        if not self.test:
            raise ExperimentError(f"nobody is tested in {self.name}; give more cases")


def usable_cases(cases: Sequence[PreparedCase]) -> list[PreparedCase]:
    """The cases that an experiment classifies: all but the denoiser's Controls."""
    return [case for case in cases if case.split != "denoiser"]


def fold_names(cases: Sequence[PreparedCase], scheme: Scheme, options: ExperimentOptions) -> list[str]:
    """Names of all folds of a scheme.

    Raises:
        ExperimentError: there is one brand or site alone, so that none can be left out.
    """
    if scheme == "split":
        return ["split"]
    if scheme == "folds":
        return [f"fold {number} of {options.folds}" for number in range(1, options.folds + 1)]
    kind = scheme.removesuffix("s")
    groups = sorted({_group(case, kind) for case in usable_cases(cases)})
    if len(groups) < 2:
        raise ExperimentError(f"all cases are of {kind} {groups[0]}: none can be left out; add cases of another {kind}")
    return [f"{kind} {group}" for group in groups]


def make_fold(cases: Sequence[PreparedCase], name: str, options: ExperimentOptions, seed: int) -> Fold:
    """The fold of a name, the same for the same cases, options and seed.

    Patients are dealt within their class and, between equals, spread over the scanners. In k folds, the fold behind
    the tested one validates, so that threshold and temperature never see who is tested.

    Args:
        cases: prepared; the denoiser's Controls are left out.
        name: one of `fold_names`.
        options: shares and number of folds.
        seed: of the order.

    Raises:
        ExperimentError: there is no such fold, or a class is too small for it.
    """
    usable = usable_cases(cases)
    kind, _, rest = name.partition(" ")
    if kind == "fold":
        number = int(rest.split(" ")[0]) - 1
        places = _deal(usable, options.folds, seed)
        parts = ["test" if place == number else _second(place, number, options.folds) for place in places]
    elif kind in {"brand", "site"}:
        left_out = [_group(case, kind) == rest for case in usable]
        others = [case for case, out in zip(usable, left_out, strict=True) if not out]
        # A patient with scans of two groups is trained on in none of them.
        tested = {case.case.patient for case, out in zip(usable, left_out, strict=True) if out}
        shares = iter(_shares(others, options, seed, test=0.0))
        parts = [
            "test" if out else _drop(next(shares), case, tested) for case, out in zip(usable, left_out, strict=True)
        ]
    elif name == "split":
        parts = _shares(usable, options, seed, test=options.test)
    else:
        raise ExperimentError(f"there is no fold {name!r}")
    by_part: dict[str, list[PreparedCase]] = defaultdict(list)
    for case, part in zip(usable, parts, strict=True):
        by_part[part].append(case)
    fold = Fold(
        name=name,
        train=tuple(by_part["train"]),
        validation=tuple(by_part["validation"]),
        test=tuple(by_part["test"]),
    )
    fold.require_classes()
    return fold


def _second(place: int, tested: int, folds: int) -> str:
    return "validation" if place == (tested + 1) % folds else "train"


def _drop(part: str, case: PreparedCase, tested: set[str]) -> str:
    return "nobody" if case.case.patient in tested else part


def _group(case: PreparedCase, kind: str) -> str:
    return (case.scanner.brand if kind == "brand" else case.case.site) or _UNKNOWN


def _deal(cases: Sequence[PreparedCase], folds: int, seed: int) -> list[int]:
    """Fold of each case: patients of a class in turn, ordered by scanner and then by the seed."""
    place: dict[str, int] = {}
    dealt = 0
    for label in range(len(LABELS)):
        patients = {case.case.patient: case.case.scanner for case in reversed(cases) if case.label == label}
        for patient in sorted(patients, key=lambda p: (patients[p], _key(seed, p))):
            place[patient] = dealt % folds
            dealt += 1
    return [place[case.case.patient] for case in cases]


def _shares(cases: Sequence[PreparedCase], options: ExperimentOptions, seed: int, *, test: float) -> list[str]:
    part: dict[str, str] = {}
    for label in range(len(LABELS)):
        patients = {case.case.patient for case in cases if case.label == label}
        ordered = sorted(patients, key=lambda patient: _key(seed, patient))
        tested = _count(test, len(ordered))
        watched = _count(options.validation, len(ordered))
        for number, patient in enumerate(ordered):
            part[patient] = "test" if number < tested else "validation" if number < tested + watched else "train"
    return [part[case.case.patient] for case in cases]


def _count(share: float, total: int) -> int:
    return max(1, round(share * total)) if share else 0


def _key(seed: int, patient: str) -> str:
    return hashlib.sha256(f"fold/{seed}/{patient}".encode()).hexdigest()
