"""Great Expectations' data docs of a validation as one page that works without a network."""

import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integrations.metadata_validation import Verdict

_OUTSIDE = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<style\b.*?</style>|<nav\b.*</nav>|<footer\b.*?</footer>",
    re.DOTALL,
)
_BODY = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL)
_ADDRESS = re.compile(r"""(href|src)=["']?https?://[^"'\s>]*["']?""")

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 } td, th { border: 1px solid #cdd3da;
padding: .3rem .5rem; text-align: left; vertical-align: top } .passed { color: #11682f } .refused { color: #a4161a }
.card, .btn, .cooltip .top, .table-of-contents { display: none } details { margin: 1rem 0 }
"""


def render_docs(path: Path, verdict: "Verdict", results: Mapping[str, Any]) -> None:
    """Write one page: the verdict, then the data docs of each table.

    Great Expectations' own page loads styles and scripts from elsewhere; those references are taken out, so
    that looking at a hospital's report tells nobody.
    """
    state = "passed" if verdict.passed else "refused"
    parts = [
        f'<h1>Scanner metadata: <span class="{state}">{state}</span></h1>',
        _list("Failures", verdict.failures),
        _list("Quarantined", [f"{name}: {'; '.join(reasons)}" for name, reasons in verdict.reasons.items()]),
        _list("Warnings", verdict.warnings),
        *(
            f"<details open><summary><b>{name}</b></summary>{_page(result)}</details>"
            for name, result in results.items()
        ),
    ]
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Scanner metadata</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines) or "<li>none</li>"
    return f"<h2>{title}</h2><ul>{items}</ul>"


def _page(result: Any) -> str:
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    # Through JSON and back: the renderer cannot write numpy 2 numbers.
    plain: Any = expectationSuiteValidationResultSchema.load(result.to_json_dict())
    view: Any = DefaultJinjaPageView()
    page: str = view.render(ValidationResultsPageRenderer().render(plain))
    body = _BODY.search(page)
    return _ADDRESS.sub("", _OUTSIDE.sub("", body.group(1) if body else page))
