//! P1 to P4 of the machine, whatever happens in whatever order, and a scenario for each close there is.

use std::panic::AssertUnwindSafe;

use switchboard::protocol::{Close, Input, MachineLimits};

use crate::{
    all, babble,
    chance::Chance,
    scenario::{Reason, Step},
    watch::Watched,
};

const RUNS: u64 = 4_000;
const INPUTS_PER_RUN: usize = 60;

/// Small enough that both bounds are met all the time.
const LIMITS: MachineLimits = MachineLimits { operations_max: 3, id_bytes_max: 16 };

/// Something happens: mostly the client speaks, else the world does what it was asked for, or what it was not.
fn happen(chance: &mut Chance, machine: &mut Watched, politely: bool) {
    let id = chance.pick(&babble::IDS);
    match chance.below(100) {
        0 | 4 | 30..100 if politely => {
            babble::politely(chance).iter().for_each(|text| machine.handle(Input::Text(text)));
        }
        0 => machine.handle(Input::Binary),
        1..4 => machine.handle(Input::InitialisationTimeout),
        4 => machine.handle(Input::Leave(Close::TryAgainLater)),
        5..20 => machine.handle(Input::Answered { id, payload: r#"{"data":null}"# }),
        20..30 => machine.handle(Input::Refused { id, errors: r#"[{"message":"no"}]"# }),
        30..50 if machine.asked => machine.handle(Input::Admitted),
        50..52 if machine.asked => machine.handle(Input::Rejected),
        _ => machine.handle(Input::Text(&babble::text(chance))),
    }
}

fn run(seed: u64) -> bool {
    let (mut chance, mut machine) = (Chance::of(seed), Watched::new(LIMITS));
    // A client that is rude does not live long; a polite one lives to the end.
    let politely = chance.one_in(2);
    if politely || chance.one_in(2) {
        machine.handle(Input::Text(r#"{"type":"connection_init"}"#));
        machine.handle(Input::Admitted);
    }
    for _ in 0..INPUTS_PER_RUN {
        happen(&mut chance, &mut machine, politely);
    }
    machine.closed
}

#[test]
fn p1_whatever_happens_the_machine_keeps_the_rules() {
    let closed = (0..RUNS).filter(|seed| {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| run(*seed)));
        outcome.unwrap_or_else(|_| panic!("the run of seed {seed} failed, see above"))
    });
    let closed = closed.count() as u64;
    // Chance is only worth something if it reaches both: long lives, and ends of all kinds.
    assert!((RUNS / 4..RUNS * 3 / 4).contains(&closed), "{closed} of {RUNS} runs ended in a close");
}

#[test]
fn p1_every_short_history_keeps_the_rules() {
    let subscribe = |id: &str| format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":""}}}}"#);
    let texts = [
        r#"{"type":"connection_init"}"#.to_owned(),
        r#"{"type":"ping"}"#.to_owned(),
        subscribe("a"),
        subscribe("b"),
        r#"{"type":"complete","id":"a"}"#.to_owned(),
        "junk".to_owned(),
    ];
    let inputs = |number: usize| match number {
        0 => Input::InitialisationTimeout,
        1 => Input::Admitted,
        2 => Input::Rejected,
        3 => Input::Answered { id: "a", payload: "{}" },
        4 => Input::Refused { id: "a", errors: "[{}]" },
        text => Input::Text(&texts[text - 5]),
    };
    let (kinds, length) = (texts.len() + 5, 5_u32);
    for history in 0..kinds.pow(length) {
        let mut machine = Watched::new(MachineLimits { operations_max: 1, id_bytes_max: 16 });
        for place in 0..length {
            let number = history / kinds.pow(place) % kinds;
            // The world only answers what it was asked.
            if machine.asked || !(1..3).contains(&number) {
                machine.handle(inputs(number));
            }
        }
    }
}

/// The protocol's words for each close; a new one does not compile before it stands here.
fn words(close: &Close) -> (u16, &'static str) {
    match close {
        Close::GoingAway => (1001, "Going away"),
        Close::MessageTooBig => (1009, "Message too big"),
        Close::ServiceRestart => (1012, "Service restart"),
        Close::TryAgainLater => (1013, "Try again later"),
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
fn every_close_has_a_scenario_and_its_own_words() {
    let closes = [
        Close::GoingAway,
        Close::MessageTooBig,
        Close::ServiceRestart,
        Close::TryAgainLater,
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
        let (code, reason) = words(&close);
        assert_eq!((close.code(), close.reason().as_str()), (code, reason));
        let ends_so = |step: &Step| match step {
            Step::Closed(with, Reason::Exactly(because)) => *with == code && because == reason,
            Step::Closed(with, Reason::Taken(_)) => *with == code,
            _ => false,
        };
        assert!(scenarios.iter().any(|scenario| scenario.steps.iter().any(ends_so)), "no scenario ends with {close:?}");
    }
}
