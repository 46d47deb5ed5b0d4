//! The seam to the network: one request, one bounded answer.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use runlane_model::backoff::{Verdict, judge, retry_after_secs};
use runlane_proto::local;
use tokio_util::io::ReaderStream;

use crate::clock::Clock;

/// No answer is read beyond this.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Characters of a server's text that a message quotes.
const QUOTED: usize = 300;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
}

/// Where a request's body comes from.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Bytes(Bytes),
    /// The first `length` bytes of a file.
    File {
        path: PathBuf,
        length: u64,
    },
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// `RateLimit-Remaining` and `RateLimit-Reset`, if both are there.
    pub(crate) rate_limit: Option<(f64, f64)>,
    pub(crate) body: Bytes,
}

/// Why a call failed, by what may be done about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallError {
    pub(crate) verdict: Verdict,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) message: String,
}

impl CallError {
    pub(crate) fn retry(message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Retry,
            retry_after: None,
            message: message.into(),
        }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Refused,
            retry_after: None,
            message: message.into(),
        }
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
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_secs(90));
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
        builder = match request.body {
            Body::Bytes(bytes) => builder.body(bytes),
            Body::File { path, length } => {
                use tokio::io::AsyncReadExt;
                let file = tokio::fs::File::open(&path).await.map_err(|error| {
                    CallError::refused(format!("{error}: `{}`", path.display()))
                })?;
                builder.header("Content-Length", length.to_string()).body(
                    reqwest::Body::wrap_stream(ReaderStream::new(file.take(length))),
                )
            }
        };
        let mut response = builder
            .send()
            .await
            .map_err(|error| CallError::retry(explain(&error)))?;
        let number = |name: &str| {
            let text = response.headers().get(name)?.to_str().ok()?;
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|number| *number >= 0.0)
        };
        let rate_limit = number("ratelimit-remaining").zip(number("ratelimit-reset"));
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, &*self.clock));
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| CallError::retry(explain(&error)))?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(CallError::retry("the server's answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer {
            status,
            retry_after,
            rate_limit,
            body: body.freeze(),
        })
    }
}

impl Http for Network {
    fn send(&self, request: HttpRequest) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

/// The error and its causes in one line, without the URL: it may carry a signature.
fn explain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if text.is_empty() {
        "the request failed".to_owned()
    } else {
        text
    }
}

/// How long a `Retry-After` header asks to wait: seconds, or a date; one that is past asks for nothing more.
fn retry_after(header: &str, clock: &dyn Clock) -> Option<Duration> {
    retry_after_secs(header).or_else(|| {
        let date = httpdate::parse_http_date(header.trim()).ok()?;
        let at = date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Duration::try_from_secs_f64((at - clock.unix_secs()).max(0.0)).ok()
    })
}

/// An answer that is no success, as an error.
pub(crate) fn check(answer: HttpAnswer) -> Result<HttpAnswer, CallError> {
    let verdict = judge(answer.status);
    if verdict == Verdict::Success {
        return Ok(answer);
    }
    Err(CallError {
        verdict,
        retry_after: answer.retry_after,
        message: message_of(&answer),
    })
}

/// What the server says about an error, whatever shape it says it in.
fn message_of(answer: &HttpAnswer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let told = serde_json::from_slice::<serde_json::Value>(&answer.body)
        .ok()
        .and_then(|value| {
            let error = &value["error"];
            error
                .as_str()
                .or_else(|| error["message"].as_str())
                .or_else(|| value["errors"][0]["message"].as_str())
                .map(str::to_owned)
        });
    let told: String = told
        .unwrap_or_else(|| text.into_owned())
        .chars()
        .take(QUOTED)
        .collect();
    format!("status {}: {}", answer.status, told.trim())
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

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // `Sun, 06 Nov 1994 08:49:37 GMT` in Unix time, less 90 s.
        let clock = At(784_111_777.0 - 90.0);
        let wait = |header| retry_after(header, &clock);
        assert_eq!(wait("121"), Some(Duration::from_secs(121)));
        // The three forms of RFC 9110.
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(wait(date), Some(Duration::from_secs(90)), "{date}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for rubbish in ["", "soon", "-5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(rubbish), None, "{rubbish}");
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

    #[test]
    fn the_server_s_own_words_are_quoted() {
        let answer = |status, body: &'static str| HttpAnswer {
            status,
            body: Bytes::from(body),
            ..Default::default()
        };
        for (body, shown) in [
            (r#"{"error":"no run"}"#, "status 404: no run"),
            (r#"{"error":{"message":"no run"}}"#, "status 404: no run"),
            (r#"{"errors":[{"message":"no run"}]}"#, "status 404: no run"),
            ("plain", "status 404: plain"),
        ] {
            let error = check(answer(404, body)).expect_err("no success");
            assert_eq!(
                (error.message.as_str(), error.verdict),
                (shown, Verdict::Refused)
            );
        }
        assert!(check(answer(200, "{}")).is_ok());
    }
}
