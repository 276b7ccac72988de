"""Public chest CT cohorts from the buckets of the Imaging Data Commons, by anonymous S3."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidctnet.errors import DataStoreError
from covidctnet.progress import Progress, silent

ENDPOINT = "https://s3.amazonaws.com"
COLLECTIONS = {
    "lungx": "spie_aapm_lung_ct_challenge",
    "ricord-1a": "midrc_ricord_1a",
    "ricord-1b": "midrc_ricord_1b",
    "lidc-idri": "lidc_idri",
}
"""Our names, and the index's: the paper's own Controls, Covid-19 positive and negative chest CT, lung nodules."""

_COLUMNS = ["collection_id", "Modality", "SeriesInstanceUID", "license_short_name", "source_DOI", "instanceCount",
            "series_size_MB", "series_aws_url"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublicSeries:
    """One CT series of a collection, as the index lists it."""

    uid: str
    images: int
    megabytes: float
    bucket: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class PublicCollection:
    """A collection and under which licence it may be used.

    Attributes:
        name: of the index.
        series: CT only, in the order of their identifiers.
        licences: short names, sorted.
        sources: DOIs to cite, sorted.
    """

    name: str
    series: tuple[PublicSeries, ...]
    licences: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def non_commercial(self) -> bool:
        """Whether a licence forbids commercial use."""
        return any("NC" in licence.upper().replace("-", " ").split() for licence in self.licences)

    @property
    def terms(self) -> str:
        """Licence and source, in words."""
        limit = " (no commercial use)" if self.non_commercial else ""
        cited = ", ".join(f"doi:{source}" for source in self.sources)
        return f"{self.name}: {', '.join(self.licences)}{limit}; cite {cited}"


def find_collection(name: str, index: Path | None = None) -> PublicCollection:
    """Look a collection up in the index.

    Args:
        name: one of `COLLECTIONS`, or a name of the index.
        index: parquet file; that of the package `idc-index-data` when None.

    Raises:
        DataStoreError: there is no such collection, or the index is not installed.
    """
    import pandas as pd

    wanted = COLLECTIONS.get(name, name)
    table = pd.read_parquet(index or _index_path(), columns=_COLUMNS, filters=[("collection_id", "==", wanted)])
    table = table[table["Modality"] == "CT"].sort_values("SeriesInstanceUID")
    if table.empty:
        raise DataStoreError(f"there is no public CT collection {name!r}; use one of {', '.join(COLLECTIONS)}")
    return PublicCollection(
        name=wanted,
        series=tuple(_series(row) for row in table.to_dict("records")),
        licences=tuple(sorted(set(table["license_short_name"]))),
        sources=tuple(sorted(set(table["source_DOI"].dropna()))),
    )


def _index_path() -> Path:
    try:
        from idc_index_data import IDC_INDEX_PARQUET_FILEPATH
    except ImportError:
        raise DataStoreError("the index is not installed; install requirements/fetch.lock") from None
    return Path(str(IDC_INDEX_PARQUET_FILEPATH))


def _series(row: dict[Any, Any]) -> PublicSeries:
    bucket, prefix = str(row["series_aws_url"]).removeprefix("s3://").rstrip("*").split("/", 1)
    return PublicSeries(
        uid=str(row["SeriesInstanceUID"]),
        images=int(row["instanceCount"]),
        megabytes=float(row["series_size_MB"]),
        bucket=bucket,
        prefix=prefix,
    )


def fetch_collection(
    collection: PublicCollection,
    target: Path,
    *,
    endpoint: str = ENDPOINT,
    at_most: int | None = None,
    on_progress: Progress = silent,
) -> list[Path]:
    """Download the series of a collection; what is there in full is not fetched again.

    Args:
        collection: from `find_collection`.
        target: holds one folder a series, and `LICENCE.txt`.
        endpoint: address of the S3 server.
        at_most: so many series, the first ones; all when None.
        on_progress: told of each finished series.

    Returns:
        The folders, in the order of the collection.

    Raises:
        DataStoreError: the server does not answer, refuses, or lacks an image that the index lists.
    """
    from integrations.data_workspace import store_errors

    target.mkdir(parents=True, exist_ok=True)
    (target / "LICENCE.txt").write_text(collection.terms + "\n", "utf-8")
    chosen: Sequence[PublicSeries] = collection.series[:at_most]
    folders = []
    with store_errors("fetch the collection"):
        client = _anonymous_client(endpoint)
        for done, series in enumerate(chosen, start=1):
            folders.append(_fetch_series(client, series, target / series.uid))
            on_progress("fetch", done, len(chosen))
    return folders


def _anonymous_client(endpoint: str) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    settings = Config(signature_version=UNSIGNED, connect_timeout=10, read_timeout=60, retries={"max_attempts": 5})
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=settings)


def _fetch_series(client: Any, series: PublicSeries, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=series.bucket, Prefix=series.prefix)
    objects = [entry for page in pages for entry in page.get("Contents", ()) if entry["Key"].endswith(".dcm")]
    if len(objects) != series.images:
        raise DataStoreError(
            f"the server holds {len(objects)} of the {series.images} images of a series; "
            "update idc-index-data, and run this again"
        )
    for entry in objects:
        path = folder / entry["Key"].rsplit("/", 1)[-1]
        if path.is_file() and path.stat().st_size == entry["Size"]:
            continue
        partial = path.with_suffix(".partial")
        client.download_file(series.bucket, entry["Key"], str(partial))
        if partial.stat().st_size != entry["Size"]:
            raise DataStoreError("an image arrived cut off; run this again")
        os.replace(partial, path)
    return folder
