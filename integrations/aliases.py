"""Where the promotion log and its second place are: files or S3."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from covidctnet.errors import ConfigError
from covidctnet.promotion.log import LineStore, PromotionLog
from covidctnet.promotion.signing import Signer, Verifier, public_path
from integrations.aliases_s3 import S3Lines
from integrations.aliases_sqlite import SqliteLines


@dataclass(frozen=True, kw_only=True)
class PromotionSettings:
    """Places of the log.

    Attributes:
        log: SQLite file, or `s3://BUCKET/PREFIX`.
        heads: the second place, alike; another folder, or another bucket or prefix.
        key: private key in PEM, needed for moves only.
        public_key: public key in PEM; the one beside `key` where empty.

    Raises:
        ConfigError: log and heads are in one folder or one prefix.
    """

    log: str
    heads: str
    key: str
    public_key: str = ""

    def __post_init__(self) -> None:
        if _place(self.log) == _place(self.heads):
            raise ConfigError(
                "the log and its signed heads are in one place, where one mistake loses both; give `--heads` another "
                "folder, best on another disk, or another prefix of S3"
            )


def _place(address: str) -> str:
    if urlsplit(address).scheme == "s3":
        return address.rstrip("/")
    return str(Path(address).resolve().parent)


def open_lines(address: str) -> LineStore:
    """Lines in a SQLite file, or in S3 where the address is `s3://BUCKET/PREFIX`."""
    return S3Lines(address) if urlsplit(address).scheme == "s3" else SqliteLines(Path(address))


def open_log(settings: PromotionSettings, *, writable: bool) -> PromotionLog:
    """Open the log.

    Args:
        settings: where it is.
        writable: load the private key, to add moves; else the public key is enough.

    Raises:
        PromotionError: a key is missing or unsuitable.
    """
    key = Path(settings.key)
    signer = Signer.load(key) if writable else None
    public = Path(settings.public_key) if settings.public_key else public_path(key)
    verifier = Verifier.load(public) if settings.public_key or signer is None else signer.verifier
    return PromotionLog(open_lines(settings.log), open_lines(settings.heads), verifier=verifier, signer=signer)
