//! From what a client sent to what is run: the part that all transports share.

use std::sync::Arc;

use async_graphql::{ServerError, Variables, parser::types::OperationType};

use super::Shared;
use crate::{
    domain::{Viewer, Who},
    protocol::Subscribe,
    schema::{Answer, Renewal, Request},
    view::Reader,
};

/// What a started operation became.
pub(super) enum Started {
    /// A query or a mutation that was run.
    Answer(Box<Answer>),
    /// The same, and the connection goes on as this viewer: the same user with another token.
    Renewed(Viewer, Box<Answer>),
    /// A subscription that reads.
    Reader(Box<Reader>),
}

impl Started {
    fn refused(errors: Vec<ServerError>) -> Self {
        Self::Answer(Box::new(Answer::Refused(errors)))
    }
}

pub(super) fn request(body: Subscribe) -> Request {
    let variables = body.variables.map(|map| Variables::from_json(serde_json::Value::Object(map))).unwrap_or_default();
    Request { query: body.query, operation_name: body.operation_name, variables }
}

/// Starts whatever is asked for.
pub(super) async fn start(shared: Arc<Shared>, body: Subscribe, who: Who) -> Started {
    let prepared = match shared.schema.prepare(request(body)) {
        Ok(prepared) => prepared,
        Err(errors) => return Started::refused(errors),
    };
    match prepared.kind() {
        OperationType::Query | OperationType::Mutation => {
            let renewal = Renewal::default();
            let answer = Box::new(shared.schema.execute_renewing(prepared, who, &renewal).await);
            match renewal.take() {
                Some(viewer) => Started::Renewed(viewer, answer),
                None => Started::Answer(answer),
            }
        }
        OperationType::Subscription => match shared.views.subscribe(prepared, who).await {
            Ok(reader) => Started::Reader(Box::new(reader)),
            Err(errors) => Started::refused(errors),
        },
    }
}

/// Errors as JSON, at least one of them.
pub(super) fn errors_json(errors: &[ServerError]) -> String {
    serde_json::to_string(errors).expect("errors have a JSON form")
}
