//! From the upgrade to the acknowledgement.

use serde_json::{Value, json};
use switchboard::protocol::Subprotocol;

use crate::{
    documents::{NEW_MESSAGE, ROOM_1, TYPENAME, typename},
    expect::{ack, completed, next, pong},
    scenario::{
        LEGACY, Opening, Reach, SUBPROTOCOL, Scenario, Step, closed, complete, hear, init,
        init_with, invalid, ping, ready, say, scenario, subscribe, subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        subprotocols(),
        acknowledgements(),
        credentials(),
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
    let hello = [init(), hear([ack()])];
    vec![
        scenario("no subprotocol is offered", [not_acceptable()]).opened(refused(&[])),
        scenario("an unknown subprotocol is not echoed", [not_acceptable()])
            .opened(refused(&["graphql-sse"])),
        scenario("a subprotocol's name has one spelling", [not_acceptable()])
            .opened(refused(&["GraphQL-Transport-WS"])),
        scenario(
            "an init on a socket without subprotocol is not answered",
            [init(), not_acceptable()],
        )
        .opened(refused(&[])),
        scenario("the subprotocol is chosen from several", hello.clone())
            .opened(spoken(&["graphql-sse", SUBPROTOCOL, "soap"], today)),
        scenario(
            "what is spoken is the first in the client's order",
            hello.clone(),
        )
        .opened(spoken(&[SUBPROTOCOL, LEGACY], today)),
        scenario(
            "what is spoken is the first in the client's order, also the legacy one",
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
            [init_with(json!({ "theme": "dark" })), hear([ack()])],
        ),
        scenario(
            "an init with an empty payload is acknowledged",
            [init_with(json!({})), hear([ack()])],
        ),
        scenario(
            "a null payload of an init is none",
            [init_with(Value::Null), hear([ack()])],
        ),
        scenario(
            "unknown keys beside an init's are ignored",
            [
                say(r#"{"type":"connection_init","id":"a","more":[1]}"#),
                hear([ack()]),
            ],
        ),
        scenario(
            "what follows an init at once is served",
            [
                together([init(), subscribe("a", TYPENAME)]),
                hear([ack(), next("a", typename()), completed("a")]),
            ],
        ),
        scenario("the server says nothing on its own", [Step::Silence]),
        scenario(
            "a slow check is acknowledged in the end",
            [init(), Step::Silence, Step::Settle, hear([ack()])],
        )
        .slowly(),
        scenario(
            "a ping is answered while the check is pending",
            [init(), ping(), hear([pong()]), Step::Settle, hear([ack()])],
        )
        .slowly(),
    ]
}

/// Who asks is checked after the upgrade: clients take a failed upgrade as final, and 4403 as a reason to come back.
fn credentials() -> Vec<Scenario> {
    let good = |name: &str, payload: Value| scenario(name, [init_with(payload), hear([ack()])]);
    let bad = |name: &str, payload: Value| scenario(name, [init_with(payload), forbidden()]);
    let header = |authorization| Opening {
        offers: &[SUBPROTOCOL],
        authorization,
        spoken: Some(Subprotocol::TransportWs),
    };
    vec![
        good(
            "a good token is admitted",
            json!({ "authorization": "Bearer TOKEN" }),
        ),
        good(
            "authorization may be written like a header",
            json!({ "Authorization": "Bearer TOKEN" }),
        ),
        good(
            "authorization may be written in capitals",
            json!({ "AUTHORIZATION": "Bearer TOKEN" }),
        ),
        good(
            "the scheme may be written in any letter case",
            json!({ "authorization": "bEARER TOKEN" }),
        ),
        bad(
            "a bad token is rejected",
            json!({ "authorization": "Bearer bad" }),
        ),
        bad(
            "a bad token is rejected in any letter case",
            json!({ "AuthorizatioN": "Bearer bad" }),
        ),
        bad(
            "a token without scheme is rejected",
            json!({ "authorization": "TOKEN" }),
        ),
        bad(
            "another scheme is rejected",
            json!({ "authorization": "Basic TOKEN" }),
        ),
        bad(
            "an empty authorization is rejected",
            json!({ "authorization": "" }),
        ),
        bad(
            "an authorization that is a number is rejected",
            json!({ "authorization": 7 }),
        ),
        bad(
            "an authorization that is an object is rejected",
            json!({ "authorization": { "Bearer": "TOKEN" } }),
        ),
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
            "a slow check is rejected in the end",
            [
                init_with(json!({ "authorization": "Bearer bad" })),
                Step::Silence,
                Step::Settle,
                forbidden(),
            ],
        )
        .slowly(),
        scenario(
            "a bad token in the upgrade's header is rejected at the init",
            [init(), forbidden()],
        )
        .opened(header(Some("Bearer bad"))),
        scenario(
            "a token in the init counts, whatever the upgrade's header was",
            [
                init_with(json!({ "authorization": "Bearer TOKEN" })),
                hear([ack()]),
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
                hear([pong()]),
                subscribe_with("a", payload),
                unauthorized(),
            ],
        ),
        scenario(
            "an init after subscribe comes too late",
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
            "what is no message is invalid rather than unauthorized",
            [subscribe("", TYPENAME), invalid()],
        ),
        scenario(
            "complete before init is about an unknown id",
            [complete("a"), init(), hear([ack()])],
        ),
    ]
}

fn too_often() -> Vec<Scenario> {
    let too_many = || closed(4429, "Too many initialisation requests");
    vec![
        ready("a second init is one too many", [init(), too_many()]),
        ready(
            "a second init is one too many while operations run",
            [subscribe("a", NEW_MESSAGE), init(), too_many()],
        ),
        ready(
            "a second init with a bad token is one too many",
            [
                init_with(json!({ "authorization": "Bearer bad" })),
                too_many(),
            ],
        ),
        scenario(
            "a second init right behind the first is one too many",
            [together([init(), init()]), hear([ack()]), too_many()],
        ),
        scenario(
            "a second init while the first is pending is one too many",
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
            "a client that says nothing is too late",
            [Step::InitTimePasses, timeout()],
        )
        .with(soon),
        scenario(
            "a ping is no init",
            [ping(), hear([pong()]), Step::InitTimePasses, timeout()],
        )
        .with(soon),
        ready(
            "a client that said init is not too late",
            [
                Step::InitTimePasses,
                Step::Silence,
                subscribe("a", TYPENAME),
                hear([next("a", typename()), completed("a")]),
            ],
        )
        .with(soon),
        scenario(
            "a slow check is not the client's delay",
            [
                init(),
                Step::InitTimePasses,
                Step::Silence,
                Step::Settle,
                hear([ack()]),
            ],
        )
        .slowly(),
        scenario(
            "a socket without subprotocol is closed before it is too late",
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
