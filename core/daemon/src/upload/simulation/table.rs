//! Lines for the table of the fault tests.

use std::io::Write as _;

use serde_json::json;

/// One line of the table of faults (`tools/fault_table.py`).
pub(in crate::upload) fn record(id: &str, fault: &str, bound: &str, worst: &str, trials: usize) {
    let Some(directory) = std::env::var_os("RUNLANE_FAULT_TABLE") else {
        return;
    };
    let path =
        std::path::Path::new(&directory).join(format!("{}-upload.jsonl", std::process::id()));
    let line = json!({"id": id, "fault": fault, "bound": bound, "worst": worst, "trials": trials});
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the table's directory");
    writeln!(file, "{line}").expect("written");
}
