//! Who may do what with which project: the one place that decides.
//!
//! Every route and every resolver that reads or changes something of a project gets it through [`Access`], which knows the
//! caller. What the caller may not read does not exist for it (404, null in GraphQL), and what it may read but not change
//! is forbidden (403).
//!
//! A member of an entity reads and writes all of its projects; its administrators, and those of the server, also rename and
//! delete projects and set who else may use them ([`Level`]). On a server with a single entity everything is its owner's,
//! and a name of another entity, as scripts have them, stands for it.

use std::fmt;
use std::str::FromStr;

use crate::error::{ApiError, StoreError};
use crate::state::AppState;
use crate::store::Connection;
use crate::store::accounts::Account;
use crate::store::entities::{self, EntityRow};
use crate::store::projects::{self, ProjectRow};
use crate::store::runs::{self, RunRow};

/// What somebody wants to do with a project or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// See runs, files, settings.
    Read,
    /// Create and change runs and their files.
    Write,
    /// Rename or delete the project, set its level.
    Manage,
}

/// What somebody is in an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Admin,
    Member,
    Stranger,
}

/// Who, beside the members of its entity, may use a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nobody. `RESTRICTED`, for members of the project alone, is the same as long as projects have none.
    Private,
    /// Nobody, and of the members only administrators write.
    EntityRead,
    /// Everybody with an account reads.
    UserRead,
    /// Everybody with an account reads and writes.
    UserWrite,
}

/// The words for levels, as they are stored.
const LEVELS: [(&str, Level); 6] = [
    ("PRIVATE", Level::Private),
    ("RESTRICTED", Level::Private),
    ("ENTITY_WRITE", Level::Private),
    ("ENTITY_READ", Level::EntityRead),
    ("USER_READ", Level::UserRead),
    ("USER_WRITE", Level::UserWrite),
];

impl FromStr for Level {
    type Err = ApiError;

    fn from_str(word: &str) -> Result<Self, ApiError> {
        LEVELS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, level)| *level)
            .ok_or_else(|| {
                let known: Vec<&str> = LEVELS.iter().map(|(word, _)| *word).collect();
                ApiError::invalid(format!(
                    "`{word}` is no access level; the levels are {}",
                    known.join(", ")
                ))
            })
    }
}

/// The rule.
const fn is_allowed(role: Role, level: Level, action: Action) -> bool {
    match (role, level, action) {
        (Role::Admin, _, _)
        | (Role::Member, _, Action::Read)
        | (Role::Stranger, Level::UserRead | Level::UserWrite, Action::Read)
        | (Role::Stranger, Level::UserWrite, Action::Write) => true,
        (Role::Member, level, Action::Write) => !matches!(level, Level::EntityRead),
        (Role::Stranger, _, _) | (Role::Member, _, Action::Manage) => false,
    }
}

/// The rule for a project; a word for its level that this release does not know is the narrowest one.
fn allows(role: Role, project: &ProjectRow, action: Action) -> bool {
    let level = project.access.parse().unwrap_or(Level::Private);
    is_allowed(role, level, action)
}

/// An error if the caller may see the project, but not do this with it.
fn check(role: Role, project: &ProjectRow, action: Action) -> Result<(), ApiError> {
    if allows(role, project, action) {
        return Ok(());
    }
    let what = match action {
        Action::Manage => {
            "administrators of the entity rename and delete projects and set who may use them"
        }
        Action::Read | Action::Write => "you may look at it, not change it",
    };
    Err(ApiError::forbidden(
        "forbidden",
        format!("project `{}/{}`: {what}", project.entity, project.name),
    ))
}

/// What a caller may reach.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    state: &'a AppState,
    account: &'a Account,
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("username", &self.account.username)
            .finish_non_exhaustive()
    }
}

impl<'a> Access<'a> {
    pub(crate) const fn new(state: &'a AppState, account: &'a Account) -> Self {
        Self { state, account }
    }

    /// What the server has.
    pub(crate) const fn state(&self) -> &'a AppState {
        self.state
    }

    /// Who asks.
    pub(crate) const fn account(&self) -> &'a Account {
        self.account
    }

    /// Row id of the user who asks.
    pub(crate) const fn user_id(&self) -> i64 {
        self.account.user_id
    }

    /// The entity that `asked` stands for: the caller's own if it is empty, or if there is no other.
    pub(crate) fn entity_name(&self, asked: &str) -> String {
        let own = &self.account.entity;
        if asked.is_empty() || asked == own {
            return own.clone();
        }
        if self.account.sole {
            self.state.tell_unknown_entity(asked, own);
            return own.clone();
        }
        asked.to_owned()
    }

    /// The entity `asked`, if the caller belongs to it (or administers the server).
    pub(crate) async fn entity(
        &self,
        connection: &mut Connection,
        asked: &str,
    ) -> Result<EntityRow, ApiError> {
        let name = self.entity_name(asked);
        let found = entities::find(connection, &name).await?;
        match found {
            Some(row) if self.role(connection, &row.name).await? != Role::Stranger => Ok(row),
            _ => Err(self.unknown_entity(connection, &name).await?),
        }
    }

    /// As [`Self::entity`], for a change that only its administrators make.
    pub(crate) async fn managed_entity(
        &self,
        connection: &mut Connection,
        asked: &str,
    ) -> Result<EntityRow, ApiError> {
        let row = self.entity(connection, asked).await?;
        if self.role(connection, &row.name).await? != Role::Admin {
            return Err(ApiError::forbidden(
                "forbidden",
                format!("only administrators of `{}` may do this", row.name),
            ));
        }
        Ok(row)
    }

    /// Refuses those who do not administer the server.
    pub(crate) fn server(&self) -> Result<(), ApiError> {
        if self.account.admin {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "forbidden",
            "only administrators of the server may do this",
        ))
    }

    /// The project `entity/name` if there is one that the caller may see; an error if it may see it, but not do this with
    /// it, and if the entity is not one that it may use.
    pub(crate) async fn project(
        &self,
        connection: &mut Connection,
        entity: &str,
        name: &str,
        action: Action,
    ) -> Result<Option<ProjectRow>, ApiError> {
        let entity = self.entity_name(entity);
        let found = projects::find(connection, &entity, name).await?;
        if self.account.sole {
            return Ok(found);
        }
        let role = self.role(connection, &entity).await?;
        match found {
            Some(row) if allows(role, &row, Action::Read) => {
                check(role, &row, action)?;
                Ok(Some(row))
            }
            // Not there and not yours are the same.
            _ if role == Role::Stranger => Err(self.unknown_entity(connection, &entity).await?),
            _ => Ok(None),
        }
    }

    /// Whether the caller may do this with a project; an error if it may see it, but not do this.
    pub(crate) async fn check_project(
        &self,
        connection: &mut Connection,
        project: &ProjectRow,
        action: Action,
    ) -> Result<bool, ApiError> {
        if self.account.sole {
            return Ok(true);
        }
        let role = self.role(connection, &project.entity).await?;
        if !allows(role, project, Action::Read) {
            return Ok(false);
        }
        check(role, project, action)?;
        Ok(true)
    }

    /// Whether the caller may see the project with row id `project_id`.
    pub(crate) async fn sees_project(
        &self,
        connection: &mut Connection,
        project_id: i64,
    ) -> Result<bool, ApiError> {
        if self.account.sole {
            return Ok(true);
        }
        match projects::by_id(connection, project_id).await? {
            Some(row) => self.check_project(connection, &row, Action::Read).await,
            None => Ok(false),
        }
    }

    /// The run `entity/project/name`, not a deleted one; see [`Self::project`].
    pub(crate) async fn run(
        &self,
        connection: &mut Connection,
        (entity, project, name): (&str, &str, &str),
        action: Action,
    ) -> Result<Option<RunRow>, ApiError> {
        let run = self
            .any_run(connection, (entity, project, name), action)
            .await?;
        Ok(run.filter(|run| run.deleted_at_micros.is_none()))
    }

    /// As [`Self::run`], deleted ones too.
    pub(crate) async fn any_run(
        &self,
        connection: &mut Connection,
        (entity, project, name): (&str, &str, &str),
        action: Action,
    ) -> Result<Option<RunRow>, ApiError> {
        let entity = self.entity_name(entity);
        if !self.account.sole {
            let found = self.project(connection, &entity, project, action).await?;
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(runs::find_any(connection, &entity, project, name).await?)
    }

    /// As [`Self::run`]; it is an error if there is none.
    pub(crate) async fn existing_run(
        &self,
        connection: &mut Connection,
        (entity, project, name): (&str, &str, &str),
        action: Action,
    ) -> Result<RunRow, ApiError> {
        let run = self
            .run(connection, (entity, project, name), action)
            .await?;
        run.ok_or_else(|| {
            let entity = self.entity_name(entity);
            ApiError::not_found(format!("there is no run `{entity}/{project}/{name}`"))
        })
    }

    /// The project `entity/name` to put a run into: created if it is missing; the row and whether it is new.
    pub(crate) async fn project_for_runs(
        &self,
        connection: &mut Connection,
        entity: &str,
        name: &str,
        now_micros: i64,
    ) -> Result<(ProjectRow, bool), ApiError> {
        if let Some(row) = self
            .project(connection, entity, name, Action::Write)
            .await?
        {
            return Ok((row, false));
        }
        let entity = self.entity(connection, entity).await?;
        Ok(projects::ensure(connection, entity.id, &entity.name, name, now_micros).await?)
    }

    async fn role(&self, connection: &mut Connection, entity: &str) -> Result<Role, StoreError> {
        if self.account.sole || self.account.admin {
            return Ok(Role::Admin);
        }
        let role = entities::role(connection, entity, self.account.user_id).await?;
        Ok(match role.as_deref() {
            Some("admin") => Role::Admin,
            Some(_) => Role::Member,
            None => Role::Stranger,
        })
    }

    /// What somebody hears who names an entity that is unknown or not theirs; the two are not told apart.
    async fn unknown_entity(
        &self,
        connection: &mut Connection,
        asked: &str,
    ) -> Result<ApiError, StoreError> {
        let own: Vec<String> = entities::of_user(connection, self.account.user_id)
            .await?
            .into_iter()
            .map(|entity| entity.name)
            .collect();
        let shown: String = asked.chars().take(128).collect();
        Ok(ApiError::not_found(format!(
            "there is no entity `{shown}` for you; yours are: {}",
            own.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_this_table() {
        use Action::{Manage, Read, Write};
        // (level, member, stranger): the most that each may do.
        let table = [
            (Level::Private, Some(Write), None),
            (Level::EntityRead, Some(Read), None),
            (Level::UserRead, Some(Write), Some(Read)),
            (Level::UserWrite, Some(Write), Some(Write)),
        ];
        for (level, member, stranger) in table {
            for action in [Read, Write, Manage] {
                assert!(is_allowed(Role::Admin, level, action));
                let allowed = |role| is_allowed(role, level, action);
                assert_eq!(
                    allowed(Role::Member),
                    member.is_some_and(|most| action <= most),
                    "{level:?} {action:?}"
                );
                assert_eq!(
                    allowed(Role::Stranger),
                    stranger.is_some_and(|most| action <= most),
                    "{level:?} {action:?}"
                );
            }
        }
    }

    #[test]
    fn levels_are_known_words() {
        assert_eq!("user_read".parse::<Level>().ok(), Some(Level::UserRead));
        let refusal = "WORLD".parse::<Level>().expect_err("unknown");
        assert!(refusal.message.contains("USER_WRITE"));
    }
}
