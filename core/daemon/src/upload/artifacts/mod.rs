//! Artifacts: the records of a log become versions at the server (`reference/wandb/artifacts-client.md` §6).
//!
//! `plan` says which record's turn it is, `saver` which step is next (both without I/O), `drive` does it. A record that waits is
//! a few bytes: its turn come, it is read from the log again, its entries one after another (`entries`, `measurer`), so that
//! memory does not depend on how much there is. What is not known to be stored is said again; the server has one
//! version for one client id, and takes the same content once.

mod calls;
mod drive;
mod entries;
mod manifest_file;
mod measurer;
mod plan;
mod record;
mod saver;
mod staged;
mod wanted;

use std::path::PathBuf;
use std::sync::Arc;

use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use tokio::sync::Semaphore;

use self::calls::Site;
pub(in crate::upload) use self::drive::{Ended, Errand, Progress, Saved, save};
pub(in crate::upload) use self::plan::{ArtifactPlan, Item};
pub(in crate::upload) use self::staged::{Known, Leftovers};
use self::wanted::Homes;
use super::graphql::{Features, Server};
use super::job::Job;
use crate::clock::Clock;

/// Files and parts of artifacts that all uploads of a process send at a time.
pub(super) const TRANSFERS: usize = 24;

/// How the upload of one artifact fares, for whoever waits for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArtifactState {
    /// It has ended: everything is stored if `error` is empty.
    pub(crate) done: bool,
    /// The server's id, once it is known.
    pub(crate) id: String,
    /// Why it is not stored, or does not go on at present.
    pub(crate) error: String,
    /// Contents that have to go to the server, as far as they are known.
    pub(crate) bytes_uploaded: u64,
    pub(crate) bytes_total: u64,
}

/// Where the versions of a run are made: entity, project and run.
#[derive(Debug, Clone, Copy)]
pub(in crate::upload) struct Names<'a> {
    pub(in crate::upload) entity: &'a str,
    pub(in crate::upload) project: &'a str,
    pub(in crate::upload) run: &'a str,
}

/// The saving of `item`, whose record is in the log of `job`.
pub(in crate::upload) fn errand(
    job: &Job,
    (server, features): (&Server, Features),
    names: Names<'_>,
    (clock, transfers): (&Arc<dyn Clock>, &Arc<Semaphore>),
    plan: &ArtifactPlan,
    item: Item,
) -> Errand {
    Errand {
        site: Site {
            server: server.clone(),
            features,
            entity: names.entity.to_owned(),
            project: names.project.to_owned(),
            run: names.run.to_owned(),
        },
        clock: Arc::clone(clock),
        transfers: Arc::clone(transfers),
        log: job.log.clone(),
        live: job.live.clone(),
        homes: homes(&job.settings),
        coming: plan.coming(),
        item,
        progress: Progress::default(),
    }
}

/// What may be left in the staging directory of an artifact that is known to be stored, whose record begins at `begin`.
pub(in crate::upload) fn known(
    job: &Job,
    record: &pb::ArtifactRecord,
    begin: u64,
) -> Option<Known> {
    let has_files = record.manifest.as_ref().is_some_and(|manifest| {
        let mut entries = manifest.contents.iter();
        !manifest.manifest_file_path.is_empty() || entries.any(|entry| !entry.local_path.is_empty())
    });
    let homes = homes(&job.settings);
    (has_files && homes.staging.is_some()).then(|| Known {
        log: job.log.clone(),
        live: job.live.clone(),
        homes,
        begin,
    })
}

fn homes(settings: &local::RunSettings) -> Homes {
    let place = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    Homes {
        staging: place(&settings.staging_dir),
        cache: place(&settings.cache_dir),
    }
}
