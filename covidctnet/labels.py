"""The three classes, in the order of the network's outputs (paper, Methods, "Classification")."""

from covidctnet.errors import CohortError

LABELS = ("Control", "Covid-19", "CAP")
CONTROL, COVID, CAP = range(3)


def label_index(label: str) -> int:
    """Index of a label's output.

    Raises:
        CohortError: the label is none of the three.
    """
    if label not in LABELS:
        raise CohortError(f"there is no label {label!r}; use one of {', '.join(LABELS)}")
    return LABELS.index(label)
