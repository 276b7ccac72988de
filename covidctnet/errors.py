"""Everything that the product refuses, as one tree.

CovidCTNetError
├── ConfigError                 a configuration field is unknown, missing or out of range
├── StudyError                  the CT study that was handed in cannot be answered for
│   ├── NoStudyFoundError       nothing in the input is a CT image
│   ├── UnreadableFileError     a file is truncated, encrypted or cannot be decoded
│   ├── UnsuitableSeriesError   images were read, but no series is a diagnostic axial chest CT
│   ├── GeometryError           tilt, uneven spacing, missing or duplicate slices, mixed sizes
│   ├── ImplausibleImageError   intensities or extent are not those of a chest CT in HU
│   └── IdentifiableImageError  the image itself shows who the patient is
├── CohortError                 a cohort's table, cases, splits or ledger contradict each other
├── PseudonymKeyError           the keys of the pseudonyms are missing, readable by others or not the cohort's
├── DataStoreError              a data version, its store or its credentials are not what they should be
├── TrainingError               training cannot start or diverged
├── TrainingInterruptedError    a stop was asked for; the state is saved, and a rerun goes on
├── ExperimentError             an experiment's cases, tables or result are not what it needs
├── BundleError                 a bundle is missing, damaged or was written for something else
├── PipelineError               a pipeline cannot be started, or a step ended for no fault of its input
├── TrackingError               MLflow does not take or give a record, or a record may not go there
│   ├── TrackingOutageError     the address did not answer in time; what was to be sent is kept
│   ├── TrackingDeniedError     the credentials are not accepted
│   └── PrivateRecordError      a record names a patient or a study, or is an image
├── RolloutError                a roll-out to a cluster cannot begin, or cannot go on
│   ├── RolloutConflictError    another process is at it
│   ├── RolloutInterruptedError  left where it is, on purpose
│   ├── ClusterOutageError      the Kubernetes API did not answer in time; run it again
│   └── ClusterRefusedError     the Kubernetes API refused what was asked
├── NotificationError           a notice could not be delivered; what it tells of stands
├── WebhookRefusedError         a delivery is not signed, is old, or cannot be read
└── PromotionError              a comparison, a decision or a move between model versions is not possible
    ├── PromotionRefusedError   no decision, a refusal, or one about other models than those in place
    ├── PromotionConflictError  another move was made at the same time; it stands, this one does not
    └── LogTamperedError        the promotion log was edited, reordered or cut, or its signatures do not fit

A message names the value that was seen and what to do; it never holds a patient's identity, so a
file is named by its place in the input (`file 17 of 133`), not by its name.
"""


class CovidCTNetError(Exception):
    """Base of all errors that a user can cause or cure."""


class ConfigError(CovidCTNetError):
    """A configuration field is unknown, missing or out of range."""


class StudyError(CovidCTNetError):
    """The CT study that was handed in cannot be answered for."""


class NoStudyFoundError(StudyError):
    """Nothing in the input is a CT image."""


class UnreadableFileError(StudyError):
    """A file is truncated, encrypted or cannot be decoded."""


class UnsuitableSeriesError(StudyError):
    """Images were read, but no series is a diagnostic axial chest CT."""


class GeometryError(StudyError):
    """The slices do not form one regular axial volume."""


class ImplausibleImageError(StudyError):
    """Intensities or extent are not those of a chest CT in Hounsfield units."""


class IdentifiableImageError(StudyError):
    """The image itself shows who the patient is: burned-in text, or features that can be recognised."""


class CohortError(CovidCTNetError):
    """A cohort's table, cases, splits or ledger contradict each other."""


class PseudonymKeyError(CovidCTNetError):
    """The keys of the pseudonyms are missing, readable by others or not those of the cohort."""


class DataStoreError(CovidCTNetError):
    """A data version, the store that keeps it or its credentials are not what they should be."""


class TrainingError(CovidCTNetError):
    """Training cannot start, or it diverged."""


class TrainingInterruptedError(CovidCTNetError):
    """A stop was asked for; the state is saved, and a rerun goes on from it."""


class ExperimentError(CovidCTNetError):
    """An experiment's cases, tables or result are not what it needs."""


class BundleError(CovidCTNetError):
    """A bundle is missing, damaged or was written for something else."""


class TrackingError(CovidCTNetError):
    """MLflow does not take or give a record, or a record may not go there."""


class TrackingOutageError(TrackingError):
    """The tracking address did not answer in time; what was to be sent is kept."""


class TrackingDeniedError(TrackingError):
    """The tracking address does not accept the credentials."""


class PrivateRecordError(TrackingError):
    """A record names a patient or a study, or is an image; it must not leave."""


class PipelineError(CovidCTNetError):
    """A pipeline cannot be started, or a step ended for a reason that is no fault of its input."""


class RolloutError(CovidCTNetError):
    """A roll-out to a cluster cannot begin, or cannot go on."""


class RolloutConflictError(RolloutError):
    """Another process is at the same roll-out."""


class RolloutInterruptedError(RolloutError):
    """A roll-out was left where it is: this process ends, or another version is wanted. A rerun goes on."""


class ClusterOutageError(RolloutError):
    """The Kubernetes API did not answer in time; the roll-out stands where it was, and a rerun goes on."""


class ClusterRefusedError(RolloutError):
    """The Kubernetes API refused what was asked: rights, a field, or an object of another form.

    Args:
        message: what was asked, and the answer.
        status: HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotificationError(CovidCTNetError):
    """A notice could not be delivered; what it tells of stands."""


class WebhookRefusedError(CovidCTNetError):
    """A delivery is not signed, is old, or cannot be read."""


class PromotionError(CovidCTNetError):
    """A comparison, a decision or a move between model versions is not possible."""


class PromotionRefusedError(PromotionError):
    """There is no decision, it is a refusal, or it is about other models than those in place."""


class PromotionConflictError(PromotionError):
    """Another move was made at the same time; it stands, and this one does not."""


class LogTamperedError(PromotionError):
    """The promotion log was edited, reordered or cut, or its signatures do not fit."""
