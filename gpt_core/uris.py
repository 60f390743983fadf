"""Addresses of object stores: ``s3://bucket/key`` and ``gs://bucket/key``, opened with PyArrow.

Where a store is and who may use it is never part of an address. S3 is found by
``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` (else it is Amazon's, in ``AWS_REGION`` or in the
bucket's own region); credentials come from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, the
files in ``~/.aws``, or the machine's role. Google's are those of ``GOOGLE_APPLICATION_CREDENTIALS``
or of ``gcloud``; ``STORAGE_EMULATOR_HOST`` names an emulator, which needs none. ``file:///path`` is
a path of this machine.

A request is tried three times, each for a few seconds, so that a server that is away or hangs is an
error within 15 seconds.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from gpt_core.errors import ConfigError, DataError, DownloadError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs", "file")
"""The schemes of addresses that can be opened."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_CONNECT_SECONDS, _STALL_SECONDS, _ATTEMPTS = 2, 3, 3
_GOOGLE_RETRY = timedelta(seconds=8)
_NOT_THERE = "does not exist: give an object, a folder of objects or a pattern"
_DEFAULT_REGION = "us-east-1"  # of servers that are not Amazon's, which know only one
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_S3_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_EMULATOR = "STORAGE_EMULATOR_HOST"
_S3_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
_VARIABLES = (
    *_S3_ENDPOINTS, *_S3_REGIONS, *_S3_CREDENTIALS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_CA_BUNDLE", _EMULATOR, "GOOGLE_APPLICATION_CREDENTIALS",
)  # fmt: skip

_NO_BUCKET = re.compile(
    r"NO_SUCH_BUCKET|[Bb]ucket '?[^']*'? (?:was )?not found|bucket does not exist"
)
_DENIED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|EXPIRED_TOKEN|"
    r"MISSING_AUTHENTICATION|UNRECOGNIZED_CLIENT|INVALID_TOKEN|ExpiredToken|HTTP status 40[13]|"
    r"PERMISSION_DENIED|UNAUTHENTICATED|OAuth2|[Cc]redentials"
)
_AWAY = re.compile(
    r"NETWORK_CONNECTION|curlCode|REQUEST_TIMEOUT|[Tt]imeout|timed out|SLOW_DOWN|"
    r"SERVICE_UNAVAILABLE|INTERNAL_FAILURE|HTTP status 50\d|UNAVAILABLE|DEADLINE_EXCEEDED|"
    r"[Cc]ould not (?:resolve|connect)|Couldn't (?:resolve|connect)"
)
_ELSEWHERE = re.compile(r"PERMANENT_REDIRECT|HTTP status 30[17]|AUTHORIZATION_HEADER_MALFORMED")
_MISSING = re.compile(
    r"NO_SUCH_KEY|RESOURCE_NOT_FOUND|HTTP status 404|Path does not exist|NOT_FOUND"
)


@dataclass(frozen=True, slots=True)
class Uri:
    """The address of an object, or of all objects whose keys begin alike."""

    scheme: str
    bucket: str
    """Empty for ``file``."""

    key: str
    """Without a slash at its ends; of ``file`` the absolute path."""

    def __str__(self) -> str:
        if self.scheme == "file":
            return Path(self.key).as_uri()
        return f"{self.scheme}://{self.bucket}/{self.key}" if self.key else self.top

    @property
    def top(self) -> str:
        """The address of the bucket."""
        return f"{self.scheme}://{self.bucket}"

    @property
    def path(self) -> str:
        """The name of the object in its ``pyarrow.fs`` file system."""
        return self.key if self.scheme == "file" else f"{self.bucket}/{self.key}".rstrip("/")


def is_uri(text: str) -> bool:
    """Whether a text begins as an address does.

    Example:
        >>> is_uri("s3://bucket/books"), is_uri("books/a.txt"), is_uri("models:/mine@champion")
        (True, False, False)
    """
    return _SCHEME.match(text) is not None


def parse_uri(text: str) -> Uri:
    """Parse an address; the key is taken as it is, without escapes.

    Raises:
        ConfigError: If it is not of one of ``SCHEMES``, or has no bucket or credentials in it.

    Example:
        >>> parse_uri("s3://bucket/books/a b.txt")
        Uri(scheme='s3', bucket='bucket', key='books/a b.txt')
        >>> parse_uri("file:///data/a%20b.txt").key
        '/data/a b.txt'
    """
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise ConfigError(f"{text!r:.200} cannot be opened: addresses begin with {known}")
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if not slash or host not in ("", "localhost"):
            raise ConfigError(f"{text!r:.200} names no file of this machine: write file:///PATH")
        return Uri("file", "", str(Path("/" + unquote(path))))
    bucket, _, key = rest.partition("/")
    is_bucket = _BUCKET.fullmatch(bucket) is not None
    if not is_bucket and "@" in rest:  # a secret may have a slash in it
        raise ConfigError(
            f"{text!r:.200} has credentials in it, which end up in logs: give them by the "
            f"environment ({_advice(scheme)})"
        )
    if not is_bucket:
        raise ConfigError(f"{text!r:.200} names no bucket: write {scheme}://BUCKET/KEY")
    return Uri(scheme, bucket, key.strip("/"))


def open_filesystem(uri: Uri) -> "FileSystem":
    """The file system that an address is in; one for all addresses of a bucket in a process.

    Its methods take ``Uri.path``; call them within ``storage_errors``.

    Raises:
        ConfigError: If the address of the server in the environment is none.
        DataError: If the bucket does not exist, as far as it is asked for here.
        DownloadError: If the store does not answer.
    """
    environment = tuple(os.environ.get(name) for name in _VARIABLES)
    with storage_errors(uri):
        return _open(uri.scheme, uri.bucket, environment)


@lru_cache(maxsize=32)
def _open(scheme: str, bucket: str, environment: tuple[str | None, ...]) -> "FileSystem":
    from pyarrow import fs

    del environment  # only tells one file system from another
    if scheme == "file":
        return fs.LocalFileSystem()
    server = _server(scheme)
    override = (
        {} if server is None else {"scheme": server.scheme, "endpoint_override": server.netloc}
    )
    if scheme == "gs":
        return fs.GcsFileSystem(
            anonymous=server is not None, retry_time_limit=_GOOGLE_RETRY, **override
        )
    region = next(filter(None, map(os.environ.get, _S3_REGIONS)), None)
    if region is None:
        region = _DEFAULT_REGION if override else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_STALL_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
        **override,
    )


def _server(scheme: str) -> SplitResult | None:
    """The server that the environment names, if it does."""
    for name in _S3_ENDPOINTS if scheme == "s3" else (_EMULATOR,):
        text = os.environ.get(name)
        if text:
            try:
                parts = urlsplit(text if "://" in text else f"http://{text}")
                usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            except ValueError:
                usable = False
            if not usable or "@" in parts.netloc or parts.path.strip("/"):
                raise ConfigError(
                    f"{name} must be http://HOST:PORT or https://HOST, without a path and without "
                    "credentials"
                )
            return parts
    return None


@contextmanager
def storage_errors(uri: Uri, missing: str = _NOT_THERE) -> Iterator[None]:
    """Translate the errors of a store into one sentence about an address.

    Args:
        uri: The address.
        missing: The sentence about an object that does not exist, after its address.

    Raises:
        ConfigError, DataError: As they are raised in the block.
        DataError: If the bucket or the object is missing, access is denied or anything else fails.
        DownloadError: If the store does not answer; trying again may help.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{uri} {missing}") from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise _sentence(uri, error, missing) from error


def _sentence(uri: Uri, error: Exception, missing: str) -> DataError:
    text = str(error)
    if uri.scheme == "file":
        return DataError(f"{uri.key} cannot be used: {getattr(error, 'strerror', None) or error}")
    if _NO_BUCKET.search(text):
        return missing_bucket(uri)
    if _ELSEWHERE.search(text):
        return DataError(f"{uri} cannot be used: the bucket is in another region: set AWS_REGION")
    if _AWAY.search(text):
        return DownloadError(
            f"{uri} cannot be used: {_place(uri)} does not answer: check the network and "
            f"{_server_variable(uri)}, and try again"
        )
    if _DENIED.search(text):
        found = "access is denied" if _has_credentials(uri) else "there are no credentials"
        return DataError(
            f"{uri} cannot be used: {found} at {_place(uri)}: give those of a user who "
            f"may use it ({_advice(uri.scheme)})"
        )
    if _MISSING.search(text):
        return DataError(f"{uri} {missing}")
    first_line = text.strip().partition("\n")[0]
    return DataError(f"{uri} cannot be used: {first_line:.400}")


def missing_bucket(uri: Uri) -> DataError:
    """The error for an address whose bucket does not exist."""
    return DataError(
        f"{uri} cannot be used: there is no bucket {uri.bucket!r} at {_place(uri)}: create it, or "
        f"correct the name or {_server_variable(uri)}"
    )


def _place(uri: Uri) -> str:
    """The server in words."""
    try:
        server = _server(uri.scheme)
    except ConfigError:
        server = None
    if server is not None:
        return server.geturl()
    return "Amazon S3" if uri.scheme == "s3" else "Google Cloud Storage"


def _server_variable(uri: Uri) -> str:
    return "AWS_ENDPOINT_URL" if uri.scheme == "s3" else _EMULATOR


def _advice(scheme: str) -> str:
    if scheme == "s3":
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    return "GOOGLE_APPLICATION_CREDENTIALS"


def _has_credentials(uri: Uri) -> bool:
    """Whether credentials are named where they are looked for; a machine's role is not asked."""
    if uri.scheme == "gs":
        return bool(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
    named = any(os.environ.get(name) for name in _S3_CREDENTIALS)
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return named or Path(file).expanduser().is_file()
