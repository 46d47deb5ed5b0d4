//! Extended JSON: JSON plus the bare tokens `NaN`, `Infinity` and `-Infinity`, as Python's `json` module and W&B write
//! it (`reference/wandb/records.md` §2.1).
//!
//! Integers within `i64` stay exact; larger ones become `f64`, as in W&B. Floats are written in their shortest
//! round-trip form and keep a mark that they are floats (`1.0`, `-0.0`).

mod leaves;
mod lexer;
mod value;
mod write;

pub use leaves::{Leaf, visit_leaves};
pub use lexer::{JsonError, MAX_DEPTH};
pub use value::{Object, Value, parse, parse_object};
pub use write::{with_f64_text, write_f64, write_i64, write_string, write_value};
