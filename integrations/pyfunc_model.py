"""The registered model's code: `mlflow.pyfunc.load_model(...).predict({"study": path})` answers as the Predictor.

MLflow calls `_load_pyfunc` of this module. The code is the installed package, not a pickle in the registry.
"""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.errors import StudyError
from covidctnet.labels import LABELS
from covidctnet.reading import read_volume

if TYPE_CHECKING:
    import pandas as pd

    from covidctnet.predictor import Predictor

INPUT = "study"


class StudyModel:
    """Answers for studies by their paths.

    Args:
        predictor: the only inference path.
    """

    def __init__(self, predictor: "Predictor") -> None:
        self._predictor = predictor

    def predict(self, studies: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Answer for each study.

        Args:
            studies: column `study`, paths of folders, zips or files.
            params: none are taken.

        Returns:
            One row a study in the order of the input: `label`, `covid_positive`, a probability by label,
            `out_of_distribution`, `answer` as JSON, and `refusal`, in words, which is all there is of a refused study.
        """
        import pandas as pd

        return pd.DataFrame([self._answer(Path(path)) for path in studies[INPUT]]).astype({"refusal": object})

    def _answer(self, study: Path) -> dict[str, Any]:
        try:
            volume = read_volume(study, self._predictor.bundle.config.reader)
            answer = self._predictor.predict(volume)
        except StudyError as error:
            nothing = dict.fromkeys((*LABELS, "out_of_distribution"), float("nan"))
            return {"label": None, "covid_positive": None, **nothing, "answer": None, "refusal": str(error)}
        return {
            "label": answer.label,
            "covid_positive": answer.covid_positive,
            **answer.probabilities,
            "out_of_distribution": answer.out_of_distribution,
            "answer": json.dumps(asdict(answer)),
            "refusal": None,
        }


def _load_pyfunc(data_path: str) -> StudyModel:
    """Open the bundle that lies in the model; MLflow's entry point.

    Raises:
        BundleError: the bundle is damaged or of another format.
    """
    with warnings.catch_warnings():
        # TensorFlow warns of its own imports.
        warnings.filterwarnings("ignore", module="keras|tensorflow")
        from covidctnet.predictor import Predictor

        return StudyModel(Predictor.load(Path(data_path)))
