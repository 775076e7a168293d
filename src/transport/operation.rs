//! A running operation and its results, in a form that every transport can encode.
//!
//! WebSockets, event streams, multipart responses and shared event streams all poll a [`Running`]
//! and encode the emitted values in their own format. Nothing is read before the transport polls. A
//! slow client therefore lags in the log, and no results pile up in memory for it.

use std::task::{Context, Poll, ready};

use async_graphql::{Response as GraphqlResponse, ServerError};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    domain::{Cursor, Viewer},
    schema::{ApiError, is_temporary, shut_out},
    view::{Frame, ReadError, Reader},
};

/// One value that an operation emits.
pub(super) enum Emitted<'a> {
    /// The result of a subscription for one event. More may follow.
    Event(EventResult<'a>),
    /// The client has every event that existed when its subscription was opened, up to this cursor.
    /// Emitted at most once, and only by subscriptions to a room's log. More may follow.
    Live(Cursor),
    /// The operation has ended. Nothing follows.
    End(OperationEnd),
}

impl Emitted<'_> {
    /// Whether the operation has ended.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::End(_))
    }
}

/// The result of a subscription for one event.
pub(super) struct EventResult<'a> {
    reader: &'a Reader,
    frame: &'a Frame,
}

impl EventResult<'_> {
    /// The result as JSON.
    pub(super) fn payload(&self) -> &str {
        &self.frame.payload
    }

    /// The cursor to resume after. Ephemeral state has none.
    ///
    /// Computed on demand: a WebSocket does not use it, and sends many results at once.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.reader.cursor_of(self.frame)
    }
}

/// Something that gives memory back when it is dropped. Its type is not known here, because
/// admission is above operations.
pub(super) type CountedMemory = Box<dyn Send + Sync>;

/// How an operation ended.
pub(super) enum OperationEnd {
    /// A query or a mutation was executed.
    Answer {
        /// The result as JSON.
        payload: String,
        /// The viewer that a WebSocket continues as: the same user with a new token.
        renewed: Option<Viewer>,
        /// The memory of a large payload, which is counted until this is dropped.
        waiting: Option<CountedMemory>,
    },
    /// The request is wrong, or the caller may not read on. Holds at least one error.
    Refused(Vec<ServerError>),
    /// The operation cannot continue for now. The transport must not report an end: the client
    /// reconnects and resumes.
    Later,
}

impl OperationEnd {
    /// The end of an operation that was refused with these errors.
    pub(super) fn refused(errors: Vec<ServerError>) -> Self {
        if errors.iter().any(is_temporary) {
            Self::Later
        } else {
            Self::Refused(errors)
        }
    }
}

/// Ready when the token of a subscription's caller has expired or was revoked.
pub(super) type TokenEnd = BoxFuture<'static, ()>;

/// An operation. A transport polls it for the values that it emits.
pub(super) enum Running {
    /// The operation is being started, or is a query or a mutation that has not answered yet.
    Starting(BoxFuture<'static, Running>),
    /// A subscription that reads.
    Reading(Box<ActiveSubscription>),
    /// The end is known and has not been taken yet.
    Ending(Box<OperationEnd>),
    /// The end was taken.
    Ended,
}

/// A subscription that reads, and the token that it depends on.
pub(super) struct ActiveSubscription {
    reader: Reader,
    /// None if the caller is anonymous, or if the connection watches the token itself.
    token_end: Option<TokenEnd>,
    /// [`Emitted::Live`] was emitted.
    is_announced: bool,
}

// A connection can have many idle subscriptions, so each of them must stay small.
const _: () = assert!(size_of::<Running>() <= 24);

impl Running {
    /// An operation that `starting` starts when it is polled.
    pub(super) fn starting<F>(starting: F) -> Self
    where
        F: Future<Output = Result<Self, Vec<ServerError>>> + Send + 'static,
    {
        let refused = |errors| Self::ending(OperationEnd::refused(errors));
        Self::Starting(
            starting
                .map(move |started| started.unwrap_or_else(refused))
                .boxed(),
        )
    }

    /// A subscription that reads until its reader ends or `token_end` is ready.
    pub(super) fn reading(reader: Reader, token_end: Option<TokenEnd>) -> Self {
        Self::Reading(Box::new(ActiveSubscription {
            reader,
            token_end,
            is_announced: false,
        }))
    }

    /// An operation of which only the end is left to emit.
    pub(super) fn ending(end: OperationEnd) -> Self {
        Self::Ending(Box::new(end))
    }

    /// Whether this is a subscription that reads.
    pub(super) fn is_subscription(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    /// Bytes of the answer that waits to be taken; 0 if there is none.
    pub(super) fn answer_bytes(&self) -> usize {
        match self {
            Self::Ending(end) => match &**end {
                OperationEnd::Answer { payload, .. } => payload.len(),
                OperationEnd::Refused(_) | OperationEnd::Later => 0,
            },
            Self::Starting(_) | Self::Reading(_) | Self::Ended => 0,
        }
    }

    /// Passes the next values to `take`: at least one, and more results of a subscription while
    /// they fit into `bytes_max`. Pending while there is nothing to emit, and for ever after the
    /// end.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        mut take: impl FnMut(Emitted<'_>),
    ) -> Poll<()> {
        if let Self::Starting(starting) = self {
            *self = ready!(starting.poll_unpin(cx));
        }
        let end = match self {
            Self::Reading(subscription) => {
                match ready!(subscription.poll_take(cx, bytes_max, &mut take)) {
                    Ok(()) => return Poll::Ready(()),
                    Err(end) => end,
                }
            }
            Self::Ending(end) => std::mem::replace(&mut **end, OperationEnd::Later),
            Self::Starting(_) | Self::Ended => return Poll::Pending,
        };
        *self = Self::Ended;
        take(Emitted::End(end));
        Poll::Ready(())
    }
}

impl ActiveSubscription {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        take: &mut impl FnMut(Emitted<'_>),
    ) -> Poll<Result<(), OperationEnd>> {
        let token_end = self.token_end.as_mut().map(|end| end.poll_unpin(cx));
        if token_end.is_some_and(|end| end.is_ready()) {
            // No end is reported: the client reconnects with a new token and resumes, or is
            // refused.
            return Poll::Ready(Err(OperationEnd::Later));
        }
        let mut frames: Vec<Frame> = Vec::new();
        Poll::Ready(match self.reader.poll_take(cx, bytes_max, &mut frames) {
            Poll::Pending => return self.announce(take),
            Poll::Ready(Ok(())) => {
                let reader = &self.reader;
                for frame in &frames {
                    take(Emitted::Event(EventResult { reader, frame }));
                }
                Ok(())
            }
            Poll::Ready(Err(ReadError::Unavailable)) => Err(OperationEnd::Later),
            Poll::Ready(Err(ReadError::ShutOut)) => Err(OperationEnd::Refused(vec![shut_out()])),
        })
    }

    /// Emits [`Emitted::Live`] when the reader has caught up for the first time.
    fn announce(&mut self, take: &mut impl FnMut(Emitted<'_>)) -> Poll<Result<(), OperationEnd>> {
        if self.is_announced {
            return Poll::Pending;
        }
        let Some(cursor) = self.reader.live_at() else {
            return Poll::Pending;
        };
        self.is_announced = true;
        take(Emitted::Live(cursor));
        Poll::Ready(Ok(()))
    }
}

/// A GraphQL response as JSON.
pub(super) fn response_json(response: &GraphqlResponse) -> String {
    serde_json::to_string(response).expect("a response has a JSON form")
}

/// Errors as a JSON array.
pub(super) fn errors_json(errors: &[ServerError]) -> String {
    serde_json::to_string(errors).expect("errors have a JSON form")
}

/// The response to a request that was not executed, as JSON: errors without `data`.
pub(super) fn refused_json(errors: &[ServerError]) -> String {
    format!(r#"{{"errors":{}}}"#, errors_json(errors))
}

/// The response to a request whose result is lost, as JSON: one error and `data: null`.
pub(super) fn failed_json(error: ApiError) -> String {
    format!(
        r#"{{"data":null,"errors":{}}}"#,
        errors_json(&[error.into()])
    )
}
