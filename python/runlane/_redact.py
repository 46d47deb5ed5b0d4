"""Secrets in what is captured of a program: its arguments, addresses, variables of its scheduler, its console.

Captured data goes to the log and to the server without anybody having asked for each piece of it, so that common shapes of
secrets are replaced first. What the user logs and configures is left alone. `RUNLANE_REDACT_EXCEPT` lists names of
options and variables, separated by commas, whose values are kept.

Nothing here is imported for a program without arguments; `re` only when something looks as if it might be a secret.
"""

from __future__ import annotations

import functools
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

REDACTED = "[redacted]"

#: Last word of a name whose value is a secret.
_SECRET_WORDS = frozenset(
    "token password passwd passphrase pwd pass secret secrets apikey credential credentials authtoken accesstoken".split()
)
#: Last two words of such a name.
_SECRET_PAIRS = frozenset(
    (first, "key")
    for first in ("api", "access", "secret", "private", "account", "encryption", "auth", "signing", "ssh")
)
#: `pad_token` and the like are words of models.
_MODEL_TOKENS = frozenset(
    "pad eos bos unk sep cls mask start end stop special image audio video text next first last per num max min new".split()
)
#: What the tokens of services begin with, and what precedes one: without any of these a text is not searched.
_MARKS = (
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "hf_",
    "sk-",
    "sk_",
    "rk_",
    "gsk_",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "xox",
    "npm_",
    "pypi-",
    "dckr_pat_",
    "eyJ",
    "earer ",
    "asic ",
    "PRIVATE KEY",
    "local-",
    "wandb_v1_",
    "SG.",
    "dapi",
    "r8_",
    "hvs.",
    "dop_v1_",
    "lin_api_",
    "AccountKey=",
    "SharedAccess",
    "/bot",
    ":AA",
)
_TOKENS = r"""
    gh[opsur]_[A-Za-z0-9]{20,} | github_pat_\w{20,} | gl(?:pat|dt|rt)-[\w-]{16,} | hf_[A-Za-z0-9]{16,}
  | \bsk-[\w-]{16,} | \b[rs]k_(?:live|test)_[A-Za-z0-9]{10,} | \bgsk_[A-Za-z0-9]{16,}
  | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[\w-]{30,} | \bya29\.[\w-]{16,} | \bxox[abeoprs]-[\w-]{10,}
  | \bnpm_[A-Za-z0-9]{20,} | \bpypi-[\w-]{16,} | \bdckr_pat_[\w-]{16,}
  | \beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?
  | \blocal-[\w-]{40,} | \bwandb_v1_\w{16,} | \bSG\.[\w-]{16,}\.[\w-]{16,} | \bdapi[0-9a-f]{32}
  | \br8_[A-Za-z0-9]{20,} | \bhvs\.[\w-]{16,} | \bdop_v1_[0-9a-f]{32,} | \blin_api_[A-Za-z0-9]{16,}
  | (?<=/bot)\d{6,}:[\w-]{30,} | \b\d{8,10}:AA[\w-]{32,}
  | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----|\Z)
"""

_own: set[str] = set()


def keep_secret(key: str | None) -> None:
    """From now on the key is hidden wherever it turns up."""
    if key:
        _own.add(key)


def own() -> set[str]:
    """The keys of this process."""
    return set(_own)


def own_keys(text: str) -> str:
    """`text` without the keys of this process."""
    for key in _own:
        if key in text:
            text = text.replace(key, REDACTED)
    return text


def arguments(words: Sequence[str]) -> list[str]:
    """The arguments of a program, secrets replaced: by their form, and by the name of the option that they belong to."""
    found: list[str] = []
    follows_secret = False
    for word in words:
        is_option = word.startswith("-") and not word[1:2].isdigit()
        name, separator, value = word.partition("=")
        if follows_secret and not is_option:
            found.append(REDACTED)
        elif separator and value and "/" not in name and _is_secret(name):
            found.append(f"{name}={REDACTED}")
        else:
            found.append(text(word))
        follows_secret = is_option and not separator and _is_secret(word)
    return found


def variables(values: dict[str, str]) -> dict[str, str]:
    """Environment variables, secrets replaced."""
    return {name: REDACTED if value and _is_secret(name) else text(value) for name, value in values.items()}


def text(value: str) -> str:
    """`value` without keys of this process, user names and passwords in URLs, and tokens of well-known forms."""
    value = own_keys(value)
    is_url = "://" in value and ("@" in value or "?" in value)
    if not is_url and not any(mark in value for mark in _MARKS):
        return value
    url, query, header, tokens = _patterns()
    value = url.sub(r"\1", value)
    value = query.sub(rf"\1{REDACTED}", value)
    value = header.sub(rf"\1{REDACTED}", value)
    return tokens.sub(REDACTED, value)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    import re

    return (
        # User information of a URL; a password may hold an `@`, a path may too.
        re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]+@"),
        re.compile(
            r"(?i)((?:[?&;][\w.-]*(?:token|password|passwd|secret|signature|api_?key|access_?key|credential)"
            r"|[?&;](?:sig|pwd|auth|key)|AccountKey|SharedAccessKey|SharedAccessSignature)=)[^&;#\s]+"
        ),
        re.compile(r"(?i)(\b(?:authorization\s*[:=]\s*)?(?:bearer|basic)\s+)[\w.~+/=-]{12,}"),
        re.compile(_TOKENS, re.VERBOSE | re.DOTALL),
    )


@functools.cache
def _excepted() -> frozenset[str]:
    names = os.environ.get("RUNLANE_REDACT_EXCEPT", "").split(",")
    return frozenset("_".join(_words(name)) for name in names if name.strip())


def _words(name: str) -> list[str]:
    """`--db.apiKey` as `db`, `api`, `key`."""
    spaced = "".join(
        f" {char}" if char.isupper() and before.islower() else char if char.isalnum() else " "
        for before, char in zip(f" {name}", name, strict=False)
    )
    return spaced.lower().split()


def _is_secret(name: str) -> bool:
    """Whether a value that goes by this name is a secret."""
    words = _words(name)
    if not words or "_".join(words) in _excepted():
        return False
    if words[-1] == "token" and len(words) > 1 and words[-2] in _MODEL_TOKENS:
        return False
    return words[-1] in _SECRET_WORDS or tuple(words[-2:]) in _SECRET_PAIRS
