//! From a client's request to a [`Running`] operation: the steps that all transports share.

use std::sync::Arc;

use async_graphql::{ServerError, Variables, parser::types::OperationType};
use futures::FutureExt;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    domain::Caller,
    protocol::Subscribe,
    schema::{Answer, ApiError, Prepared, Request},
    transport::{
        Shared,
        admission::{address::Address, slots::needs_permit},
        operation::{CountedMemory, OperationEnd, Running, TokenEnd, response_json},
    },
};

/// The origin of a request: its caller and its address.
#[derive(Clone, Copy)]
pub(super) struct CallOrigin {
    /// The viewer, or an anonymous caller.
    pub(super) caller: Caller,
    /// None if the connection is not a network connection.
    pub(super) address: Option<Address>,
}

/// The part that ends a subscription when its caller's token expires or is revoked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenWatch {
    /// The operation itself.
    Operation,
    /// The connection that runs the operation. One watch serves all of its operations.
    Connection,
}

/// Prepares a request for execution. A persisted query is replaced by its text first.
pub(super) fn prepare(shared: &Shared, mut body: Subscribe) -> Result<Prepared, Vec<ServerError>> {
    shared
        .persisted
        .resolve(&mut body)
        .map_err(|error| vec![error.into()])?;
    let variables = body
        .variables
        .map(|map| Variables::from_json(serde_json::Value::Object(map)))
        .unwrap_or_default();
    shared.schema.prepare(Request {
        query: body.query,
        operation_name: body.operation_name,
        variables,
    })
}

/// Starts an operation over HTTP, or returns the errors if it is refused. A query or a mutation is
/// executed before this returns; a subscription is opened.
///
/// `resume` is the cursor that the client saw last, if the transport knows of one. It replaces the
/// document's own `after`.
pub(super) async fn start(
    shared: Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
    resume: Option<String>,
) -> Result<Running, Vec<ServerError>> {
    run(&shared, prepared, origin, resume, TokenWatch::Operation).await
}

/// An operation of a WebSocket. It starts when it is polled, and the connection watches the token.
pub(super) fn on_socket(shared: Arc<Shared>, body: Subscribe, origin: CallOrigin) -> Running {
    Running::starting(async move {
        let prepared = prepare(&shared, body)?;
        run(&shared, prepared, origin, None, TokenWatch::Connection).await
    })
}

async fn run(
    shared: &Arc<Shared>,
    prepared: Prepared,
    origin: CallOrigin,
    resume: Option<String>,
    token_watch: TokenWatch,
) -> Result<Running, Vec<ServerError>> {
    let CallOrigin { caller, address } = origin;
    if prepared.is_subscription() {
        let ip = address.map(Into::into);
        let reader = shared.views.subscribe(prepared, caller, ip, resume).await?;
        let token_end = match token_watch {
            TokenWatch::Operation => token_end(shared, caller),
            TokenWatch::Connection => None,
        };
        return Ok(Running::reading(reader, token_end));
    }
    if needs_permit(&prepared) {
        // In a task of its own: an operation that its client does not read is not polled, and would
        // keep its permit.
        let executing = execute(shared.clone(), prepared, origin);
        let task = AbortOnDropHandle::new(shared.tasks.spawn(executing));
        return task
            .await
            .unwrap_or_else(|error| Err(vec![ApiError::internal(&error).into()]));
    }
    execute(shared.clone(), prepared, origin).await
}

/// Executes a query or a mutation. The memory of a large answer is counted. If too much waits for
/// the address already, the answer of a query is dropped, and that of a mutation is not counted.
async fn execute(
    shared: Arc<Shared>,
    prepared: Prepared,
    CallOrigin { caller, address }: CallOrigin,
) -> Result<Running, Vec<ServerError>> {
    let is_mutation = prepared.kind() == OperationType::Mutation;
    let _permit = shared.admission.admit_execution(address, &prepared).await;
    let context = shared.request_context(address);
    let answer = shared
        .schema
        .execute(prepared, caller, &context, None)
        .await;
    let payload = match answer {
        Answer::Refused(errors) => return Err(errors),
        Answer::Executed(response) => response_json(&response),
    };
    let waiting = match shared.admission.take_waiting(address, payload.len()) {
        Ok(waiting) if waiting.held() > 0 => Some(Box::new(waiting) as CountedMemory),
        Ok(_) => None,
        Err(_) if is_mutation => None,
        Err(error) => return Err(vec![error.error().into()]),
    };
    Ok(Running::ending(OperationEnd::Answer {
        payload,
        renewed: context.take_effects().renewed,
        waiting,
    }))
}

fn token_end(shared: &Shared, caller: Caller) -> Option<TokenEnd> {
    let Caller::Viewer(viewer) = caller else {
        return None;
    };
    Some(
        shared
            .auth
            .wait_until_invalid(viewer, shared.clock.clone())
            .boxed(),
    )
}
