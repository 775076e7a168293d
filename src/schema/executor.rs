//! Runs prepared requests: queries and mutations, and subscriptions in their two modes.

use std::sync::Arc;

use async_graphql::{MergedObject, Response, SchemaBuilder, ServerError};
use futures::{StreamExt, channel::mpsc};

use super::{
    context::{RequestContext, Services},
    cost::{CostMeter, MeteredResponse, ResponseCost},
    ephemeral::EphemeralMutation,
    error::{self, ApiError, Code},
    executor_hooks::{ExecutionState, ExecutorHooks},
    feed::Feed,
    limits::SchemaLimits,
    loader::Loader,
    modes::{AsOf, Mode, OpenedSubscription},
    mutation::Mutation,
    null_propagation::propagate_nulls,
    prepare::{Introspection, PlanDocument, Prepare, PrepareLimits, Prepared, Request},
    query::Query,
    room_mutation::RoomMutation,
    subscription::Subscription,
};
use crate::{domain::Caller, store::Log, sync::Mutex};

/// The answer to a query or a mutation.
pub enum Answer {
    /// It was executed. The response has data, errors of single fields, or both.
    Executed(Response),
    /// It was not executed: the request itself is invalid.
    Refused(Vec<ServerError>),
}

/// Write operations. If a mutation is refused, its field is null and an error is reported. Other
/// mutations of the same request are not affected.
#[derive(MergedObject)]
#[graphql(name = "Mutation")]
struct Mutations(Mutation, RoomMutation, EphemeralMutation);

type Builder = SchemaBuilder<Query, Mutations, Subscription>;

/// The schema and the services behind it. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    executor: async_graphql::Schema<Query, Mutations, Subscription>,
    prepare: Arc<Prepare>,
    log: Arc<dyn Log>,
    limits: SchemaLimits,
}

/// The schema in the schema definition language (SDL).
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> Builder {
    let mutations = Mutations(Mutation, RoomMutation, EphemeralMutation);
    async_graphql::Schema::build(Query, mutations, Subscription).extension(ExecutorHooks)
}

impl Schema {
    /// The schema over these services.
    pub fn new(services: Services, limits: PrepareLimits, introspection: Introspection) -> Self {
        let prepare = Arc::new(Prepare::new(&sdl(), limits, introspection));
        let builder = match introspection {
            Introspection::Allowed => builder(),
            // "Did you mean" suggestions would reveal the schema name by name.
            Introspection::Refused => builder().disable_suggestions(),
        };
        Self {
            prepare,
            log: services.log.clone(),
            limits: services.limits,
            executor: builder.data(services).finish(),
        }
    }

    /// Parses, bounds and coerces a request, so that it can be executed.
    ///
    /// # Errors
    /// The errors of the request; at least one.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Vec<ServerError>> {
        let invalid = |errors: Vec<ApiError>| errors.into_iter().map(ServerError::from).collect();
        self.prepare.prepare(request).map_err(invalid)
    }

    /// The meter that all requests of one batch share.
    pub fn batch_meter(&self) -> Arc<CostMeter> {
        CostMeter::new(MeteredResponse::Batch, self.limits.answer())
    }

    /// Runs a query or a mutation. Effects that the transport must carry out are left in `context`.
    /// The cost is charged to `batch`, or to a meter of this request alone.
    pub async fn execute(
        &self,
        prepared: Prepared,
        caller: Caller,
        context: &RequestContext,
        batch: Option<Arc<CostMeter>>,
    ) -> Answer {
        if context.is_signed_out() {
            // An earlier request of the same batch signed out.
            return Answer::Refused(vec![ApiError::token_not_valid().into()]);
        }
        let own_meter = || CostMeter::new(MeteredResponse::Answer, self.limits.answer());
        let meter = batch.unwrap_or_else(own_meter);
        let (document, kind) = (prepared.document(), prepared.kind());
        let loader = Loader::new(self.log.clone(), meter.clone());
        let cost = ResponseCost::new(meter);
        let (execution, request) = ExecutionState::of(prepared);
        let operation_name = request.operation_name.clone();
        let request = request
            .data(caller)
            .data(context.clone())
            .data(loader)
            .data(cost.clone());
        let mut response = self.executor.execute(request).await;
        let has_begun = execution.has_begun();
        let code = if has_begun {
            Code::BadUserInput
        } else {
            Code::GraphqlValidationFailed
        };
        error::add_codes(&mut response.errors, code);
        if !has_begun {
            return Answer::Refused(response.errors);
        }
        cost.settle(&mut response, kind);
        let shapes = &self.prepare.shapes;
        propagate_nulls(&mut response, &document, operation_name.as_deref(), shapes);
        Answer::Executed(response)
    }

    /// Runs a subscription in the mode Open: finds out what it reads. `resume` is a cursor that the
    /// transport knows; it takes the place of the document's `after`.
    ///
    /// # Errors
    /// The subscription's own errors, for example NOT_FOUND; at least one.
    pub async fn open(
        &self,
        prepared: Prepared,
        caller: Caller,
        resume: Option<String>,
    ) -> Result<OpenedSubscription, Vec<ServerError>> {
        let slot = Arc::new(Mutex::new(None));
        let (_, request) = ExecutionState::of(prepared);
        let meter = CostMeter::new(MeteredResponse::Answer, self.limits.answer());
        let request = request
            .data(caller)
            .data(Loader::new(self.log.clone(), meter.clone()))
            .data(ResponseCost::new(meter))
            .data(Mode::Open {
                slot: slot.clone(),
                resume,
            });
        let responses: Vec<Response> = self.executor.execute_stream(request).collect().await;
        if let Some(opened) = slot.lock().take() {
            return Ok(opened);
        }
        let mut errors: Vec<_> = responses
            .into_iter()
            .flat_map(|response| response.errors)
            .collect();
        error::add_codes(&mut errors, Code::GraphqlValidationFailed);
        Err(errors)
    }

    /// Starts a plan in the mode Feed. `caller` is a viewer only if the document has `viewer…`
    /// fields.
    pub fn feed(&self, plan: &Arc<PlanDocument>, caller: Caller) -> Feed {
        let (items, receiver) = mpsc::unbounded();
        let document = plan.document.clone();
        let (_, request) = ExecutionState::new(document, None, plan.variables.clone(), None);
        let meter = CostMeter::new(MeteredResponse::Frame, self.limits.frame());
        let loader = Loader::new(self.log.clone(), meter.clone());
        let (cost, as_of) = (ResponseCost::new(meter), Arc::<AsOf>::default());
        let mode = Mode::Feed {
            items: Mutex::new(Some(receiver)),
            as_of: as_of.clone(),
        };
        let request = request
            .data(caller)
            .data(loader.clone())
            .data(cost.clone())
            .data(mode);
        Feed {
            items,
            as_of,
            responses: self.executor.execute_stream(request),
            plan: plan.clone(),
            prepare: self.prepare.clone(),
            loader,
            cost,
        }
    }
}
