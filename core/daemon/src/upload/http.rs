//! The seam to the network: one request, one bounded answer.

mod answer;
mod body;

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use runlane_model::backoff::{RateLimit, Verdict};
use runlane_proto::local;

pub(crate) use self::answer::{check, hex};
use self::answer::{explain, md5_of, retry_after};
pub(crate) use self::body::Counter;
use crate::clock::Clock;

/// No answer is read beyond this, unpacked.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// A server that needs longer to take a connection is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How the message of an upload begins whose file was written to meanwhile.
pub(crate) const CHANGED: &str = "the file changed";
/// And of one whose file could not be read to its end.
pub(crate) const UNREADABLE: &str = "the file cannot be read";
/// Redirects that are followed in a row, on one host only.
const REDIRECTS: usize = 3;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    /// For everything, from the connection to the last byte of the answer.
    pub(crate) timeout: Option<Duration>,
}

/// Where a request's body comes from.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Bytes(Bytes),
    /// `length` bytes of a file from `offset` on, which must have this MD5 (hex): an upload of anything else fails.
    File {
        path: PathBuf,
        offset: u64,
        length: u64,
        md5: String,
        counter: Option<Counter>,
    },
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) rate_limit: Option<RateLimit>,
    /// Where a redirect that was not followed leads.
    pub(crate) location: Option<String>,
    /// The MD5 (hex) of what was stored, if the store tells it.
    pub(crate) md5: Option<String>,
    /// The `ETag` as it came.
    pub(crate) etag: Option<String>,
    pub(crate) body: Bytes,
}

/// Why a call failed, by what may be done about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallError {
    pub(crate) verdict: Verdict,
    /// 0 if there was no answer.
    pub(crate) status: u16,
    /// The time ran out.
    pub(crate) is_timeout: bool,
    pub(crate) retry_after: Option<Duration>,
    /// How long requests take that this host answers, if it answers others.
    pub(crate) hope: Option<Duration>,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    pub(crate) message: String,
}

impl CallError {
    fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            status: 0,
            is_timeout: false,
            retry_after: None,
            hope: None,
            location: None,
            message: message.into(),
        }
    }

    pub(crate) fn retry(message: impl Into<String>) -> Self {
        Self::new(Verdict::Retry, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Verdict::Refused, message)
    }

    /// Where a request to `url` was redirected to, unless that gives up encryption.
    pub(crate) fn redirected_from(&self, url: &str) -> Option<String> {
        let to = self.location.as_deref()?;
        let is_redirect = matches!(self.status, 301 | 302 | 307 | 308);
        let from = url::Url::parse(url).ok()?;
        let to = from.join(to).ok()?;
        let is_safe = to.scheme() == "https" || from.scheme() == to.scheme();
        (is_redirect && is_safe).then(|| to.to_string())
    }
}

/// A request under way.
pub(crate) type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<HttpAnswer, CallError>> + Send + 'a>>;

/// Sends requests.
pub(crate) trait Http: Send + Sync + std::fmt::Debug {
    /// Resolves with an answer of any status; an error means that there was none.
    fn send(&self, request: HttpRequest) -> Sending<'_>;
}

/// The real network.
#[derive(Debug)]
pub(crate) struct Network {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Network {
    /// A client with a run's proxies and TLS settings.
    pub(crate) fn new(
        settings: &local::RunSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CallError> {
        // Fails if a provider is there already, which serves as well.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut builder = reqwest::Client::builder()
            .user_agent(format!("runlane/{}", crate::VERSION))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::custom(redirect));
        for (proxy, make) in [
            (
                &settings.http_proxy,
                reqwest::Proxy::http as fn(String) -> _,
            ),
            (&settings.https_proxy, reqwest::Proxy::https),
        ] {
            if !proxy.is_empty() {
                let proxy = make(proxy.clone())
                    .map_err(|error| CallError::refused(format!("invalid proxy: {error}")))?;
                builder = builder.proxy(proxy);
            }
        }
        if settings.insecure_disable_ssl {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let client = builder
            .build()
            .map_err(|error| CallError::refused(explain(&error)))?;
        Ok(Self { client, clock })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpAnswer, CallError> {
        let method = if request.method == "PUT" {
            reqwest::Method::PUT
        } else {
            reqwest::Method::POST
        };
        let mut builder = self.client.request(method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(timeout) = request.timeout {
            builder = builder.timeout(timeout);
        }
        let mut sent = None;
        builder = match request.body {
            Body::Bytes(bytes) => builder.body(bytes),
            Body::File {
                path,
                offset,
                length,
                md5,
                counter,
            } => {
                let (stream, state) = body::open(&path, offset, length, md5, counter).await?;
                sent = Some(state);
                builder
                    .header("Content-Length", length.to_string())
                    .body(reqwest::Body::wrap_stream(stream))
            }
        };
        let outcome =
            async { receive(builder.send().await.map_err(failed)?, &*self.clock).await }.await;
        let Some(sent) = sent else {
            return outcome;
        };
        let stored = outcome.as_ref().is_ok_and(|answer| answer.status < 300);
        if stored && sent.is_whole() {
            return outcome;
        }
        sent.take_back();
        match sent.fault() {
            Some(fault) => Err(fault),
            // Whatever was stored, it is not the file.
            None if stored => Err(CallError::retry(
                "the server did not wait for the whole file",
            )),
            None => outcome,
        }
    }
}

impl Http for Network {
    fn send(&self, request: HttpRequest) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

/// Reads the whole answer.
async fn receive(
    mut response: reqwest::Response,
    clock: &dyn Clock,
) -> Result<HttpAnswer, CallError> {
    let text = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(value.trim().to_owned())
    };
    let number = |name: &str| {
        let number = text(name)?.parse::<f64>().ok();
        number.filter(|number| number.is_finite() && *number >= 0.0)
    };
    let mut answer = HttpAnswer {
        status: response.status().as_u16(),
        retry_after: text("retry-after").and_then(|header| retry_after(&header, clock)),
        rate_limit: number("ratelimit-remaining")
            .zip(number("ratelimit-reset"))
            .map(|(remaining, reset)| RateLimit { remaining, reset }),
        location: text("location"),
        md5: md5_of(text),
        etag: text("etag"),
        body: Bytes::new(),
    };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(CallError::retry("the server's answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    answer.body = body.freeze();
    Ok(answer)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: reqwest::Error) -> CallError {
    CallError {
        is_timeout: error.is_timeout(),
        ..CallError::retry(explain(&error))
    }
}

/// Follows what keeps the method, on the same host, and never to a plain connection: the key goes along.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let Some(from) = attempt.previous().last() else {
        return attempt.stop();
    };
    let to = attempt.url();
    let same_host = from.host_str() == to.host_str();
    let safe = to.scheme() == "https"
        || (from.scheme() == to.scheme()
            && from.port_or_known_default() == to.port_or_known_default());
    let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
    if same_host && safe && keeps_method && attempt.previous().len() <= REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Opens a regular file for reading, without waiting for the other end of a pipe that has taken its place.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let irregular = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
    // Opening a device may have effects of its own.
    if !std::fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(irregular());
    }
    Ok(file)
}

/// A request body, compressed with gzip.
pub(crate) fn compressed(body: &str) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder
        .write_all(body.as_bytes())
        .and_then(|()| encoder.finish());
    Bytes::from(written.expect("a vector takes every write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(f64);

    impl Clock for At {
        fn unix_secs(&self) -> f64 {
            self.0
        }
    }

    #[tokio::test]
    async fn the_date_of_a_busy_server_reaches_the_retry() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let (mut stream, _peer) = listener.accept().await.expect("a connection");
            let mut request = [0; 4_096];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            let answer = "HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("sent");
        });
        let clock = Arc::new(At(784_111_777.0 - 7.0));
        let network = Network::new(&local::RunSettings::default(), clock).expect("a client");
        let request = HttpRequest {
            method: "POST",
            url,
            headers: Vec::new(),
            body: Body::Bytes(Bytes::new()),
            timeout: Some(Duration::from_secs(30)),
        };
        let answer = network.send(request).await.expect("an answer");
        server.await.expect("no panic");
        let error = check(answer).expect_err("busy");
        assert_eq!(
            (error.verdict, error.retry_after),
            (Verdict::Retry, Some(Duration::from_secs(7)))
        );
    }
}
