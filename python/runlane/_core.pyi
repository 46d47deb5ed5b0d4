"""The native part of the SDK: it encodes what is logged and hands it to the daemon."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from typing_extensions import disjoint_base

__version__: str

class DaemonError(Exception):
    """The daemon could not be started, reached, or refused a request."""

@final
class Connection:
    """The process's one connection to the daemon. Thread-safe. Forgotten (not closed) in a forked child."""

    @staticmethod
    def open(runtime_dir: str, binary: str, timeout_secs: float) -> Connection:
        """Connect, starting the daemon under a lock if none answers. Blocks up to `timeout_secs`.

        Raises:
            DaemonError: with the reason and what to do.
        """

    @property
    def daemon_pid(self) -> int: ...

def unpack_rows(frame: bytes) -> tuple[list[dict[str, Any]], int | None]:
    """The rows of a frame of a stored history as dicts, and the count of all rows if it is the last frame.

    Raises:
        ValueError: The bytes are no frame.
    """

@final
class FrameColumns:
    """Collects frames of a stored history as typed columns, with buffers laid out as Arrow's. Thread-safe."""

    def __new__(cls) -> FrameColumns: ...
    def add(self, frame: bytes) -> int | None:
        """Append the rows of a frame; the count of all rows if it is the last frame.

        Raises:
            ValueError: The bytes are no frame.
        """

    @property
    def rows(self) -> int:
        """How many rows there are."""

    def columns(self) -> list[tuple[str, str, int]]:
        """Name, type (`empty`, `int`, `float`, `bool`, `text`, `json`) and count of missing values of each column."""

    def buffers(self, index: int) -> tuple[bytes, bytes, bytes]:
        """Of a column: validity bits; the ends of its texts, 8 bytes each; its values."""

    def texts(self, index: int) -> list[str | None]:
        """A column of type `text` or `json` as texts."""

    def objects(self, index: int) -> list[Any]:
        """A column of type `text` or `json` as objects: JSON is read."""

def check_artifact_text(kind: str, text: str) -> str:
    """`text` if it may be an artifact's `name`, `type`, `alias`, `tag`, an entry's `path`, or `metadata` (JSON).

    Raises:
        ValueError: It may not; the message says why.
    """

def manifest_digest(entries: Sequence[tuple[str, str]], algorithm: str) -> str:
    """The hex digest of a manifest with these paths and digests, by `MD5` or `XXH128`."""

def list_tree(root: str, most: int, follow: bool = True) -> tuple[list[str], list[str]]:
    """Regular files below a directory, relative to it and in order, links to files followed; and what was left out.

    With `follow`, links to directories are followed too. Left out are special files, links that lead nowhere, directories that lead
    back to one above them, and links to directories that are not followed.

    Raises:
        OSError: A directory cannot be read.
        ValueError: A name is not valid UTF-8, or there are more than `most` files.
    """

@final
class Digester:
    """Hashes pieces of bytes by `md5` or `xxh128`, without the interpreter's lock. Thread-safe."""

    def __new__(cls, algorithm: str) -> Digester: ...
    def update(self, data: bytes | bytearray | memoryview) -> None: ...
    def digest(self) -> bytes:
        """The 16 bytes of the digest of everything so far."""

def digest_file(path: str, algorithm: str) -> bytes:
    """The 16 bytes of a file's digest.

    Raises:
        OSError: The file cannot be read.
    """

@final
class StagedFile:
    """A file of an artifact that is not logged yet. It is removed with this object, unless it was handed over."""

    @property
    def path(self) -> str:
        """Where it is now, absolute."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def is_hashed(self) -> bool:
        """Whether `digest` does not wait."""

    def digest(self) -> str:
        """Base64 of its digest; waits while it is hashed.

        Raises:
            OSError: It could not be read.
        """

@final
class Staging:
    """The part of a staging directory that this process has, removed with everything in it by `close`."""

    def __new__(cls, root: str) -> Staging:
        """Take a part of `root`, and remove what dead processes left there.

        Raises:
            OSError: It cannot be made or written.
        """

    @property
    def directory(self) -> str:
        """Where this process may write files for `adopt`, absolute."""

    def copy(self, paths: Sequence[str], algorithm: str) -> list[StagedFile]:
        """Copy files in, on several threads; large ones are hashed while this returns.

        Raises:
            OSError: One cannot be read, or not be copied. Nothing is staged then.
            ValueError: One is not a regular file.
        """

    @staticmethod
    def leave(paths: Sequence[str], algorithm: str) -> list[StagedFile]:
        """The same for files that stay where they are, and must not change.

        Raises:
            OSError: One cannot be read.
            ValueError: One is not a regular file.
        """

    def adopt(self, path: str, algorithm: str) -> StagedFile:
        """Take over a file below `directory`.

        Raises:
            OSError: It cannot be moved.
        """

    def close(self) -> None: ...

def hand_over_files(files: Sequence[StagedFile]) -> list[str]:
    """Give files to the daemon, which removes those that were staged after the upload; their paths.

    Raises:
        OSError: One is gone.
        ValueError: One that was left where it is has changed.
    """

def encode_png(address: int, width: int, height: int, channels: int) -> tuple[bytes, str]:
    """The PNG file of 8-bit pixels in memory, and its SHA-256 in hexadecimal digits. Other threads run meanwhile.

    Raises:
        ValueError: No such image can lie there.
    """

def finite_range(address: int, count: int, dtype: str) -> tuple[float, float] | None:
    """Smallest and largest finite one of `count` numbers in memory, `float32` or `float64`; None if not one is finite."""

def count_in_bins(address: int, count: int, dtype: str, edges: Sequence[float]) -> list[int] | None:
    """How many of `count` numbers in memory lie in each bin, as `numpy.histogram` counts; None where it has to count itself."""

@final
class Later:
    """What `convert` returns for a value that `job()` makes later, in plain values; the call is given to `defer`."""

    def __new__(cls, job: Callable[[], Any], defer: Callable[[HeldCall], object]) -> Later: ...

@final
class HeldCall:
    """A call of `log` whose place is kept: what the process logs after it waits until it is complete."""

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory, beside the values that are missing."""

    def complete(self) -> None:
        """Make what is missing. A second call does nothing.

        Raises:
            Exception: What a job raised; its value is left out then.
        """

@final
class Renamed:
    """What `convert` returns for a value that belongs under another key than its own.

    `place` is called with the dotted path of the value; it returns the top-level key and the value in a known form.
    """

    def __new__(cls, place: Callable[[str], tuple[str, Any]]) -> Renamed: ...

@disjoint_base
class RunBase:
    """One open stream. `Run` derives from it; `log` is the hot path.

    A `RunBase` is created closed; `_open` attaches it to the daemon. All methods are thread-safe and none but `_open`,
    `_request` and `_finish` waits for the daemon. In a child of `fork`, the first `log` (or `_publish`, `_request`) joins the
    parent's open run by itself, with a writer of its own and without waiting.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> RunBase: ...
    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Encode one call, append it to the buffer, return."""

    def _set_hooks(
        self,
        convert: Callable[[str, Any], Any],
        misuse: Callable[[str, Any], None],
        warn: Callable[[int, str], None],
    ) -> None:
        """Set the slow paths.

        `convert(key, value)` is called for a value of no known type; it returns a value of a known type (nested dicts
        and lists included) or raises. `misuse(kind, detail)` is called when `log` cannot accept the call
        (`"finished"`, `"not_open"`) and raises what the user should see. `warn(severity, text)` prints a notice.

        In a nested dict, `key` is the innermost one. A list with an object in it is handed over whole first. Hooks are called on the
        thread that logs, never by another one; what `warn` raises does not reach the caller.
        """

    def _open(
        self,
        connection: Connection,
        settings: Mapping[str, Any],
        run: Mapping[str, Any],
        preface: Sequence[Mapping[str, Any]],
        attach: bool,
        timeout_secs: float,
    ) -> dict[str, Any]:
        """Open or attach the stream.

        `settings` has the fields of `RunSettings` (proto/runlane_local.proto) by name, and `writer` {label, rank,
        world_size, local_rank, host, client_id}: who logs. `run` has `run_id, entity, project,
        config (dict of key to JSON text), display_name, notes, tags, run_group, job_type, host, sweep_id,
        start_time_micros, resume (bool), git {remote_url, commit}, branch_point {run, metric, value}, telemetry`.
        `preface` are records in the form of `_publish`: `{"kind": …, …}`.

        Returns: `{"entity","project","run_id","display_name","notes","tags","group","job_type","sweep_id","starting_step",
        "runtime","resumed","forked","storage_id","config" (dict of key to JSON text),"summary" (dict of key to JSON text),
        "run_url","project_url","detached","error": None | {"code": int, "message": str}}`.

        Raises:
            DaemonError: no answer in time, or the connection broke.
        """

    def _publish(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Append a record behind the calls logged so far.

        An unknown kind, field or word is a `ValueError`. Kinds and payloads:

        `config` {update: [(path, json)], remove: [path]} · `summary` {update: [(path, json)], remove: [path]} (path: str for a flat key, tuple for a nested one) ·
        `metric` {name|glob_name, step_metric, step_sync, hidden, summary: [str], goal, overwrite} ·
        `run` {same fields as in `_open`} · `files` {files: [(path, policy, type)]} (policy now|end|live, type other|wandb|media|artifact) ·
        `alert` {title, text, level, wait_millis} · `telemetry` {feature: [int], imports_init: [int], env: [int], python_version, cli_version, core_version, platform} ·
        `environment` {os, python, program, args, host, executable, root, username, started_at_micros, docker, code_path, code_path_local, git {…}, email, colab, cpu_count, cpu_count_logical, memory_total, disk {path: (total, used)}, writer (as in `_open`), gpu_type, gpu_count, gpu_nvidia [{name, memory_total, cuda_cores, architecture, uuid}], cuda_version, slurm {str: str}, writer_id} ·
        `output` {stream: "stdout"|"stderr", text, time_micros} · `output_logger` {text, time_micros} · `preempting` {} ·
        `artifact` {run_id, project, entity, type, name, digest, description, metadata (JSON), user_created, use_after_commit, aliases, tags, distributed_id, finalize, client_id, sequence_client_id, base_id, ttl_duration_seconds, digest_algorithm, incremental, storage_policy, storage_policy_config [(key, json)], contents [(path, digest, ref, size, local_path, birth_artifact_id, skip_cache, [(key, json)])] or manifest_file_path} · `use_artifact` {id, type, name} ·
        `tensorboard` {log_dir, root_dir, save, save_path, any_time, host}
        """

    def _print(self, is_error: bool, text: str) -> None:
        """Take what was printed; never waits. Beyond 64 MiB of a stream, and 64 KiB a second, only the newest output is passed on."""

    def _redirect(self, secrets: list[str]) -> None:
        """Also take what any code of the process and its children writes to descriptors 1 and 2; `secrets` are left out.

        Raises:
            OSError: No pipe, pseudo-terminal or thread can be made; everything is as before.
        """

    def _restore(self) -> None:
        """Undo `_redirect`: everything written before is with the run, the last run restores the descriptors."""

    def _request(self, kind: str, payload: Mapping[str, Any], timeout_secs: float) -> dict[str, Any]:
        """Ask the daemon and wait.

        Kinds: `summary` → {"json"}, `step` → {"next"}, `sampled_history` {samples} → {"items": [(path, [float])]},
        `pause`, `resume` → {"is_paused"}, `system_metrics` → {"metrics": {key: ([seconds], [float])}},
        `flush` {level: "logged"|"synced"|"uploaded"} → {"reached"} (False when the time is over), `status` → the fields of `Status`,
        `artifact` {client_id} → {"done", "artifact_id", "error", "bytes_uploaded", "bytes_total"} when the upload of an artifact has ended (an
        error says why it is not stored), or the time is over (without "done").

        Raises:
            DaemonError: no answer in time, or the connection broke.
        """

    def _finish(
        self,
        exit_code: int,
        timeout_secs: float,
        not_complete: bool,
        progress: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Send everything, write the exit record, wait for the upload.

        Calls `progress` with the fields of `FinishProgress` about five times a second; returns the last one, which also
        has what the closed run holds: `summary` (JSON), `next_step` and `sampled` ([(path, [float])]). The stream takes
        no more calls after it.
        """

    def _ignore_steps(self, ignore: bool) -> None:
        """Treat calls that name a step as if they named none, with one warning; or no longer."""

    def _mark_finished(self) -> None:
        """Refuse further calls (through the `misuse` hook) from now on."""

    def _abandon(self) -> None:
        """Let the stream go without finishing the run; what was logged is still delivered."""

    @property
    def _open_stream(self) -> bool:
        """The stream takes calls in this process."""

    @property
    def _queued_bytes(self) -> int:
        """Bytes of entries in memory that the daemon has not acknowledged, over all runs of the connection."""

    @property
    def _lost_rows(self) -> int:
        """Entries of this process that could not be kept: memory full and the spill file could not grow, or that file damaged."""

    @property
    def _reached(self) -> tuple[int, int, int, int]:
        """Sequence number of the last entry of this process that returned, is with the kernel, is logged, is synced."""

    @property
    def _local_step(self) -> int:
        """The step of the next row as far as this process knows: other writers of the run count for themselves."""

    @property
    def _stop_requested(self) -> bool:
        """The server asked the run to stop."""

def keep_order(is_error: bool) -> None:
    """Wait until what was written to the other of the two redirected streams has arrived where it goes, if both go to one place.

    At most 50 ms; returns at once where nothing is redirected.
    """

def name_process(name: str) -> None:
    """Name this process: rows that it logs to a run of its parent carry the name."""

def flush_at_exit(timeout_secs: float) -> bool:
    """Wait until the daemon has logged everything of this process; False if the time ran out.

    What is not acknowledged by then is in the runs' spill files when this returns.
    """

def histogram_of_memory(address: int, count: int, dtype: str, zeros: int = 0) -> dict[str, Any] | None:
    """The histogram object of numbers in memory, and of `zeros` more zeros; None if not one of them is finite.

    Reads `count` numbers of `dtype` (`float32`, `float64`, `float16`, `bfloat16`) at `address` in place, without the
    interpreter's lock; the caller holds the memory. 64 bins between the smallest and the largest finite value, or one if they are equal.

    Raises:
        ValueError: No such numbers can lie there.
    """

def histogram_edges(low: float, high: float, single: bool) -> list[float]:
    """The 65 edges of the bins between `low` and `high`, two if they are equal; with `single`, rounded to single precision."""

def table_rows(
    data: list[Any],
    begin: int,
    end: int,
    compact: bool,
    convert: Callable[[Any], str | list[Any]],
    nulls: list[int],
) -> bytes:
    """The JSON text of `data[begin:end]`, without the brackets around all rows.

    Args:
        data: Rows: sequences of cells.
        begin: The first row.
        end: The one behind the last row; there may be fewer.
        compact: The form of a run's file, else that of an artifact's.
        convert: JSON text of a cell, or a part of one, that is neither plain value nor list; or a list that is written likewise.
        nulls: Columns whose cells are written as null.

    Raises:
        TypeError: A row is no sequence, or `convert` returned no text.
    """
