"""Airflow's REST API, version 2, with a token that renews itself.

with AirflowApi("http://127.0.0.1:8080", user="admin", password="…") as api:
    api.post("/dags/daybreak_shop/dagRuns", {"conf": {"day": "2026-01-05"}, "logical_date": None})
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from pipelines.errors import DaybreakError, TransientError

TRIES = 4
TIMEOUT_SECS = 30.0
PATIENCE_SECS = 180.0
"""An api-server that was killed is back in well under a minute."""
_PAUSE_SECS = 1.0


class AirflowAnswer(DaybreakError):
    """The API answered, and said no."""

    def __init__(self, message: str, *, status: int = 0, fix: str = "", place: str = "") -> None:
        super().__init__(message, fix=fix, place=place)
        self.status = status


class AirflowApi:
    def __init__(self, url: str, *, user: str, password: str) -> None:
        self._login = {"username": user, "password": password}
        # Loopback: a proxy of the environment must not see it.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PATCH", path, json=body)

    def _call(self, method: str, path: str, **request: Any) -> Any:
        """Raises `AirflowAnswer` for 4xx and 5xx, `TransientError` when nobody answers after `TRIES`."""
        error: Exception | None = None
        for attempt in range(TRIES):
            if attempt:
                time.sleep(2.0 ** (attempt - 1))
            try:
                answer = self._request(method, path, **request)
            except httpx.HTTPError as failure:
                error = failure
                continue
            if answer.is_success:
                return answer.json() if answer.content else None
            raise AirflowAnswer(
                f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:400]}",
                status=answer.status_code,
            )
        raise TransientError(
            f"Airflow did not answer to {method} {path}: {error}", fix="run `daybreak status`"
        ) from error

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._sign_in()
        answer = self._http.request(method, f"/api/v2{path}", **request)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._sign_in()
            answer = self._http.request(method, f"/api/v2{path}", **request)
        return answer

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json=self._login).raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def patiently(question: Callable[[], Any], *, patience_secs: float = PATIENCE_SECS) -> Any:
    """Asks again while the api-server is being restarted."""
    deadline = time.monotonic() + patience_secs
    while True:
        try:
            return question()
        except AirflowAnswer as answer:
            if answer.status < 500 or time.monotonic() > deadline:
                raise
        except DaybreakError as error:
            if not error.retryable or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECS)
