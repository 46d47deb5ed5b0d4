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
    let mut parts = text
        .strip_prefix("Run:v1:")
        .ok_or_else(unknown)?
        .splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(run), Some(project), Some(entity)) => {
            Ok((entity.to_owned(), project.to_owned(), run.to_owned()))
        }
        _ => Err(unknown()),
    }
}

/// The id of a project: `Project:v1:<project>:<entity>`.
pub(crate) fn project(entity: &str, project: &str) -> ID {
    encode(&format!("Project:v1:{project}:{entity}"))
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
        assert!(parse_run("%%%").is_err() && parse_run("UnVu").is_err());
    }

    #[test]
    fn numbered_ids_come_back() {
        assert_eq!(parse_numbered("File", &numbered("File", 98)).ok(), Some(98));
        assert!(parse_numbered("File", &numbered("User", 98)).is_err());
    }
}
