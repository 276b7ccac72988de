import sys
from pathlib import Path

import pytest

from benchmarks.run_cost import measure, size_on_disk, to_markdown

_HOLDS_200_MB = "import time; held = bytearray(b'x' * 200_000_000); time.sleep(3)"
_TWO_PROCESSES = (
    "import pathlib, subprocess, sys; "
    f"subprocess.run([sys.executable, '-c', {_HOLDS_200_MB!r}], check=True); "
    "pathlib.Path(sys.argv[1], 'data').write_bytes(b'x' * 1_000_000)"
)


def test_the_memory_of_a_command_is_that_of_what_it_starts_as_well(tmp_path: Path) -> None:
    figures = measure([sys.executable, "-c", _TWO_PROCESSES, str(tmp_path)], tmp_path)
    assert figures["seconds"] > 3
    assert 200e6 < figures["peak_bytes"] < 400e6
    assert 1e6 <= figures["disk_bytes"]["data"] < 1.1e6
    assert "| disk | 1 MB (`data` 1) |" in to_markdown(figures)


def test_a_command_that_fails_has_no_cost(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="ended with status 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 1_000_000)
    alone = size_on_disk(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert size_on_disk(tmp_path) - alone < 100_000
