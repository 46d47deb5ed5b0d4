"""What a run records of how the library was used. It stays with the run; it is sent to nobody else."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Numbers of TelemetryRecord.feature.
WATCH = 1
FINISH = 2
SAVE = 3
OFFLINE = 4
RESUMED = 5
METRIC = 7
ARTIFACT_INCREMENTAL = 10
SET_INIT_NAME = 13
SET_INIT_ID = 14
SET_INIT_TAGS = 15
SET_INIT_CONFIG = 16
SET_RUN_NAME = 17
SET_RUN_TAGS = 18
SET_CONFIG_ITEM = 19
INIT_RETURN_RUN = 24
ATTACH = 33
TENSORBOARD_PATCH = 34
TENSORBOARD_SYNC = 35
SET_SUMMARY = 62
METRIC_SUMMARY = 63
METRIC_GOAL = 64
METRIC_HIDDEN = 65
METRIC_STEP_SYNC = 66
SHARED_MODE = 67
FORK_MODE = 71
REWIND_MODE = 72
FINISH_TIMEOUT = 74

# Numbers of TelemetryRecord.imports.
_IMPORTS = """
1 torch 2 keras 3 tensorflow 4 fastai 5 sklearn 6 xgboost 7 catboost 8 lightgbm 9 pytorch_lightning 10 ignite 11 transformers 12 jax
13 metaflow 14 allennlp 15 autogluon 16 autokeras 18 catalyst 30 ray 32 skorch 33 spacy 35 optuna 37 mmcv 38 mmdet 40 torchtext
41 torchvision 43 detectron2 44 flair 45 flax 48 monai 49 huggingface_hub 50 hydra 51 datasets 53 joblib 54 dask 63 timm 64 fairseq
66 composer 71 accelerate 75 sentence_transformers 77 torch_geometric 80 albumentations 82 mmengine 83 diffusers 84 trl 86 langchain
87 llama_index 95 openai 97 anthropic 98 peft 99 optimum 100 evaluate 103 lightning_fabric 106 lightning 107 dspy
""".split()


def imported() -> list[int]:
    """Numbers of the machine learning packages that this process has imported."""
    modules = sys.modules
    return [
        int(number) for number, name in zip(_IMPORTS[::2], _IMPORTS[1::2], strict=True) if name in modules
    ]


def record(features: list[int], environments: list[int] | None = None) -> dict[str, Any]:
    """The telemetry record of a run that starts."""
    from . import __version__

    system = os.uname()
    return {
        "feature": sorted(set(features)),
        "imports_init": imported(),
        "env": environments or [],
        "python_version": "{}.{}.{}".format(*sys.version_info[:3]),
        "cli_version": __version__,
        "core_version": __version__,
        "platform": f"{system.sysname}-{system.machine}".lower(),
    }
