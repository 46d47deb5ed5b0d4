//! The one binary, `runlane-core`: `daemon`, `sync`, `tail` and `server`. It reads no settings files and no `WANDB_*` variables:
//! settings and credentials come on standard input or over the private socket.

mod allocator;
mod console_heir;
mod daemon;
mod log_file;
mod server;
mod sync;
mod tail;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "runlane-core",
    version,
    about = "The engine behind runlane: daemon, sync, tail and server"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the training processes of this user; started by the SDK.
    Daemon(daemon::Arguments),
    /// Carry on the console of a process that is gone; started by the SDK.
    #[command(hide = true)]
    ConsoleHeir(console_heir::Arguments),
    /// Upload logs: one JSON request on standard input, progress as JSON lines on standard output.
    Sync,
    /// Print the last rows of a log as JSON lines.
    Tail(tail::Arguments),
    /// Run the tracking server, or talk to the one that runs.
    Server(server::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Daemon(arguments) => daemon::run(&arguments),
        Command::ConsoleHeir(arguments) => console_heir::run(&arguments),
        Command::Sync => sync::run(),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Server(arguments) => server::run(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what went wrong, causes included.
#[expect(clippy::print_stderr, reason = "the command's own output")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
