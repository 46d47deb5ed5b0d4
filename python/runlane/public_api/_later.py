"""Parts of the Public API that later versions bring: their names exist, using them says so."""

from __future__ import annotations

from runlane._later import refuse as later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Class names of wandb's module, by what they belong to.
_CLASSES = {
    "sweeps": "AgentRuns Sweep Sweeps",
    "reports": "BetaReport PanelMetricsHelper PythonMongoishQueryGenerator QueryGenerator Reports",
    "registries": "Organization Registries Registry",
    "automations": "Automations Integrations SlackIntegrations WebhookIntegrations",
    "launch queues": "Job QueuedRun RunQueue RunQueueAccessType RunQueuePrioritizationMode RunQueueResourceType",
}

__all__ = ("LATER", "later", "later_class")

#: Name of a class to what it belongs to.
LATER = {name: part for part, names in _CLASSES.items() for name in names.split()}


def later_class(name: str) -> type:
    """A class that cannot be made yet, for `isinstance` and annotations."""

    def refuse_to_be(_self: object, *_args: Any, **_kwargs: Any) -> None:
        later(name, LATER[name])

    return type(name, (), {"__init__": refuse_to_be, "__module__": "runlane.public_api"})
