//! GraphQL: translation between documents and the domain, and nothing else.
//!
//! - **G1** `schema.graphql` equals the exported SDL.
//! - **G2** No SQL, no sockets, no locks in resolvers, but for slots: the two of a subscription's modes, and the one in
//!   which a refreshed viewer is left for the connection.
//! - **G3** Every error that a client sees has a code from one table; internal text never leaves.
//! - **G4** Everything that a document or a list can ask for is bounded.
//! - **G5** Unknown and unreadable take the same path: one statement that returns a row only if it may be read.
//!
//! Proved in `tests/schema.rs` and `tests/it/`.

mod complete;
mod connection;
mod context;
mod error;
mod mutation;
mod object;
mod prepare;
mod query;
mod scalar;
mod stages;
mod subscription;

use std::sync::{Arc, Mutex};

use async_graphql::{Response, ServerError};
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

pub use context::{Renewal, SchemaLimits, Services};
pub use error::{ApiError, Code, is_passing};
pub use prepare::{PlanDocument, PrepareLimits, Prepared, Request};
pub use subscription::Want;

use self::{mutation::Mutation, prepare::Prepare, query::Query, stages::Run, subscription::Mode};
use crate::domain::{Event, Who};

/// The answer to a request.
pub enum Answer {
    /// It ran: data, errors of single fields, or both.
    Executed(Response),
    /// It did not run: the request itself is wrong.
    Refused(Vec<ServerError>),
}

/// The schema and the services behind it. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    executor: async_graphql::Schema<Query, Mutation, subscription::Subscription>,
    prepare: Arc<Prepare>,
}

/// The schema in its definition language, with a comment that says where it comes from.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, subscription::Subscription> {
    async_graphql::Schema::build(Query, Mutation, subscription::Subscription).extension(stages::Stages)
}

impl Schema {
    /// The schema over these services.
    pub fn new(services: Services, limits: PrepareLimits) -> Self {
        let prepare = Arc::new(Prepare::new(&sdl(), limits));
        Self { executor: builder().data(services).finish(), prepare }
    }

    /// Makes a request fit to be executed, or says what is wrong with it.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Vec<ServerError>> {
        self.prepare.prepare(request).map_err(|errors| errors.into_iter().map(ServerError::from).collect())
    }

    /// Runs a query or a mutation.
    pub async fn execute(&self, prepared: Prepared, who: Who) -> Answer {
        self.execute_renewing(prepared, who, &Renewal::default()).await
    }

    /// The same, for a connection: a viewer who was refreshed on the way is left in `renewal`.
    pub async fn execute_renewing(&self, prepared: Prepared, who: Who, renewal: &Renewal) -> Answer {
        let (document, name) = (prepared.document(), prepared.operation_name().map(str::to_owned));
        let (run, request) = Run::of(prepared);
        let mut response = self.executor.execute(request.data(who).data(renewal.clone())).await;
        let code = if run.was_reached() { Code::BadUserInput } else { Code::GraphqlValidationFailed };
        let errors = response.errors.drain(..).map(|error| error::with_code(error, code)).collect();
        if !run.was_reached() {
            return Answer::Refused(errors);
        }
        response.errors = errors;
        if !response.errors.is_empty() {
            complete::complete(&mut response, &document, name.as_deref(), &self.prepare.shapes);
        }
        Answer::Executed(response)
    }

    /// Runs a subscription in the mode Open: who asks may read what is wanted, or it is refused.
    pub async fn open(&self, prepared: Prepared, who: Who) -> Result<Want, Vec<ServerError>> {
        let slot = Arc::new(Mutex::new(None));
        let (_, request) = Run::of(prepared);
        let request = request.data(who).data(Mode::Open(slot.clone()));
        let responses: Vec<Response> = self.executor.execute_stream(request).collect().await;
        if let Some(want) = slot.lock().expect("no panic under this lock").take() {
            return Ok(want);
        }
        let errors = responses.into_iter().flat_map(|response| response.errors);
        Err(errors.map(|error| error::with_code(error, Code::GraphqlValidationFailed)).collect())
    }

    /// Runs a plan in the mode Feed: what is sent in comes out as one response each, in the same order.
    pub fn feed(&self, plan: &Arc<PlanDocument>) -> Feed {
        let (events, receiver) = mpsc::unbounded();
        let (_, request) = Run::new(plan.document.clone(), None, plan.variables.clone(), None);
        let request = request.data(Who::Shared).data(Mode::Feed(Mutex::new(Some(receiver))));
        Feed {
            events,
            responses: self.executor.execute_stream(request),
            plan: plan.clone(),
            prepare: self.prepare.clone(),
        }
    }
}

/// A long-lived execution that is fed events by hand. It must be fed the next one only after the last one's response
/// was taken; one that was left in between must be thrown away.
pub struct Feed {
    events: mpsc::UnboundedSender<Arc<Event>>,
    responses: BoxStream<'static, Response>,
    plan: Arc<PlanDocument>,
    prepare: Arc<Prepare>,
}

/// Why a feed gave no response that can be shown.
#[derive(Clone, Debug)]
pub struct FeedError(pub String);

impl Feed {
    /// The response to one event. An error is passing: the same event may give a response a moment later (V7).
    pub async fn next(&mut self, event: Arc<Event>) -> Result<Response, FeedError> {
        self.events.unbounded_send(event).map_err(|_| FeedError("the execution has ended".to_owned()))?;
        let mut response =
            self.responses.next().await.ok_or_else(|| FeedError("the execution has ended".to_owned()))?;
        let errors = response.errors.drain(..).map(|error| error::with_code(error, Code::BadUserInput));
        response.errors = errors.collect();
        match response.errors.iter().find(|error| is_passing(error)) {
            Some(error) => Err(FeedError(error.message.clone())),
            None => {
                if !response.errors.is_empty() {
                    complete::complete(&mut response, &self.plan.document, None, &self.prepare.shapes);
                }
                Ok(response)
            }
        }
    }
}
