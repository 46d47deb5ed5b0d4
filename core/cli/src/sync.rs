//! `runlane-core sync`: one JSON request on standard input, progress as JSON lines on standard output.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use runlane_daemon::sync::{Progress, Request, Summary};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::EnvFilter;

/// A request is settings and paths.
const MAX_REQUEST_BYTES: u64 = 64 << 20;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let filter =
        EnvFilter::try_from_env("RUNLANE_LOG").unwrap_or_else(|_unset| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_REQUEST_BYTES)
        .read_to_string(&mut text)
        .context("cannot read the request from standard input")?;
    let request: Request =
        serde_json::from_str(&text).context("invalid request on standard input")?;
    anyhow::ensure!(
        !request.base_url.is_empty(),
        "the request has no `base_url`"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("runlane-sync")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let summary = runtime.block_on(sync(request))?;
    Ok(if summary.failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn sync(request: Request) -> anyhow::Result<Summary> {
    let (stop_sender, stop) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop_sender.send_replace(true);
        // The sender lives on: a closed channel would look like another request to stop.
        std::future::pending::<()>().await;
    });
    let (sender, mut receiver) = mpsc::channel::<Progress>(64);
    let work = tokio::spawn(runlane_daemon::sync::run(request, sender, stop));
    while let Some(progress) = receiver.recv().await {
        write_line(&progress)?;
    }
    let summary = work.await.context("sync ended abnormally")?;
    write_line(&serde_json::json!({ "summary": summary }))?;
    Ok(summary)
}

fn write_line(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)
        .and_then(|()| out.flush())
        .context("cannot write progress")
}
