"""A loopback server with the part of BigQuery's REST interface that a query needs; DuckDB answers. It is not BigQuery.

with BigQueryServer(database) as server: ...
server.requests        # bodies, as the client sent them
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlparse

import duckdb

BYTES_OF_A_QUERY = 12_345
_PAGE_ROWS = 40
_TYPES = {
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "VARCHAR": "STRING",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BYTES",
    "DATE": "DATE",
    "DECIMAL(38,9)": "NUMERIC",
}


class BigQueryServer:
    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._queries: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []
        self.projects: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                del arguments

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(lambda: server._post(self.path, body))

            def do_GET(self) -> None:
                self._answer(lambda: server._get(self.path))

            def _answer(self, work: Any) -> None:
                try:
                    status, found = 200, work()
                except duckdb.Error as error:
                    reason = {"reason": "invalidQuery", "message": str(error)}
                    status, found = 400, {"error": {"code": 400, "message": str(error), "errors": [reason]}}
                content = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        project, what = path.split("?")[0].split("/projects/")[1].split("/")
        self.requests.append(body)
        self.projects.add(project)
        if what == "jobs":  # jobs.insert: a dry run
            query = body["configuration"]["query"]["query"]
            statistics = {"totalBytesProcessed": str(BYTES_OF_A_QUERY), "query": self._results(query, 0, 0)}
            statistics["query"]["totalBytesProcessed"] = str(BYTES_OF_A_QUERY)
            return {
                "jobReference": {"projectId": project, "jobId": "dry", "location": "US"},
                "configuration": body["configuration"],
                "status": {"state": "DONE"},
                "statistics": statistics,
            }
        job = f"job{len(self._queries)}"
        self._queries[job] = body["query"]
        return self._page(job, 0, project)

    def _get(self, path: str) -> dict[str, Any]:
        parsed = urlparse(path)
        project, _, job = parsed.path.split("/projects/")[1].split("/")[:3]
        if "/jobs/" in path:
            table = {"projectId": project, "datasetId": "d", "tableId": job}
            return {
                "jobReference": {"projectId": project, "jobId": job, "location": "US"},
                "configuration": {"query": {"query": self._queries[job], "destinationTable": table}},
                "status": {"state": "DONE"},
                "statistics": {},
            }
        return self._page(job, int(parse_qs(parsed.query).get("pageToken", ["0"])[0]), project)

    def _page(self, job: str, first: int, project: str) -> dict[str, Any]:
        found = self._results(self._queries[job], first, _PAGE_ROWS)
        found |= {"jobReference": {"projectId": project, "jobId": job, "location": "US"}, "jobComplete": True}
        if first + _PAGE_ROWS < int(found["totalRows"]):
            found["pageToken"] = str(first + _PAGE_ROWS)
        return found

    def _results(self, query: str, first: int, count: int) -> dict[str, Any]:
        result = self._database.cursor().execute(query)
        fields = [_field(name, str(kind)) for name, kind, *_ in result.description or []]
        rows = result.fetchall()
        page = [{"f": [{"v": _value(value)} for value in row]} for row in rows[first : first + count]]
        return {"schema": {"fields": fields}, "rows": page, "totalRows": str(len(rows))}


def _field(name: str, kind: str) -> dict[str, str]:
    mode = "REPEATED" if kind.endswith("[]") else "NULLABLE"
    return {"name": name, "type": _TYPES.get(kind.removesuffix("[]"), "GEOGRAPHY"), "mode": mode}


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [{"v": _value(item)} for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
