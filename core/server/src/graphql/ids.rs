//! Opaque ids: padded base64 of `Type:key`. W&B's client builds and takes apart some of them itself.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::ApiError;

/// The id of a run: `Run:v1:<run>:<project>:<entity>`.
pub(crate) fn run(entity: &str, project: &str, run: &str) -> ID {
    encode(&format!("Run:v1:{run}:{project}:{entity}"))
}

/// Entity, project and name of the run with this id.
pub(crate) fn parse_run(id: &str) -> Result<(String, String, String), ApiError> {
    let unknown = || ApiError::invalid("this is not the id of a run");
    let text = decode(id).ok_or_else(unknown)?;
    // From the right: the name of an archived run has a colon (`<id>:<generation>`), other names have none.
    let mut parts = text
        .strip_prefix("Run:v1:")
        .ok_or_else(unknown)?
        .rsplitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(entity), Some(project), Some(run)) => {
            Ok((entity.to_owned(), project.to_owned(), run.to_owned()))
        }
        _ => Err(unknown()),
    }
}

/// The id of a project: `Project:v1:<project>:<entity>`.
pub(crate) fn project(entity: &str, project: &str) -> ID {
    encode(&format!("Project:v1:{project}:{entity}"))
}

/// What an id of a project says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProjectId {
    Named {
        entity: String,
        project: String,
    },
    /// The row id, as in `internalId`.
    Numbered(i64),
}

/// Takes apart an id of a project, or an internal one.
pub(crate) fn parse_project(id: &str) -> Result<ProjectId, ApiError> {
    let unknown = || ApiError::invalid("this is not the id of a project");
    let text = decode(id).ok_or_else(unknown)?;
    if let Some(number) = text.strip_prefix("ProjectInternalId:") {
        return number
            .parse()
            .map(ProjectId::Numbered)
            .map_err(|_not_a_number| unknown());
    }
    let (project, entity) = text
        .strip_prefix("Project:v1:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or_else(unknown)?;
    Ok(ProjectId::Named {
        entity: entity.to_owned(),
        project: project.to_owned(),
    })
}

/// `Type:<number>`.
pub(crate) fn numbered(kind: &str, number: i64) -> ID {
    encode(&format!("{kind}:{number}"))
}

/// The number in an id of type `kind`.
pub(crate) fn parse_numbered(kind: &str, id: &str) -> Result<i64, ApiError> {
    decode(id)
        .and_then(|text| text.strip_prefix(kind)?.strip_prefix(':')?.parse().ok())
        .ok_or_else(|| {
            ApiError::invalid(format!("this is not the id of a {}", kind.to_lowercase()))
        })
}

fn encode(text: &str) -> ID {
    ID(STANDARD.encode(text))
}

fn decode(id: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(id).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_those_that_the_client_builds() {
        let id = run("alice", "papi", "run0");
        assert_eq!(id.as_str(), "UnVuOnYxOnJ1bjA6cGFwaTphbGljZQ==");
        let parts = parse_run(&id).expect("a run id");
        assert_eq!(parts, ("alice".into(), "papi".into(), "run0".into()));
        let parts = parse_run(&run("alice", "papi", "run0:2")).expect("a run id");
        assert_eq!(parts.2, "run0:2");
        assert!(parse_run("%%%").is_err() && parse_run("UnVu").is_err());
    }

    #[test]
    fn project_ids_come_back() {
        let named = ProjectId::Named {
            entity: "alice".into(),
            project: "p1".into(),
        };
        assert_eq!(parse_project(&project("alice", "p1")).ok(), Some(named));
        let numbered = parse_project(&numbered("ProjectInternalId", 5)).ok();
        assert_eq!(numbered, Some(ProjectId::Numbered(5)));
        assert!(parse_project(&run("a", "b", "c")).is_err() && parse_project("%").is_err());
    }

    #[test]
    fn numbered_ids_come_back() {
        assert_eq!(parse_numbered("File", &numbered("File", 98)).ok(), Some(98));
        assert!(parse_numbered("File", &numbered("User", 98)).is_err());
    }
}
