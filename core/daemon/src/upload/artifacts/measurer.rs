//! Goes through a manifest and measures its files, a bit at a time.

use std::collections::BTreeSet;

use super::super::blocking;
use super::super::http::Counter;
use super::drive::Errand;
use super::entries::{Entries, Source};
use super::manifest_file::client_id;
use super::saver::Measured;
use super::wanted::{Homes, Measuring, begin};

/// Entries looked at in one go.
const STRETCH: usize = 64;
/// What was measured goes on its way once so much was read for it.
const READ_BYTES: u64 = 256 << 20;
/// Versions that the others of one may refer to.
const MOST_REFERENCES: usize = 10_000;

#[derive(Debug)]
pub(super) struct Measurer {
    source: Source,
    homes: Homes,
    is_resumable: bool,
    entries: Option<Entries>,
    /// Files with bytes here that were seen.
    index: usize,
    current: Option<Measuring>,
    /// Client ids in references.
    seen: BTreeSet<String>,
    read: Counter,
}

impl Measurer {
    pub(super) fn new(source: &Source, errand: &Errand) -> Self {
        Self {
            source: source.clone(),
            homes: errand.homes.clone(),
            is_resumable: errand.site.features.resumable_parts,
            entries: None,
            index: 0,
            current: None,
            seen: BTreeSet::new(),
            read: errand.progress.read.clone(),
        }
    }

    /// The next files, `count` at most.
    pub(super) async fn measure(&mut self, count: usize) -> Result<Measured, String> {
        let mut measured = Measured::default();
        let mut read = 0;
        while !measured.is_last && measured.files.len() < count && read < READ_BYTES {
            read += blocking(|| self.go_on(&mut measured, count))?;
            tokio::task::yield_now().await;
        }
        Ok(measured)
    }

    /// Works for a moment; the bytes that were read.
    fn go_on(&mut self, measured: &mut Measured, count: usize) -> Result<u64, String> {
        for _entry in 0..STRETCH {
            if let Some(current) = &mut self.current {
                let left = current.left();
                let done = current.go_on()?;
                let read = left - current.left();
                self.read.add(read);
                if let Some(wanted) = done {
                    self.current = None;
                    measured.files.push(wanted);
                }
                if read > 0 || measured.files.len() >= count {
                    return Ok(read);
                }
                continue;
            }
            let entries = match &mut self.entries {
                Some(entries) => entries,
                none => none.insert(self.source.open()?),
            };
            let Some(entry) = entries.next()? else {
                measured.is_last = true;
                return Ok(0);
            };
            if let Some(id) = entry.reference().and_then(client_id)
                && !self.seen.contains(id)
            {
                if self.seen.len() >= MOST_REFERENCES {
                    return Err(format!(
                        "it refers to more than {MOST_REFERENCES} other artifacts"
                    ));
                }
                self.seen.insert(id.to_owned());
                measured.client_ids.insert(id.to_owned());
            }
            if let Some(local) = entry.local() {
                let index = self.index;
                self.index += 1;
                self.current = Some(begin(&entry, local, index, &self.homes, self.is_resumable)?);
            }
        }
        Ok(0)
    }
}
