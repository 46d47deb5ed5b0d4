//! Messages on their way to one process.
//!
//! Senders never wait. Acknowledgements are cumulative, so a newer one replaces an older one of its stream; progress and
//! notices are dropped when the peer reads nothing for long; when even answers pile up, the connection is given up.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use runlane_proto::local::{self, daemon_message::Message};
use tokio::sync::Notify;

/// Messages that may wait; notices only below the first number.
const NOTICES: usize = 256;
const MESSAGES: usize = 4_096;

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Outbox {
    /// Queues a message.
    pub(crate) fn send(&self, message: Message) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        match &message {
            Message::Ack(ack) => {
                let older = queue
                    .messages
                    .iter_mut()
                    .rev()
                    .find_map(|waiting| match waiting {
                        Message::Ack(older) if older.stream == ack.stream => Some(older),
                        _ => None,
                    });
                if let Some(older) = older {
                    older.logged_seq = ack.logged_seq.max(older.logged_seq);
                    older.synced_seq = ack.synced_seq.max(older.synced_seq);
                    return;
                }
            }
            Message::Notice(_) if queue.messages.len() >= NOTICES => return,
            Message::Response(response)
                if is_progress(response) && queue.messages.len() >= NOTICES =>
            {
                return;
            }
            _ => {}
        }
        if queue.messages.len() >= MESSAGES {
            queue.closed = true;
        } else {
            queue.messages.push_back(message);
        }
        drop(queue);
        self.changed.notify_one();
    }

    /// Ends the connection once what is queued has been sent.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next message; `None` when closed and empty.
    pub(crate) async fn next(&self) -> Option<Message> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(message) = queue.messages.pop_front() {
                    return Some(message);
                }
                if queue.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_progress(response: &local::Response) -> bool {
    matches!(&response.response, Some(local::response::Response::Finish(progress)) if !progress.done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(stream: u64, logged_seq: u64) -> Message {
        Message::Ack(local::Ack {
            stream,
            logged_seq,
            synced_seq: 0,
        })
    }

    #[tokio::test]
    async fn acknowledgements_of_a_stream_are_joined() {
        let outbox = Outbox::default();
        for message in [ack(1, 5), ack(2, 1), ack(1, 9)] {
            outbox.send(message);
        }
        outbox.close();
        assert_eq!(outbox.next().await, Some(ack(1, 9)));
        assert_eq!(outbox.next().await, Some(ack(2, 1)));
        assert_eq!(outbox.next().await, None);
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let outbox = Outbox::default();
        for number in 0..=MESSAGES as u64 {
            outbox.send(Message::Stop(local::Stop { stream: number }));
        }
        let mut sent = 0;
        while outbox.next().await.is_some() {
            sent += 1;
        }
        assert_eq!(sent, MESSAGES);
    }
}
