//! Runs a server over a directory: `cargo run -p runlane-server --example serve -- DIR [PORT [WEB_DIR]]`.

use std::io::Write as _;

use runlane_server::{Server, ServerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = arguments
        .next()
        .ok_or("usage: serve DIR [PORT [WEB_DIR]]")?;
    let mut config = ServerConfig::new(data_dir, "me");
    config.port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    config.web_dir = arguments.next().map(Into::into);
    let server = Server::start(config).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{}\n{}\n{}",
        server.base_url(),
        server.credentials().api_key,
        server.sign_in_url()
    )?;
    out.flush()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    server
        .serve(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}
