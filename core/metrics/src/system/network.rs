//! `network.sent`, `network.recv` (bytes) and `network.tcpRetransmits` (segments), of all interfaces, since the run's start.

use crate::{Group, Host, Kind, Reading, SampleError, Sampler};

const DEVICES: &str = "/proc/net/dev";
const TCP: &str = "/proc/net/snmp";

/// Samples the network.
#[derive(Debug, Default)]
pub(super) struct Network {
    buffer: Vec<u8>,
}

impl Sampler for Network {
    fn sample(&mut self, host: &dyn Host) -> Result<Reading, SampleError> {
        let mut group = Group::default();
        host.read(DEVICES, &mut self.buffer)
            .map_err(|error| SampleError::reading(DEVICES, &error))?;
        let (received, sent) = traffic(&String::from_utf8_lossy(&self.buffer))
            .ok_or_else(|| SampleError::unreadable(DEVICES))?;
        group.add("network.sent", sent, Kind::SinceStart);
        group.add("network.recv", received, Kind::SinceStart);
        // A kernel without TCP has no such file, a sandbox may hide it.
        if host.read(TCP, &mut self.buffer).is_ok()
            && let Some(count) = retransmits(&String::from_utf8_lossy(&self.buffer))
        {
            group.add("network.tcpRetransmits", count, Kind::SinceStart);
        }
        Ok(Reading::of(host.now(), group))
    }
}

/// `<interface>: <bytes received> … 7 more … <bytes sent> …`, behind two lines of headings: received and sent.
fn traffic(text: &str) -> Option<(f64, f64)> {
    let mut sums = None;
    for line in text.lines() {
        // A name is not always followed by a blank; it may hold a colon (an alias).
        let Some((_, numbers)) = line.rsplit_once(':') else {
            continue;
        };
        let numbers: Vec<f64> = numbers
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        if let (Some(received), Some(sent)) = (numbers.first(), numbers.get(8)) {
            let (all_received, all_sent) = sums.unwrap_or((0.0, 0.0));
            sums = Some((all_received + received, all_sent + sent));
        }
    }
    sums
}

/// `Tcp: <names>` and `Tcp: <numbers>` below it.
fn retransmits(text: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let index = names
        .split_whitespace()
        .position(|name| name == "RetransSegs")?;
    numbers.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::RecordedHost;

    const RECORDED: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  1000    10    0    0    0     0          0         0   1000    10    0    0    0     0       0          0
  eth0:500 30706    0    0    0     0          0         0  20   17543    0    0    0     0       0          0
eth0:1: 7 0 0 0 0 0 0 0 3 0 0 0 0 0 0 0
";
    const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin ActiveOpens RetransSegs InErrs
Tcp: 1 200 9 42 0
";

    #[test]
    fn all_interfaces_count() {
        let host = RecordedHost::default();
        host.file(DEVICES, RECORDED).file(TCP, SNMP);
        let reading = Network::default().sample(&host).expect("read");
        let found: Vec<_> = reading.groups[0]
            .metrics
            .iter()
            .map(|metric| (metric.key.as_ref(), metric.value))
            .collect();
        assert_eq!(
            found,
            [
                ("network.sent", 1023.0),
                ("network.recv", 1507.0),
                ("network.tcpRetransmits", 42.0)
            ]
        );
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let host = RecordedHost::default();
        let absent = Network::default().sample(&host).expect_err("no file");
        assert!(matches!(absent, SampleError::Absent));
        host.file(DEVICES, RECORDED);
        let reading = Network::default().sample(&host).expect("read");
        assert_eq!(reading.len(), 2);
        host.file(DEVICES, "garbage: yes\n");
        let failed = Network::default().sample(&host).expect_err("no numbers");
        assert!(matches!(failed, SampleError::Failed(_)));
    }
}
