//! GraphQL: translation between documents and the domain, and nothing else.
//!
//! - **G1** `schema.graphql` equals the exported SDL.
//! - **G2** No SQL, no sockets, no locks in resolvers, but for the budget that they draw from, and slots: the two of a
//!   subscription's modes, and the one in which what a transport has to act on is left.
//! - **G3** Every error that a client sees has a code from one table; internal text never leaves.
//! - **G4** Everything that a document or a list can ask for is bounded, and so is what the answer comes to.
//! - **G5** Unknown and unreadable take the same path: one statement that returns a row only if it may be read.
//!
//! Proved in `tests/it/` and `tests/tidy/`.

mod budget;
mod complete;
mod connection;
mod context;
mod ephemeral;
mod error;
mod member;
mod mutation;
mod object;
mod people;
mod poll;
mod prepare;
mod query;
mod room_mutation;
mod scalar;
mod search;
mod stages;
mod subscription;

use std::sync::{Arc, Mutex};

use async_graphql::{MergedObject, Response, ServerError, parser::types::OperationType};
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

pub use budget::{Budget, BudgetLimits};
pub use context::{Noted, Notes, SchemaLimits, Services};
pub use error::{ApiError, Code, is_passing, shut_out};
pub use prepare::{PlanDocument, Prepare, PrepareLimits, Prepared, Request};
pub use subscription::{Item, Source, Want};

use self::{
    budget::{Purpose, Spending},
    ephemeral::EphemeralMutation,
    mutation::Mutation,
    query::Query,
    room_mutation::RoomMutation,
    stages::Run,
    subscription::{Mode, Shows},
};
use crate::domain::{Seq, Who};

/// The answer to a request.
pub enum Answer {
    /// It ran: data, errors of single fields, or both.
    Executed(Response),
    /// It did not run: the request itself is wrong.
    Refused(Vec<ServerError>),
}

/// The roots of all changes. Each is null if it was refused, so that it does not hide the answers of others.
#[derive(MergedObject)]
#[graphql(name = "Mutation")]
struct Mutations(Mutation, RoomMutation, EphemeralMutation);

/// The schema and the services behind it. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    executor: async_graphql::Schema<Query, Mutations, subscription::Subscription>,
    prepare: Arc<Prepare>,
    limits: SchemaLimits,
}

/// The schema in its definition language, with a comment that says where it comes from.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutations, subscription::Subscription> {
    let mutations = Mutations(Mutation, RoomMutation, EphemeralMutation);
    async_graphql::Schema::build(Query, mutations, subscription::Subscription)
        .extension(stages::Stages)
}

impl Schema {
    /// The schema over these services.
    pub fn new(services: Services, limits: PrepareLimits) -> Self {
        let prepare = Arc::new(Prepare::new(&sdl(), limits));
        // A guess at what was meant tells the schema, name by name.
        let builder = if limits.introspection {
            builder()
        } else {
            builder().disable_suggestions()
        };
        let limits = services.limits;
        Self {
            executor: builder.data(services).finish(),
            prepare,
            limits,
        }
    }

    /// Makes a request fit to be executed, or says what is wrong with it.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Vec<ServerError>> {
        self.prepare
            .prepare(request)
            .map_err(|errors| errors.into_iter().map(ServerError::from).collect())
    }

    /// Runs a query or a mutation.
    pub async fn execute(&self, prepared: Prepared, who: Who) -> Answer {
        self.execute_noting(prepared, who, &Notes::default()).await
    }

    /// The same; what a transport has to act on is left in `notes`.
    pub async fn execute_noting(&self, prepared: Prepared, who: Who, notes: &Notes) -> Answer {
        self.execute_within(
            prepared,
            who,
            notes,
            Budget::new(Purpose::Answer, self.limits.answer),
        )
        .await
    }

    /// What the requests of a batch may cost together.
    pub fn batch_budget(&self) -> Arc<Budget> {
        Budget::new(Purpose::Batch, self.limits.answer)
    }

    /// The same, where others draw from the budget too.
    pub async fn execute_within(
        &self,
        prepared: Prepared,
        who: Who,
        notes: &Notes,
        budget: Arc<Budget>,
    ) -> Answer {
        if notes.is_signed_out() {
            // Another one of the same batch does that; this one comes after it.
            return Answer::Refused(vec![context::signed_out().into()]);
        }
        let (document, kind, spending) =
            (prepared.document(), prepared.kind(), Spending::new(budget));
        let (run, request) = Run::of(prepared);
        let name = request.operation_name.clone();
        let request = request.data(who).data(notes.clone()).data(spending.clone());
        let mut response = self.executor.execute(request).await;
        let code = if run.was_reached() {
            Code::BadUserInput
        } else {
            Code::GraphqlValidationFailed
        };
        let errors = response
            .errors
            .drain(..)
            .map(|error| error::with_code(error, code))
            .collect();
        if !run.was_reached() {
            return Answer::Refused(errors);
        }
        response.errors = errors;
        spending.settle(&mut response, kind);
        if !response.errors.is_empty() {
            complete::complete(
                &mut response,
                &document,
                name.as_deref(),
                &self.prepare.shapes,
            );
        }
        Answer::Executed(response)
    }

    /// Runs a subscription in the mode Open: who asks may read what is wanted, or it is refused. `resume` is the text of a
    /// cursor that wins over the document's own `after`.
    pub async fn open(
        &self,
        prepared: Prepared,
        who: Who,
        resume: Option<String>,
    ) -> Result<Want, Vec<ServerError>> {
        let slot = Arc::new(Mutex::new(None));
        let (_, request) = Run::of(prepared);
        let spending = Spending::new(Budget::new(Purpose::Answer, self.limits.answer));
        let request = request.data(who).data(spending).data(Mode::Open {
            slot: slot.clone(),
            resume,
        });
        let responses: Vec<Response> = self.executor.execute_stream(request).collect().await;
        if let Some(want) = slot.lock().expect("no panic under this lock").take() {
            return Ok(want);
        }
        let errors = responses.into_iter().flat_map(|response| response.errors);
        Err(errors
            .map(|error| error::with_code(error, Code::GraphqlValidationFailed))
            .collect())
    }

    /// Runs a plan in the mode Feed: what is sent in comes out as one response each, in the same order. `who` is a viewer only
    /// where the document depends on one.
    pub fn feed(&self, plan: &Arc<PlanDocument>, who: Who) -> Feed {
        let (items, receiver) = mpsc::unbounded();
        let (_, request) = Run::new(plan.document.clone(), None, plan.variables.clone(), None);
        let spending = Spending::new(Budget::new(Purpose::Frame, self.limits.frame));
        let shows = Arc::<Shows>::default();
        let mode = Mode::Feed {
            items: Mutex::new(Some(receiver)),
            shows: shows.clone(),
        };
        let request = request.data(who).data(spending.clone()).data(mode);
        Feed {
            items,
            shows,
            responses: self.executor.execute_stream(request),
            plan: plan.clone(),
            prepare: self.prepare.clone(),
            spending,
        }
    }
}

/// A long-lived execution that is fed items by hand. It must be fed the next one only after the last one's response
/// was taken; one that was left in between must be thrown away. Each item has a budget of its own.
pub struct Feed {
    items: mpsc::UnboundedSender<Item>,
    shows: Arc<Shows>,
    responses: BoxStream<'static, Response>,
    plan: Arc<PlanDocument>,
    prepare: Arc<Prepare>,
    spending: Arc<Spending>,
}

/// What comes of an item.
pub struct Shown {
    /// The result.
    pub response: Response,
    /// How far the room's log reached when that was read which the item itself does not tell; none if there is no such thing in
    /// it.
    pub as_of: Option<Seq>,
}

/// Why a feed gave no response that can be shown.
#[derive(Clone, Debug)]
pub struct FeedError(pub String);

impl Feed {
    /// Whether an item gives a response at all: each subscription is about events of some kinds.
    pub fn shows(&self, item: &Item) -> bool {
        match item {
            // There is one subscription to a log, and it is about messages.
            Item::Event(event) => event.as_message_sent().is_some(),
            Item::Typing(..) | Item::Presence { .. } | Item::Signal(..) => true,
        }
    }

    /// The response to one item. An error is passing: the same item may give a response a moment later (V7).
    pub async fn next(&mut self, item: Item) -> Result<Shown, FeedError> {
        self.spending.renew();
        self.items
            .unbounded_send(item)
            .map_err(|_| FeedError("the execution has ended".to_owned()))?;
        let mut response = self
            .responses
            .next()
            .await
            .ok_or_else(|| FeedError("the execution has ended".to_owned()))?;
        let errors = response
            .errors
            .drain(..)
            .map(|error| error::with_code(error, Code::BadUserInput));
        response.errors = errors.collect();
        match response.errors.iter().find(|error| is_passing(error)) {
            Some(error) => Err(FeedError(error.message.clone())),
            None => {
                self.spending
                    .settle(&mut response, OperationType::Subscription);
                if !response.errors.is_empty() {
                    complete::complete(
                        &mut response,
                        &self.plan.document,
                        None,
                        &self.prepare.shapes,
                    );
                }
                Ok(Shown {
                    response,
                    as_of: self.shows.take(),
                })
            }
        }
    }
}
