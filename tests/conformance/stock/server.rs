//! An axum server with the stock WebSocket transport, on a free port of the loopback interface.
//!
//! The application uses every hook that the transport has: it checks the credentials of
//! `connection_init` and of the upgrade's header, and it sends the payload of a `ping` back. So a
//! broken rule is not a matter of configuration.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use async_graphql::{Data, Error, Executor, Request, Response};
use async_graphql_axum::{
    GraphQL, GraphQLProtocol, GraphQLRequest, GraphQLResponse, GraphQLWebSocket,
};
use axum::{
    Router,
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, header::AUTHORIZATION},
    routing::get,
};
use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;

use super::schema::{self, Schema, SignedIn, TOKEN};
use crate::socket::Address;

/// The path of async-graphql-axum's plain HTTP service. It serves GET and POST without credentials.
pub(super) const HTTP_PATH: &str = "/http";

/// Starts a server that runs until the runtime of the test ends.
pub(super) async fn start() -> Address {
    let schema = schema::build();
    let http = GraphQL::new(schema.clone());
    let router = Router::new()
        .route("/graphql", get(upgrade).post(execute))
        .with_state(schema)
        .route_service(HTTP_PATH, http);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let host = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async { axum::serve(listener, router).await });
    Address {
        host,
        path: "/graphql".to_owned(),
    }
}

/// Runs a request over HTTP.
async fn execute(
    State(schema): State<Schema>,
    headers: HeaderMap,
    request: GraphQLRequest,
) -> GraphQLResponse {
    let signed_in = SignedIn(is_valid(header(&headers).as_ref()) == Ok(true));
    schema
        .execute(request.into_inner().data(signed_in))
        .await
        .into()
}

/// Answers a ping with its own payload, which must be an object if there is one.
fn answer_ping(_: Option<&Data>, payload: Option<Value>) -> Ready<Result<Option<Value>, Error>> {
    ready(match payload {
        Some(payload) if !payload.is_object() => Err(Error::new("the payload is not an object")),
        payload => Ok(payload),
    })
}

/// Upgrades to a WebSocket that the stock transport serves.
async fn upgrade(
    State(schema): State<Schema>,
    headers: HeaderMap,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    let header = header(&headers);
    let admit = async move |payload: Value| {
        if !(payload.is_null() || payload.is_object()) {
            return Err(Error::new("the payload is not an object"));
        }
        let mut data = Data::default();
        let given = authorization(&payload).or(header.as_ref());
        data.insert(SignedIn(is_valid(given)?));
        Ok(data)
    };
    upgrade
        .protocols(async_graphql::http::ALL_WEBSOCKET_PROTOCOLS)
        .on_upgrade(move |socket| {
            GraphQLWebSocket::new(socket, WithCursors(schema), protocol)
                .on_connection_init(admit)
                .on_ping(answer_ping)
                .serve()
        })
}

fn header(headers: &HeaderMap) -> Option<Value> {
    let value = headers.get(AUTHORIZATION)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into())
}

/// The credentials in a payload, under `authorization` in any letter case. Null, a blank text and a
/// scheme alone count as absent.
pub(super) fn authorization(payload: &Value) -> Option<&Value> {
    let is_given = |value: &Value| match value.as_str().map(str::trim) {
        Some(text) => !text.is_empty() && !text.eq_ignore_ascii_case("bearer"),
        None => !value.is_null(),
    };
    let mut entries = payload.as_object()?.iter();
    let (_, value) = entries
        .find(|(key, value)| key.eq_ignore_ascii_case("authorization") && is_given(value))?;
    Some(value)
}

/// Whether the client is signed in. Credentials that are not valid are an error.
fn is_valid(authorization: Option<&Value>) -> Result<bool, Error> {
    let Some(given) = authorization else {
        return Ok(false);
    };
    let words = given.as_str().and_then(|text| text.split_once(' '));
    match words {
        Some((scheme, TOKEN)) if scheme.eq_ignore_ascii_case("bearer") => Ok(true),
        _ => Err(Error::new("Forbidden")),
    }
}

/// The executor of the schema. It puts a cursor into the extensions of each event, as the scenarios
/// demand. The cursor is the number of the event in its subscription.
#[derive(Clone)]
struct WithCursors(Schema);

impl Executor for WithCursors {
    async fn execute(&self, request: Request) -> Response {
        self.0.execute(request).await
    }

    fn execute_stream(
        &self,
        mut request: Request,
        session: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        let subscribes = request.parsed_query().is_ok_and(|document| {
            let mut operations = document.operations.iter();
            operations.any(|(_, operation)| schema::is_subscription(operation))
        });
        let responses = Executor::execute_stream(&self.0, request, session);
        let number = |(index, response): (usize, Response)| match response.is_ok() {
            true => response.extension("cursor", (index + 1).to_string().into()),
            false => response,
        };
        if subscribes {
            responses.enumerate().map(number).boxed()
        } else {
            responses
        }
    }
}
