import numpy as np
import pytest

from covidctnet.errors import ExperimentError
from covidctnet.experiments.slice_labels import CLEAR, INFECTED, UNKNOWN, SliceLabels, slice_positions
from covidctnet.volume import Volume

HEAD = "case,slice_position_mm,infected\n"


def write(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def volume(slices=10, spacing=2.0, start=-100.0):
    hu = np.zeros((slices, 4, 4), np.float32)
    return Volume(hu=hu, spacing_mm=(spacing, 1.0, 1.0), origin_mm=(0.0, 0.0, start))


def test_positions_of_the_series_own_grid_are_those_of_its_slices():
    found = slice_positions(volume(), 10)
    assert found == pytest.approx([volume().position_mm((z, 0, 0))[2] for z in range(10)])


def test_marks_fall_on_the_slices_that_they_name(tmp_path):
    labels = SliceLabels.load(write(tmp_path, HEAD + "a,-100,1\na,-98,0\na,-82,1\nb,0,0\n"))
    marked = labels.on_slices("a", volume(), 10)
    assert marked.tolist() == [INFECTED, CLEAR, *[UNKNOWN] * 7, INFECTED]
    assert (labels.on_slices("nobody", volume(), 10) == UNKNOWN).all()


def test_a_coarser_grid_is_infected_where_any_slice_in_it_is(tmp_path):
    rows = "".join(f"a,{-100 + 2 * z},{int(z == 5)}\n" for z in range(10))
    marked = SliceLabels.load(write(tmp_path, HEAD + rows)).on_slices("a", volume(), 2)
    assert marked.tolist() == [CLEAR, INFECTED]


def test_a_finer_grid_takes_every_mark(tmp_path):
    rows = "".join(f"a,{-100 + 2 * z},{int(z >= 5)}\n" for z in range(10))
    marked = SliceLabels.load(write(tmp_path, HEAD + rows)).on_slices("a", volume(), 20)
    assert (marked[:9] == CLEAR).all()
    assert (marked[11:] == INFECTED).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,position,infected\n", "must have the columns case, slice_position_mm, infected"),
        (HEAD, "marks no slice"),
        (HEAD + "a,one,1\n", "line 2 of labels.csv: slice_position_mm must be a number"),
        (HEAD + "a,nan,1\n", "must be a number of mm"),
        (HEAD + "a,1,maybe\n", "infected is 0 or 1, not 'maybe'"),
        (HEAD + "a,1,1\na,1.0,0\n", "line 3 of labels.csv: the slice at 1.0 mm has two marks"),
    ],
)
def test_a_wrong_table_names_the_line_and_the_remedy(tmp_path, text, message):
    with pytest.raises(ExperimentError, match=message):
        SliceLabels.load(write(tmp_path, text))


def test_marks_beyond_the_scan_or_of_strangers_are_refused(tmp_path):
    labels = SliceLabels.load(write(tmp_path, HEAD + "a,50,1\n"))
    with pytest.raises(ExperimentError, match=r"outside of the scan, which reaches from -100\.0 to -82\.0 mm"):
        labels.on_slices("a", volume(), 10)
    with pytest.raises(ExperimentError, match="name case 'a'"):
        labels.require_cases(["b"])
    with pytest.raises(ExperimentError, match=r"there is no absent\.csv"):
        SliceLabels.load(tmp_path / "absent.csv")
