"""The table of settings: name, kind, default. Kinds are read by `_settings_values`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODES = ("online", "offline", "shared", "disabled", "dryrun", "run")
RESUME = ("allow", "must", "never", "auto")
REINIT = ("default", "return_previous", "finish_previous", "create_new")
CONSOLE = ("auto", "off", "wrap", "redirect", "wrap_raw", "wrap_emu")

CHOICES: dict[str, tuple[str, ...]] = {
    "mode": MODES,
    "resume": RESUME,
    "reinit": REINIT,
    "console": CONSOLE,
    "job_source": ("repo", "artifact", "image"),
    "x_service_transport": ("unix", "tcp"),
    "x_durability": ("strict", "relaxed"),
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "text": dict.fromkeys(
        (
            "app_url_override base_url api_key entity organization project username email http_proxy https_proxy run_id run_name"
            " run_notes run_group run_job_type sweep_id job_name git_commit git_remote_url docker host notebook_name x_jupyter_name"
            " x_label x_stats_gpu_type x_runqueue_item_id wandb_kubeflow_url"
        ).split()
    )
    | {
        "git_remote": "origin",
        "x_sync_dir_suffix": "",
        "x_history_value_encoding": "json",
        "x_stats_coreweave_metadata_base_url": "http://169.254.169.254",
        "x_stats_coreweave_metadata_endpoint": "/api/v2/cloud-init/meta-data",
    },
    "path": dict.fromkeys(
        (
            "identity_token_file credentials_file settings_system sweep_param_path launch_config_path root_dir x_files_dir code_dir"
            " git_root program program_abspath program_relpath x_jupyter_path x_jupyter_root x_executable"
            " x_stats_neuron_monitor_config_path x_stats_dcgm_exporter"
        ).split()
    ),
    "boolean": dict.fromkeys(
        "use_dot_wandb sync_tensorboard strict show_colors show_emoji save_code x_flow_control_disabled monitor_gym".split()
    )
    | dict.fromkeys(
        (
            "insecure_disable_ssl force relogin resumed allow_val_change launch label_disable finish_timeout_raises"
            " stop_on_fatal_error sagemaker_disable allow_media_symlink x_sync x_skip_transaction_log console_multipart quiet silent"
            " disable_code disable_git x_disable_meta x_disable_machine_info x_disable_viewer x_cli_only_mode"
            " table_raise_on_max_row_limit_exceeded x_server_side_derived_summary x_disable_stats x_stats_track_process_tree"
            " x_stats_no_cgroup x_stats_self_usage show_run x_shared x_async_media"
        ).split(),
        False,
    )
    | dict.fromkeys(
        (
            "disable_job_creation symlink allow_offline_artifacts show_errors show_warnings show_info disable_git_fork_point"
            " x_save_requirements x_primary x_update_finish_state x_file_stream_no_gzip error_reporting"
        ).split(),
        True,
    ),
    "integer": dict.fromkeys(
        (
            "x_file_stream_max_bytes x_file_stream_max_line_bytes x_file_stream_retry_max x_file_transfer_retry_max"
            " x_graphql_retry_max x_live_policy_rate_limit x_live_policy_wait_time x_network_buffer x_stats_gpu_count"
            " x_stats_cpu_count x_stats_cpu_logical_count x_stats_pid artifact_fetch_file_url_batch_size agent_report_interval"
        ).split()
    )
    | {
        "summary_timeout": 60,
        "heartbeat_seconds": 30,
        "console_chunk_max_bytes": 0,
        "console_chunk_max_seconds": 0,
        "max_end_of_run_history_metrics": 10,
        "max_end_of_run_summary_metrics": 10,
        "summary_warnings": 5,
        "x_log_level": 20,
        "x_stats_buffer_size": 0,
    },
    "number": dict.fromkeys(
        (
            "login_timeout x_file_stream_transmit_interval x_file_stream_timeout_seconds x_file_stream_retry_wait_min_seconds"
            " x_file_stream_retry_wait_max_seconds x_file_transfer_retry_wait_min_seconds x_file_transfer_retry_wait_max_seconds"
            " x_file_transfer_timeout_seconds x_graphql_retry_wait_min_seconds x_graphql_retry_wait_max_seconds"
            " x_graphql_timeout_seconds x_start_time"
        ).split()
    )
    | {
        "init_timeout": 90.0,
        "finish_timeout": 0.0,
        "x_transaction_log_flush_interval": 15.0,
        "x_stats_sampling_interval": 15.0,
        "x_service_wait": 30.0,
        "x_internal_check_process": 8.0,
    },
    "list": {
        "run_tags": None,
        "config_paths": None,
        "ignore_globs": (),
        "x_stats_disk_paths": ("/",),
        "x_stats_gpu_device_ids": None,
    },
    "map": dict.fromkeys(
        (
            "azure_account_url_to_access_key capture_loggers x_extra_http_headers x_proxies x_flow_control_custom"
            " x_stats_open_metrics_endpoints x_stats_open_metrics_filters x_stats_open_metrics_http_headers"
        ).split()
    ),
    "choice": {
        "mode": "online",
        "resume": None,
        "reinit": "default",
        "console": "auto",
        "job_source": None,
        "x_service_transport": None,
        "x_durability": None,
    },
    "moment": {"resume_from": None, "fork_from": None},
    "any": {"stop_fn": None},
}

KINDS: dict[str, str] = {name: kind for kind, fields in _DEFAULTS.items() for name in fields}
DEFAULTS: dict[str, Any] = {
    name: default for fields in _DEFAULTS.values() for name, default in fields.items()
}

#: Other spellings that code may use.
ALIASES = {"x_primary_node": "x_primary"}
#: Accepted without effect.
IGNORED = frozenset("anonymous magic start_method disable_weave _except_exit _require_core".split())

#: Variables whose field is not their lower-case name.
ENV_FIELDS = {
    "DIR": "root_dir",
    "NAME": "run_name",
    "NOTES": "run_notes",
    "TAGS": "run_tags",
    "JOB_TYPE": "run_job_type",
    "APP_URL": "app_url_override",
    "HTTP_TIMEOUT": "x_graphql_timeout_seconds",
    "FILE_PUSHER_TIMEOUT": "x_file_transfer_timeout_seconds",
    "USER_EMAIL": "email",
    "SERVICE_TRANSPORT": "x_service_transport",
}
#: Fields that a variable of their name does not set.
NOT_FROM_ENV = frozenset(
    ("root_dir", "settings_system", "stop_fn", "resumed", "x_start_time", "save_code", "disable_code")
)
#: Fields whose text form is a list separated by commas.
COMMA_LISTS = frozenset(("run_tags", "ignore_globs", "config_paths", "x_stats_disk_paths"))
