"""What an experiment is compiled of."""

import json
from dataclasses import asdict, dataclass, field, replace

from covidctnet.config import Config
from covidctnet.errors import ExperimentError
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.experiments.results import EXPERIMENTS


@dataclass(frozen=True, kw_only=True)
class ExperimentPlan:
    """What an experiment is compiled of.

    Attributes:
        name: one of `EXPERIMENTS`.
        config: all stages.
        options: sizes.
        seeds: each repeats split and training of all networks.
        clinical: table of age and sex on the shared disk, for `clinical`.
        bundle, pair_id: whose denoiser `localisation` measures, one is trained where they are empty; or what `readers`
            compares with people.
        masks: folder of infection masks on the shared disk, for `localisation`.
        slice_labels: CSV of marked slices on the shared disk, for `localisation`.
        readers: CSV of readers' answers on the shared disk, for `readers`.
    """

    name: str
    config: Config
    options: ExperimentOptions = field(default_factory=ExperimentOptions)
    seeds: tuple[int, ...] = (0, 1, 2)
    clinical: str = ""
    bundle: str = ""
    pair_id: str = ""
    masks: str = ""
    slice_labels: str = ""
    readers: str = ""

    def __post_init__(self) -> None:
        if self.name not in EXPERIMENTS:
            raise ExperimentError(f"there is no experiment {self.name!r} to run; use one of {', '.join(EXPERIMENTS)}")
        if (
            not self.seeds
            or len(set(self.seeds)) < len(self.seeds)
            or not all(0 <= seed < 2**31 for seed in self.seeds)
        ):
            raise ExperimentError(f"seeds are different numbers from 0 to {2**31 - 1}, at least one, not {self.seeds}")
        if self.name == "clinical" and not self.clinical:
            raise ExperimentError("the experiment `clinical` needs a table of age and sex; give it with --demographics")

        if self.name == "readers" and not (self.readers and self.bundle and self.pair_id):
            raise ExperimentError("the experiment `readers` needs answers of readers and a bundle")

    def variant(self, seed: int, *, noise: bool = True) -> str:
        """The configuration of one seed as JSON, with or without noise in the denoiser's training."""
        changed = replace(self.config, seed=seed)
        if not noise:
            changed = replace(changed, noise=replace(changed.noise, noisy_fraction=0.0))
        return json.dumps(asdict(changed), sort_keys=True)
