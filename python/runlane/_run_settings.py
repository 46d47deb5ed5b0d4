"""What the daemon is told of a run: its settings and run record, as plain dicts for `_core`."""

from __future__ import annotations

import os

from ._json_text import encode
from ._limits import UNREACHABLE_SERVER_SECS
from .artifacts import _storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._config import Config
    from ._settings import Settings

# RunSettings field (proto/runlane_local.proto) -> setting.
_SAME = {
    "ignore_globs": "ignore_globs",
    "extra_http_headers": "x_extra_http_headers",
    "http_proxy": "http_proxy",
    "https_proxy": "https_proxy",
    "insecure_disable_ssl": "insecure_disable_ssl",
    "transmit_interval_secs": "x_file_stream_transmit_interval",
    "file_stream_timeout_secs": "x_file_stream_timeout_seconds",
    "graphql_timeout_secs": "x_graphql_timeout_seconds",
    "file_stream_max_bytes": "x_file_stream_max_bytes",
    "file_stream_max_line_bytes": "x_file_stream_max_line_bytes",
    "skip_transaction_log": "x_skip_transaction_log",
    "update_finish_state": "x_update_finish_state",
    "server_side_derived_summary": "x_server_side_derived_summary",
    "label": "x_label",
    "primary": "x_primary",
    "app_url": "app_url",
    "username": "username",
    "email": "email",
    "stop_on_fatal_error": "stop_on_fatal_error",
    "resume_from": "resume_from",
    "fork_from": "fork_from",
    "finish_timeout_secs": "finish_timeout",
    "durability": "x_durability",
}


def must_reach_server(settings: Settings) -> bool:
    """Whether the run cannot start from local state: only the server can say how it goes on."""
    return bool(
        settings.force
        or settings.resume in ("must", "never")
        or settings.fork_from is not None
        or settings.resume_from is not None
    )


def init_timeout_secs(settings: Settings) -> float:
    """How long the daemon waits for the server when the run starts."""
    limit = float(settings.init_timeout)
    return limit if must_reach_server(settings) else min(limit, UNREACHABLE_SERVER_SECS)


def daemon_settings(settings: Settings, api_key: str | None) -> dict[str, Any]:
    """The fields of `RunSettings`; those without a value are left out."""
    from . import __version__

    fields: dict[str, Any] = {
        "run_id": settings.run_id,
        "entity": settings.entity,
        "project": settings.project,
        "offline": bool(settings._offline),
        "sync_dir": settings.sync_dir,
        "files_dir": settings.files_dir,
        "resume": "allow" if settings.resume == "auto" else settings.resume,
        "init_timeout_secs": init_timeout_secs(settings),
        "shared": bool(settings._shared),
        "client_version": __version__,
        "typed_history": settings.x_history_value_encoding == "json,typed",
        "force": must_reach_server(settings),
        "metrics": _metric_settings(settings),
        "console": _console_settings(settings),
        "cache_dir": _storage.cache_dir(),
        "staging_dir": _storage.staging_dir(),
    }
    if not settings._offline:
        fields["base_url"] = settings.base_url
        fields["api_key"] = api_key
    for field, name in _SAME.items():
        fields[field] = getattr(settings, name)
    for field in ("extra_http_headers", "ignore_globs"):
        if fields[field] is not None:
            fields[field] = _plain(fields[field])
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _metric_settings(settings: Settings) -> dict[str, Any] | None:
    """What is sampled while the run lives; None for nothing."""
    if settings.x_disable_stats or settings.x_disable_machine_info:
        return None
    local_rank = os.environ.get("LOCAL_RANK", "")
    return {
        "interval_secs": float(settings.x_stats_sampling_interval),
        "pid": settings.x_stats_pid,
        "process_tree": bool(settings.x_stats_track_process_tree),
        "disk_paths": [str(path) for path in settings.x_stats_disk_paths],
        "gpu_device_ids": settings.x_stats_gpu_device_ids,
        "no_cgroup": bool(settings.x_stats_no_cgroup),
        "self_usage": bool(settings.x_stats_self_usage),
        "buffer_size": settings.x_stats_buffer_size,
        "neuron_monitor_config_path": settings.x_stats_neuron_monitor_config_path,
        "dcgm_exporter": settings.x_stats_dcgm_exporter,
        "open_metrics_endpoints": _texts(settings.x_stats_open_metrics_endpoints),
        "open_metrics_filters": _open_metrics_filters(settings.x_stats_open_metrics_filters),
        "open_metrics_http_headers": _texts(settings.x_stats_open_metrics_http_headers),
        "local_rank": int(local_rank) if local_rank.isdecimal() else None,
        "dcgm_profiling": bool(os.environ.get("WANDB_ENABLE_DCGM_PROFILING")),
    }


def _open_metrics_filters(filters: Any) -> list[dict[str, Any]]:
    """Both documented forms, a list of patterns and pattern -> {label: pattern}, as the daemon takes them."""
    if not isinstance(filters, dict):
        return [{"name": str(pattern), "labels": {}} for pattern in filters or ()]
    return [{"name": str(name), "labels": _texts(labels) or {}} for name, labels in filters.items()]


def _console_settings(settings: Settings) -> dict[str, Any]:
    return {
        "is_multipart": bool(settings.console_multipart),
        "chunk_max_bytes": settings.console_chunk_max_bytes,
        "chunk_max_secs": settings.console_chunk_max_seconds,
    }


def _texts(mapping: Any) -> dict[str, str] | None:
    return {str(key): str(value) for key, value in mapping.items()} if mapping else None


def _plain(value: Any) -> Any:
    return _texts(value) or {} if isinstance(value, dict) else [str(item) for item in value]


def run_record(
    settings: Settings, config: Config, git: dict[str, str], telemetry: dict[str, Any]
) -> dict[str, Any]:
    """The run as the log's run record has it."""
    record: dict[str, Any] = {
        "run_id": settings.run_id,
        "entity": settings.entity,
        "project": settings.project,
        "config": {key: encode(value) for key, value in config.as_dict().items()},
        "display_name": settings.run_name,
        "notes": settings.run_notes,
        "tags": list(settings.run_tags or ()),
        "run_group": settings.run_group,
        "job_type": settings.run_job_type,
        "sweep_id": settings.sweep_id,
        "host": settings.host,
        "start_time_micros": int(settings.x_start_time * 1e6),
        "resume": settings.resume is not None,
        "branch_point": settings.fork_from or settings.resume_from,
        "git": git or None,
        "telemetry": telemetry,
    }
    return {name: value for name, value in record.items() if value not in (None, "")}
