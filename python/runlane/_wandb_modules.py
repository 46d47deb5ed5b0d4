"""The table behind `_wandb_names`: wandb's module paths, and what stands behind each."""

from __future__ import annotations

_TYPES = "Audio Graph Histogram Html Image Molecule Object3D Plotly Table Video".split()


def _public(*names: str) -> dict[str, str]:
    """Names that are runlane's own public ones."""
    return {name: f":{name}" for name in names}


def _artifacts(*names: str) -> dict[str, str]:
    """Names of the package `artifacts`."""
    return {name: f"artifacts:{name}" for name in names}


# Module of wandb -> module of runlane whose names it shows, or single names (name -> module:name; without a module runlane's own).
MODULES: dict[str, str | dict[str, str]] = {
    "apis": {},
    "apis.public": "public_api",
    "cli": {},
    "cli.cli": {"cli": "_cli:cli"},
    "data_types": "data_types",
    "env": "env",
    "errors": "errors",
    "errors.errors": "errors",
    "errors.term": "terminal",
    "integration": {},
    "integration.tensorboard": "tensorboard",
    "plot": "plot",
    "plot.custom_chart": "plot.custom_chart",
    "plot.viz": "plot.viz",
    "sdk": {
        **_public(
            "AlertLevel", "Artifact", "Config", "Settings", "finish", "init", "login", "require", "setup"
        ),
        **_public("sweep", "controller", "teardown"),
        "Summary": "_summary:Summary",
    },
    "sdk.artifacts": {},
    "sdk.artifacts.artifact": _public("Artifact"),
    "sdk.artifacts.artifact_manifest": _artifacts("ArtifactManifest"),
    "sdk.artifacts.artifact_manifest_entry": _artifacts("ArtifactManifestEntry"),
    "sdk.artifacts.artifact_manifests": {},
    "sdk.artifacts.artifact_manifests.artifact_manifest_v1": {
        "ArtifactManifestV1": "artifacts:ArtifactManifest"
    },
    "sdk.artifacts.artifact_ttl": _public("ArtifactTTL"),
    "sdk.artifacts.exceptions": _artifacts(
        "ArtifactFinalizedError",
        "ArtifactNotLoggedError",
        "ArtifactStatusError",
        "TooFewItemsError",
        "TooManyItemsError",
        "WaitTimeoutError",
    ),
    "sdk.artifacts.staging": {"get_staging_dir": "artifacts._storage:staging_dir"},
    "sdk.data_types": {},
    **{
        f"sdk.data_types.{name.lower()}": _public(name)
        for name in _TYPES
        if name not in ("Object3D", "Table")
    },
    "sdk.data_types.table": {
        **_public("JoinedTable", "Table"),
        "PartitionedTable": "data_types.partitioned_table:PartitionedTable",
    },
    "sdk.data_types.object_3d": _public("Object3D", "box3d"),
    "sdk.data_types.eval_table": _public("EvalTable"),
    "sdk.data_types.bokeh": {"Bokeh": "data_types.bokeh:Bokeh"},
    "sdk.data_types.helper_types": {},
    "sdk.data_types.helper_types.bounding_boxes_2d": {"BoundingBoxes2D": "data_types.boxes:BoundingBoxes2D"},
    "sdk.data_types.helper_types.classes": _public("Classes"),
    "sdk.data_types.helper_types.image_mask": {"ImageMask": "data_types.masks:ImageMask"},
    "sdk.data_types.base_types": {},
    "sdk.data_types.base_types.media": {
        name: f"data_types.base:{name}" for name in ("BatchableMedia", "Media")
    },
    "sdk.data_types.base_types.wb_value": {"WBValue": "data_types.base:WBValue"},
    "sdk.lib": {"RunDisabled": "_disabled:DisabledRun"},
    "sdk.lib.config_util": {"ConfigError": "errors:ConfigError"},
    "sdk.lib.disabled": {"RunDisabled": "_disabled:DisabledRun"},
    "sdk.lib.printer": {name: f"_framework_helpers:{name}" for name in ("Printer", "new_printer")},
    "sdk.lib.runid": {"generate_fast_id": "util:generate_id", "generate_id": "util:generate_id"},
    "sdk.lib.telemetry": {"context": "_framework_helpers:telemetry_context"},
    "sdk.mailbox": {},
    "sdk.mailbox.mailbox_handle": {"ServerResponseError": "errors:CommError"},
    "sdk.wandb_alerts": _public("AlertLevel"),
    "sdk.wandb_config": _public("Config"),
    "sdk.wandb_init": _public("init"),
    "sdk.wandb_login": _public("login"),
    "sdk.wandb_metric": {"Metric": "_run_metrics:Metric"},
    "sdk.wandb_require": _public("require"),
    "sdk.wandb_run": _public("Run"),
    "sdk.wandb_settings": _public("Settings"),
    "sdk.wandb_setup": _public("setup", "teardown"),
    "sdk.wandb_summary": {"Summary": "_summary:Summary"},
    "sdk.wandb_sweep": _public("controller", "sweep"),
    "util": "util",
    "wandb_run": _public("Run"),
}

#: Integrations that are packages of `runlane.integration`.
_INTEGRATIONS = (
    "catboost fastai gym keras lightgbm lightning lightning.fabric sacred sb3 sklearn torch xgboost".split()
)
#: Integrations that come later: importing one works, its names say so.
_LATER = (
    "diffusers dspy huggingface kfp metaflow openai prodigy sagemaker tensorflow ultralytics weave".split()
)

MODULES.update({f"integration.{name}": f"integration.{name}" for name in _INTEGRATIONS})
MODULES.update({f"integration.{name}": "integration._later" for name in _LATER})
# Older names of two packages.
MODULES.update({"wandb_lib": MODULES["sdk.lib"], "wandb_sdk": MODULES["sdk"]})
# Attributes of the module `wandb` that lead to an integration, too; they can be imported as modules.
for _name in (
    "catboost",
    "gym",
    "keras",
    "lightgbm",
    "sacred",
    "sklearn",
    "tensorboard",
    "tensorflow",
    "xgboost",
):
    MODULES[_name] = MODULES[f"integration.{_name}"]
