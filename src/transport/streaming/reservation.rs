//! What the mode of a single connection holds: a place for an event stream, and the operations that report on it.
//!
//! Operations may be started before the stream is opened. Queries and mutations run at once and keep their result, within a
//! bound of bytes; subscriptions are not read before somebody takes what they yield, so nothing piles up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use async_graphql::ServerError;
use futures::future::AbortHandle;

use crate::{
    domain::{Caller, UserId},
    schema::{ApiError, Code, is_temporary},
    transport::{
        admission::slots::ConnectionSlot,
        operation::{self, Emitted, Running},
    },
};

/// All reservations by their tokens.
#[derive(Default)]
pub(crate) struct Reservations(Mutex<HashMap<String, Arc<Reservation>>>);

impl Reservations {
    /// A new one. Whoever reserves it may open its stream and run operations on it, and nobody else.
    pub(crate) fn reserve(
        &self,
        token: String,
        caller: Caller,
        seat: ConnectionSlot,
    ) -> Arc<Reservation> {
        let (own_token, owner) = (token.clone(), caller.user());
        let reservation = Arc::new(Reservation {
            token: own_token,
            owner,
            state: Mutex::default(),
            _seat: seat,
        });
        self.lock().insert(token, reservation.clone());
        reservation
    }

    /// The one of this token, for whoever reserved it; to all others it is not there.
    pub(crate) fn find(&self, token: &str, caller: Caller) -> Option<Arc<Reservation>> {
        self.lock()
            .get(token)
            .filter(|reservation| reservation.owner == caller.user())
            .cloned()
    }

    /// Ends one and everything that it runs.
    pub(crate) fn end(&self, reservation: &Reservation) {
        self.lock().remove(&reservation.token);
        let state = std::mem::replace(
            &mut *reservation.lock(),
            State {
                phase: Phase::Over,
                ..State::default()
            },
        );
        // Not under the lock: what it ran lets go of views and rooms.
        drop(state);
    }

    /// Ends one whose stream was not opened in time.
    pub(crate) fn expire(&self, reservation: &Reservation) {
        if reservation.lock().phase == Phase::Reserved {
            self.end(reservation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Reservation>>> {
        self.0.lock().expect("no panic under this lock")
    }
}

/// A place for one event stream.
pub(crate) struct Reservation {
    token: String,
    /// Who reserved it; none if it was nobody.
    owner: Option<UserId>,
    state: Mutex<State>,
    _seat: ConnectionSlot,
}

#[derive(Default)]
struct State {
    phase: Phase,
    operations: Vec<Operation>,
    /// So that an operation that was started again under an id is told from the one before.
    run_next: u64,
    /// Which operation has the first turn.
    turn: usize,
    /// The stream waits.
    waker: Option<Waker>,
    /// Ends the reservation while its stream is not open.
    expiry: Option<Task>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Reserved,
    Open,
    Over,
}

struct Operation {
    id: String,
    run: u64,
    work: Work,
}

impl State {
    /// The same, or in its place an error that is short. Whoever has the stream open and nothing waiting on it takes an answer
    /// of any size.
    fn fit(&self, source: Running, bytes_max: usize) -> Running {
        let kept: usize = self.operations.iter().map(Operation::bytes).sum();
        let fits = bytes_max == 0 || kept + source.bytes() <= bytes_max;
        if fits || source.bytes() == 0 || self.phase == Phase::Open && kept == 0 {
            return source;
        }
        let message = format!(
            "The operation was run, but its answer is lost: with what waits for this stream it is more than the {bytes_max} \
             bytes that are kept. Open the stream first, or ask for less."
        );
        Running::Ending(Emitted::Answer(operation::failed_json(ApiError::new(
            Code::TooComplex,
            message,
        ))))
    }
}

impl Operation {
    /// How many bytes of an answer it keeps.
    fn bytes(&self) -> usize {
        match &self.work {
            Work::Starting { .. } => 0,
            Work::Yielding(source) => source.bytes(),
        }
    }
}

enum Work {
    /// It was not started yet, or has no result and does not read yet.
    Starting { _task: Option<Task> },
    /// It yields when somebody takes.
    Yielding(Running),
}

/// A task that ends when this is dropped.
pub(crate) struct Task(AbortHandle);

impl Task {
    pub(crate) fn new(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why an operation cannot have its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The id is taken.
    Taken,
    /// As many operations as may be run already.
    Full,
    /// The reservation has ended.
    Over,
}

/// What became of an operation that was started.
pub(crate) enum Concluded {
    /// Its results go out on the stream.
    Accepted,
    /// It was refused; the errors.
    Refused(Vec<ServerError>),
    /// It may succeed a moment later; the errors.
    Later(Vec<ServerError>),
    /// It was stopped meanwhile.
    Stopped,
}

/// The place of an operation that has not been started yet. Dropping it gives the id back.
pub(crate) struct Place {
    reservation: Arc<Reservation>,
    run: u64,
}

impl Reservation {
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Ends with this task while the stream is not open.
    pub(crate) fn expires_with(&self, expiry: Task) {
        let mut state = self.lock();
        if state.phase == Phase::Reserved {
            state.expiry = Some(expiry);
        }
    }

    /// Whether the stream may be opened now; there is one at a time.
    pub(crate) fn open(&self) -> bool {
        let mut state = self.lock();
        let may = state.phase == Phase::Reserved;
        if may {
            state.phase = Phase::Open;
            state.expiry = None;
        }
        may
    }

    /// Takes an id, before anything is awaited (P3).
    pub(crate) fn take(
        self: &Arc<Self>,
        id: &str,
        operations_max: usize,
    ) -> Result<Place, NoPlace> {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            return Err(NoPlace::Over);
        }
        if state.operations.iter().any(|operation| operation.id == id) {
            return Err(NoPlace::Taken);
        }
        if operations_max != 0 && state.operations.len() >= operations_max {
            return Err(NoPlace::Full);
        }
        let run = state.run_next;
        state.run_next += 1;
        state.operations.push(Operation {
            id: id.to_owned(),
            run,
            work: Work::Starting { _task: None },
        });
        Ok(Place {
            reservation: self.clone(),
            run,
        })
    }

    /// Ends an operation: nothing more goes out for its id.
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

    /// Takes the next outcomes with the ids of their operations, until about this many bytes are gathered; operations
    /// take turns. Pending while there is none.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        mut take: impl FnMut(&str, Emitted) -> usize,
    ) -> Poll<()> {
        let mut state = self.lock();
        let (mut taken, mut bytes, mut ended) = (false, 0, Vec::new());
        let count = state.operations.len();
        let first = state.turn;
        for at in (0..count).map(|step| (first + step) % count) {
            let Operation { id, work, .. } = &mut state.operations[at];
            let Work::Yielding(source) = work else {
                continue;
            };
            let mut outcomes = Vec::new();
            if source.poll_take(cx, bytes_max, &mut outcomes).is_ready() {
                taken = true;
                ended.extend(outcomes.iter().any(Emitted::is_last).then_some(at));
                bytes += outcomes
                    .into_iter()
                    .map(|outcome| take(id, outcome))
                    .sum::<usize>();
            }
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
        if taken {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

impl Place {
    /// Runs as this task from now on: to stop the operation is to end the task.
    pub(crate) fn runs_as(&self, task: Task) {
        let mut state = self.reservation.lock();
        if let Some(operation) = self.find(&mut state) {
            operation.work = Work::Starting { _task: Some(task) };
        }
    }

    /// Puts what was started where the stream takes it, or says why there is nothing to take. An answer that does not fit
    /// into what is kept until the stream takes it is told as an error.
    pub(crate) fn conclude(
        self,
        started: Result<Running, Vec<ServerError>>,
        bytes_max: usize,
    ) -> Concluded {
        let source = match started {
            Ok(source) => source,
            Err(errors) if errors.iter().any(is_temporary) => return Concluded::Later(errors),
            Err(errors) => return Concluded::Refused(errors),
        };
        let mut state = self.reservation.lock();
        let source = state.fit(source, bytes_max);
        let Some(operation) = self.find(&mut state) else {
            drop((state, source));
            return Concluded::Stopped;
        };
        let starting = std::mem::replace(&mut operation.work, Work::Yielding(source));
        let waker = state.waker.take();
        drop((state, starting));
        waker.iter().for_each(Waker::wake_by_ref);
        Concluded::Accepted
    }

    fn find<'a>(&self, state: &'a mut State) -> Option<&'a mut Operation> {
        state
            .operations
            .iter_mut()
            .find(|operation| operation.run == self.run)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.reservation.lock();
        let given_back = |operation: &Operation| {
            operation.run == self.run && matches!(operation.work, Work::Starting { .. })
        };
        let at = state.operations.iter().position(given_back);
        let operation = at.map(|at| state.operations.remove(at));
        drop(state);
        drop(operation);
    }
}
