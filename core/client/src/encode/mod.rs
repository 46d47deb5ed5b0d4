//! One `log()` call as bytes: the `entry` field of a `Batch` that carries a `PartialHistoryRequest`.
//!
//! Two passes are possible. The quick one walks a dictionary of plain scalars and runs no Python code. Whatever it does not
//! know ends it, and the careful pass starts again on a private copy of the dictionary: from there on Python code may
//! run (`item()`, `tolist()`, the hook), and a change of the user's dictionary by another thread has no effect.

mod bigint;
mod careful;
mod held;
mod item;
mod key;
mod number;
mod oddity;
mod text;

use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use runlane_proto::wandb_internal::Record;

pub(crate) use held::Held;
pub(crate) use item::Items;
pub(crate) use oddity::Oddity;
pub(crate) use text::read as read_text;

use crate::py::hooks::Hooks;
use crate::sys::python::walk_plain;
use crate::wire::{MAX_PADDED, close_message, open_message, put_varint};

/// Largest call and largest single value, in bytes as encoded.
pub(crate) const MAX_CALL_BYTES: usize = 10 << 20;
/// Deepest nesting of dictionaries and lists.
pub(crate) const MAX_DEPTH: usize = 64;

/// `Batch.entry`, `Entry.call`, `PartialHistoryRequest.step` and `.action`: tags of length-delimited fields.
const ENTRY: u8 = 0x1a;
const CALL: u8 = 0x0a;
const RECORD: u8 = 0x12;
const STEP: u8 = 0x12;
const ACTION: u8 = 0x1a;

/// What a call needs besides its data.
pub(crate) struct CallContext<'a> {
    /// Slow paths in Python.
    pub(crate) hooks: &'a Hooks,
    /// Unix seconds, the time of the call.
    pub(crate) timestamp: f64,
    /// The step that the user gave.
    pub(crate) step: Option<i64>,
    /// The decision to commit, if the user made one.
    pub(crate) commit: Option<bool>,
}

/// Encodes one call into `items`; on an error `items` holds nothing to be used.
///
/// Returns what was odd. Errors: `TypeError` and `ValueError` of `reliability.md` 7.1, and whatever the hook raises.
pub(crate) fn encode_call(
    data: &Bound<'_, PyAny>,
    items: &mut Items,
    context: &CallContext<'_>,
) -> PyResult<Vec<Oddity>> {
    let mut oddities = Vec::new();
    let (entry, call) = open_call(items);
    let quick = data.cast_exact::<PyDict>().is_ok_and(|dict| {
        walk_plain(dict, |key, value| {
            key::is_plain(key) && {
                items.put_plain(key, value);
                true
            }
        })
    });
    let mut timestamped = false;
    // A call that is too large goes through the careful pass as well: that one names the value.
    if !quick || items.out.len() > MAX_CALL_BYTES {
        items.clear();
        open_call(items);
        timestamped = careful::encode(data, items, context, &mut oddities)?;
    }
    if !timestamped {
        items.put_timestamp(context.timestamp);
    }
    if let Some(step) = context.step {
        items.out.push(STEP);
        let mut message = Vec::with_capacity(11);
        message.push(0x08);
        put_varint(&mut message, step.cast_unsigned());
        put_varint(&mut items.out, message.len() as u64);
        items.out.extend_from_slice(&message);
    }
    match context.commit {
        Some(true) => items.out.extend_from_slice(&[ACTION, 2, 0x08, 1]),
        Some(false) => items.out.extend_from_slice(&[ACTION, 0]),
        None => {}
    }
    check_size(items.out.len(), "the call")?;
    close_message(&mut items.out, call);
    close_message(&mut items.out, entry);
    items.heads = (entry, call);
    Ok(oddities)
}

/// Encodes a record as an entry; `None` if it is larger than a frame may be.
pub(crate) fn encode_record(record: &Record) -> Option<Vec<u8>> {
    use prost::Message as _;
    let length = record.encoded_len();
    if length > MAX_PADDED.min(runlane_model::spill::MAX_PAYLOAD_BYTES / 2) {
        return None;
    }
    let mut out = Vec::with_capacity(length + 16);
    let entry = open_message(&mut out, ENTRY);
    let inner = open_message(&mut out, RECORD);
    record.encode_raw(&mut out);
    close_message(&mut out, inner);
    close_message(&mut out, entry);
    Some(out)
}

/// Reads the `step` argument.
///
/// Errors: `TypeError` for what is not an integer (a bool counts as none), `ValueError` above 2^63 - 1.
pub(crate) fn read_step(step: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if step.is_none() {
        return Ok(None);
    }
    if step.is_instance_of::<PyBool>()
        || step.is_instance_of::<PyFloat>()
        || step.is_instance_of::<PyString>()
    {
        return Err(not_a_step(step));
    }
    let index;
    let integer = if step.is_instance_of::<PyInt>() {
        step
    } else {
        index = step
            .call_method0(pyo3::intern!(step.py(), "__index__"))
            .map_err(|error| {
                let no_index = error.is_instance_of::<PyAttributeError>(step.py());
                if no_index || error.is_instance_of::<PyTypeError>(step.py()) {
                    not_a_step(step)
                } else {
                    error
                }
            })?;
        &index
    };
    match integer.extract::<i64>() {
        Ok(step) => Ok(Some(step)),
        // Below the current step whatever that is; how far below does not matter.
        Err(_) if integer.lt(0)? => Ok(Some(i64::MIN)),
        Err(_) => Err(PyValueError::new_err(format!(
            "step {integer} is above the largest step, {}",
            i64::MAX
        ))),
    }
}

fn not_a_step(step: &Bound<'_, PyAny>) -> PyErr {
    let kind = step
        .get_type()
        .name()
        .map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("step must be an integer, not `{kind}`"))
}

/// Refuses what is larger than [`MAX_CALL_BYTES`], naming `what`.
fn check_size(bytes: usize, what: &str) -> PyResult<()> {
    if bytes <= MAX_CALL_BYTES {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{what} is too large to log: {bytes} bytes, the limit is {MAX_CALL_BYTES}\nhint: log large data as a file, table or artifact"
    )))
}

fn open_call(items: &mut Items) -> (usize, usize) {
    let entry = open_message(&mut items.out, ENTRY);
    let call = open_message(&mut items.out, CALL);
    (entry, call)
}
