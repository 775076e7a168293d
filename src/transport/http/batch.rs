//! Batches: a JSON array of requests, answered by an array of responses in the same order.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::join_all;
use serde_json::Value;

use crate::{
    protocol::Subscribe,
    schema::{Answer, CostMeter, RequestContext},
    transport::{
        Shared,
        browser::cookie,
        http::request::{HttpCall, not_a_request, not_acceptable},
        operation::{refused_json, response_json},
        response::{
            negotiate::{Form, Media},
            reply::{Reply, bad_request},
        },
        start::{self, CallOrigin},
    },
};

/// Executes all requests of a batch, started in their order. A request that fails does not affect
/// the others. An entry that is not a request refuses the whole batch before any of it is executed.
pub(super) async fn run(shared: Arc<Shared>, call: HttpCall, entries: Vec<Value>) -> Response {
    if !matches!(call.accepts.for_answer(), Some(Form::Single(_))) {
        let message = "A batch is answered as JSON: accept application/json.";
        return not_acceptable(Media::Json, message).into_response();
    }
    let bodies = match requests(entries, shared.limits.batch_max) {
        Ok(bodies) => bodies,
        Err(reason) => return not_a_request(&reason).into_response(),
    };
    let context = shared.request_context(call.origin(&shared).address);
    let meter = shared.schema.batch_meter();
    let answers = join_all(
        bodies
            .into_iter()
            .map(|body| answer(&shared, body, call.origin(&shared), &context, &meter)),
    )
    .await;
    // Plain JSON: an array is not a GraphQL response.
    let reply = Reply::new(
        StatusCode::OK,
        Media::Json,
        format!("[{}]", answers.join(",")),
    );
    let reply = cookie::update(reply, &shared.site, (shared.clock)(), &call.parts, &context);
    // A batch may contain mutations.
    call.respond(&shared, reply, true)
}

fn requests(entries: Vec<Value>, most: usize) -> Result<Vec<Subscribe>, String> {
    if entries.is_empty() {
        return Err("the array is empty".to_owned());
    }
    if most != 0 && entries.len() > most {
        return Err(format!("an array may have at most {most} requests"));
    }
    let read = |(at, entry): (usize, Value)| match entry {
        Value::Object(object) => {
            Subscribe::from_object(object).map_err(|reason| format!("entry {at}: {reason}"))
        }
        _ => Err(format!("entry {at} must be a JSON object")),
    };
    entries.into_iter().enumerate().map(read).collect()
}

/// The response to one request of a batch, as JSON.
async fn answer(
    shared: &Shared,
    body: Subscribe,
    CallOrigin { caller, address }: CallOrigin,
    context: &RequestContext,
    meter: &Arc<CostMeter>,
) -> String {
    let prepared = match start::prepare(shared, body) {
        Ok(prepared) => prepared,
        Err(errors) => return refused_json(&errors),
    };
    if prepared.kind() == OperationType::Subscription {
        return refused_json(&[bad_request("A batch cannot contain a subscription.").into()]);
    }
    let _permit = shared.admission.admit_execution(address, &prepared).await;
    match shared
        .schema
        .execute(prepared, caller, context, Some(meter.clone()))
        .await
    {
        Answer::Executed(response) => response_json(&response),
        Answer::Refused(errors) => refused_json(&errors),
    }
}
