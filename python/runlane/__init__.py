"""runlane: track machine learning experiments.

`import runlane as wandb` runs code that was written for wandb. Importing this module loads nothing else: every public
name is fetched when it is first used, so that a script which only imports runlane pays for one small file.
"""

# ruff: noqa: TC004 - the names of the type-checking block are what the module hands out lazily
from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from . import data_types as data_types
    from . import env as env
    from . import errors as errors
    from . import integration as integration
    from . import plot as plot
    from . import tensorboard as tensorboard
    from . import util as util
    from ._attaching import attach as attach
    from ._config import Config as Config
    from ._init import init as init
    from ._later import agent as agent
    from ._later import controller as controller
    from ._later import sweep as sweep
    from ._login import login as login
    from ._run import Run as Run
    from ._run_alerts import AlertLevel as AlertLevel
    from ._settings import Settings as Settings
    from ._setup import finish as finish
    from ._setup import require as require
    from ._setup import restore as restore
    from ._setup import setup as setup
    from ._setup import teardown as teardown
    from .artifacts import Artifact as Artifact
    from .artifacts import ArtifactTTL as ArtifactTTL
    from .data_types.audio import Audio as Audio
    from .data_types.eval_table import EvalTable as EvalTable
    from .data_types.histogram import Histogram as Histogram
    from .data_types.html import Html as Html
    from .data_types.image import Image as Image
    from .data_types.joined_table import JoinedTable as JoinedTable
    from .data_types.molecule import Molecule as Molecule
    from .data_types.object3d import Object3D as Object3D
    from .data_types.plotly import Plotly as Plotly
    from .data_types.table import Table as Table
    from .data_types.video import Video as Video
    from .errors import CommError as CommError
    from .errors import Error as Error
    from .errors import UsageError as UsageError
    from .plot import plot_table as plot_table
    from .plot import visualize as visualize
    from .public_api import Api as Api
    from .terminal import termerror as termerror
    from .terminal import termlog as termlog
    from .terminal import termsetup as termsetup
    from .terminal import termwarn as termwarn

    config: Any
    summary: Any
    log: Callable[..., None]
    save: Callable[..., Any]
    define_metric: Callable[..., Any]
    alert: Callable[..., None]
    mark_preempting: Callable[[], None]

__version__ = "0.1.0"

#: The active run of this process, or None.
run: Run | None = None

# Public name -> module that defines it.
_NAMES = {
    "AlertLevel": "_run_alerts",
    "Api": "public_api",
    "Artifact": "artifacts",
    "ArtifactTTL": "artifacts",
    "Audio": "data_types.audio",
    "Classes": "data_types.classes",
    "CommError": "errors",
    "Config": "_config",
    "Error": "errors",
    "EvalTable": "data_types.eval_table",
    "Graph": "data_types.graph",
    "Histogram": "data_types.histogram",
    "Html": "data_types.html",
    "Image": "data_types.image",
    "JoinedTable": "data_types.joined_table",
    "Molecule": "data_types.molecule",
    "Object3D": "data_types.object3d",
    "Plotly": "data_types.plotly",
    "Run": "_run",
    "Settings": "_settings",
    "Table": "data_types.table",
    "UsageError": "errors",
    "Video": "data_types.video",
    "api": "_login",
    "attach": "_attaching",
    "box3d": "data_types.box3d",
    "ensure_configured": "_login",
    "finish": "_setup",
    "init": "_init",
    "load_ipython_extension": "_notebook",
    "login": "_login",
    "patched": "integration.gym",
    "plot_table": "plot",
    "require": "_setup",
    "restore": "_setup",
    "setup": "_setup",
    "teardown": "_setup",
    "termerror": "terminal",
    "termlog": "terminal",
    "termsetup": "terminal",
    "termwarn": "terminal",
    "visualize": "plot",
}
# Another spelling of a public name.
_ALIASES = {"_attach": "attach", "_teardown": "teardown", "join": "finish"}
# Public names of later issues: they can be imported, and say so when they are used.
_LATER = frozenset(
    (
        "agent agents analytics controller docker helper jupyter profiler proto"
        " sagemaker_auth sweep trigger wandb_agent wandb_torch"
    ).split()
)
# Modules of `runlane.integration` that are attributes of the package as well.
_INTEGRATIONS = frozenset("catboost gym keras lightgbm sacred sklearn tensorflow xgboost".split())
_SUBMODULES = frozenset("data_types env errors integration plot public_api tensorboard terminal util".split())
# Module paths of wandb that code reaches for, such as `wandb.sdk.wandb_run.Run`.
_WANDB_MODULES = frozenset(("apis", "sdk", "wandb_lib", "wandb_run", "wandb_sdk"))
# Methods of the active run that are functions of the module; before `init` they raise.
_RUN_METHODS = frozenset(
    (
        "alert define_metric link_model log log_artifact log_model mark_preempting pin_config_keys save unwatch use_artifact"
        " use_model watch"
    ).split()
)


class _Module(type(sys)):  # type: ignore[misc]
    """The type of this module: lazy names, and `config` as an attribute that can be assigned."""

    def __getattr__(self, name: str) -> Any:
        name = _ALIASES.get(name, name)
        if name in _RUN_METHODS or name == "summary":
            from . import _preinit

            return _preinit.placeholder(name)
        if name in _WANDB_MODULES:
            return __import__(f"{__name__}._wandb_names", fromlist=["_"]).module(name)
        if name in _SUBMODULES:
            return __import__(f"{__name__}.{name}", fromlist=["_"])
        if name in _INTEGRATIONS:
            return __import__(f"{__name__}._wandb_names", fromlist=["_"]).integration(name)
        if name in _LATER:
            module = "_later"
        elif name in _NAMES:
            module = _NAMES[name]
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(__import__(f"{__name__}.{module}", fromlist=["_"]), name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted(
            {
                *self.__dict__,
                *(*_NAMES, *_ALIASES, *_LATER, *_INTEGRATIONS, *_SUBMODULES, *_WANDB_MODULES, *_RUN_METHODS),
                *("config", "summary"),
            }
        )

    @property
    def config(self) -> Any:
        """The config of the active run."""
        run = self.__dict__["run"]
        if run is not None:
            return run.config
        from . import _preinit

        return _preinit.config()

    @config.setter
    def config(self, value: Any) -> None:
        run = self.__dict__["run"]
        if run is not None:
            if value is not run.config:
                run.config.update(value)
            return
        from . import _preinit

        _preinit.remember_config(value)


sys.modules[__name__].__class__ = _Module

if "IPython" in sys.modules:
    # A notebook's cells know `%wandb` as soon as this is imported.
    __import__(f"{__name__}._notebook", fromlist=["_"]).load_magics()

__all__ = (  # noqa: F822, PLE0604, RUF100 - the names are made on first use
    "AlertLevel",
    "Api",
    "Artifact",
    "Audio",
    "Histogram",
    "Html",
    "Image",
    "Molecule",
    "Object3D",
    "Plotly",
    "Run",
    "Settings",
    "Table",
    "Video",
    "__version__",
    "agent",
    "config",
    "controller",
    "define_metric",
    "finish",
    "init",
    "join",
    "link_model",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "plot_table",
    "save",
    "setup",
    "summary",
    "sweep",
    "teardown",
    "unwatch",
    "use_artifact",
    "use_model",
    "watch",
)
