import json
import stat
from pathlib import Path

import pytest

from covidctnet.errors import PseudonymKeyError
from covidctnet.pseudonyms import (
    FILE_VARIABLE,
    KEYS_VARIABLE,
    KeyRing,
    default_key_file,
    key_id,
    load_keys,
    rotate_keys,
)

RING = KeyRing((b"a" * 32,))


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "config" / "keys.json"))


def test_a_patient_has_one_pseudonym_which_key_site_and_number_decide() -> None:
    first = RING.resolve("s1", "P002", ())
    assert first == RING.resolve("s1", " p002 ", ())
    others = [
        RING.resolve("s2", "P002", ()),
        RING.resolve("s1", "P003", ()),
        KeyRing((b"b" * 32,)).resolve("s1", "P002", ()),
    ]
    assert len({first.patient, *(other.patient for other in others)}) == 4
    assert "002" not in first.patient.split("-")[0]
    assert first.patient.startswith(f"p{key_id(RING.keys[0])}-")


def test_after_rotation_known_patients_keep_their_pseudonym_and_new_ones_get_the_new_key() -> None:
    old = RING.resolve("s1", "P002", ())
    rotated = RING.rotated()
    assert rotated.resolve("s1", "P002", {old.patient}) == old
    new = rotated.resolve("s1", "P003", {old.patient})
    assert new.patient.startswith(f"p{key_id(rotated.keys[1])}-")
    assert rotated.resolve("s1", "P003", {old.patient, new.patient}) == new
    rotated.require({old.patient, new.patient, "patient-of-a-phantom"})
    with pytest.raises(PseudonymKeyError, match=f"made with the key {key_id(RING.keys[0])}, which is not among"):
        KeyRing(rotated.keys[1:]).require({old.patient})


def test_dates_move_by_one_distance_a_patient() -> None:
    one = RING.resolve("s1", "1", ())
    assert one.shift("20200301") != "20200301"
    assert one.shift("20200301") < "20200301"
    assert one.shift("20200230") is None
    assert one.shift("yesterday") is None
    assert one.shift("00010101") is None
    shifts = {RING.resolve("s1", str(number), ()).shift("20200301") for number in range(20)}
    assert len(shifts) > 15


def test_uids_are_valid_and_repeat_only_for_the_same_parts() -> None:
    one = RING.resolve("s1", "1", ())
    assert one.uid("a") == one.uid("a") != one.uid("b")
    assert one.uid("a") != RING.resolve("s1", "2", ()).uid("a")
    assert one.uid("a").startswith("2.25.")
    assert len(one.uid("a")) <= 64


def test_an_empty_patient_id_is_refused() -> None:
    with pytest.raises(PseudonymKeyError, match="PatientID is empty"):
        RING.resolve("s1", "  ", ())


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    ring = load_keys()
    path = tmp_path / "config" / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keys() == ring
    assert rotate_keys().keys[0] == ring.keys[0]
    assert len(load_keys().keys) == 2
    assert ring.keys[0].hex() not in repr(ring)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(PseudonymKeyError, match="can be read by others"):
        load_keys()


def test_a_key_file_that_is_damaged_or_in_the_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config" / "keys.json"
    load_keys()
    path.write_text(json.dumps({"keys": ["xyz"]}))
    with pytest.raises(PseudonymKeyError, match="damaged"):
        load_keys()
    with pytest.raises(PseudonymKeyError, match="inside the data folder"):
        load_keys(tmp_path / "data" / "k.json", outside=tmp_path / "data")
    monkeypatch.setenv(KEYS_VARIABLE, "zz")
    with pytest.raises(PseudonymKeyError, match="hexadecimal"):
        load_keys()
    monkeypatch.setenv(KEYS_VARIABLE, f"{'aa' * 16},{'bb' * 16}")
    assert load_keys().keys == (b"\xaa" * 16, b"\xbb" * 16)


def test_the_default_place_is_the_users_configuration() -> None:
    assert default_key_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/covidctnet/pseudonym-keys.json")
    assert default_key_file({FILE_VARIABLE: "/k.json"}) == Path("/k.json")
