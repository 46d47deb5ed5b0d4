//! Developer commands. `cargo run -p xtask -- proto [--check]` generates the Rust code of `proto/` and the descriptors
//! that Python builds its messages from, with protox, so that no build needs `protoc`; `--check` fails when the committed
//! files differ.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use prost::Message;

/// Where the generated files are: message types, service stubs, descriptors for Python.
const MESSAGES: &str = "core/proto/src/gen";
const SERVICES: &str = "core/daemon/src/control/gen";
const DESCRIPTORS: &str = "python/runlane/_proto";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["proto"] => generate(&root()),
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

/// Generates everything below `target`, at the places that it has below the repository's root.
fn generate(target: &Path) -> Result<()> {
    for folder in [MESSAGES, SERVICES, DESCRIPTORS] {
        let folder = target.join(folder);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
    }
    let include = root().join("proto");
    let messages = target.join(MESSAGES);
    // One pass each: the later ones refer to the first by path, so that the crate decides where its modules live.
    let records = protox::compile(["wandb_internal.proto"], [&include])?;
    prost_build::Config::new()
        .out_dir(&messages)
        .compile_fds(records)
        .context("cannot generate the record types")?;
    let frames = protox::compile(["runlane_local.proto"], [&include])?;
    prost_build::Config::new()
        .out_dir(&messages)
        .extern_path(".wandb_internal", "crate::wandb_internal")
        .compile_fds(frames)
        .context("cannot generate the frame types")?;
    let control = protox::compile(["runlane_control.proto"], [&include])?;
    prost_build::Config::new()
        .out_dir(&messages)
        .compile_fds(control.clone())
        .context("cannot generate the control types")?;
    // The stubs are of tonic, which the crate of the messages must not know.
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(target.join(SERVICES))
        .extern_path(".runlane.control.v1", "::runlane_proto::control")
        .compile_fds(control)
        .context("cannot generate the control service")?;
    let descriptors = protox::Compiler::new([&include])?
        .include_imports(true)
        .include_source_info(false)
        .open_files(["runlane_control.proto", "grpc/health/v1/health.proto"])?
        .file_descriptor_set()
        .encode_to_vec();
    std::fs::write(target.join(DESCRIPTORS).join("control.binpb"), descriptors)
        .context("cannot write the descriptors")
}

fn check() -> Result<()> {
    let fresh = root().join("core/proto/.gen-check");
    generate(&fresh)?;
    let mut stale = Vec::new();
    for folder in [MESSAGES, SERVICES, DESCRIPTORS] {
        for entry in std::fs::read_dir(fresh.join(folder))? {
            let name = Path::new(folder).join(entry?.file_name());
            let same = std::fs::read(fresh.join(&name))?
                == std::fs::read(root().join(&name)).unwrap_or_default();
            if !same {
                stale.push(name.display().to_string());
            }
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
