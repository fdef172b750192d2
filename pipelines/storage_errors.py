"""What a storage refuses, in the user's terms: what to do, whether another try can help, and no secret.

with explained("s3://bucket/day.csv"):
    filesystem.open_input_file("bucket/day.csv")
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

from pipelines.errors import DataError, SpecError, TransientError

URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/]*)/?(?P<key>.*)", re.DOTALL)
_CODE = re.compile(r"AWS Error (\w+)|google::cloud::Status\((\w+)")
_DENIED = {
    "ACCESS_DENIED",
    "EXPIRED_TOKEN",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "PERMISSION_DENIED",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNAUTHENTICATED",
    "UNRECOGNIZED_CLIENT",
}
FIXES = {
    "s3": "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of a user who may read and write there",
    "gs": "run `gcloud auth application-default login`, or export GOOGLE_APPLICATION_CREDENTIALS=<file>",
    "hdfs": "log in with kinit, or ask for the right to read and write there",
}


class GoneError(DataError):
    """Of a file that is not there."""


@contextlib.contextmanager
def explained(place: str) -> Iterator[None]:
    """Turns an error of a storage into one that says what to do. Those of local files pass, and of wrong content too.

    Raises:
        DataError: the file is gone.
        SpecError: no such bucket, or not allowed.
        TransientError: it does not answer, or fails in another way: worth another try.
    """
    try:
        yield
    except OSError as error:
        if not URI.match(place):
            raise
        _raise(error, place)


def _raise(error: OSError, place: str) -> NoReturn:
    """From None: what a server says of a refused signature is not for a log."""
    if isinstance(error, FileNotFoundError):
        raise GoneError("there is no such file", fix="load it again", place=place) from None
    found = _CODE.search(str(error))
    if found is None and not any(words in str(error) for words in ("HDFS", "hdfs", "S3", "GCS")):
        raise error
    code = next(filter(None, found.groups())) if found else "unknown error"
    scheme = place.partition(":")[0]
    if code == "NO_SUCH_BUCKET":
        raise no_bucket(place) from None
    if code in _DENIED:
        raise SpecError(f"the storage refuses access. Received: {code}", fix=FIXES[scheme], place=place) from None
    raise TransientError(
        f"the storage does not answer as it should. Received: {code}{_endpoint(scheme)}",
        fix="check the endpoint and the network, then run the node again",
        place=place,
    ) from None


def no_bucket(place: str) -> SpecError:
    return SpecError("there is no such bucket", fix="create it, or correct the URI", place=place)


def _endpoint(scheme: str) -> str:
    endpoint = s3_endpoint() if scheme == "s3" else ""
    return f" from {urlsplit(endpoint).hostname}:{urlsplit(endpoint).port or ''}".rstrip(":") if endpoint else ""


def s3_endpoint() -> str:
    """As AWS's own tools read it."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not re.match(r"https?://[^/@]+/?$", endpoint):
        raise SpecError(
            "AWS_ENDPOINT_URL must be http(s)://host:port, without credentials or path",
            fix="export AWS_ENDPOINT_URL=https://storage.example.com:9000",
        )
    return endpoint
