"""TensorFlow's writers, by stand-ins with its module names and signatures: TensorFlow itself is too large for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_world import script, values

if TYPE_CHECKING:
    from world import Home

COMMON = """
import os, time
from tensorboard.summary.writer.record_writer import RecordWriter
def made(logdir, suffix):
    os.makedirs(logdir, exist_ok=True)
    file = open(f"{logdir}/events.out.tfevents.{int(time.time())}.{os.uname().nodename}{suffix}", "ab")
    return file, RecordWriter(file)
"""

#: `tf.summary.create_file_writer` and Keras's callback end here; eager code passes the directory as a tensor.
GEN_SUMMARY_OPS = (
    COMMON
    + """
opened = []
def create_summary_file_writer(writer, logdir, max_queue, flush_millis, filename_suffix, name=None):
    opened.append(made(logdir.numpy().decode(), f".1.0{filename_suffix}"))
"""
)

#: `tf.compat.v1.summary.FileWriter`.
EVENT_FILE_WRITER = (
    COMMON
    + """
class EventFileWriter:
    def __init__(self, logdir, max_queue=10, flush_secs=120, filename_suffix=None):
        self.file, self.records = made(logdir, filename_suffix or "")
    def add_event(self, event):
        self.records.write(event.SerializeToString())
    def flush(self):
        self.file.flush()
"""
)


def test_both_generations_of_tensorflows_writers_are_followed(home: Home) -> None:
    for name, text in {
        "python/ops/gen_summary_ops.py": GEN_SUMMARY_OPS,
        "python/summary/writer/event_file_writer.py": EVENT_FILE_WRITER,
    }.items():
        place = home.work / "tensorflow" / name
        place.parent.mkdir(parents=True)
        place.write_text(text)
    home.python(
        script("""
sys.path.insert(0, os.getcwd())
class Tensor:
    def __init__(self, text): self.text = text
    def numpy(self): return self.text.encode()
from tensorflow.python.ops import gen_summary_ops
before = gen_summary_ops.create_summary_file_writer
run = wandb.init(settings=SETTINGS)
gen_summary_ops.create_summary_file_writer(writer=None, logdir=Tensor("tb/train"), max_queue=1, flush_millis=1, filename_suffix=".v2")
file, records = gen_summary_ops.opened[0]
for step in range(3):
    records.write(Event(step=step, summary=Summary(value=[Summary.Value(
        tag="epoch_loss", metadata=metadata("scalars"), tensor=make_tensor_proto(float(step), dtype="float32"))])).SerializeToString())
file.flush()
from tensorflow.python.summary.writer.event_file_writer import EventFileWriter
old = EventFileWriter("tb/old")
put(old, 5, loss=1)
run.finish()
assert gen_summary_ops.create_summary_file_writer is before
"""),
        env={"WANDB_MODE": "offline", "WANDB_SYNC_TENSORBOARD": "true"},
    )
    (run_dir,) = home.run_dirs()
    assert values(run_dir, "train/epoch_loss") == [(0, 0), (1, 1), (2, 2)]
    assert values(run_dir, "old/loss") == [(5, 1)]
