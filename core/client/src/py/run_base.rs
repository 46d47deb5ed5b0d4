//! `RunBase`: the native half of a run. `log` is the hot path.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use runlane_proto::local::{Artifact, Finish, Flushed, Request, request, response};

use super::connection::{Connection, DaemonError};
use super::fields::Fields;
use super::hooks::Hooks;
use super::later::HeldCall;
use super::streams::new_stream;
use super::waiting::{duration, next_answer, no_answer};
use super::{records, replies, requests, settings};
use crate::console::redirect;
use crate::encode::{CallContext, Held, Items, Oddity, encode_call, encode_record, read_step};
use crate::hub::{Answer, Command, Hub, OpenSpec, Slot, Status, Stream, StreamState, unix_micros};
use crate::queue::intake::Refused;
use crate::queue::loss::Kind;
use crate::sys::chain::Chain;

/// How long `_finish` waits for any sign of the daemon; it reports five times a second.
const FINISH_SILENCE: Duration = Duration::from_secs(65);
/// How long a call waits for stable storage with `durability="strict"`.
const STRICT_WAIT: Duration = Duration::from_secs(30);
/// How often it looks for signals meanwhile.
const SIGNAL_LOOK: Duration = Duration::from_millis(50);
/// What the answer to a flush that did not reach its level may take longer.
const FLUSH_MARGIN: Duration = Duration::from_millis(100);
/// What the daemon may take longer than a timeout that it knows.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

thread_local! {
    /// The encoder's buffers. Taken out during a call, so that a call within a call (a hook that logs) gets its own.
    static ITEMS: Cell<Items> = Cell::default();
}

/// One open stream. `Run` derives from it.
#[pyclass(subclass, frozen, module = "runlane._core")]
#[derive(Default)]
pub(crate) struct RunBase {
    pub(super) hooks: Hooks,
    // One per process that logged to the run: a child of `fork` adds its own.
    pub(super) streams: Chain<Arc<Stream>>,
    pub(super) closed: AtomicBool,
    // Steps are those of TensorBoard's rows: a `step` of a call is not looked at.
    steps_ignored: AtomicBool,
    // The step of the next row as far as this process knows: other writers of the run count for themselves.
    local_step: AtomicI64,
    warned: AtomicU32,
}

#[pymethods]
impl RunBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    /// Encode one call, append it to the buffer, return.
    #[pyo3(signature = (data, step=None, commit=None, sync=None))]
    fn log(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        step: Option<&Bound<'_, PyAny>>,
        commit: Option<&Bound<'_, PyAny>>,
        sync: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        // Deprecated in W&B and without effect there.
        _ = sync;
        // A fault of ours must not stop training: `PanicException` would pass every `except Exception`.
        catch_unwind(AssertUnwindSafe(|| self.log_call(py, data, step, commit))).unwrap_or_else(
            |_| {
                self.hooks.warn(
                    py,
                    40,
                    "a row was lost: internal error in runlane, please report it",
                );
                Ok(())
            },
        )
    }

    /// Set the slow paths.
    fn _set_hooks(&self, convert: Py<PyAny>, misuse: Py<PyAny>, warn: Py<PyAny>) {
        self.hooks.set(convert, misuse, warn);
    }

    /// Open or attach the stream.
    #[expect(clippy::too_many_arguments, reason = "the contract with Python")]
    fn _open<'py>(
        &self,
        py: Python<'py>,
        connection: &Bound<'py, Connection>,
        settings: &Bound<'py, PyAny>,
        run: &Bound<'py, PyAny>,
        preface: &Bound<'py, PyAny>,
        attach: bool,
        timeout_secs: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (settings, writer_info) = settings::settings(settings)?;
        let spec = OpenSpec {
            settings,
            writer_info,
            run: settings::run_record(&Fields::new("run", run)?)?,
        };
        let preface = preface
            .try_iter()?
            .map(|mapping| {
                let mapping = mapping?;
                let kind: String = mapping.get_item("kind")?.extract()?;
                records::record(&kind, &mapping)
            })
            .collect::<PyResult<Vec<_>>>()?;
        let hub = connection.get().hub()?;
        let slot = Arc::new(Slot::default());
        let stream = new_stream(&hub, Arc::new(spec))
            .map_err(|error| DaemonError::new_err(format!("cannot draw a writer id: {error}")))?;
        let stream = Arc::new(stream);
        hub.send(Command::Open {
            stream: Arc::clone(&stream),
            attach,
            preface,
            slot: Some(Arc::clone(&slot)),
        });
        let answer = next_answer(py, &hub, &slot, Instant::now() + duration(timeout_secs));
        let reply = match answer {
            Ok(Some(Answer::Opened(reply))) => reply,
            other => {
                stream.close(StreamState::Abandoned);
                hub.send(Command::Abandon { stream: stream.id });
                other?;
                return Err(no_answer(&hub, timeout_secs));
            }
        };
        if reply.stream == 0 {
            stream.close(StreamState::Abandoned);
            hub.send(Command::Abandon { stream: stream.id });
        } else {
            self.streams.push_unless(stream, |_| false);
            self.closed.store(false, Ordering::Relaxed);
            let starting_step = reply.run.as_ref().map_or(0, |run| run.starting_step);
            self.local_step.store(starting_step, Ordering::Relaxed);
        }
        replies::opened(py, &reply)
    }

    /// Append a record behind the calls logged so far.
    fn _publish(&self, py: Python<'_>, kind: &str, payload: &Bound<'_, PyAny>) -> PyResult<()> {
        let record = records::record(kind, payload)?;
        let Some(stream) = self.stream_for_call(py)? else {
            return Ok(());
        };
        let Some(entry) = encode_record(&record) else {
            return Err(pyo3::exceptions::PyValueError::new_err(format!(
                "the `{kind}` record is too large"
            )));
        };
        let kind_of_entry = match kind {
            "output" | "output_logger" => Kind::Console,
            _ => Kind::Other,
        };
        match stream.append(&entry, kind_of_entry, unix_micros(), |wait| py.detach(wait)) {
            Ok(()) => {
                self.deliver_notices(py, stream);
                if stream.is_strict {
                    self.wait_synced(py, stream)?;
                }
            }
            Err(_) => self.hooks.misuse(py, "finished", "")?,
        }
        Ok(())
    }

    /// Take what was printed; never waits.
    fn _print(&self, py: Python<'_>, is_error: bool, text: &Bound<'_, PyString>) -> PyResult<()> {
        if let Some(stream) = self.stream_for_call(py)? {
            // A lone surrogate is no reason to lose the rest. A run that was finished meanwhile takes no more.
            let text = text.to_string_lossy();
            drop(stream.print(is_error, &text, unix_micros()));
        }
        Ok(())
    }

    /// Also take what is written to descriptors 1 and 2.
    fn _redirect(&self, py: Python<'_>, secrets: Vec<String>) -> PyResult<()> {
        let stream = Arc::clone(self.open_stream()?);
        let binary = stream.hub.config.binary.clone();
        Ok(py.detach(|| redirect::start(stream, secrets, &binary))?)
    }

    /// Undo `_redirect`.
    fn _restore(&self, py: Python<'_>) {
        if let Some(stream) = self.own_stream() {
            py.detach(|| redirect::stop(stream));
        }
    }

    /// Ask the daemon and wait.
    fn _request<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        payload: &Bound<'py, PyAny>,
        timeout_secs: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = requests::request(kind, payload, timeout_secs)?;
        let stream = self.open_stream()?;
        let slot = ask(stream, request);
        let margin = if matches!(kind, "flush" | "artifact") {
            FLUSH_MARGIN
        } else {
            Duration::ZERO
        };
        let deadline = Instant::now() + duration(timeout_secs) + margin;
        let answer = next_answer(py, &stream.hub, &slot, deadline)?;
        self.deliver_notices(py, stream);
        if answer.is_none() && kind == "flush" {
            let flushed = response::Response::Flushed(Flushed { reached: false });
            return replies::response(py, &flushed);
        }
        if answer.is_none() && kind == "artifact" {
            let unknown = response::Response::Artifact(Artifact::default());
            return replies::response(py, &unknown);
        }
        replies::response(py, &response_of(answer, &stream.hub, timeout_secs)?)
    }

    /// Send everything, write the exit record, wait for the upload.
    fn _finish<'py>(
        &self,
        py: Python<'py>,
        exit_code: i32,
        timeout_secs: f64,
        not_complete: bool,
        progress: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let stream = self.open_stream()?;
        stream.look_after_output(unix_micros(), true);
        self.closed.store(true, Ordering::Relaxed);
        stream.close(StreamState::Finished);
        let slot = ask(
            stream,
            request::Request::Finish(Finish {
                exit_code,
                timeout_secs,
                not_complete,
            }),
        );
        let silence = if timeout_secs > 0.0 {
            duration(timeout_secs) + ANSWER_MARGIN
        } else {
            FINISH_SILENCE
        };
        loop {
            let answer = next_answer(py, &stream.hub, &slot, Instant::now() + silence)?;
            self.deliver_notices(py, stream);
            let response = response_of(answer, &stream.hub, silence.as_secs_f64())?;
            let dict = replies::response(py, &response)?;
            if !matches!(&response, response::Response::Finish(state) if !state.done) {
                return Ok(dict);
            }
            progress.call1((dict,))?;
        }
    }

    /// Whether calls that name a step are treated as if they named none.
    fn _ignore_steps(&self, ignore: bool) {
        self.steps_ignored.store(ignore, Ordering::Relaxed);
    }

    /// Refuse further calls from now on.
    fn _mark_finished(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(stream) = self.own_stream() {
            stream.close(StreamState::Finished);
        }
    }

    /// Drop the stream without finishing it; what was logged is still delivered.
    fn _abandon(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(stream) = self.own_stream()
            && stream.state() == StreamState::Open
        {
            stream.close(StreamState::Finished);
            stream.hub.send(Command::Abandon { stream: stream.id });
        }
    }

    #[getter]
    fn _open_stream(&self) -> bool {
        self.own_stream()
            .is_some_and(|stream| stream.state() == StreamState::Open)
    }

    #[getter]
    fn _queued_bytes(&self) -> usize {
        self.own_stream()
            .map_or(0, |stream| stream.hub.budget.used())
    }

    #[getter]
    fn _lost_rows(&self) -> u64 {
        self.own_stream().map_or(0, |stream| stream.lost())
    }

    #[getter]
    fn _reached(&self) -> (u64, u64, u64, u64) {
        self.own_stream().map_or((0, 0, 0, 0), |stream| {
            let reached = stream.reached();
            (
                reached.returned,
                reached.handed_over,
                reached.logged,
                reached.synced,
            )
        })
    }

    #[getter]
    fn _local_step(&self) -> i64 {
        self.local_step.load(Ordering::Relaxed)
    }

    #[getter]
    fn _stop_requested(&self) -> bool {
        self.own_stream()
            .is_some_and(|stream| stream.stop_requested())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.hooks.traverse(visit)
    }

    fn __clear__(&self) {
        self.hooks.clear();
    }
}

impl RunBase {
    /// The step that a call names, if it counts.
    #[inline]
    fn step_of(&self, py: Python<'_>, step: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i64>> {
        let step = step.map_or(Ok(None), read_step)?;
        if step.is_some() && self.steps_ignored.load(Ordering::Relaxed) {
            let text = "`step` has no effect while TensorBoard's event files are mirrored: their rows and those of `log` share \
                        one count\nhint: log a metric of your own and make it the x axis with `define_metric`";
            self.warn_by_bit(py, 1 << 29, 30, text);
            return Ok(None);
        }
        Ok(step)
    }

    /// Counts a call as the daemon will: an explicit step moves on, a commit closes the row. Threads that log at once may be
    /// counted as one; the number only names files.
    #[inline]
    fn count_step(&self, step: Option<i64>, commit: Option<bool>) {
        let before = self.local_step.load(Ordering::Relaxed);
        let at = step.map_or(before, |step| step.max(before));
        let after = at.saturating_add(i64::from(commit.unwrap_or(step.is_none())));
        if after != before {
            self.local_step.store(after, Ordering::Relaxed);
        }
    }

    #[inline]
    fn log_call(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        step: Option<&Bound<'_, PyAny>>,
        commit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Some(stream) = self.stream_for_call(py)? else {
            return Ok(());
        };
        let now_micros = unix_micros();
        let context = CallContext {
            hooks: &self.hooks,
            timestamp: unix_seconds(now_micros),
            step: self.step_of(py, step)?,
            commit: commit.map(PyAnyMethods::is_truthy).transpose()?,
        };
        // A thread whose locals are gone already (a log call from a late destructor) works with fresh buffers.
        let mut items = ITEMS.try_with(Cell::take).unwrap_or_default();
        let encoded = encode_call(data, &mut items, &context);
        let held = encoded.as_ref().ok().and_then(|_| items.take_held());
        let appended = match &encoded {
            Ok(_) if held.is_some() => Ok(()),
            Ok(_) => stream.append(&items.out, Kind::History, now_micros, |wait| {
                py.detach(wait);
            }),
            Err(_) => Ok(()),
        };
        items.clear();
        _ = ITEMS.try_with(|kept| kept.set(items));
        let oddities = encoded?;
        if appended == Err(Refused::Closed) {
            return self.hooks.misuse(py, "finished", "");
        }
        if let Some(held) = held {
            defer(py, held, stream, now_micros)?;
        }
        self.count_step(context.step, context.commit);
        if stream.has_notices() {
            self.deliver_notices(py, stream);
        }
        for oddity in &oddities {
            self.warn_once(py, oddity);
        }
        if stream.is_strict {
            self.wait_synced(py, stream)?;
        }
        Ok(())
    }

    /// Returns when everything of this process is on stable storage. Where that does not come about, the call returns all the same:
    /// its row is in the spill file, and the user is told.
    #[cold]
    fn wait_synced(&self, py: Python<'_>, stream: &Stream) -> PyResult<()> {
        let wanted = stream.intake.last_seq();
        let deadline = Instant::now() + STRICT_WAIT;
        loop {
            let until = deadline.min(Instant::now() + SIGNAL_LOOK);
            let enough = |status: &Status| {
                status.stopped || stream.is_hopeless() || stream.reached().synced >= wanted
            };
            if py.detach(|| stream.hub.wait_until(until, enough)) {
                break;
            }
            py.check_signals()?;
            if Instant::now() >= deadline {
                break;
            }
        }
        if stream.reached().synced < wanted {
            let text = format!(
                "durability=\"strict\": a call returned although its row was not on stable storage after {} s",
                STRICT_WAIT.as_secs()
            );
            self.warn_by_bit(py, 1 << 30, 30, &text);
        }
        Ok(())
    }

    #[cold]
    fn deliver_notices(&self, py: Python<'_>, stream: &Stream) {
        for (severity, text) in stream.take_notices() {
            self.hooks.warn(py, severity, &text);
        }
    }

    #[cold]
    fn warn_once(&self, py: Python<'_>, oddity: &Oddity) {
        if self.warned.load(Ordering::Relaxed) & oddity.bit() == 0 {
            self.warn_by_bit(py, oddity.bit(), 30, &oddity.text());
        }
    }

    pub(super) fn warn_by_bit(&self, py: Python<'_>, bit: u32, severity: u32, text: &str) {
        if self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.hooks.warn(py, severity, text);
        }
    }
}

/// Keeps the call's place and gives it to whoever makes its values; it makes them itself if that one cannot.
#[cold]
fn defer(py: Python<'_>, held: Held, stream: &Arc<Stream>, now_micros: u64) -> PyResult<()> {
    let taker = held.defer(py);
    let call = Bound::new(py, HeldCall::new(held, stream, now_micros))?;
    match taker.map(|taker| taker.bind(py).call1((&call,))) {
        Some(Ok(_)) => Ok(()),
        _ => call.get().complete(py),
    }
}

/// Sends a request behind everything that was appended.
fn ask(stream: &Stream, request: request::Request) -> Arc<Slot> {
    let slot = Arc::new(Slot::default());
    let request = Request {
        request_id: stream.hub.fresh_id(),
        stream: 0,
        request: Some(request),
    };
    stream.hub.send(Command::Request {
        stream: stream.id,
        after_seq: stream.intake.last_seq(),
        request,
        slot: Arc::clone(&slot),
    });
    slot
}

fn response_of(
    answer: Option<Answer>,
    hub: &Hub,
    timeout_secs: f64,
) -> PyResult<response::Response> {
    match answer {
        Some(Answer::Response(reply)) => match (reply.error, reply.response) {
            (Some(error), None) => Err(DaemonError::new_err(error.message)),
            (_, Some(response)) => Ok(response),
            (None, None) => Err(DaemonError::new_err(
                "the daemon's answer is of a kind that this client does not know",
            )),
        },
        Some(Answer::Closed | Answer::Opened(_)) => Err(DaemonError::new_err("the run is closed")),
        None => Err(no_answer(hub, timeout_secs)),
    }
}

/// Unix seconds.
#[inline]
#[expect(
    clippy::cast_precision_loss,
    reason = "a double has room for microseconds until the year 2255"
)]
fn unix_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
