"""Methods of `Api` that come with later parts of the Public API; each says so."""

from __future__ import annotations

from ._later import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal


class ApiLater:
    """Methods that come with later parts of the Public API; each says so."""

    def automation(self, name: str, *, entity: str | None = None) -> Any:
        """Comes with automations."""
        del name, entity
        later("Api.automation", "automations")

    def automations(
        self,
        entity: str | None = None,
        *,
        name: str | None = None,
        per_page: int = 50,
        start: str | None = None,
    ) -> Any:
        """Comes with automations."""
        del entity, name, per_page, start
        later("Api.automations", "automations")

    def create_automation(self, obj: Any, *, fetch_existing: bool = False, **kwargs: Any) -> Any:
        """Comes with automations."""
        del obj, fetch_existing, kwargs
        later("Api.create_automation", "automations")

    def update_automation(self, obj: Any, *, create_missing: bool = False, **kwargs: Any) -> Any:
        """Comes with automations."""
        del obj, create_missing, kwargs
        later("Api.update_automation", "automations")

    def delete_automation(self, obj: Any) -> Any:
        """Comes with automations."""
        del obj
        later("Api.delete_automation", "automations")

    def integrations(self, entity: str | None = None, *, per_page: int = 50, start: str | None = None) -> Any:
        """Comes with automations."""
        del entity, per_page, start
        later("Api.integrations", "automations")

    def slack_integrations(
        self, *, entity: str | None = None, per_page: int = 50, start: str | None = None
    ) -> Any:
        """Comes with automations."""
        del entity, per_page, start
        later("Api.slack_integrations", "automations")

    def webhook_integrations(
        self, entity: str | None = None, *, per_page: int = 50, start: str | None = None
    ) -> Any:
        """Comes with automations."""
        del entity, per_page, start
        later("Api.webhook_integrations", "automations")

    def create_custom_chart(
        self,
        entity: str,
        name: str,
        display_name: str,
        spec_type: Literal["vega2"],
        access: Literal["private", "public"],
        spec: str | dict[str, Any],
    ) -> str:
        """Comes with stored chart presets."""
        del entity, name, display_name, spec_type, access, spec
        later("Api.create_custom_chart", "chart presets")

    def create_registry(
        self,
        name: str,
        visibility: Literal["organization", "restricted"],
        organization: str | None = None,
        description: str | None = None,
        artifact_types: list[str] | None = None,
    ) -> Any:
        """Comes with registries."""
        del name, visibility, organization, description, artifact_types
        later("Api.create_registry", "registries")

    def registries(
        self,
        organization: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 - wandb's name
        order: str | None = None,
        per_page: int = 100,
        start: str | None = None,
    ) -> Any:
        """Comes with registries."""
        del organization, filter, order, per_page, start
        later("Api.registries", "registries")

    def registry(self, name: str, organization: str | None = None) -> Any:
        """Comes with registries."""
        del name, organization
        later("Api.registry", "registries")

    def organization(self, name: str | None = None) -> Any:
        """Comes with registries."""
        del name
        later("Api.organization", "registries")

    def create_run_queue(
        self,
        name: str,
        type: Any,  # noqa: A002 - wandb's name
        entity: str | None = None,
        prioritization_mode: Any = None,
        config: dict[str, Any] | None = None,
        template_variables: dict[str, Any] | None = None,
    ) -> Any:
        """Comes with launch queues."""
        del name, type, entity, prioritization_mode, config, template_variables
        later("Api.create_run_queue", "launch queues")

    def upsert_run_queue(
        self,
        name: str,
        resource_config: dict[str, Any],
        resource_type: Any,
        entity: str | None = None,
        template_variables: dict[str, Any] | None = None,
        external_links: dict[str, Any] | None = None,
        prioritization_mode: Any = None,
    ) -> Any:
        """Comes with launch queues."""
        del (
            name,
            resource_config,
            resource_type,
            entity,
            template_variables,
            external_links,
            prioritization_mode,
        )
        later("Api.upsert_run_queue", "launch queues")

    def run_queue(self, entity: str, name: str) -> Any:
        """Comes with launch queues."""
        del entity, name
        later("Api.run_queue", "launch queues")

    def queued_run(
        self,
        entity: str,
        project: str,
        queue_name: str,
        run_queue_item_id: str,
        project_queue: Any = None,
        priority: Any = None,
    ) -> Any:
        """Comes with launch queues."""
        del entity, project, queue_name, run_queue_item_id, project_queue, priority
        later("Api.queued_run", "launch queues")

    def job(self, name: str | None, path: str | None = None) -> Any:
        """Comes with launch queues."""
        del name, path
        later("Api.job", "launch queues")

    def list_jobs(self, entity: str, project: str) -> list[dict[str, Any]]:
        """Comes with launch queues."""
        del entity, project
        later("Api.list_jobs", "launch queues")

    def reports(self, path: str = "", name: str | None = None, per_page: int = 50) -> Any:
        """Comes with reports."""
        del path, name, per_page
        later("Api.reports", "reports")

    def sweep(self, path: str = "") -> Any:
        """Comes with sweeps."""
        del path
        later("Api.sweep", "sweeps")
