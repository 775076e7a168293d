//! From what a client sent to what is run, and what that yields: the part that all transports share.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_graphql::{ServerError, Variables, parser::types::OperationType};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    domain::{Caller, Cursor, Viewer},
    protocol::Subscribe,
    schema::{Answer, ApiError, Prepared, Request, is_temporary, shut_out},
    transport::{Shared, admission::address::Address},
    view::{Frame, ReadError, Reader},
};

/// Who asks, and from where.
#[derive(Clone, Copy)]
pub(crate) struct CallOrigin {
    pub(crate) caller: Caller,
    pub(crate) address: Option<Address>,
}

impl CallOrigin {
    fn ip(self) -> Option<IpAddr> {
        self.address.map(IpAddr::from)
    }
}

/// What a started operation became.
pub(crate) enum Started {
    /// A query or a mutation that was run.
    Answer(Box<Answer>),
    /// The same, and the connection goes on as this viewer: the same user with another token.
    Renewed(Viewer, Box<Answer>),
    /// A subscription that reads.
    Reader(Box<Reader>),
}

/// Makes what a client sent fit to be run. A document that is named by its hash alone is looked up.
pub(crate) fn prepare(shared: &Shared, mut body: Subscribe) -> Result<Prepared, Vec<ServerError>> {
    shared
        .persisted
        .resolve(&mut body)
        .map_err(|error| vec![error.into()])?;
    shared.schema.prepare(request(body))
}

fn request(body: Subscribe) -> Request {
    let variables = body
        .variables
        .map(|map| Variables::from_json(serde_json::Value::Object(map)))
        .unwrap_or_default();
    Request {
        query: body.query,
        operation_name: body.operation_name,
        variables,
    }
}

/// Starts whatever is asked for on a connection that has operations of its own.
pub(crate) async fn start(shared: Arc<Shared>, body: Subscribe, origin: CallOrigin) -> Started {
    let refused = |errors| Started::Answer(Box::new(Answer::Refused(errors)));
    let prepared = match prepare(&shared, body) {
        Ok(prepared) => prepared,
        Err(errors) => return refused(errors),
    };
    match prepared.kind() {
        OperationType::Query | OperationType::Mutation => {
            match execute(shared, prepared, origin).await {
                (answer, Some(viewer)) => Started::Renewed(viewer, Box::new(answer)),
                (answer, None) => Started::Answer(Box::new(answer)),
            }
        }
        OperationType::Subscription => match shared
            .views
            .resume(prepared, origin.caller, origin.ip(), None)
            .await
        {
            Ok(reader) => Started::Reader(Box::new(reader)),
            Err(errors) => refused(errors),
        },
    }
}

/// Starts whatever is asked for; the errors if it is refused.
pub(crate) async fn source(
    shared: Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
) -> Result<Running, Vec<ServerError>> {
    match prepared.kind() {
        OperationType::Query | OperationType::Mutation => {
            match execute(shared, prepared, origin).await.0 {
                Answer::Refused(errors) => Err(errors),
                executed => Ok(Running::Ending(executed.into())),
            }
        }
        OperationType::Subscription => subscribe(&shared, prepared, origin, None).await,
    }
}

/// Runs a query or a mutation; also as whom the connection goes on, if it is to.
pub(crate) async fn execute(
    shared: Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
) -> (Answer, Option<Viewer>) {
    let notes = shared.notes(origin.address);
    let answer = shared
        .schema
        .execute_noting(prepared, origin.caller, &notes)
        .await;
    (answer, notes.take_effects().renewed)
}

/// Begins to read for a subscription, after the cursor in `resume` if the transport knows of one.
pub(crate) async fn subscribe(
    shared: &Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
    resume: Option<String>,
) -> Result<Running, Vec<ServerError>> {
    let reader = shared
        .views
        .resume(prepared, origin.caller, origin.ip(), resume)
        .await?;
    Ok(Running::Reading(
        Box::new(reader),
        token_end(shared, origin.caller),
    ))
}

/// Errors as JSON, at least one of them.
pub(crate) fn errors_json(errors: &[ServerError]) -> String {
    serde_json::to_string(errors).expect("errors have a JSON form")
}

/// An answer that holds this error and nothing else, as JSON.
pub(crate) fn failed_json(error: ApiError) -> String {
    format!(
        r#"{{"data":null,"errors":{}}}"#,
        errors_json(&[error.into()])
    )
}

/// One of the things that an operation yields. A transport puts it into its own frame.
#[derive(Debug)]
pub(crate) enum Emitted {
    /// A result of a subscription, and where its event stands. More may follow.
    Event {
        /// The result as JSON.
        payload: Arc<str>,
        /// Who has it resumes after this; none where nothing is kept to resume.
        cursor: Option<Cursor>,
    },
    /// The result of a query or a mutation, as JSON. Nothing follows.
    Answer(String),
    /// The request itself is wrong: at least one error. Nothing follows.
    Refused(Vec<ServerError>),
    /// It cannot go on for now. Nothing follows, and no end is said either: the client comes back and resumes.
    Later,
}

impl Emitted {
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self, Self::Event { .. })
    }
}

impl From<Answer> for Emitted {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Executed(response) => {
                Self::Answer(serde_json::to_string(&response).expect("a response has a JSON form"))
            }
            Answer::Refused(errors) if errors.iter().any(is_temporary) => Self::Later,
            Answer::Refused(errors) => Self::Refused(errors),
        }
    }
}

/// Where the outcomes of one operation come from. Nothing is taken before somebody polls.
pub(crate) enum Running {
    /// A query or a mutation that was not started, or has not answered yet.
    Starting(BoxFuture<'static, Emitted>),
    /// A subscription that reads, for as long as its token is good.
    Reading(Box<Reader>, TokenEnd),
    /// The last outcome is known and waits to be taken.
    Ending(Emitted),
    /// The last outcome was taken.
    Over,
}

/// Ready when the token of an operation is no longer good; for nobody never.
type TokenEnd = BoxFuture<'static, ()>;

/// Waits until a token expires or is signed out.
fn token_end(shared: &Arc<Shared>, caller: Caller) -> TokenEnd {
    let Caller::Viewer(viewer) = caller else {
        return std::future::pending().boxed();
    };
    shared
        .auth
        .wait_until_invalid(viewer, shared.clock.clone())
        .boxed()
}

impl Running {
    /// How many bytes of an answer wait here to be taken.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Ending(Emitted::Answer(payload)) => payload.len(),
            _ => 0,
        }
    }

    /// Takes the next outcomes into `out`: at least one, of a subscription more while they fit into `bytes_max`. Pending
    /// while there is none, and for ever after the last one.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Emitted>,
    ) -> Poll<()> {
        if let Self::Starting(starting) = self {
            *self = Self::Ending(ready!(starting.poll_unpin(cx)));
        }
        match std::mem::replace(self, Self::Over) {
            Self::Ending(outcome) => {
                out.push(outcome);
                Poll::Ready(())
            }
            Self::Reading(mut reader, mut end) => {
                let before = out.len();
                let taken = poll_events(&mut reader, &mut end, cx, bytes_max, out);
                if !out[before..].iter().any(Emitted::is_last) {
                    *self = Self::Reading(reader, end);
                }
                taken
            }
            Self::Starting(_) | Self::Over => Poll::Pending,
        }
    }
}

/// Takes the next results of a subscription, or what ends it.
fn poll_events(
    reader: &mut Reader,
    end: &mut TokenEnd,
    cx: &mut Context<'_>,
    bytes_max: usize,
    out: &mut Vec<Emitted>,
) -> Poll<()> {
    if end.poll_unpin(cx).is_ready() {
        // Not an end that is told: the client comes back with a fresh token and resumes, or is refused.
        out.push(Emitted::Later);
        return Poll::Ready(());
    }
    let mut frames: Vec<Frame> = Vec::new();
    match ready!(reader.poll_take(cx, bytes_max, &mut frames)) {
        Ok(()) => {
            let event = |frame: Frame| Emitted::Event {
                cursor: reader.cursor_of(&frame),
                payload: frame.payload,
            };
            out.extend(frames.into_iter().map(event));
        }
        Err(ReadError::Unavailable) => out.push(Emitted::Later),
        Err(ReadError::ShutOut) => out.push(Emitted::Refused(vec![shut_out()])),
    }
    Poll::Ready(())
}
