//! Several requests in one: a JSON array of them, answered by an array in the same order.

use std::sync::Arc;

use async_graphql::{ServerError, parser::types::OperationType};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::join_all;
use serde_json::Value;

use crate::{
    domain::Caller,
    protocol::Subscribe,
    schema::{Answer, CostMeter, RequestContext},
    transport::{
        Shared,
        browser::cookie,
        http::{
            endpoint::{Call, no_request},
            negotiate::{Form, Media},
            reply::{Reply, bad_request},
        },
        operation,
    },
};

/// Runs all of them, started in their order. One that fails changes nothing for the others; one that is no request at all
/// refuses them all, before any is started.
pub(crate) async fn run(shared: Arc<Shared>, call: Call, entries: Vec<Value>) -> Response {
    if !matches!(call.accepts.for_answer(), Some(Form::Single(_))) {
        let error =
            bad_request("Several requests at once are answered as JSON: accept application/json.");
        return Reply::error(StatusCode::NOT_ACCEPTABLE, Media::Json, error).into_response();
    }
    let bodies = match requests(entries, shared.limits.batch_max) {
        Ok(bodies) => bodies,
        Err(reason) => return no_request(&reason).into_response(),
    };
    let (notes, meter) = (
        shared.notes(call.origin(&shared).address),
        shared.schema.batch_meter(),
    );
    let answers = join_all(
        bodies
            .into_iter()
            .map(|body| answer(&shared, body, call.caller, &notes, &meter)),
    )
    .await;
    // An array is no GraphQL response, so it is plain JSON.
    let reply = Reply::new(
        StatusCode::OK,
        Media::Json,
        format!("[{}]", answers.join(",")),
    );
    cookie::change(reply, &shared, &call.parts, &notes).into_response()
}

fn requests(entries: Vec<Value>, most: usize) -> Result<Vec<Subscribe>, String> {
    if entries.is_empty() {
        return Err("the array is empty".to_owned());
    }
    if most != 0 && entries.len() > most {
        return Err(format!("an array may have {most} requests"));
    }
    let read = |(at, entry): (usize, Value)| match entry {
        Value::Object(object) => {
            Subscribe::from_object(object).map_err(|reason| format!("entry {at}: {reason}"))
        }
        _ => Err(format!("entry {at} must be a JSON object")),
    };
    entries.into_iter().enumerate().map(read).collect()
}

async fn answer(
    shared: &Shared,
    body: Subscribe,
    caller: Caller,
    notes: &RequestContext,
    meter: &Arc<CostMeter>,
) -> String {
    let refused =
        |errors: &[ServerError]| format!(r#"{{"errors":{}}}"#, operation::errors_json(errors));
    let prepared = match operation::prepare(shared, body) {
        Ok(prepared) => prepared,
        Err(errors) => return refused(&errors),
    };
    if prepared.kind() == OperationType::Subscription {
        return refused(&[bad_request("A subscription cannot be one of several requests.").into()]);
    }
    match shared
        .schema
        .execute_within(prepared, caller, notes, meter.clone())
        .await
    {
        Answer::Executed(response) => {
            serde_json::to_string(&response).expect("a response has a JSON form")
        }
        Answer::Refused(errors) => refused(&errors),
    }
}
