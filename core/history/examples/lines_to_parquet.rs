//! Writes history lines from standard input as one Parquet chunk: `lines_to_parquet FILE`.

use std::io::{BufRead, stdin};

use runlane_history::Chunk;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: lines_to_parquet FILE")?;
    let lines = stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    std::fs::write(path, Chunk::from_lines(0, &lines)?.to_parquet()?)?;
    Ok(())
}
