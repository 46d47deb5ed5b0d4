//! The control socket: bound beside the record socket, open to the daemon's own user, serving two services.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::generated::control_server::ControlServer;
use super::service::Calls;
use super::{SERVICE_NAME, SOCKET_NAME};
use crate::daemon::Daemon;
use crate::socket::listener::{self, BindError};

const HEALTH_NAME: &str = "grpc.health.v1.Health";
/// A failing `accept` (no descriptors left) is tried again after this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Requests are a few names.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// Calls that one connection may have open.
const MAX_CALLS: u32 = 32;
/// How long calls that are under way may take when the daemon ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The service while it runs.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    health: HealthReporter,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds the socket in the runtime directory and serves it.
    ///
    /// Only the daemon that holds the record socket may call this: that makes it the only one to bind this socket, and a
    /// file that is there already a stale one.
    pub(crate) async fn start(daemon: &Arc<Daemon>, directory: &Path) -> Result<Self, BindError> {
        let listener = listener::bind_named(directory, SOCKET_NAME)?;
        let health = HealthReporter::new();
        // The daemon as a whole is called "" and is serving from the beginning.
        health
            .set_service_status(SERVICE_NAME, ServingStatus::Serving)
            .await;
        let services = Services {
            control: ControlServer::new(Calls::new(Arc::clone(daemon)))
                .max_decoding_message_size(MAX_REQUEST_BYTES),
            health: HealthServer::new(HealthService::from_health_reporter(health.clone()))
                .max_decoding_message_size(MAX_REQUEST_BYTES),
        };
        let (end, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let served = tonic::transport::Server::builder()
                .max_concurrent_streams(MAX_CALLS)
                .serve_with_incoming_shutdown(services, own_connections(listener), async {
                    // A dropped sender ends the service just as well.
                    ended.await.ok();
                })
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the control service has ended");
            }
        });
        Ok(Self {
            path: directory.join(SOCKET_NAME),
            health,
            end,
            task,
        })
    }

    /// Says to whoever asks or watches that the daemon is going down; calls are still answered.
    pub(crate) async fn announce_end(&self) {
        for name in ["", SERVICE_NAME] {
            self.health
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
    }

    /// Takes the socket away and ends; calls under way may be answered for a moment.
    pub(crate) async fn stop(mut self) {
        remove_socket(&self.path);
        // An error means that the service has ended by itself.
        self.end.send(()).ok();
        if tokio::time::timeout(LAST_ANSWERS, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

/// Removes the socket file, if it is there.
pub(crate) fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "control socket cannot be removed");
    }
}

/// Connections of the daemon's own user; others are closed at once. Never ends and yields no error.
fn own_connections(listener: UnixListener) -> impl Stream<Item = io::Result<UnixStream>> {
    futures::stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _address)) => match stream.peer_cred() {
                    Ok(peer) if may_connect(peer.uid()) => return Some((Ok(stream), listener)),
                    Ok(peer) => tracing::warn!(
                        uid = peer.uid(),
                        "control connection of another user refused"
                    ),
                    Err(error) => {
                        tracing::warn!(%error, "control connection of unknown origin refused");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// Whether a process of this user may use the service.
fn may_connect(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

/// Both services behind one connection.
#[derive(Debug, Clone)]
struct Services {
    control: ControlServer<Calls>,
    health: HealthServer<HealthService>,
}

impl Service<http::Request<Body>> for Services {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request.uri().path().trim_start_matches('/');
        match name.split('/').next() {
            Some(name) if name == SERVICE_NAME => self.control.call(request),
            Some(HEALTH_NAME) => self.health.call(request),
            _ => {
                let status = tonic::Status::unimplemented("no such service");
                Box::pin(async move { Ok(status.into_http()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_only_the_daemon_s_own_user_may_connect() {
        let own = rustix::process::geteuid().as_raw();
        assert!(may_connect(own));
        for other in [own + 1, 65_534, u32::MAX] {
            assert!(!may_connect(other));
        }
        // Root reaches everything by other ways, but is not served either: a container's root may be anybody.
        assert_eq!(may_connect(0), own == 0);
    }
}
