from pathlib import Path

import numpy as np
import pytest

from covidctnet.errors import CohortError
from covidctnet.readers.simulated import READERS, simulate_readers
from covidctnet.readers.table import load_readers, save_readers

ROWS = ("a,r1,Control", "a,r2,CAP", "b,r1,Covid-19", "b,r2,Covid-19")


def write(folder: Path, *rows: str, header: str = "case,reader,answer") -> Path:
    path = folder / "readers.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_answers_come_as_a_table_in_any_order_of_rows(tmp_path: Path) -> None:
    table = load_readers(write(tmp_path, *reversed(ROWS)))
    assert (table.cases, table.readers, table.simulated) == (("a", "b"), ("r1", "r2"), False)
    assert table.answers.tolist() == [[0, 1], [2, 1]]
    assert table.select(["b", "a"]).tolist() == [[1, 0], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (ROWS[:3], "case,reader,answer", "lacks 1 of 4 answers"),
        ((*ROWS, ROWS[0]), "case,reader,answer", "line 6: r1 answered a twice"),
        (("a,r1,Covid",), "case,reader,answer", "line 2: an answer is one of Control, Covid-19, CAP"),
        (("a,Dr. Name,CAP",), "case,reader,answer", "a reader is a pseudonym"),
        ((), "case,reader,answer", "holds no answer"),
        (ROWS, "case,reader,label", "needs the columns case, reader, answer"),
        (("a,r1,CAP,perhaps",), "case,reader,answer,simulated", "simulated is yes, no or empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, rows: tuple[str, ...], header: str, words: str) -> None:
    with pytest.raises(CohortError, match=words):
        load_readers(write(tmp_path, *rows, header=header))


def test_a_refusal_repeats_no_cell_that_may_hold_a_name(tmp_path: Path) -> None:
    for rows, header in (
        (("Jane Roe,r1,CAP",), "case,reader,answer"),
        (("a,Jane Roe,CAP",), "case,reader,answer"),
        (("a,r1,Jane Roe",), "case,reader,answer"),
        (("a,r1,CAP,Jane Roe",), "case,reader,answer,simulated"),
        ((), "Jane Roe,r1,CAP"),
    ):
        with pytest.raises(CohortError) as refusal:
            load_readers(write(tmp_path, *rows, header=header))
        assert "Jane" not in str(refusal.value)


def test_one_simulated_answer_marks_the_whole_table(tmp_path: Path) -> None:
    rows = [f"{row},{'yes' if number == 2 else ''}" for number, row in enumerate(ROWS)]
    assert load_readers(write(tmp_path, *rows, header="case,reader,answer,simulated")).simulated


def test_simulated_readers_survive_the_file_and_say_what_they_are(tmp_path: Path) -> None:
    table = simulate_readers([(f"case-{n}", ("Control", "Covid-19", "CAP")[n % 3]) for n in range(20)], seed=0)
    save_readers(table, tmp_path / "readers.csv")
    again = load_readers(tmp_path / "readers.csv")
    assert again.simulated
    assert all(reader.startswith("simulated-") for reader in again.readers)
    np.testing.assert_array_equal(again.answers, table.answers)


def test_simulated_readers_have_their_rates_and_err_together() -> None:
    count = 6000
    table = simulate_readers([(f"case-{n:05d}", "CAP") for n in range(count)], seed=5)
    right = table.answers == 2
    # Three standard errors of a share of 6000.
    assert right.mean(axis=1) == pytest.approx([reader.rates[2] for reader in READERS], abs=0.019)
    assert np.corrcoef(right.astype(float))[0, 1] > 0.1
