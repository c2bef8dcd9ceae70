"""One HTML file of a template, styles and scripts of assets/ and of data, which asks for nothing else.

Every string of the data may come from a stranger: `<` is escaped, so that no string ends its element, and the scripts
show strings as text, never as markup. The Content-Security-Policy of the page allows its own scripts and styles, known
by their SHA-256, and no request.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from typing import Any

from lstmlm.system.paths import PACKAGE

ASSETS = PACKAGE / "inspection" / "assets"


def fill_page(
    template: str,
    title: str,
    styles: tuple[str, ...],
    scripts: Mapping[str, tuple[str, ...]],
    data: Mapping[str, Any],
    also_allowed: str = "",
) -> str:
    """The HTML of a template of assets/, whose marks `<!--NAME-->` are filled in.

    STYLE gets the styles; each name of `scripts` its files as one script, and of `data` its value as JSON. The policy
    allows scripts `also_allowed`.
    """
    style, joined = join_assets(styles), {name: join_assets(files) for name, files in scripts.items()}
    policy = write_policy(style, list(joined.values()), also_allowed)
    parts = {"TITLE": html.escape(title), "POLICY": html.escape(policy), "STYLE": style, **joined}
    parts |= {name: escape_json(value) for name, value in data.items()}
    return re.sub(r"<!--(\w+)-->", lambda match: parts[match[1]], read_asset(template))


def read_asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def join_assets(names: tuple[str, ...]) -> str:
    """One style or script of several files; of scripts only the first 'use strict' counts."""
    return "\n".join(read_asset(name) for name in names)


def write_policy(style: str, scripts: list[str], also_allowed: str) -> str:
    """The Content-Security-Policy that allows this style and these scripts, and no request; the icon is a data URL."""
    allowed = " ".join([*map(quote_hash, scripts), also_allowed]).strip()
    return (
        f"default-src 'none'; script-src {allowed}; style-src {quote_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def quote_hash(content: str) -> str:
    """A style or script as a Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def escape_json(value: Any) -> str:
    """JSON that can stand in a script element: ASCII, without `<`."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
