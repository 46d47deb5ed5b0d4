//! Connections: accepted up to a bound, watched for clients that stall, closed in order.
//!
//! What a client may take its time with is bounded at each stage: the head of a request ([`Limits::head_time`]), the pause between
//! requests ([`Limits::idle_time`]), the pauses of a body (where bodies are read), and the pauses in which it takes nothing of an
//! answer ([`Limits::write_idle`]).

use std::convert::Infallible;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::FutureExt as _;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::limits::Limits;
use crate::live::closed;

/// Bound of the headers of a request; what is longer than twice that is not even looked at.
pub(crate) const HEAD_BYTES: usize = 64 << 10;
/// After a failed `accept`, which without descriptors fails again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// A failure of `accept` is told this seldom.
const ACCEPT_TOLD: Duration = Duration::from_secs(10);
/// After an answer to a request that was not read to its end: a client that is still sending shall see the answer, not a reset.
const LINGER: Duration = Duration::from_secs(2);
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 89\r\n\r\n{\"error\":{\"code\":\"unavailable\",\"message\":\"the server has as many connections as it may\"}}";

/// Serves connections until `closing`; then takes those that are waiting to be accepted, closes the door, and returns when the
/// last request is answered. While `draining`, answers tell clients to come back with a new connection.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    draining: watch::Receiver<bool>,
    mut closing: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    let mut told: Option<Instant> = None;
    let mut stop = closing.clone();
    let accept = |stream: TcpStream| {
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            // It may not take even this; there is nothing more to do for it.
            drop(stream.try_write(BUSY));
            return;
        };
        let connection = connection(
            stream,
            router.clone(),
            limits.clone(),
            draining.clone(),
            closing.clone(),
        );
        tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    };
    loop {
        let accepted = tokio::select! {
            () = closed(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => accept(stream),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() > ACCEPT_TOLD) {
                    tracing::error!(%error, "connections cannot be accepted");
                    told = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Closing the listener resets connections that nobody has accepted; their clients have sent requests already.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        accept(stream);
    }
    drop(listener);
    closed(&mut closing).await;
    tasks.close();
    tasks.wait().await;
}

/// The client gave up before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    draining: watch::Receiver<bool>,
    mut closing: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting for more only delays them.
    drop(stream.set_nodelay(true));
    let progress = Arc::new(Progress::default());
    let watched = Watched::new(stream, Arc::clone(&progress), &limits);
    let service = service_fn(|request: Request<Incoming>| {
        progress.begin();
        let answer = router.clone().oneshot(request.map(Body::new));
        let (progress, draining) = (Arc::clone(&progress), draining.clone());
        async move {
            let mut response = answer.await?;
            progress.end();
            if *draining.borrow() {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_time)
            .max_buf_size(2 * HEAD_BYTES)
            .serve_connection(TokioIo::new(watched), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// How far a connection is with its requests.
#[derive(Debug, Default)]
struct Progress {
    /// Requests whose head was read.
    begun: AtomicU64,
    /// Whether one of them is being answered.
    active: AtomicBool,
}

impl Progress {
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.active.store(false, Ordering::Relaxed);
    }
}

/// A connection that ends when its client stalls.
struct Watched {
    stream: TcpStream,
    progress: Arc<Progress>,
    head_time: Duration,
    write_idle: Duration,
    /// Runs while a head is arriving: the request it belongs to.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    write: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn new(stream: TcpStream, progress: Arc<Progress>, limits: &Limits) -> Self {
        Self {
            stream,
            progress,
            head_time: limits.head_time,
            write_idle: limits.write_idle,
            head: None,
            write: None,
            linger: None,
        }
    }

    /// Ends a write that waits for the client for too long.
    fn bound_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let idle = self.write_idle;
        let sleep = self
            .write
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Err(stalled("the client takes nothing")))
    }
}

fn stalled(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if this.progress.active.load(Ordering::Relaxed) {
            this.head = None;
            return read;
        }
        let begun = this.progress.begun.load(Ordering::Relaxed);
        if this.head.as_ref().is_some_and(|(of, _)| *of != begun) {
            this.head = None;
        }
        let arrived = buffer.filled().len() > before;
        if this.head.is_none() && arrived {
            this.head = Some((begun, Box::pin(tokio::time::sleep(this.head_time))));
        }
        if let Some((_, sleep)) = &mut this.head
            && sleep.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(stalled("the head of a request did not arrive in time")));
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.bound_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bound_write(context, flushed)
    }

    /// Says that nothing more comes, then takes what the client still sends, for a moment.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let linger = this
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut space = [0; 16 << 10];
        loop {
            if linger.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut space);
            // An end or an error: the client has gone, which is what is waited for.
            if ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)).is_err()
                || buffer.filled().is_empty()
            {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_of_a_full_server_has_the_length_it_says() {
        let text = std::str::from_utf8(super::BUSY).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        serde_json::from_str::<serde_json::Value>(body).expect("JSON");
    }
}
