"""The control service of this user's daemon, over gRPC.

Only commands of the command line import this module: it loads grpcio and protobuf, which a training process never does.
The message types are built from `_proto/control.binpb`, which `make proto` writes, in a pool of their own: no generated
code whose version would have to fit the protobuf that is installed.
"""

from __future__ import annotations

import functools
import os
import socket
import stat
from urllib.parse import quote

import grpc  # type: ignore[import-untyped, import-not-found, unused-ignore]
from google.protobuf import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

from . import _setup
from .errors import CommError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

SOCKET_NAME = "daemon-v1-control.sock"
_SERVICE = "runlane.control.v1.Control"
_HEALTH = "grpc.health.v1.Health"
#: A daemon that does not answer a plain question in this time is stuck.
ANSWER_SECS = 5.0
_OPTIONS = (
    # A socket's path is no name of a host; proxies are for other machines.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 64 << 20),
)


class NoDaemonError(CommError):
    """No daemon of this user runs."""


class ControlError(CommError):
    """The daemon refused a call, or did not answer it."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


@functools.cache
def _pool() -> Any:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_proto", "control.binpb")
    with open(path, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for description in files.file:
        pool.AddSerializedFile(description.SerializeToString())
    return pool


@functools.cache
def _message(name: str) -> Any:
    """The class of a message, by its full name."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def enum_name(message: Any, field: str) -> str:
    """The name of an enum field's value without its prefix, in lower case: `running`."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    number = getattr(message, field)
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = f"{''.join('_' + char if char.isupper() else char for char in enum.name).strip('_').upper()}_"
    return str(value.name).removeprefix(prefix).lower()


def socket_path() -> str:
    """Where the socket of this user's daemon is."""
    return os.path.join(_setup.runtime_dir(), SOCKET_NAME)


def _check_private(path: str) -> None:
    """Refuse a socket in a directory that another user could have put there: a key may be sent over it.

    Raises:
        NoDaemonError: There is no such directory.
        ControlError: It is not private.
    """
    directory = os.path.dirname(path)
    try:
        found = os.lstat(directory)
    except OSError as error:
        raise NoDaemonError("no daemon is running") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ControlError(
            f"the runtime directory is not private: `{directory}`\n"
            "hint: it must be a directory of yours with mode 0700; or set `RUNLANE_RUNTIME_DIR`",
            grpc.StatusCode.PERMISSION_DENIED,
        )


class Control:
    """A connection to the daemon that runs.

    Args:
        path: The socket. Default: that of this user's daemon.

    Raises:
        NoDaemonError: Nobody listens there.
        ControlError: The socket is in a directory that is not private.
    """

    def __init__(self, path: str | None = None) -> None:
        path = path or socket_path()
        _check_private(path)
        # Asked first: gRPC would go on trying to connect.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(ANSWER_SECS)
            try:
                probe.connect(path)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise NoDaemonError("no daemon is running") from error
            except OSError as error:
                raise ControlError(
                    f"cannot reach the daemon: {error.strerror or error}: `{path}`",
                    grpc.StatusCode.UNAVAILABLE,
                ) from error
        self._channel = grpc.insecure_channel(f"unix:{quote(path)}", options=_OPTIONS)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def _call(self, method: str, timeout: float = ANSWER_SECS, /, **fields: Any) -> Any:
        """One question, one answer.

        Raises:
            ControlError: The daemon refused, or did not answer in time.
        """
        kinds = _pool().FindServiceByName(_SERVICE).methods_by_name[method]
        call = self._channel.unary_unary(
            f"/{_SERVICE}/{method}",
            request_serializer=_message(kinds.input_type.full_name).SerializeToString,
            response_deserializer=_message(kinds.output_type.full_name).FromString,
        )
        try:
            return call(_message(kinds.input_type.full_name)(**fields), timeout=timeout)
        except grpc.RpcError as error:
            raise _explained(error) from error

    def _stream(self, method: str, /, **fields: Any) -> Iterator[Any]:
        """Answers until the daemon ends them.

        Raises:
            ControlError: The daemon refused, or ended.
        """
        kinds = _pool().FindServiceByName(_SERVICE).methods_by_name[method]
        call = self._channel.unary_stream(
            f"/{_SERVICE}/{method}",
            request_serializer=_message(kinds.input_type.full_name).SerializeToString,
            response_deserializer=_message(kinds.output_type.full_name).FromString,
        )
        answers = call(_message(kinds.input_type.full_name)(**fields))
        try:
            yield from answers
        except grpc.RpcError as error:
            raise _explained(error) from error
        finally:
            answers.cancel()

    def status(self) -> Any:
        """The daemon as a whole (`StatusReply`)."""
        return self._call("Status")

    def runs(self) -> list[Any]:
        """The runs that it has open or still uploads (`Run`), by log."""
        return list(self._call("ListRuns").run)

    def tail(self, run: str, last: int, follow: bool) -> Iterator[Any]:
        """Rows of a run (`TailReply`), beginning with its last ones."""
        return self._stream("Tail", run=run, last=last, follow=follow)

    def flush(self, run: str = "", level: str = "synced", timeout: float = 30.0) -> Any:
        """Wait until a run, or every run, has reached a level: `logged`, `synced` or `uploaded` (`FlushReply`)."""
        return self._call(
            "Flush",
            timeout + ANSWER_SECS,
            run=run,
            level=f"FLUSH_LEVEL_{level.upper()}",
            timeout_secs=timeout,
        )

    def stop_run(self, run: str) -> int:
        """Ask the processes of a run to stop; how many were asked."""
        return int(self._call("StopRun", run=run).processes)

    def upload_progress(self, run: str = "", interval: float = 0.5) -> Iterator[Any]:
        """How far a run, or every run, is, until nothing is left to do (`ListRunsReply`)."""
        return self._stream("UploadProgress", run=run, interval_secs=interval)

    def set_credentials(self, base_url: str, api_key: str) -> int:
        """Give the daemon a new key for a server; how many uploads go on with it."""
        return int(self._call("SetCredentials", base_url=base_url, api_key=api_key).runs)

    def shut_down(self) -> Any:
        """End the daemon; the answer says what is not finished (`ShutDownReply`)."""
        return self._call("ShutDown")

    def is_serving(self, service: str = "", timeout: float = 1.0) -> bool:
        """Whether the daemon is healthy, by the standard health service.

        Raises:
            ControlError: It did not answer in time.
        """
        call = self._channel.unary_unary(
            f"/{_HEALTH}/Check",
            request_serializer=_message("grpc.health.v1.HealthCheckRequest").SerializeToString,
            response_deserializer=_message("grpc.health.v1.HealthCheckResponse").FromString,
        )
        try:
            answer = call(_message("grpc.health.v1.HealthCheckRequest")(service=service), timeout=timeout)
        except grpc.RpcError as error:
            raise _explained(error) from error
        return enum_name(answer, "status") == "serving"


def _explained(error: grpc.RpcError) -> ControlError:
    code = error.code()
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return ControlError("the daemon does not answer", code)
    return ControlError(str(error.details() or code.name), code)
