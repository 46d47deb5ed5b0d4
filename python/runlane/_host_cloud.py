"""Where a host stands in CoreWeave's cloud, for the run's metadata.

Its metadata service is asked only on a host that says that it is CoreWeave's, or if settings name another service: an address of
the local link may be anybody's.
"""

from __future__ import annotations

from ._host_accelerators import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._settings import Settings

#: The service answers at once or is not there.
_TIMEOUT_SECS = 1.0
_MAX_BYTES = 65536
_DEFAULT_SERVICE = "http://169.254.169.254"
#: Names in the service's answer by our names.
_NAMES = {"clustername": "cluster_name", "orgid": "org_id", "region": "region"}


def coreweave(settings: Settings) -> dict[str, str]:
    """`cluster_name`, `org_id` and `region`, as far as they are known. Blocks for 2 s at most."""
    service = settings.x_stats_coreweave_metadata_base_url
    if not service or (service == _DEFAULT_SERVICE and not _is_coreweave()):
        return {}
    return _parse(_get(service.rstrip("/") + settings.x_stats_coreweave_metadata_endpoint))


def _is_coreweave() -> bool:
    marks = ("sys_vendor", "chassis_vendor", "product_name", "chassis_asset_tag")
    return any("coreweave" in read_text(f"/sys/class/dmi/id/{mark}").lower() for mark in marks)


def _get(url: str) -> str:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return ""
    # No proxy: the address has a meaning on this host only.
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_SECS)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        if response.status != 200:  # noqa: PLR2004, RUF100
            return ""
        return response.read(_MAX_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _parse(text: str) -> dict[str, str]:
    """Lines `name: value`, as cloud-init writes them, or a JSON object."""
    import json

    try:
        document = json.loads(text)
        pairs = list(document.items()) if isinstance(document, dict) else []
    except ValueError:
        pairs = [(name, value) for name, _, value in (line.partition(":") for line in text.splitlines())]
    found: dict[str, str] = {}
    for name, value in pairs:
        field = _NAMES.get(str(name).strip().lower().replace("-", "").replace("_", ""))
        if field and isinstance(value, str) and value.strip():
            found.setdefault(field, value.strip().strip("\"'"))
    return found
