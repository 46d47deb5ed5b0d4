//! `runlane-core tail`: the last rows of a log that lies on disk, as JSON lines. Rows of a run that goes on come from the
//! daemon's control service.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use runlane_daemon::log_rows::LogRows;

/// Rows and bytes that are read at a time.
const ROWS: usize = 1_024;
const BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The log, `run-<id>.wandb`.
    log: PathBuf,
    /// Rows from the end; all if it is left out.
    #[arg(long, short = 'n')]
    last: Option<u64>,
}

/// Prints one object per row, `{"step": n, "writer": n, "row": {…}}`, and at the end `{"exit_code": n}`, null if the log has no
/// exit record.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut rows = LogRows::open(&arguments.log, arguments.last.unwrap_or(u64::MAX))?;
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&mut rows, &mut out) {
        // Who reads has seen enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error).context("cannot print the rows"),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

fn print(rows: &mut LogRows, out: &mut impl Write) -> anyhow::Result<()> {
    loop {
        let read = rows.read(ROWS, BYTES)?;
        if read.is_empty() {
            break;
        }
        for row in read {
            // The row is JSON already.
            writeln!(
                out,
                "{{\"step\": {}, \"writer\": {}, \"row\": {}}}",
                row.step, row.writer, row.json
            )?;
        }
    }
    let exit_code = rows
        .exit_code()
        .map_or_else(|| "null".to_owned(), |code| code.to_string());
    writeln!(out, "{{\"exit_code\": {exit_code}}}")?;
    out.flush()?;
    Ok(())
}
