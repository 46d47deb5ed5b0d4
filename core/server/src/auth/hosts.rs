//! The `Host` and `Origin` checks: a page of another site must not reach a local server through a name it controls.

use std::net::IpAddr;

use http::HeaderMap;

/// Names under which the server may be addressed.
#[derive(Debug, Clone)]
pub(crate) struct AllowedHosts {
    names: Vec<String>,
    /// Bound to all interfaces: any literal address is ours (a rebinding attack needs a name).
    any_address: bool,
}

impl AllowedHosts {
    /// Loopback names, the bind address, `extra`, and the host of the public URL.
    pub(crate) fn new(bind: IpAddr, extra: &[String], public_url: Option<&str>) -> Self {
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "[::1]".to_owned(),
        ];
        names.push(match bind {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        names.extend(extra.iter().map(|name| name.to_ascii_lowercase()));
        if let Some(host) = public_url
            .and_then(|url| url::Url::parse(url).ok())
            .and_then(|url| url.host_str().map(str::to_ascii_lowercase))
        {
            names.push(host);
        }
        Self {
            names,
            any_address: bind.is_unspecified(),
        }
    }

    /// Whether `host` (with or without port) names this server.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let Some(name) = host_name(host) else {
            return false;
        };
        let name = name.to_ascii_lowercase();
        if self.names.contains(&name) {
            return true;
        }
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        self.any_address && literal.parse::<IpAddr>().is_ok()
    }
}

/// The name in `name[:port]`; none if it is malformed.
fn host_name(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let port_fine = match port.strip_prefix(':') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    (port_fine && !name.is_empty()).then_some(name)
}

/// Whether the request comes from a page of the server itself. A missing `Origin` is no such proof.
pub(crate) fn same_origin(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let (Some(origin), Some(host)) = (text(http::header::ORIGIN), text(http::header::HOST)) else {
        return false;
    };
    let by_host = origin.split_once("://").is_some_and(|(scheme, name)| {
        matches!(scheme, "http" | "https") && name.eq_ignore_ascii_case(host)
    });
    by_host
        || public_url
            .and_then(|url| url::Url::parse(url).ok())
            .is_some_and(|url| url.origin().ascii_serialization() == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_allowed() {
        let hosts = AllowedHosts::new(
            IpAddr::from([127, 0, 0, 1]),
            &["Box.lan".into()],
            Some("https://runs.example/x"),
        );
        for good in [
            "localhost",
            "localhost:80",
            "127.0.0.1:9",
            "[::1]:5",
            "BOX.lan:1",
            "runs.example",
        ] {
            assert!(hosts.allows(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "localhost:",
            "localhost:x",
            "[::1",
            "a@localhost",
        ] {
            assert!(!hosts.allows(bad), "{bad}");
        }
    }

    #[test]
    fn server_on_all_interfaces_takes_addresses_but_no_names() {
        let hosts = AllowedHosts::new(IpAddr::from([0, 0, 0, 0]), &[], None);
        assert!(hosts.allows("10.1.2.3:8080") && hosts.allows("[fe80::1]:8080"));
        assert!(!hosts.allows("evil.example"));
    }

    #[test]
    fn origin_must_name_the_host() {
        let with = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "localhost:8080".parse().expect("value"));
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().expect("value"));
            }
            same_origin(&headers, Some("https://runs.example"))
        };
        assert!(with(Some("http://localhost:8080")) && with(Some("https://runs.example")));
        assert!(!with(None) && !with(Some("null")) && !with(Some("http://localhost:8081")));
        assert!(!with(Some("http://evil.example")));
    }
}
