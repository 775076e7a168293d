//! The rules of GraphQL over HTTP that async-graphql-axum's HTTP service breaks.

use super::server::{self, HTTP_PATH};
use crate::{server::TestServer, socket::in_time, stage};

/// A request, the status that the rule demands, and the status of the stock service.
struct Rule {
    name: &'static str,
    /// The method and the query string.
    target: (&'static str, &'static str),
    headers: &'static str,
    body: &'static str,
    kept: u16,
    broken: u16,
}

const RULES: [Rule; 4] = [
    Rule {
        name: "a body that is not declared as JSON is refused",
        target: ("POST", ""),
        headers: "Content-Type: text/plain\r\n",
        body: r#"{"query":"{ __typename }"}"#,
        kept: 415,
        broken: 200,
    },
    Rule {
        name: "a mutation by GET is refused",
        target: (
            "GET",
            "?query=mutation%7BsignIn(name%3A%22x%22)%7Btoken%7D%7D",
        ),
        headers: "",
        body: "",
        kept: 405,
        broken: 200,
    },
    Rule {
        name: "a request that cannot run is a 400 in the media type of GraphQL",
        target: ("POST", ""),
        headers: "Content-Type: application/json\r\nAccept: application/graphql-response+json\r\n",
        body: r#"{"query":"{ nope }"}"#,
        kept: 400,
        broken: 200,
    },
    Rule {
        name: "a media type that the server cannot send is refused",
        target: ("POST", ""),
        headers: "Content-Type: application/json\r\nAccept: application/xml\r\n",
        body: r#"{"query":"{ __typename }"}"#,
        kept: 406,
        broken: 200,
    },
];

/// The status of the answer to a rule's request.
async fn status(host: &str, path: &str, rule: &Rule) -> u16 {
    let (method, query) = rule.target;
    let (headers, body) = (rule.headers, rule.body);
    let length = body.len();
    let request = format!(
        "{method} {path}{query} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let answer = in_time(stage::exchange(host, &request)).await;
    let answer = answer.expect("an answer in time").expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    status.expect("an answer begins with a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_http_service_breaks_rules_that_switchboard_keeps() {
    let stock = server::start().await;
    let switchboard = TestServer::start(&[]).await;
    let ours = switchboard.address().clone();
    for rule in &RULES {
        let ours = status(&ours.host, &ours.path, rule).await;
        assert_eq!(ours, rule.kept, "Switchboard: {}", rule.name);
        let stock = status(&stock.host, HTTP_PATH, rule).await;
        assert_eq!(stock, rule.broken, "the stock service: {}", rule.name);
    }
    switchboard.stop().await.expect("nothing is left behind");
}
