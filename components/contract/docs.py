"""Great Expectations' pages as a small site that needs no network: `index.html`, `rows.html`, `day.html`."""

from __future__ import annotations

import copy
import functools
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from components.decision.report import GateReport
from pipelines.manifest import write_atomically

TITLES = {"rows": "Expectations on rows", "day": "Expectations on the day"}
_EXAMPLES = 20

# Scripts, style sheets, images and fonts that the pages would fetch, a logo that reports the visit among them.
_REMOTE = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<footer\b.*?</footer>|<iframe\b.*?</iframe>",
    re.DOTALL | re.IGNORECASE,
)
_REMOTE_STYLE = re.compile(r"@import[^;]*;|url\(\s*['\"]?(?:https?:)?//[^)]*\)", re.IGNORECASE)
_LINK = re.compile(r"<a\b[^>]*href=\"(?:(?:https?:)?//|\.\./)[^>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)
_LIVE = re.compile(
    r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*(?:src|href|data)\s*=\s*['\"]?\s*(?:https?:)?//"
    r"|url\(\s*['\"]?(?:https?:)?//|@import",
    re.IGNORECASE,
)
_STYLE = """<style>
body{font:14px/1.5 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem 2rem;color:#1c2530;background:#fff}
h1,h2,h3,h4,h5{line-height:1.2}table{border-collapse:collapse;width:100%;margin:.5rem 0}
td.accepted,td.refused,th{white-space:nowrap}td,th{border:1px solid #d5dbe1;padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:break-word}
.badge,code{background:#eef2f6;border-radius:.3rem;padding:0 .3rem}.card,.navbar,.modal,.btn-group,[data-toggle=collapse]{display:none}
.fa-check-circle::before,.fa-circle-check::before{content:"\\2714";color:#15803d}
.fa-times::before,.fa-times-circle::before{content:"\\2718";color:#b91c1c}
.accepted{color:#15803d}.refused{color:#b91c1c;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#14191f;color:#dbe2ea}td,th{border-color:#38434f}.badge,code{background:#26303a}}
</style>"""


def render_page(result: ExpectationSuiteValidationResult) -> str:
    """One page of Data Docs, at most 20 examples for each expectation; the quarantine has all rows."""
    shown = copy.deepcopy(result)
    for item in shown.results:
        item.result = {name: _plain(value) for name, value in item.result.items() if name != "unexpected_index_query"}
    page = _view().render(ValidationResultsPageRenderer().render(shown))
    return strip_network(page if isinstance(page, str) else "\n".join(page))


@functools.cache
def _view() -> DefaultJinjaPageView:
    """One, because each compiles its templates: 0.1 s."""
    return DefaultJinjaPageView()


def _plain(value: Any) -> Any:
    """Python's own numbers: the templates refuse NumPy's."""
    if isinstance(value, list):
        return [_plain(item) for item in value[:_EXAMPLES]]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def strip_network(page: str) -> str:
    """Takes out all that a browser would load, and adds a small style of our own.

    Raises:
        ValueError: something was left, after an upgrade of Great Expectations for example.
    """
    page = _LINK.sub(r"\1", _REMOTE_STYLE.sub("none", _REMOTE.sub("", page)))
    if live := _LIVE.search(page):
        raise ValueError(f"a page of Data Docs would still load {live.group()[:200]!r}")
    return page.replace("</head>", f"{_STYLE}</head>", 1)


def write_docs(
    folder: Path, *, title: str, report: GateReport, results: Mapping[str, ExpectationSuiteValidationResult]
) -> None:
    """Writes a page for each result, and an index with the verdict and all checks."""
    for name, result in results.items():
        write_atomically(folder / f"{name}.html", render_page(result).encode())
    write_atomically(folder / "index.html", _index(title, report, list(results)).encode())


def _index(title: str, report: GateReport, pages: Sequence[str]) -> str:
    links = "".join(f'<li><a href="{name}.html">{TITLES.get(name, name)}</a></li>' for name in pages)
    rows = "".join(
        f"<tr><td>{_escape(check.name)}</td><td>{_escape(check.observed)}</td><td>{_escape(check.bound)}</td>"
        f'<td class="{check.verdict}">{check.verdict}{" (overridden)" if check.overridden else ""}</td>'
        f"<td>{_escape(check.reason)}</td></tr>"
        for check in report.checks
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{_escape(title)}</title>{_STYLE}</head><body>'
        f'<h1>{_escape(title)}</h1><p class="{report.verdict}">{report.verdict}: {_escape(report.reason or "the contract holds")}</p>'
        f"<ul>{links}</ul><table><thead><tr><th>check</th><th>observed</th><th>bound</th><th>verdict</th><th>reason</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></body></html>"
    )


def _escape(value: object) -> str:
    return "" if value is None else html.escape(f"{value:g}" if isinstance(value, float) else str(value))
