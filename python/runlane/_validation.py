"""What names, ids and texts of a run may look like. Each check returns the accepted value or raises."""

from __future__ import annotations

from . import _limits
from .errors import SettingsError, SettingsTypeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RUN_ID_FORBIDDEN = "/\\#?%:,;'"
_PROJECT_FORBIDDEN = "/\\#?%:"


def text(name: str, value: Any) -> str:
    """A string, or a `SettingsTypeError` that names the setting."""
    if not isinstance(value, str):
        raise SettingsTypeError(f"`{name}` must be a string, got {type(value).__name__}: {value!r:.80}")
    return value


def _short(value: str) -> str:
    return repr(value) if len(value) <= 80 else repr(value[:40]) + "…"


def _mixes_scripts(value: str) -> bool:
    import unicodedata

    scripts: set[str] = set()
    for char in value:
        if not char.isalpha():
            scripts.clear()
            continue
        scripts.add(unicodedata.name(char, "").split(" ", 1)[0])
        if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK"}:
            return True
    return False


def _unicode_problem(value: str) -> str | None:
    """Why text that is not plain ASCII cannot be a name, or None."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    import unicodedata

    if any(unicodedata.category(char) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") for char in value):
        return "it has invisible or unassigned characters"
    if unicodedata.normalize("NFKC", value) != unicodedata.normalize("NFC", value):
        return "it has characters that look like others (write it in its plain form)"
    if _mixes_scripts(value):
        return "it mixes look-alike letters of several scripts in one word"
    return None


def _name_in_paths(kind: str, value: str, forbidden: str, limit: int, rule: str = "") -> str:
    article = "an" if kind[0] in "aeiou" else "a"
    rule = rule or (
        f"hint: {article} {kind} has at most {limit} characters, without `{' '.join(forbidden)}` and control characters"
    )
    problem = None
    if len(value) > limit:
        problem = f"exceeded {limit} characters"
    elif value in (".", ".."):
        problem = "it is a relative path"
    elif bad := next((char for char in value if char in forbidden), None):
        problem = f"cannot contain characters '{','.join(forbidden)}', found '{bad}'"
    elif any(ord(char) < 32 or ord(char) == 127 for char in value):
        problem = "it has control characters"
    elif not value.isascii():
        problem = _unicode_problem(value)
    if problem:
        raise UsageError(f"Invalid {kind} {_short(value)}: {problem}\n{rule}")
    return value


def run_id(value: Any) -> str:
    """A run id: it becomes a file name and a part of URLs."""
    checked = text("run_id", value)
    rule = f"hint: a run ID (`id`) has 1 to {_limits.RUN_ID} characters, without spaces and `{' '.join(_RUN_ID_FORBIDDEN)}`"
    if not checked:
        raise UsageError(f"Run ID cannot be empty\n{rule}")
    if checked != checked.strip():
        raise UsageError(f"Run ID cannot start or end with whitespace: {_short(checked)}\n{rule}")
    if any(char.isspace() or char in _RUN_ID_FORBIDDEN for char in checked):
        raise UsageError(
            f"Run ID cannot contain spaces or the characters: {_RUN_ID_FORBIDDEN} in {_short(checked)}\n{rule}"
        )
    return _name_in_paths("run ID", checked, _RUN_ID_FORBIDDEN, _limits.RUN_ID, rule)


def project(value: Any) -> str:
    """A project name."""
    return _name_in_paths("project name", text("project", value), _PROJECT_FORBIDDEN, _limits.PROJECT)


def entity(value: Any) -> str:
    """An entity (user or team) name."""
    return _name_in_paths("entity name", text("entity", value), _PROJECT_FORBIDDEN, _limits.ENTITY)


def sweep_id(value: Any) -> str:
    """A sweep id."""
    checked = text("sweep_id", value)
    if not checked:
        raise UsageError("Sweep ID cannot be empty")
    if checked != checked.strip():
        raise UsageError("Sweep ID cannot start or end with whitespace")
    return _name_in_paths("sweep ID", checked, _RUN_ID_FORBIDDEN, _limits.RUN_ID)


def _limited(name: str, value: Any, limit: int) -> str:
    checked = text(name, value)
    if len(checked) > limit:
        raise SettingsError(f"`{name}` is {len(checked)} characters long, the limit is {limit}")
    return checked


def name(value: Any) -> str:
    """A run's display name."""
    return _limited("name", value, _limits.NAME)


def group(value: Any) -> str:
    """A run's group."""
    return _limited("group", value, _limits.GROUP)


def job_type(value: Any) -> str:
    """A run's job type."""
    return _limited("job_type", value, _limits.JOB_TYPE)


def notes(value: Any) -> str:
    """A run's notes."""
    checked = text("notes", value)
    size = len(checked.encode(errors="replace"))
    if size > _limits.NOTES_BYTES:
        raise SettingsError(f"`notes` has {size} bytes, the limit is {_limits.NOTES_BYTES}")
    return checked


def tags(value: Any) -> tuple[str, ...]:
    """A run's tags; one string is one tag."""
    if isinstance(value, str):
        value = (value,)
    try:
        items = tuple(value)
    except TypeError:
        raise SettingsTypeError(f"`tags` must be a sequence of strings, got {type(value).__name__}") from None
    for index, tag in enumerate(items):
        if not isinstance(tag, str):
            raise SettingsTypeError(f"`tags` must be strings, got {type(tag).__name__} at index {index}")
        if not tag:
            raise SettingsError(
                f"`tags`: Tag at index {index} is empty. Tags must be between 1 and {_limits.TAG} characters"
            )
        if len(tag) > _limits.TAG:
            short = f"{tag[:20]}...{tag[-20:]}"
            raise SettingsError(
                f"`tags`: Tag '{short}' is {len(tag)} characters. Tags must be between 1 and {_limits.TAG} characters"
            )
    if len(items) > _limits.TAGS:
        raise SettingsError(f"a run has at most {_limits.TAGS} tags, got {len(items)}")
    return items


def base_url(value: Any) -> str:
    """The URL of a server, without a trailing slash."""
    checked = text("base_url", value).strip().rstrip("/")
    scheme, separator, rest = checked.partition("://")
    host = rest.partition("/")[0]
    if (
        not separator
        or scheme not in ("http", "https")
        or not host
        or any(char.isspace() for char in checked)
    ):
        raise SettingsError(f"`base_url` must be an http or https URL, got {_short(checked)}")
    if "@" in host:
        raise SettingsError("`base_url` must not carry a user name or password; use `api_key`")
    return checked


def api_key(value: Any) -> str:
    """An API key; its text never enters a message."""
    if not isinstance(value, str):
        raise SettingsTypeError(f"`api_key` must be a string, got {type(value).__name__}")
    if value != value.strip():
        raise UsageError("API key cannot start or end with whitespace")
    return value


def key_format_problem(key: str) -> str | None:
    """Why `key` cannot be an API key, or None. Accepts `[prefix-]` and 40 or more key characters, or a JWT."""
    if not key:
        return "API key is empty"
    if key != key.strip():
        return "API key cannot start or end with whitespace"
    allowed = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    parts = key.split(".")
    if len(parts) == 3 and all(part and set(part.rstrip("=")) <= allowed for part in parts):
        return None
    if not set(key) <= allowed:
        return "API key has characters that are not letters, digits, `_` or `-`"
    if len(key) < 40:
        return f"API key must have 40 or more characters, has {len(key)}"
    return None


def run_moment(name: str, value: Any) -> dict[str, Any]:
    """`<run>?_step=<number>` (or an object with run, metric, value) as a branch point.

    A fork may also name an archived state of a run, `<run>:<generation>`.
    """
    if isinstance(value, dict):
        run, metric, number = value.get("run"), value.get("metric", "_step"), value.get("value")
    elif isinstance(value, str):
        run, separator, rest = value.rpartition("?")
        metric, _, number = rest.partition("=")
        run = run if separator else None
    else:
        run, metric, number = (getattr(value, field, None) for field in ("run", "metric", "value"))
    try:
        parsed = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        parsed = float("nan")
    if (
        not run
        or not isinstance(run, str)
        or metric != "_step"
        or parsed != parsed
        or parsed in (float("inf"), float("-inf"))
    ):
        raise SettingsError(
            f"Could not parse `{name}` {value!r}, expected format '<run>?<metric>=<numeric_value>'. Currently, only"
            " the metric '_step' is supported. Example: 'ans3bsax?_step=123'."
        )
    base, colon, generation = run.rpartition(":")
    if name == "fork_from" and colon and generation.isdecimal():
        run_id(base)
    else:
        run_id(run)
    return {"run": run, "metric": "_step", "value": parsed}
