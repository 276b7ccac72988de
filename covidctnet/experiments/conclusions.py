"""Which experiment ends how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.arms import BOTH, DENOISER, NEITHER, NOISE, ArmsText, conclude_arms
from covidctnet.experiments.build import ResultFolder
from covidctnet.experiments.crossval import conclude_crossval
from covidctnet.experiments.patch_fold import PATCHES
from covidctnet.experiments.results import ExperimentResult, Statement
from covidctnet.experiments.scanners import conclude_scanners
from covidctnet.experiments.train_fold import WITH_CLINICAL

Conclude = Callable[[ResultFolder, Sequence[FoldAnswers]], ExperimentResult]

_ABLATION = ArmsText(
    title="Ablation of denoiser and noise",
    question="Does the classifier answer better from what a denoiser, trained with Perlin noise, takes out of a scan?",
    tested=BOTH,
    order=(NEITHER, NOISE, DENOISER, BOTH),
    notes=(
        Statement(
            "In 'slices with noise' pseudo-infections are drawn into half of the slices that the classifier is trained "
            "on, in 'denoiser without noise' the denoiser learns to give back clean slices as they are.",
            "neutral",
        ),
    ),
)
_PATCHES = ArmsText(
    title="Patch-based baseline",
    question="Does the method answer better than a network that sees patches of lung?",
    tested=BOTH,
    order=(PATCHES, BOTH),
    notes=(
        Statement(
            "The paper gives no layout of its patch-based network. This one sees patches of a quarter of a slice's "
            "side, centred in the lung, each with its patient's label; a patient's answer is the mean over patches.",
            "neutral",
        ),
    ),
)
_CLINICAL = ArmsText(
    title="Age and sex beside the image",
    question="Do age and sex, joined late to the same network's answer, make it better?",
    tested=WITH_CLINICAL,
    order=(BOTH, WITH_CLINICAL),
    notes=(
        Statement(
            "The image network is the same in both arms. Age and sex are off by default: they are used only through "
            "the second signature of a network that was exported with them.",
            "neutral",
        ),
    ),
)

_SIMULATED = Statement(
    "Age and sex of the phantoms were drawn without regard to their class: a gain here would be chance.", "warning"
)


def _conclude_clinical(target: ResultFolder, answers: Sequence[FoldAnswers]) -> ExperimentResult:
    notes = (*_CLINICAL.notes, _SIMULATED) if target.about.simulated else _CLINICAL.notes
    return conclude_arms(target, answers, replace(_CLINICAL, notes=notes))


CONCLUSIONS: Mapping[str, Conclude] = {
    "ablation": lambda target, answers: conclude_arms(target, answers, _ABLATION),
    "patches": lambda target, answers: conclude_arms(target, answers, _PATCHES),
    "clinical": _conclude_clinical,
    "crossval": conclude_crossval,
    "scanners": conclude_scanners,
}
"""By experiment, what makes a result of its answers; localisation has no answers."""
