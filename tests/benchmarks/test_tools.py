import json
from pathlib import Path

import pytest

from benchmarks.limits import copy_gbytes, forward_flops, matrix_gflops, standard_flops
from benchmarks.scaling import measure, to_markdown
from benchmarks.table import Row, put_into_page
from benchmarks.timing import take_turns
from covidctnet.config import DenoiserConfig, load_profile
from covidctnet.networks import build_classifier, build_denoiser
from covidctnet.phantom.cohort import make_phantom_cohort


def test_variants_are_warmed_up_and_then_take_turns() -> None:
    calls: list[str] = []
    times = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert "".join(calls) == "ab" + "ab" * 3
    assert {name: len(values) for name, values in times.seconds.items()} == {"a": 3, "b": 3}
    assert times.processor_seconds.keys() == times.seconds.keys()
    assert times.median("a") == sorted(times.seconds["a"])[1]


def test_operations_of_the_paper_s_denoiser_are_those_counted_by_hand() -> None:
    levels = [
        16384 * 9 * (1 * 32 + 32 * 32),
        4096 * 9 * (32 * 64 + 64 * 64),
        1024 * 9 * (64 * 128 + 128 * 128),
        256 * 9 * (128 * 256 + 3 * 256 * 256 + 512 * 256 + 256 * 256),
    ]
    for side, above, filters in ((32, 256, 128), (64, 128, 64), (128, 64, 32)):
        half = filters // 2
        up = (side // 2) ** 2 * 4 * above * filters
        lstm = side**2 * 9 * (filters * 3 * half + (filters + half) * 4 * half)
        levels.append(up + lstm + side**2 * 9 * (half * filters + filters * filters))
    head = 16384 * (9 * 32 * 2 + 2)
    assert forward_flops(build_denoiser(DenoiserConfig(), (128, 128))) == 2 * (sum(levels) + head)


def test_operations_of_the_classifier_grow_with_its_filters() -> None:
    config = load_profile("smoke")
    model = build_classifier(config.classifier, config.residual.shape)
    dense = sum(layer.kernel.shape[0] * layer.kernel.shape[1] for layer in model.layers if "Dense" in str(type(layer)))
    assert forward_flops(model) > 2 * dense > 0


def test_the_standard_convlstm_needs_more_operations_than_the_unrolled_one() -> None:
    config = load_profile("smoke")
    model = build_denoiser(config.denoiser, config.preprocess.slice_size)
    assert forward_flops(model) < standard_flops(model) < 1.5 * forward_flops(model)


def test_the_machine_has_limits() -> None:
    assert 0.1 < matrix_gflops(256, 3) < 1e5
    assert 0.1 < copy_gbytes(8, 3) < 1e4


def test_a_row_knows_whether_its_target_is_met() -> None:
    assert Row("denoising", 3.0, 2.0, 1.0).to_json()["met"] is True
    assert Row("denoising", 2.8, 2.0, 1.0).to_json()["met"] is False
    assert Row("denoising", 3.0, 2.0, 1.0).to_json()["share_of_limit"] == 0.5
    assert Row("classifier", 3.0, 2.0, None).to_json()["met"] is None


def test_a_table_takes_its_place_in_a_page_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- study: begin -->\nold\n<!-- study: end -->\nafter\n")
    for _ in range(2):
        put_into_page(page, "study", "a \\1 table")
    assert page.read_text() == "before\n<!-- study: begin -->\n\na \\1 table\n\n<!-- study: end -->\nafter\n"
    with pytest.raises(SystemExit, match="has no place"):
        put_into_page(page, "other", "text")


@pytest.mark.slow
def test_a_growing_cohort_is_measured_and_told_in_words(tmp_path: Path) -> None:
    make_phantom_cohort(tmp_path / "small", load_profile("smoke").phantom, 0)
    result = measure(tmp_path / "small", 20, tmp_path / "twenty")
    assert result["cases"] == 20
    assert min(result["seconds"].values()) > 0
    assert min(result["peak_mib"].values()) > 10
    twice = json.loads(json.dumps(result)) | {"cases": 200}
    twice["seconds"] = {name: 2 * value for name, value in result["seconds"].items()}
    text = to_markdown([result, twice])
    assert "From 20 to 200 cases: seconds a case +100 %" in text
    assert "main process +0 %" in text
