//! Developer commands. `cargo run -p xtask -- proto [--check]` generates `core/proto/src/gen` with protox, so that
//! no build needs `protoc`; `--check` fails when the committed files differ.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["proto"] => generate(&root().join("core/proto/src/gen")),
        ["proto", "--check"] => check(),
        _ => Err(anyhow::anyhow!(
            "usage: cargo run -p xtask -- proto [--check]"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn generate(out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    let include = root().join("proto");
    // Two passes: the second refers to the first by path, so that the crate decides where its modules live.
    let records = protox::compile(["wandb_internal.proto"], [&include])?;
    prost_build::Config::new()
        .out_dir(out)
        .compile_fds(records)
        .context("cannot generate the record types")?;
    let frames = protox::compile(["runlane_local.proto"], [&include])?;
    prost_build::Config::new()
        .out_dir(out)
        .extern_path(".wandb_internal", "crate::wandb_internal")
        .compile_fds(frames)
        .context("cannot generate the frame types")
}

fn check() -> Result<()> {
    let committed = root().join("core/proto/src/gen");
    let fresh = root().join("core/proto/src/.gen-check");
    generate(&fresh)?;
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(&fresh)? {
        let name = entry?.file_name();
        let same = std::fs::read(fresh.join(&name))?
            == std::fs::read(committed.join(&name)).unwrap_or_default();
        if !same {
            stale.push(name.to_string_lossy().into_owned());
        }
    }
    std::fs::remove_dir_all(&fresh)?;
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "generated code is stale: {}; run `make proto`",
        stale.join(", ")
    )
}
