//! Reserved event streams, and the operations that send their results on them.
//!
//! Operations may start before the stream is opened. Queries and mutations are executed at once and
//! keep their result, within a bound on bytes. Subscriptions read only when the stream takes their
//! results, so nothing piles up.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
    task::{Context, Waker},
};

use async_graphql::ServerError;
use futures::future::AbortHandle;

use crate::{
    domain::{Caller, UserId},
    schema::{ApiError, Code, is_temporary},
    sync::Mutex,
    transport::{
        admission::slots::ConnectionSlot,
        operation::{Emitted, OperationEnd, Running, failed_json},
    },
};

/// All reservations by their tokens.
#[derive(Default)]
pub(crate) struct Reservations(Mutex<HashMap<String, Arc<Reservation>>>);

impl Reservations {
    /// Adds a reservation. Only its caller may open the stream and start operations on it.
    pub(crate) fn reserve(
        &self,
        token: String,
        caller: Caller,
        slot: ConnectionSlot,
    ) -> Arc<Reservation> {
        let reservation = Arc::new(Reservation {
            token: token.clone(),
            owner: caller.user(),
            state: Mutex::default(),
            _slot: slot,
        });
        self.lock().insert(token, reservation.clone());
        reservation
    }

    /// The reservation with this token. None if there is none, or if another caller reserved it.
    pub(crate) fn find(&self, token: &str, caller: Caller) -> Option<Arc<Reservation>> {
        self.lock()
            .get(token)
            .filter(|reservation| reservation.owner == caller.user())
            .cloned()
    }

    /// Ends a reservation and all of its operations.
    pub(crate) fn end(&self, reservation: &Reservation) {
        self.lock().remove(&reservation.token);
        let ended = ReservationState {
            phase: ReservationPhase::Ended,
            ..ReservationState::default()
        };
        let state = std::mem::replace(&mut *reservation.lock(), ended);
        // Not under the lock: dropping operations releases views and rooms.
        drop(state);
    }

    /// Ends a reservation whose stream was not opened in time.
    pub(crate) fn expire(&self, reservation: &Reservation) {
        if reservation.lock().phase == ReservationPhase::Reserved {
            self.end(reservation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Reservation>>> {
        self.0.lock()
    }
}

/// A reserved event stream.
pub(crate) struct Reservation {
    token: String,
    /// The user that reserved it. None if the caller was anonymous.
    owner: Option<UserId>,
    state: Mutex<ReservationState>,
    _slot: ConnectionSlot,
}

#[derive(Default)]
struct ReservationState {
    phase: ReservationPhase,
    operations: Vec<SharedOperation>,
    /// The next run number. A run number tells apart two operations with the same id.
    run_next: u64,
    /// The index of the operation that is polled first.
    turn: usize,
    /// Wakes the stream when an operation has something to send.
    waker: Option<Waker>,
    /// Ends the reservation if its stream is not opened in time.
    expiry: Option<AbortOnDrop>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ReservationPhase {
    #[default]
    Reserved,
    Open,
    Ended,
}

/// An operation that sends its results on a reserved stream.
struct SharedOperation {
    id: String,
    run: u64,
    progress: OperationProgress,
}

enum OperationProgress {
    /// The operation has no result and does not read yet.
    Starting { _task: Option<AbortOnDrop> },
    /// The operation emits when the stream polls it.
    Running(Running),
}

impl ReservationState {
    /// Replaces an answer that exceeds the bound with a short error. An open stream takes an answer
    /// of any size if no other answer waits.
    fn bound_answer(&self, running: Running, bytes_max: usize) -> Running {
        let waiting = self.operations.iter().map(SharedOperation::answer_bytes);
        let (kept, added) = (waiting.sum::<usize>(), running.answer_bytes());
        let fits = bytes_max == 0 || kept + added <= bytes_max;
        if fits || added == 0 || self.phase == ReservationPhase::Open && kept == 0 {
            return running;
        }
        let message = format!(
            "The operation was executed, but its answer is lost: the answers that wait for this stream may have at most \
             {bytes_max} bytes together. Open the stream first, or ask for less."
        );
        let error = ApiError::new(Code::TooComplex, message);
        Running::ending(OperationEnd::Answer {
            payload: failed_json(error),
            renewed: None,
            waiting: None,
        })
    }
}

impl SharedOperation {
    /// Bytes of the answer that waits for the stream.
    fn answer_bytes(&self) -> usize {
        match &self.progress {
            OperationProgress::Starting { .. } => 0,
            OperationProgress::Running(running) => running.answer_bytes(),
        }
    }
}

/// A task that is aborted when this is dropped.
pub(crate) struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    pub(crate) fn new(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why an operation cannot take its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeIdError {
    /// Another operation has the id.
    Taken,
    /// The stream runs as many operations as it may.
    TooMany,
    /// The reservation has ended.
    Ended,
}

/// The outcome of starting an operation.
pub(crate) enum StartOutcome {
    /// The results are sent on the stream.
    Accepted,
    /// The operation was refused with these errors.
    Refused(Vec<ServerError>),
    /// The operation failed with these errors and may succeed a moment later.
    Later(Vec<ServerError>),
    /// The operation was stopped before it had started.
    Stopped,
}

/// An operation that has taken its id and has not started yet. Dropping it frees the id.
pub(crate) struct PendingOperation {
    reservation: Arc<Reservation>,
    run: u64,
}

impl Reservation {
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Keeps the task that expires the reservation, until the stream is opened.
    pub(crate) fn expires_with(&self, expiry: AbortOnDrop) {
        let mut state = self.lock();
        if state.phase == ReservationPhase::Reserved {
            state.expiry = Some(expiry);
        }
    }

    /// Opens the stream. False if it is open already or has ended.
    pub(crate) fn open(&self) -> bool {
        let mut state = self.lock();
        let may_open = state.phase == ReservationPhase::Reserved;
        if may_open {
            state.phase = ReservationPhase::Open;
            state.expiry = None;
        }
        may_open
    }

    /// Takes an id for an operation, before anything is awaited (P3).
    pub(crate) fn take_id(
        self: &Arc<Self>,
        id: &str,
        operations_max: usize,
    ) -> Result<PendingOperation, TakeIdError> {
        let mut state = self.lock();
        if state.phase == ReservationPhase::Ended {
            return Err(TakeIdError::Ended);
        }
        if state.operations.iter().any(|operation| operation.id == id) {
            return Err(TakeIdError::Taken);
        }
        if operations_max != 0 && state.operations.len() >= operations_max {
            return Err(TakeIdError::TooMany);
        }
        let run = state.run_next;
        state.run_next += 1;
        state.operations.push(SharedOperation {
            id: id.to_owned(),
            run,
            progress: OperationProgress::Starting { _task: None },
        });
        Ok(PendingOperation {
            reservation: self.clone(),
            run,
        })
    }

    /// Stops an operation. Nothing more is sent for its id.
    pub(crate) fn stop(&self, id: &str) {
        let mut state = self.lock();
        let at = state
            .operations
            .iter()
            .position(|operation| operation.id == id);
        let stopped = at.map(|at| state.operations.remove(at));
        drop(state);
        drop(stopped);
    }

    /// Passes the emitted values to `take`, with the operation's id, until about `bytes_max`
    /// bytes were written. `take` returns how many bytes it wrote. Operations take turns. If
    /// nothing was written, the task is woken when there is something to write.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        mut take: impl FnMut(&str, Emitted<'_>) -> usize,
    ) {
        let mut state = self.lock();
        let (mut bytes, mut ended) = (0, Vec::new());
        let count = state.operations.len();
        let first = state.turn;
        for at in (0..count).map(|step| (first + step) % count) {
            let SharedOperation { id, progress, .. } = &mut state.operations[at];
            let OperationProgress::Running(running) = progress else {
                continue;
            };
            let _ = running.poll_take(cx, bytes_max, |emitted| {
                ended.extend(emitted.is_end().then_some(at));
                bytes += take(id, emitted);
            });
            state.turn = (at + 1) % count;
            if bytes >= bytes_max {
                break;
            }
        }
        ended.sort_unstable();
        ended
            .into_iter()
            .rev()
            .for_each(|at| drop(state.operations.remove(at)));
        if bytes == 0 {
            state.waker = Some(cx.waker().clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReservationState> {
        self.state.lock()
    }
}

impl PendingOperation {
    /// Sets the task that starts the operation. Stopping the operation aborts the task.
    pub(crate) fn starts_in(&self, task: AbortOnDrop) {
        let mut state = self.reservation.lock();
        if let Some(operation) = self.find(&mut state) {
            operation.progress = OperationProgress::Starting { _task: Some(task) };
        }
    }

    /// Passes a started operation to the stream, or says why there is none. An answer that exceeds
    /// `bytes_max`, together with those that wait already, is replaced by an error.
    pub(crate) fn conclude(
        self,
        started: Result<Running, Vec<ServerError>>,
        bytes_max: usize,
    ) -> StartOutcome {
        let running = match started {
            Ok(running) => running,
            Err(errors) if errors.iter().any(is_temporary) => return StartOutcome::Later(errors),
            Err(errors) => return StartOutcome::Refused(errors),
        };
        let mut state = self.reservation.lock();
        let running = state.bound_answer(running, bytes_max);
        let Some(operation) = self.find(&mut state) else {
            drop((state, running));
            return StartOutcome::Stopped;
        };
        let running = OperationProgress::Running(running);
        let starting = std::mem::replace(&mut operation.progress, running);
        let waker = state.waker.take();
        drop((state, starting));
        waker.iter().for_each(Waker::wake_by_ref);
        StartOutcome::Accepted
    }

    fn find<'a>(&self, state: &'a mut ReservationState) -> Option<&'a mut SharedOperation> {
        state
            .operations
            .iter_mut()
            .find(|operation| operation.run == self.run)
    }
}

impl Drop for PendingOperation {
    fn drop(&mut self) {
        let mut state = self.reservation.lock();
        let never_started = |operation: &SharedOperation| {
            operation.run == self.run
                && matches!(operation.progress, OperationProgress::Starting { .. })
        };
        let at = state.operations.iter().position(never_started);
        let operation = at.map(|at| state.operations.remove(at));
        drop(state);
        drop(operation);
    }
}
