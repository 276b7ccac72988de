"""Tokens are asked for, known only by their hash, and may change while the server runs."""

import os
from pathlib import Path

import pytest

from covidctnet.errors import ConfigError
from serving.errors import NotReadyError, UnauthenticatedError
from serving.settings import ServingSettings, load_settings
from serving.tokens import TokenFile, hash_token, is_loopback, require_access


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_a_known_token_passes_and_any_other_does_not(tmp_path: Path) -> None:
    tokens = TokenFile(write(tmp_path / "t", "# who may ask", f"pacs:{hash_token('one')}", hash_token("two"), ""))
    tokens.require("Bearer one")
    tokens.require("bearer  two ")
    for header in (None, "", "one", "Basic one", "Bearer", "Bearer three", f"Bearer {hash_token('one')}", "Bearer ö"):
        with pytest.raises(UnauthenticatedError):
            tokens.require(header)


def test_a_revoked_token_is_refused_without_a_restart(tmp_path: Path) -> None:
    path = write(tmp_path / "t", hash_token("old"))
    tokens = TokenFile(path)
    tokens.require("Bearer old")
    write(path, hash_token("new"))
    os.utime(path, ns=(1, 1))
    tokens.require("Bearer new")
    with pytest.raises(UnauthenticatedError):
        tokens.require("Bearer old")


def test_a_lost_or_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    path = write(tmp_path / "t", hash_token("one"))
    tokens = TokenFile(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(NotReadyError, match="cannot be read"):
        tokens.require("Bearer one")
    path.unlink()
    with pytest.raises(NotReadyError, match="cannot be read"):
        tokens.require("Bearer one")
    write(path, hash_token("one"))
    tokens.require("Bearer one")


@pytest.mark.parametrize("lines", [[], ["# none"], ["plain-token"], [f"a b:{'0' * 64}"], ["A" * 64], [hash_token("")]])
def test_a_file_without_a_hashed_token_is_refused(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(ConfigError, match="token"):
        TokenFile(write(tmp_path / "t", *lines))
    with pytest.raises(ConfigError, match="cannot be read"):
        TokenFile(tmp_path / "absent")


def test_no_tokens_only_on_loopback_and_only_when_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t", hash_token("one"))
    assert require_access(None, no_auth=True, host="127.0.0.1") is None
    assert require_access(path, no_auth=False, host="0.0.0.0") is not None
    for tokens, no_auth, host in ((None, True, "0.0.0.0"), (None, False, "127.0.0.1"), (path, True, "127.0.0.1")):
        with pytest.raises(ConfigError):
            require_access(tokens, no_auth=no_auth, host=host)
    assert [is_loopback(host) for host in ("localhost", "::1", "127.9.9.9", "evil.example", "10.0.0.1", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_settings_name_every_field_that_is_wrong(tmp_path: Path) -> None:
    assert load_settings(None) == ServingSettings()
    path = write(tmp_path / "s.yaml", "admission: {workers: 3}", "upload: {max_files: 7}")
    settings = load_settings(path)
    assert (settings.admission.workers, settings.upload.max_files) == (3, 7)
    write(path, "admission: {workers: 0}", "nope: 1")
    with pytest.raises(ConfigError, match=r"admission\.workers.*nope"):
        load_settings(path)
    for text, says in (("a: [", "is not YAML in line 1"), ("- 1", "must hold a mapping, not list")):
        write(path, text)
        with pytest.raises(ConfigError, match=says):
            load_settings(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "absent")
