//! The opening of a connection, from the upgrade to the acknowledgement.

use serde_json::{Value, json};
use switchboard::protocol::Subprotocol;

use crate::{
    documents::{NEW_MESSAGE, ROOM_1, TYPENAME, typename},
    expect::{ack, completed, next, pong},
    scenario::{
        LEGACY, Opening, Reach, SUBPROTOCOL, Scenario, Step, closed, complete, init, init_with,
        invalid, ping, ready, receive, scenario, send, subscribe, subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        subprotocols(),
        acknowledgements(),
        credentials(),
        rejections(),
        too_early(),
        too_often(),
        too_late(),
    ]
    .concat()
}

fn not_acceptable() -> Step {
    closed(4406, "Subprotocol not acceptable")
}

fn forbidden() -> Step {
    closed(4403, "Forbidden")
}

fn unauthorized() -> Step {
    closed(4401, "Unauthorized")
}

fn subprotocols() -> Vec<Scenario> {
    let refused = |offers| Opening {
        offers,
        authorization: None,
        spoken: None,
    };
    let spoken = |offers, name| Opening {
        offers,
        authorization: None,
        spoken: Some(name),
    };
    let (today, legacy) = (Subprotocol::TransportWs, Subprotocol::Legacy);
    let hello = [init(), receive([ack()])];
    vec![
        scenario("no subprotocol is offered", [not_acceptable()]).opened(refused(&[])),
        scenario("an unknown subprotocol is not echoed", [not_acceptable()])
            .opened(refused(&["graphql-sse"])),
        scenario(
            "the name of a subprotocol is case-sensitive",
            [not_acceptable()],
        )
        .opened(refused(&["GraphQL-Transport-WS"])),
        scenario(
            "an init without a subprotocol is not answered",
            [init(), not_acceptable()],
        )
        .opened(refused(&[])),
        scenario("the subprotocol is chosen from several", hello.clone())
            .opened(spoken(&["graphql-sse", SUBPROTOCOL, "soap"], today)),
        scenario(
            "the first supported subprotocol of the client is chosen",
            hello.clone(),
        )
        .opened(spoken(&[SUBPROTOCOL, LEGACY], today)),
        scenario(
            "the first supported subprotocol of the client is chosen, also the legacy one",
            hello,
        )
        .opened(spoken(&[LEGACY, SUBPROTOCOL], legacy)),
    ]
}

fn acknowledgements() -> Vec<Scenario> {
    vec![
        ready("an init is acknowledged", []),
        scenario(
            "an init with a payload is acknowledged",
            [init_with(json!({ "theme": "dark" })), receive([ack()])],
        ),
        scenario(
            "an init with an empty payload is acknowledged",
            [init_with(json!({})), receive([ack()])],
        ),
        scenario(
            "a null payload of an init counts as absent",
            [init_with(Value::Null), receive([ack()])],
        ),
        scenario(
            "unknown keys of an init are ignored",
            [
                send(r#"{"type":"connection_init","id":"a","more":[1]}"#),
                receive([ack()]),
            ],
        ),
        scenario(
            "a subscribe right after the init is served",
            [
                together([init(), subscribe("a", TYPENAME)]),
                receive([ack(), next("a", typename()), completed("a")]),
            ],
        ),
        scenario("the server sends nothing before init", [Step::Silence]),
        scenario(
            "a slow check ends in an acknowledgement",
            [init(), Step::Silence, Step::Settle, receive([ack()])],
        )
        .slowly(),
        scenario(
            "a ping is answered while the check is pending",
            [
                init(),
                ping(),
                receive([pong()]),
                Step::Settle,
                receive([ack()]),
            ],
        )
        .slowly(),
    ]
}

/// The caller is checked after the upgrade. Clients take a failed upgrade as final, and reconnect
/// after 4403.
fn credentials() -> Vec<Scenario> {
    let valid = |name: &str, payload: Value| scenario(name, [init_with(payload), receive([ack()])]);
    let invalid_token =
        |name: &str, payload: Value| scenario(name, [init_with(payload), forbidden()]);
    vec![
        valid(
            "a valid token is accepted",
            json!({ "authorization": "Bearer TOKEN" }),
        ),
        valid(
            "authorization may be written like a header",
            json!({ "Authorization": "Bearer TOKEN" }),
        ),
        valid(
            "authorization may be written in capitals",
            json!({ "AUTHORIZATION": "Bearer TOKEN" }),
        ),
        valid(
            "the scheme may be written in any letter case",
            json!({ "authorization": "bEARER TOKEN" }),
        ),
        invalid_token(
            "an invalid token is rejected",
            json!({ "authorization": "Bearer bad" }),
        ),
        invalid_token(
            "an invalid token is rejected in any letter case of the key",
            json!({ "AuthorizatioN": "Bearer bad" }),
        ),
        invalid_token(
            "a token without a scheme is rejected",
            json!({ "authorization": "TOKEN" }),
        ),
        invalid_token(
            "another scheme is rejected",
            json!({ "authorization": "Basic TOKEN" }),
        ),
        valid(
            "an empty authorization is no credential",
            json!({ "authorization": "" }),
        ),
        valid(
            "a blank authorization is no credential",
            json!({ "authorization": " \t" }),
        ),
        valid(
            "an authorization that is null is no credential",
            json!({ "authorization": null }),
        ),
        valid(
            "a scheme without a token is no credential",
            json!({ "authorization": "Bearer " }),
        ),
        valid(
            "an empty spelling beside a valid token is no credential",
            json!({ "authorization": "", "Authorization": "Bearer TOKEN" }),
        ),
        invalid_token(
            "two different tokens are rejected",
            json!({ "authorization": "Bearer TOKEN", "Authorization": "Bearer bad" }),
        ),
        invalid_token(
            "an authorization that is a number is rejected",
            json!({ "authorization": 7 }),
        ),
        invalid_token(
            "an authorization that is an object is rejected",
            json!({ "authorization": { "Bearer": "TOKEN" } }),
        ),
    ]
}

fn rejections() -> Vec<Scenario> {
    let header = |authorization| Opening {
        offers: &[SUBPROTOCOL],
        authorization,
        spoken: Some(Subprotocol::TransportWs),
    };
    vec![
        scenario(
            "nothing is served after a rejection",
            [
                together([
                    init_with(json!({ "authorization": "Bearer bad" })),
                    ping(),
                    subscribe("a", TYPENAME),
                ]),
                forbidden(),
            ],
        ),
        scenario(
            "a slow check of an invalid token ends in a rejection",
            [
                init_with(json!({ "authorization": "Bearer bad" })),
                Step::Silence,
                Step::Settle,
                forbidden(),
            ],
        )
        .slowly(),
        scenario(
            "an invalid token in the upgrade is rejected at the init",
            [init(), forbidden()],
        )
        .opened(header(Some("Bearer bad"))),
        scenario(
            "a token in the init overrides the header of the upgrade",
            [
                init_with(json!({ "authorization": "Bearer TOKEN" })),
                receive([ack()]),
            ],
        )
        .opened(header(Some("Bearer bad"))),
    ]
}

fn too_early() -> Vec<Scenario> {
    let payload = json!({ "query": TYPENAME, "variables": null });
    vec![
        scenario(
            "subscribe before init is unauthorized",
            [subscribe("a", TYPENAME), unauthorized()],
        ),
        scenario(
            "a subscription before init is unauthorized",
            [subscribe("a", ROOM_1), unauthorized()],
        ),
        scenario(
            "subscribe after a ping is still unauthorized",
            [
                ping(),
                receive([pong()]),
                subscribe_with("a", payload),
                unauthorized(),
            ],
        ),
        scenario(
            "an init after subscribe is too late",
            [
                together([subscribe("a", NEW_MESSAGE), init()]),
                unauthorized(),
            ],
        ),
        scenario(
            "subscribe while the check is pending is unauthorized",
            [init(), subscribe("a", TYPENAME), unauthorized()],
        )
        .slowly(),
        scenario(
            "an invalid message before init is invalid rather than unauthorized",
            [subscribe("", TYPENAME), invalid()],
        ),
        scenario(
            "complete before init is ignored",
            [complete("a"), init(), receive([ack()])],
        ),
    ]
}

fn too_often() -> Vec<Scenario> {
    let too_many = || closed(4429, "Too many initialisation requests");
    vec![
        ready("a second init is refused", [init(), too_many()]),
        ready(
            "a second init is refused while operations run",
            [subscribe("a", NEW_MESSAGE), init(), too_many()],
        ),
        ready(
            "a second init with an invalid token is refused",
            [
                init_with(json!({ "authorization": "Bearer bad" })),
                too_many(),
            ],
        ),
        scenario(
            "a second init right after the first is refused",
            [together([init(), init()]), receive([ack()]), too_many()],
        ),
        scenario(
            "a second init is refused while the first is pending",
            [init(), init(), too_many()],
        )
        .slowly(),
    ]
}

fn too_late() -> Vec<Scenario> {
    let timeout = || closed(4408, "Connection initialisation timeout");
    let soon: &[&str] = &["--init-timeout", "200ms"];
    vec![
        scenario(
            "a client that sends nothing is closed after the init timeout",
            [Step::InitTimePasses, timeout()],
        )
        .with(soon),
        scenario(
            "a ping does not stop the init timeout",
            [ping(), receive([pong()]), Step::InitTimePasses, timeout()],
        )
        .with(soon),
        ready(
            "a client that sent init is not closed by the init timeout",
            [
                Step::InitTimePasses,
                Step::Silence,
                subscribe("a", TYPENAME),
                receive([next("a", typename()), completed("a")]),
            ],
        )
        .with(soon),
        scenario(
            "a slow check does not count for the init timeout",
            [
                init(),
                Step::InitTimePasses,
                Step::Silence,
                Step::Settle,
                receive([ack()]),
            ],
        )
        .slowly(),
        scenario(
            "a socket without a subprotocol is closed before the init timeout",
            [not_acceptable()],
        )
        .opened(Opening {
            offers: &[],
            authorization: None,
            spoken: None,
        })
        .with(soon)
        .only(Reach::Sockets),
    ]
}
