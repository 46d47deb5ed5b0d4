//! The network as samplers see it: endpoints that users name, and services of drivers on this host.
//!
//! Samplers run on threads that may block; the exchanges run on the daemon's runtime. Texts of errors name no URL: it may hold
//! credentials.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runlane_metrics::{Http, HttpRequest, UnaryRequest};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Asks with one client for all endpoints, without a proxy: they stand in the user's own network.
#[derive(Debug)]
pub(crate) struct Network {
    /// Made by the first request: most runs name no endpoint.
    client: OnceLock<reqwest::Client>,
    runtime: Handle,
}

impl Network {
    /// Exchanges run on `runtime`.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            client: OnceLock::new(),
            runtime,
        }
    }

    fn client(&self) -> io::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Fails if a provider is there already, which serves as well.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = reqwest::Client::builder()
            .user_agent(format!("runlane/{}", crate::VERSION))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(io::Error::other)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Runs an exchange; must not be called on a thread of the runtime.
    fn wait<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        self.runtime.block_on(async {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            timeout(limit, exchange).await.map_err(late)?
        })
    }
}

impl Http for Network {
    fn get(&self, request: &HttpRequest) -> io::Result<Vec<u8>> {
        self.wait(request.timeout, self.fetch(request))
    }

    fn unary(&self, request: &UnaryRequest) -> io::Result<Vec<u8>> {
        self.wait(request.timeout, call(request))
    }
}

impl Network {
    async fn fetch(&self, request: &HttpRequest) -> io::Result<Vec<u8>> {
        let mut builder = self.client()?.get(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let mut answer = builder.send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            let text = format!("the endpoint answered {}", answer.status());
            return Err(io::Error::other(text));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > request.max_bytes {
                return Err(too_long(request.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: reqwest::Error) -> io::Error {
    let mut source = std::error::Error::source(&error);
    let mut text = if error.is_builder() {
        "the URL or a header is invalid".to_owned()
    } else {
        "the request failed".to_owned()
    };
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    let kind = if error.is_connect() {
        io::ErrorKind::ConnectionRefused
    } else {
        io::ErrorKind::Other
    };
    io::Error::new(kind, text)
}

fn too_long(max_bytes: usize) -> io::Error {
    let text = format!("the answer has more than {max_bytes} bytes");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A message in gRPC's frame: not compressed, its length, the bytes.
fn framed(message: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// The message in a frame.
fn unframed(frame: &[u8]) -> Option<&[u8]> {
    let (head, rest) = frame.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else {
        return None;
    };
    rest.get(..usize::try_from(u32::from_be_bytes(length)).ok()?)
}

/// One call over a connection of its own: there are a few a minute.
async fn call(request: &UnaryRequest) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(("127.0.0.1", request.port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
    let exchange = async {
        let address = format!("http://127.0.0.1:{}{}", request.port, request.path);
        let message = hyper::Request::post(address)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(&request.message)?))
            .map_err(io::Error::other)?;
        let answer = sender
            .send_request(message)
            .await
            .map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, request.max_bytes.saturating_add(5));
        let body = body.collect().await.map_err(io::Error::other)?;
        let status = head.headers.get("grpc-status").cloned();
        let trailing = || body.trailers()?.get("grpc-status").cloned();
        let status = status.or_else(trailing);
        match status.as_ref().and_then(|status| status.to_str().ok()) {
            Some("0") => {}
            Some(status) => {
                let text = format!("the service answered with status {status}");
                return Err(io::Error::other(text));
            }
            None => return Err(io::Error::other("the service is none of gRPC")),
        }
        let bytes = body.to_bytes();
        let message = unframed(&bytes).map(<[u8]>::to_vec);
        message.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an odd frame"))
    };
    // The connection lives as long as the exchange, and is part of it.
    tokio::select! {
        answer = exchange => answer,
        ended = connection => Err(match ended {
            Ok(()) => io::ErrorKind::ConnectionReset.into(),
            Err(error) => io::Error::other(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A peer on a port of its own that sends `answer` (and, if `hangs`, keeps the connection) once.
    fn peer(answer: &'static [u8], hangs: bool) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serve = move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).expect("a request");
            request.truncate(length);
            // The other side may have hung up in the middle.
            drop(stream.write_all(answer));
            if hangs {
                drop(stream.read(&mut [0; 1]));
            }
            request
        };
        let thread = std::thread::Builder::new().spawn(serve).expect("a thread");
        (port, thread)
    }

    fn with_network<T: Send + 'static>(test: impl FnOnce(Network) -> T + Send + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let network = Network::new(runtime.handle().clone());
        let outcome = test(network);
        runtime.shutdown_background();
        outcome
    }

    fn request(port: u16) -> HttpRequest {
        HttpRequest {
            timeout: Duration::from_secs(20),
            max_bytes: 10,
            headers: BTreeMap::from([("X-Key".to_owned(), "value".to_owned())]),
            ..HttpRequest::new(&format!("http://user:secret@127.0.0.1:{port}/metrics"))
        }
    }

    #[test]
    fn bodies_are_read_and_headers_sent() {
        let (port, peer) = peer(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", false);
        let body = with_network(move |network| network.get(&request(port)));
        assert_eq!(body.expect("a body"), b"body");
        let sent = String::from_utf8(peer.join().expect("no panic")).expect("text");
        assert!(sent.contains("x-key: value"), "{sent}");
    }

    #[test]
    fn what_is_too_long_late_or_refused_is_an_error_without_the_url() {
        let odd: [(&'static [u8], bool); 4] = [
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
                false,
            ),
            (
                b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
                false,
            ),
            (b"\x00\x01garbage", false),
            (b"HTTP/1.1 200 OK\r\n", true),
        ];
        for (answer, hangs) in odd {
            let (port, peer) = peer(answer, hangs);
            let outcome = with_network(move |network| {
                let mut request = request(port);
                if hangs {
                    request.timeout = Duration::from_millis(50);
                }
                network.get(&request)
            });
            let text = outcome.expect_err("an error").to_string();
            assert!(!text.contains("secret"), "{text}");
            drop(peer.join());
        }
        let nobody = with_network(|network| network.get(&request(1)));
        let error = nobody.expect_err("nobody listens");
        assert!(!error.to_string().contains("secret"), "{error}");
        let invalid = with_network(|network| network.get(&HttpRequest::new("no url")));
        assert!(invalid.is_err());
    }

    fn unary(port: u16) -> UnaryRequest {
        UnaryRequest {
            port,
            path: "/tpu.monitoring.runtime.RuntimeMetricService/GetRuntimeMetric".into(),
            message: b"ping".to_vec(),
            timeout: Duration::from_secs(20),
            max_bytes: 1_000,
        }
    }

    #[test]
    fn a_unary_call_is_answered() {
        use hyper::service::service_fn;
        let outcome = with_network(|network| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.set_nonblocking(true).expect("for tokio");
            let port = listener.local_addr().expect("an address").port();
            let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
                let sent = request.into_body().collect().await.expect("a message");
                let sent = sent.to_bytes();
                let message = unframed(&sent).expect("a frame").to_ascii_uppercase();
                let body = Full::new(framed(&message).expect("short"));
                let status = hyper::HeaderMap::from_iter([(
                    "grpc-status".parse().expect("a name"),
                    "0".parse().expect("a value"),
                )]);
                let body = body.with_trailers(async move { Some(Ok(status)) });
                Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
            };
            let serving = async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let (stream, _) = listener.accept().await.expect("a connection");
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await
            };
            network.runtime.spawn(serving);
            network.unary(&unary(port))
        });
        assert_eq!(outcome.expect("an answer"), b"PING");
    }

    #[test]
    fn a_service_that_is_not_there_or_none_of_grpc_is_an_error() {
        let nobody = with_network(|network| network.unary(&unary(1)));
        let error = nobody.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let (port, peer) = peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
        let odd = with_network(move |network| network.unary(&unary(port)));
        assert!(odd.is_err());
        drop(peer.join());
    }

    #[test]
    fn frames_are_whole() {
        let frame = framed(b"abc").expect("short");
        assert_eq!(unframed(&frame), Some(&b"abc"[..]));
        assert_eq!(unframed(&frame[..7]), None);
        assert_eq!(unframed(&[1, 0, 0, 0, 0]), None);
        assert_eq!(unframed(&[]), None);
    }
}
