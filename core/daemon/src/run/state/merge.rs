//! One run record over another.

use runlane_proto::wandb_internal as pb;

/// Applies the fields that an update of a run sets.
pub(crate) fn merge_run(base: &mut pb::RunRecord, newer: &pb::RunRecord) {
    let replace = |field: &mut String, value: &String| {
        if !value.is_empty() {
            field.clone_from(value);
        }
    };
    replace(&mut base.run_id, &newer.run_id);
    replace(&mut base.entity, &newer.entity);
    replace(&mut base.project, &newer.project);
    replace(&mut base.run_group, &newer.run_group);
    replace(&mut base.job_type, &newer.job_type);
    replace(&mut base.display_name, &newer.display_name);
    replace(&mut base.notes, &newer.notes);
    replace(&mut base.sweep_id, &newer.sweep_id);
    replace(&mut base.host, &newer.host);
    replace(&mut base.storage_id, &newer.storage_id);
    if !newer.tags.is_empty() {
        base.tags.clone_from(&newer.tags);
    }
    if newer.start_time.is_some() {
        base.start_time = newer.start_time;
    }
    if newer.git.is_some() {
        base.git.clone_from(&newer.git);
    }
    if newer.branch_point.is_some() {
        base.branch_point.clone_from(&newer.branch_point);
    }
    if newer.starting_step != 0 {
        base.starting_step = newer.starting_step;
    }
    if newer.runtime != 0 {
        base.runtime = newer.runtime;
    }
    base.resumed |= newer.resumed;
    base.forked |= newer.forked;
    base.resume |= newer.resume;
}
