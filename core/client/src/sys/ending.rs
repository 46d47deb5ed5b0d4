//! Signals that end the process by default: what was logged leaves the process first.
//!
//! `SIGTERM` and `SIGHUP` kill a program that does not handle them at once, with the rows of the last moments in its memory. While
//! their action is the default one, they go to a handler of ours. It does what a handler may do (atomics, `fstat`, `write`,
//! `timer_settime`): it wakes the writer thread, which empties the queue and then lets the signal do what it would have done; no
//! Python runs, and the exit status is that of the signal. If the thread is stuck, a timer repeats the signal after a second, and the
//! second one ends the process. Handlers that the program installs, before or later, take the place of ours, in the order that the
//! program chose.

use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// The signals in question.
const SIGNALS: [c_int; 2] = [libc::SIGTERM, libc::SIGHUP];
/// What the writer thread has for its last work, in seconds.
const LAST_WORK_SECS: libc::time_t = 1;

/// The signal that is to end the process, 0 without one.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// The process whose writer thread looks at [`PENDING`]; a child of `fork` has none at first.
static SERVED: AtomicI32 = AtomicI32::new(0);
static TIMERS: [AtomicPtr<c_void>; SIGNALS.len()] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS.len()];

/// Has a writer thread of this process serve the signals whose action is the default one.
pub(crate) fn serve() {
    let process = this_process();
    if SERVED.swap(process, Ordering::SeqCst) != process {
        // What was pending was the parent's.
        PENDING.store(0, Ordering::SeqCst);
        for timer in &TIMERS {
            timer.store(ptr::null_mut(), Ordering::SeqCst);
        }
    }
    for (signal, timer) in SIGNALS.into_iter().zip(&TIMERS) {
        let Some(current) = action_of(signal) else {
            continue;
        };
        let is_ours = current == on_signal as *const () as libc::sighandler_t;
        if current != libc::SIG_DFL && !is_ours {
            continue;
        }
        if timer.load(Ordering::SeqCst).is_null() {
            let Some(made) = new_timer(signal) else {
                continue;
            };
            timer.store(made, Ordering::SeqCst);
        }
        if !is_ours {
            set_action(signal, on_signal as *const () as libc::sighandler_t);
        }
    }
}

/// The signal that waits for the writer thread's last work.
pub(crate) fn pending() -> Option<c_int> {
    Some(PENDING.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
}

/// Lets the signal end the process.
pub(crate) fn end(signal: c_int) {
    if action_of(signal) == Some(on_signal as *const () as libc::sighandler_t) {
        set_action(signal, libc::SIG_DFL);
    }
    PENDING.store(0, Ordering::SeqCst);
    // SAFETY: sends a signal to this process; no memory is involved. This thread blocks it, so that another one gets it.
    unsafe { libc::kill(libc::getpid(), signal) };
}

extern "C" fn on_signal(signal: c_int) {
    // SAFETY: the address of this thread's `errno`, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    let is_served = SERVED.load(Ordering::SeqCst) == this_process();
    let timer = SIGNALS
        .iter()
        .position(|&known| known == signal)
        .map(|index| &TIMERS[index]);
    let first = PENDING
        .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok();
    if let (true, true, Some(timer)) = (is_served, first, timer) {
        start(timer.load(Ordering::SeqCst));
        crate::io::descriptor::signal_events();
    } else {
        set_action(signal, libc::SIG_DFL);
        // SAFETY: the signal is blocked while its handler runs, and ends the process when that returns.
        unsafe { libc::raise(signal) };
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn this_process() -> libc::pid_t {
    // SAFETY: asks for a number.
    unsafe { libc::getpid() }
}

fn action_of(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: zeros are a valid value of this plain struct; the call only writes to it.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        (libc::sigaction(signal, ptr::null(), &raw mut action) == 0).then_some(action.sa_sigaction)
    }
}

fn set_action(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: zeros are a valid value (an empty mask); `handler` is the default action or a function of the right type.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

fn new_timer(signal: c_int) -> Option<libc::timer_t> {
    // SAFETY: zeros are a valid value of this plain struct; the call reads it and writes the timer's name.
    unsafe {
        let mut event: libc::sigevent = mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        let mut timer: libc::timer_t = ptr::null_mut();
        (libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) == 0)
            .then_some(timer)
    }
}

fn start(timer: libc::timer_t) {
    let once = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: libc::timespec {
            tv_sec: LAST_WORK_SECS,
            tv_nsec: 0,
        },
    };
    // SAFETY: the timer was made by this process and is never deleted; the call reads the struct. It is allowed in a handler.
    unsafe { libc::timer_settime(timer, 0, &raw const once, ptr::null_mut()) };
}
