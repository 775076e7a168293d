//! P1 to P5 of the machines: random and all short histories, and a scenario for each close.

use std::panic::AssertUnwindSafe;

use switchboard::protocol::{
    Act, Close, Input, LegacyMachine, Machine, MachineLimits, Subprotocol,
};

use crate::{
    all,
    checked::{CheckedMachine, Legacy, TransportWs},
    random::Random,
    random_texts,
    scenario::{Reason, Step},
};

const RUNS: u64 = 4_000;
const INPUTS_PER_RUN: usize = 60;

/// Small limits, so that random histories often reach them.
const LIMITS: MachineLimits = MachineLimits {
    operations_max: 3,
    operation_id_bytes_max: 16,
    held_bytes_max: 256,
};

/// Gives the machine a random input. Most inputs are texts of the client. The others are events of
/// the server, some of which the machine did not ask for.
fn step(
    random: &mut Random,
    machine: &mut impl CheckedMachine,
    dialect: Subprotocol,
    is_valid: bool,
) {
    let id = random.pick(&random_texts::IDS);
    match random.below(100) {
        0 | 4 | 30..100 if is_valid => {
            random_texts::valid_texts(random, dialect)
                .iter()
                .for_each(|text| machine.handle(Input::Text(text)));
        }
        0 => machine.handle(Input::Binary(b"junk")),
        1..4 => machine.handle(Input::InitialisationTimeout),
        4 => machine.handle(Input::Leave(Close::TryAgainLater)),
        5..18 => machine.handle(Input::Answered {
            id,
            payload: r#"{"data":null}"#,
        }),
        18..26 => machine.handle(Input::Refused {
            id,
            errors: r#"[{"message":"no"}]"#,
        }),
        26..29 => machine.handle(Input::Live { id, cursor: "c" }),
        29 => machine.handle(Input::Heartbeat),
        30..50 if machine.is_checking_credentials() => machine.handle(Input::Admitted),
        50..52 if machine.is_checking_credentials() => machine.handle(Input::Rejected),
        _ => machine.handle(Input::Text(&random_texts::text(random, dialect))),
    }
}

/// Plays a random history. Returns whether it closed the connection.
fn run<W: CheckedMachine>(seed: u64, dialect: Subprotocol) -> bool {
    let (mut random, mut machine) = (Random::seeded(seed), W::new(LIMITS));
    // Invalid texts soon close a connection. Without them, it lasts until the end of the run.
    let is_valid = random.one_in(2);
    if is_valid || random.one_in(2) {
        machine.handle(Input::Text(r#"{"type":"connection_init"}"#));
        machine.handle(Input::Admitted);
    }
    for _ in 0..INPUTS_PER_RUN {
        step(&mut random, &mut machine, dialect, is_valid);
    }
    machine.is_closed()
}

/// The number of random histories that closed the connection.
fn closed_runs<W: CheckedMachine>(dialect: Subprotocol) -> u64 {
    let closed = (0..RUNS).filter(|seed| {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| run::<W>(*seed, dialect)));
        outcome.unwrap_or_else(|_| panic!("the run with seed {seed} failed, see above"))
    });
    closed.count() as u64
}

#[test]
fn p1_random_histories_keep_the_rules() {
    let closed = closed_runs::<TransportWs>(Subprotocol::TransportWs);
    // Random histories prove something only if many of them close and many of them do not.
    assert!(
        (RUNS / 4..RUNS * 3 / 4).contains(&closed),
        "{closed} of {RUNS} runs ended in a close"
    );
}

#[test]
fn p1_random_histories_of_the_legacy_dialect_keep_the_rules() {
    let closed = closed_runs::<Legacy>(Subprotocol::Legacy);
    assert!(
        (RUNS / 4..RUNS * 3 / 4).contains(&closed),
        "{closed} of {RUNS} runs ended in a close"
    );
}

/// Plays every history of five inputs: these texts, and the events of a server.
fn every_short_history<W: CheckedMachine>(texts: [&str; 6]) {
    let inputs = |number: usize| match number {
        0 => Input::InitialisationTimeout,
        1 => Input::Admitted,
        2 => Input::Rejected,
        3 => Input::Answered {
            id: "a",
            payload: "{}",
        },
        4 => Input::Refused {
            id: "a",
            errors: "[{}]",
        },
        text => Input::Text(texts[text - 5]),
    };
    let (kinds, length) = (texts.len() + 5, 5_u32);
    for history in 0..kinds.pow(length) {
        let mut machine = W::new(MachineLimits {
            operations_max: 1,
            operation_id_bytes_max: 16,
            held_bytes_max: 64,
        });
        for place in 0..length {
            let number = history / kinds.pow(place) % kinds;
            // A server only answers a check that the machine asked for.
            if machine.is_checking_credentials() || !(1..3).contains(&number) {
                machine.handle(inputs(number));
            }
        }
    }
}

#[test]
fn p1_every_short_history_keeps_the_rules() {
    every_short_history::<TransportWs>([
        r#"{"type":"connection_init"}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"subscribe","id":"a","payload":{"query":""}}"#,
        r#"{"type":"subscribe","id":"b","payload":{"query":""}}"#,
        r#"{"type":"complete","id":"a"}"#,
        "junk",
    ]);
}

#[test]
fn p1_every_short_history_of_the_legacy_dialect_keeps_the_rules() {
    every_short_history::<Legacy>([
        r#"{"type":"connection_init"}"#,
        r#"{"type":"connection_terminate"}"#,
        r#"{"type":"start","id":"a","payload":{"query":""}}"#,
        r#"{"type":"start","id":"b","payload":{"query":""}}"#,
        r#"{"type":"start","id":"a","payload":{}}"#,
        r#"{"type":"stop","id":"a"}"#,
    ]);
}

/// A machine of graphql-transport-ws whose client was acknowledged.
fn acknowledged() -> Machine {
    let (mut machine, mut acts) = (Machine::new(LIMITS), Vec::new());
    machine.handle(Input::Text(r#"{"type":"connection_init"}"#), &mut acts);
    machine.handle(Input::Admitted, &mut acts);
    machine
}

/// The acts that answer this text.
fn acts_for(machine: &mut Machine, text: &str) -> Vec<Act> {
    let mut acts = Vec::new();
    machine.handle(Input::Text(text), &mut acts);
    acts
}

fn subscribe(id: &str) -> String {
    format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":""}}}}"#)
}

#[test]
fn p3_an_id_is_taken_when_subscribe_is_read() {
    let mut machine = acknowledged();
    let started = acts_for(&mut machine, &subscribe("a"));
    assert!(matches!(&started[..], [Act::Start { id, .. }] if id == "a"));
    // Nothing has answered the first operation yet.
    let refused = acts_for(&mut machine, &subscribe("a"));
    assert!(matches!(&refused[..], [Act::Close(Close::SubscriberExists(id))] if id == "a"));
}

#[test]
fn p4_operations_and_the_length_of_an_id_are_bounded() {
    let mut machine = acknowledged();
    for id in 0..LIMITS.operations_max {
        let started = acts_for(&mut machine, &subscribe(&id.to_string()));
        assert!(matches!(started[..], [Act::Start { .. }]));
    }
    let refused = acts_for(&mut machine, &subscribe("one more"));
    assert!(matches!(&refused[..], [Act::Send(text)] if text.contains("TOO_MANY_OPERATIONS")));
    acts_for(&mut machine, r#"{"type":"complete","id":"0"}"#);
    let longest = "i".repeat(LIMITS.operation_id_bytes_max);
    let started = acts_for(&mut machine, &subscribe(&longest));
    assert!(matches!(started[..], [Act::Start { .. }]));
    let closed = acts_for(&mut machine, &subscribe(&format!("{longest}i")));
    assert!(matches!(closed[..], [Act::Close(Close::InvalidMessage)]));
}

#[test]
fn p4_operations_that_wait_for_the_acknowledgement_are_bounded_in_bytes() {
    let (mut machine, mut acts) = (LegacyMachine::new(LIMITS), Vec::new());
    let start = |id: &str, bytes: usize| {
        let text = format!(r#"{{"type":"start","id":"{id}","payload":{{"query":""}}}}"#);
        format!("{text:bytes$}")
    };
    machine.handle(
        Input::Text(&start("a", LIMITS.held_bytes_max - 80)),
        &mut acts,
    );
    machine.handle(Input::Text(&start("b", 80)), &mut acts);
    assert!(acts.is_empty(), "both wait: {acts:?}");
    machine.handle(Input::Text(&start("c", 0)), &mut acts);
    assert!(matches!(&acts[..], [Act::Send(text)] if text.contains("TOO_COMPLEX")));
}

/// The code and reason that the protocol gives each close. A new close does not compile until it
/// is listed here.
fn code_and_reason(close: &Close) -> (u16, &'static str) {
    match close {
        Close::Normal => (1000, "Normal closure"),
        Close::ProtocolError => (1002, "Protocol error"),
        Close::InvalidText => (1007, "Invalid UTF-8"),
        Close::GoingAway => (1001, "Going away"),
        Close::MessageTooBig => (1009, "Message too big"),
        Close::ServiceRestart => (1012, "Service restart"),
        Close::TryAgainLater => (1013, "Try again later"),
        Close::TooManyConnections => (1013, "Too many connections"),
        Close::TooManyMessages => (1013, "Too many messages"),
        Close::InvalidMessage => (4400, "Invalid message received"),
        Close::Unauthorized => (4401, "Unauthorized"),
        Close::Forbidden => (4403, "Forbidden"),
        Close::SubprotocolNotAcceptable => (4406, "Subprotocol not acceptable"),
        Close::InitialisationTimeout => (4408, "Connection initialisation timeout"),
        Close::SubscriberExists(_) => (4409, "Subscriber for a already exists"),
        Close::TooManyInitialisationRequests => (4429, "Too many initialisation requests"),
    }
}

#[test]
fn every_close_has_a_scenario_a_code_and_a_reason() {
    let closes = [
        Close::Normal,
        Close::ProtocolError,
        Close::InvalidText,
        Close::GoingAway,
        Close::MessageTooBig,
        Close::ServiceRestart,
        Close::TryAgainLater,
        Close::TooManyConnections,
        Close::TooManyMessages,
        Close::InvalidMessage,
        Close::Unauthorized,
        Close::Forbidden,
        Close::SubprotocolNotAcceptable,
        Close::InitialisationTimeout,
        Close::SubscriberExists("a".to_owned()),
        Close::TooManyInitialisationRequests,
    ];
    let scenarios = all();
    for close in closes {
        let (code, reason) = code_and_reason(&close);
        assert_eq!((close.code(), close.reason().as_str()), (code, reason));
        let is_close = |step: &Step| match step {
            Step::Closed(with, Reason::Exactly(because)) => *with == code && because == reason,
            Step::Closed(with, Reason::Taken(_)) => *with == code,
            _ => false,
        };
        assert!(
            scenarios
                .iter()
                .any(|scenario| scenario.steps.iter().any(is_close)),
            "no scenario ends with {close:?}"
        );
    }
}

/// Codes after which graphql-ws does not reconnect. It does not reconnect after other codes from
/// 1000 to 1999 either, except after [`HEALING`].
const FATAL: [u16; 8] = [4500, 4005, 4400, 4004, 4401, 4406, 4409, 4429];
/// The codes below 2000 after which graphql-ws reconnects.
const HEALING: [u16; 6] = [1000, 1001, 1005, 1012, 1013, 1014];

#[test]
fn p5_clients_reconnect_after_each_close_that_may_heal() {
    let reconnects = |close: &Close| {
        let code = close.code();
        !FATAL.contains(&code) && (!(1000..2000).contains(&code) || HEALING.contains(&code))
    };
    let healing = [
        Close::GoingAway,
        Close::ServiceRestart,
        Close::TryAgainLater,
        Close::TooManyConnections,
        Close::TooManyMessages,
        Close::Forbidden,
        Close::InitialisationTimeout,
    ];
    assert!(healing.iter().all(reconnects));
    let pointless = [
        Close::ProtocolError,
        Close::InvalidText,
        Close::MessageTooBig,
        Close::InvalidMessage,
    ];
    assert!(
        !pointless.iter().any(reconnects),
        "a client does not reconnect if it would fail again in the same way"
    );
}
