"""The promotion log in S3: a line is an object that is put only if it is absent (`If-None-Match: *`)."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from covidctnet.errors import LogTamperedError, PromotionConflictError, PromotionError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NAME = re.compile(r"(\d{8})\.json")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3Lines:
    """Numbered lines as objects `<prefix>/00000000.json` and so on.

    The store must honour conditional writes, as Amazon S3 and SeaweedFS do. Credentials, region and end point come
    from the environment or the configuration of the AWS SDK; MLflow's variable for the end point is understood too.

    Args:
        address: `s3://BUCKET/PREFIX`.
        endpoint: address of the service; the SDK's own where empty.

    Raises:
        PromotionError: the address has no bucket or no prefix.
    """

    def __init__(self, address: str, *, endpoint: str = "") -> None:
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
            raise PromotionError(f"a promotion log in S3 is s3://BUCKET/PREFIX, not {address!r}")
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/") + "/"
        self._endpoint = endpoint or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
        self._made: S3Client | None = None

    def read(self) -> list[str]:
        """All lines in their order.

        Raises:
            LogTamperedError: a number is missing, or something else lies among the lines.
            PromotionError: the service does not answer, or refuses.
        """
        with self._explained("read"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            keys = [item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", ())]
        for expected, key in enumerate(sorted(keys)):
            match = _NAME.fullmatch(key)
            if match is None or int(match[1]) != expected:
                raise LogTamperedError(f"line {expected + 1} is missing in s3://{self._bucket}/{self._prefix}")
        return [self._get(number) for number in range(len(keys))]

    def append(self, number: int, line: str) -> None:
        """Write a line if it is the next one.

        Raises:
            PromotionConflictError: that line is there already.
            LogTamperedError: the line before it is missing.
            PromotionError: the service does not answer, or refuses.
        """
        from botocore.exceptions import ClientError

        if number:
            self._get(number - 1)
        try:
            with self._explained("write"):
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(number),
                    Body=line.encode(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
        except ClientError:
            # A retry of the SDK may find its own first try: the same line is no conflict.
            if self._get(number) != line:
                raise PromotionConflictError(f"line {number + 1} is written already") from None

    def _get(self, number: int) -> str:
        from botocore.exceptions import ClientError

        try:
            with self._explained("read", passing={"NoSuchKey", "404"}):
                return self._client.get_object(Bucket=self._bucket, Key=self._key(number))["Body"].read().decode()
        except ClientError:
            raise LogTamperedError(f"line {number + 1} is missing in s3://{self._bucket}/{self._prefix}") from None

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:08d}.json"

    @property
    def _client(self) -> "S3Client":
        if self._made is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
            # A session of its own: the shared one keeps the credentials of its first use.
            self._made = boto3.session.Session().client("s3", endpoint_url=self._endpoint, config=config)
        return self._made

    @contextmanager
    def _explained(self, what: str, passing: frozenset[str] | set[str] = frozenset(_TAKEN)) -> Iterator[None]:
        """Let errors with the codes in `passing` through, and tell of others in one line."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in passing:
                raise
            raise PromotionError(f"S3 refused to {what} the promotion log in bucket {self._bucket}: {code}") from None
        except BotoCoreError as error:
            raise PromotionError(
                f"S3 could not {what} the promotion log in bucket {self._bucket}: {type(error).__name__}; check the "
                "end point and the credentials in the environment"
            ) from None
