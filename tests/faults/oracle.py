"""The oracle of the fault tests: what a process attempted and what returned, in a file that outlives every kill.

A trainer writes into a shared mapping right before and right after each call; the kernel keeps the pages when the process is
killed. The test, which kills, has the same clock (CLOCK_MONOTONIC) and compares with what it finds in the log afterwards.

Layout, u64 words: attempted, returned, longest call (ns), size of the ring, the ring: when call n returned (ns) at
place n modulo its size. Each word is written in one go and after what it vouches for.

How long a call took is measured around it, net of what the kernel says the thread waited for a processor: other processes of a
busy machine are no part of the promise that a call does not block.
"""

from __future__ import annotations

import collections
import mmap
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_HEADER_WORDS = 4
_RING = 1 << 16
# A call that took longer is looked at; the kernel's account is read this often besides.
_SUSPICIOUS_NS = 10_000_000
_ACCOUNT_EVERY = 256
#: So that scripts that run elsewhere find this module.
HERE = str(Path(__file__).resolve().parent)


class Page:
    """The mapping. One for each thread or process that logs; calls are numbered from 0."""

    def __init__(self, path: str | Path, ring: int = _RING) -> None:
        new = not Path(path).exists()
        with open(path, "r+b" if not new else "w+b") as file:
            if new:
                file.truncate(8 * (_HEADER_WORDS + ring))
            # As whole words: `struct` clears the bytes before it writes them, and a kill may come between.
            self._words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        if new:
            self._put(3, ring)
        self._ring = self._get(3)
        self._began_ns = 0
        self._waited_ns = 0

    def _get(self, word: int) -> int:
        return self._words[word]

    def _put(self, word: int, value: int) -> None:
        self._words[word] = value

    def attempt(self, call: int) -> None:
        """Call `call` begins."""
        self._put(0, call + 1)
        if call % _ACCOUNT_EVERY == 0:
            self._waited_ns = waited_for_processor_ns()
        self._began_ns = time.monotonic_ns()

    def done(self, call: int) -> None:
        """Call `call` has returned."""
        now = time.monotonic_ns()
        self._put(_HEADER_WORDS + call % self._ring, now)
        self._put(1, call + 1)
        took = now - self._began_ns
        if took > _SUSPICIOUS_NS:
            waited, self._waited_ns = self._waited_ns, waited_for_processor_ns()
            if waited:
                took -= max(0, min(took, self._waited_ns - waited))
        if took > self._get(2):
            self._put(2, took)

    @property
    def attempted(self) -> int:
        """Calls that began."""
        return self._get(0)

    @property
    def returned(self) -> int:
        """Calls that returned."""
        return self._get(1)

    @property
    def longest_call_ms(self) -> float:
        """The longest call, net of the time that it waited for a processor."""
        return self._get(2) / 1e6

    def returned_at_ns(self, call: int) -> int:
        """When a call returned; 0 if the ring does not reach back so far."""
        if call < self.returned - self._ring:
            return 0
        return self._get(_HEADER_WORDS + call % self._ring)

    def wait_for(self, returned: int, timeout: float = 30.0) -> None:
        """Wait until so many calls have returned."""
        deadline = time.monotonic() + timeout
        while self.returned < returned:
            assert time.monotonic() < deadline, f"{self.returned} of {returned} calls returned in {timeout} s"
            time.sleep(0.0005)


def x_of(call: int) -> float:
    """A float whose digits depend on the call."""
    return (call + 1) ** 0.5 / 7 - 1e-7 * call


class Noise:
    """How late a thread of this machine gets a processor just now: the control beside what a kill costs."""

    _TICK_SECS = 0.001

    def __init__(self) -> None:
        self._late: collections.deque[tuple[int, float]] = collections.deque(maxlen=4000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def _tick(self) -> None:
        while not self._stop.is_set():
            before = time.monotonic_ns()
            time.sleep(self._TICK_SECS)
            now = time.monotonic_ns()
            self._late.append((now, (now - before) / 1e6 - 1000 * self._TICK_SECS))

    def __enter__(self) -> Noise:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def around_ms(self, moment_ns: int) -> float:
        """The worst delay of a thread that wanted to run in the 20 ms before a moment, or until it ran next."""
        time.sleep(10 * self._TICK_SECS)
        begin, end = moment_ns - 20_000_000, moment_ns + 5_000_000
        return max((late for at, late in list(self._late) if begin <= at <= end), default=0.0)


def waited_for_processor_ns() -> int:
    """How long this thread was ready to run and did not, in all; 0 if no descriptor is left to ask with."""
    try:
        with open("/proc/thread-self/schedstat") as account:
            return int(account.read().split()[1])
    except OSError:
        return 0


@dataclass(frozen=True)
class Verdict:
    """What a fault cost."""

    attempted: int
    returned: int
    recovered: int
    missing: int
    #: Age at the kill of the oldest call that returned and is missing; 0 if none is.
    worst_age_ms: float


def judge(page: Page, recovered: Sequence[int], killed_at_ns: int, marked: int = 0) -> Verdict:
    """Compare the numbers of the calls that were found, in their order in the log, with what returned.

    Args:
        page: The writer's page, after its death.
        recovered: Numbers of the writer's calls as they stand in the log.
        killed_at_ns: CLOCK_MONOTONIC right before the signal was sent.
        marked: Calls that loss markers in the log stand for.

    Fails if a call was found that nobody attempted, twice or in another order, or if one is missing before the last one found
    without a marker.
    """
    found = list(recovered)
    assert all(one < next_one for one, next_one in pairwise(found)), first_odd(found)
    behind = found[-1] + 1 if found else 0
    assert behind <= page.attempted, f"found call {behind - 1}, attempted were {page.attempted}"
    assert behind - len(found) == marked, f"markers stand for {marked} calls: {first_odd(found)}"
    missing = max(0, page.returned - behind) + marked
    worst = 0.0
    if missing:
        # The oldest one: where the numbers first differ from their places.
        oldest = next((place for place, number in enumerate(found) if number != place), len(found))
        returned_at = page.returned_at_ns(oldest)
        assert returned_at, f"{missing} calls are missing, more than the ring remembers"
        # The signal takes effect after it was sent: a call may even return later.
        killed_at_ns = max(killed_at_ns, page.returned_at_ns(page.returned - 1))
        worst = (killed_at_ns - returned_at) / 1e6
    return Verdict(page.attempted, page.returned, len(found), missing, worst)


def first_odd(found: Sequence[int]) -> str:
    """Where a sequence that should count from 0 does not."""
    for place, number in enumerate(found):
        if number != place:
            around = list(found[max(0, place - 3) : place + 4])
            return f"call {place} is missing, double or out of order: … {around} …"
    return "in order"
