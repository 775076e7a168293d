//! Frames that violate RFC 6455 or a limit. The client receives the close code before the
//! connection ends, and the connection ends without a reset.

use crate::{
    documents::{NEW_MESSAGE, TYPENAME, typename},
    expect::{ack, completed, next, pong},
    scenario::{Reach, Scenario, Step, closed, ready, receive, scenario, subscribe},
};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUATION: u8 = 0x0;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const FINAL: u8 = 0x80;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let all = [
        fragments(),
        frames(),
        broken(),
        after_broken_frames(),
        no_text(),
        too_big(),
        closes(),
    ]
    .concat();
    all.into_iter()
        .map(|scenario| scenario.only(Reach::Sockets))
        .collect()
}

/// A frame with this first byte. Its mask is zero, so the payload is sent unchanged.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).expect("below 126")),
        middle @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(middle).expect("two bytes").to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn raw(frames: impl IntoIterator<Item = Vec<u8>>) -> Step {
    Step::SendRaw(frames.into_iter().flatten().collect())
}

const INIT: &[u8] = br#"{"type":"connection_init"}"#;

fn fragments() -> Vec<Scenario> {
    let (front, back) = INIT.split_at(9);
    let each = INIT.iter().enumerate().map(|(at, byte)| {
        let first = if at == 0 { TEXT } else { CONTINUATION };
        let last = if at + 1 == INIT.len() { FINAL } else { 0 };
        frame(first | last, &[*byte])
    });
    vec![
        scenario(
            "a message may arrive in fragments",
            [
                raw([frame(TEXT, front), frame(CONTINUATION | FINAL, back)]),
                receive([ack()]),
            ],
        ),
        scenario(
            "a message may arrive in fragments of one byte",
            [raw(each), receive([ack()])],
        ),
        scenario("a fragment may be empty", {
            let empty = || frame(CONTINUATION, b"");
            [
                raw([
                    frame(TEXT, INIT),
                    empty(),
                    empty(),
                    frame(CONTINUATION | FINAL, b""),
                ]),
                receive([ack()]),
            ]
        }),
        scenario(
            "control frames may arrive between fragments",
            [
                raw([
                    frame(TEXT, front),
                    frame(FINAL | PING, b"x"),
                    frame(CONTINUATION | FINAL, back),
                ]),
                receive([ack()]),
            ],
        ),
    ]
}

fn frames() -> Vec<Scenario> {
    vec![
        scenario("a frame may arrive in pieces", {
            let whole = frame(TEXT | FINAL, INIT);
            let (front, back) = whole.split_at(5);
            [
                Step::SendRaw(front.to_vec()),
                Step::SendRaw(back.to_vec()),
                receive([ack()]),
            ]
        }),
        scenario(
            "a WebSocket ping is not a message of the protocol",
            [
                raw([frame(FINAL | PING, b"")]),
                Step::Send(vec![r#"{"type":"ping"}"#.to_owned()]),
                receive([pong()]),
            ],
        ),
    ]
}

fn broken() -> Vec<Scenario> {
    let error = |name: &str, frames: Vec<Vec<u8>>| {
        let name = format!("{name} violates the WebSocket protocol");
        ready(
            name,
            [
                subscribe("a", NEW_MESSAGE),
                raw(frames),
                closed(1002, "Protocol error"),
            ],
        )
    };
    let unmasked = || {
        [
            &[FINAL | TEXT, u8::try_from(INIT.len()).expect("short")],
            INIT,
        ]
        .concat()
    };
    vec![
        error("a frame without a mask", vec![unmasked()]),
        error("a reserved bit", vec![frame(FINAL | 0x40 | TEXT, b"{}")]),
        error("all reserved bits", vec![frame(FINAL | 0x70 | TEXT, b"{}")]),
        error("a reserved data opcode", vec![frame(FINAL | 0x3, b"{}")]),
        error("a reserved control opcode", vec![frame(FINAL | 0xb, b"")]),
        error(
            "a continuation without a first fragment",
            vec![frame(FINAL | CONTINUATION, b"{}")],
        ),
        error(
            "a message inside a message",
            vec![frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")],
        ),
        error(
            "a ping in fragments",
            vec![frame(PING, b"a"), frame(FINAL | CONTINUATION, b"b")],
        ),
        error(
            "a ping that is too long",
            vec![frame(FINAL | PING, &[b'x'; 126])],
        ),
        error("a close of one byte", vec![frame(FINAL | CLOSE, &[3])]),
    ]
}

fn after_broken_frames() -> Vec<Scenario> {
    vec![
        scenario(
            "an invalid frame before init is closed with a reason",
            [
                raw([frame(FINAL | 0x3, b"{}")]),
                closed(1002, "Protocol error"),
            ],
        ),
        ready(
            "nothing after an invalid frame is served",
            [
                raw([
                    frame(FINAL | 0x3, b""),
                    frame(FINAL | TEXT, br#"{"type":"ping"}"#),
                    vec![0xff; 20_000],
                ]),
                closed(1002, "Protocol error"),
            ],
        ),
    ]
}

fn no_text() -> Vec<Scenario> {
    let no_text = |name: &str, frames: Vec<Vec<u8>>| {
        ready(
            format!("{name} is not valid text"),
            [raw(frames), closed(1007, "Invalid UTF-8")],
        )
    };
    vec![
        no_text(
            "a byte that is never UTF-8",
            vec![frame(FINAL | TEXT, b"{\"\xff\"}")],
        ),
        no_text("half a character", vec![frame(FINAL | TEXT, b"\xe2\x98")]),
        no_text(
            "half a character in fragments",
            vec![
                frame(TEXT, b"\xe2"),
                frame(CONTINUATION, b"\x98"),
                frame(FINAL | CONTINUATION, b""),
            ],
        ),
        no_text("a surrogate", vec![frame(FINAL | TEXT, b"\xed\xa0\x80")]),
        ready("a character may be split between fragments", {
            let text =
                "{\"type\":\"subscribe\",\"id\":\"\u{2603}\",\"payload\":{\"query\":\"{ __typename }\"}}".as_bytes();
            let cut = 27;
            [
                raw([
                    frame(TEXT, &text[..cut]),
                    frame(FINAL | CONTINUATION, &text[cut..]),
                ]),
                receive([next("\u{2603}", typename()), completed("\u{2603}")]),
            ]
        }),
        ready(
            "a binary message in fragments is invalid",
            [
                raw([frame(BINARY, b"{"), frame(FINAL | CONTINUATION, b"}")]),
                closed(4400, "Invalid message received"),
            ],
        ),
    ]
}

fn too_big() -> Vec<Scenario> {
    let bound: &[&str] = &["--message-bytes-max", "4096"];
    let too_big = |name: &str, bytes: Vec<Vec<u8>>| {
        ready(
            name,
            [
                subscribe("q", TYPENAME),
                receive([next("q", typename()), completed("q")]),
                raw(bytes),
            ]
            .into_iter()
            .chain([closed(1009, "Message too big")]),
        )
        .with(bound)
    };
    let endless = {
        let mut head = frame(FINAL | TEXT, b"");
        head.truncate(1);
        head.extend([
            0x80 | 127,
            0x7f,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ]);
        head
    };
    vec![
        too_big(
            "fragments that are too big in total are refused",
            (0..5)
                .map(|at| frame(if at == 0 { TEXT } else { CONTINUATION }, &[b'x'; 1000]))
                .collect(),
        ),
        too_big(
            "a frame that announces too many bytes is refused",
            vec![endless],
        ),
        too_big(
            "the rest of an oversized message is read before the close",
            vec![frame(FINAL | TEXT, &vec![b'x'; 2_000_000])],
        ),
    ]
}

fn close(code: u16, reason: &[u8]) -> Step {
    raw([frame(
        FINAL | CLOSE,
        &[&code.to_be_bytes(), reason].concat(),
    )])
}

/// A client may close with any code that may be sent, and with any reason.
fn closes() -> Vec<Scenario> {
    let may_close = |code: u16, reason: &'static str| {
        let name = format!("a client may close with {code} {reason}");
        ready(
            name,
            [
                subscribe("a", NEW_MESSAGE),
                close(code, reason.as_bytes()),
                closed(code, reason),
            ],
        )
    };
    let must_not_close = |code: u16| {
        ready(
            format!("a client must not close with {code}"),
            [close(code, b""), closed(1002, "Protocol violation")],
        )
    };
    let valid = [
        (1000, "Normal Closure"),
        (1001, ""),
        (3000, ""),
        (4004, "Bad response"),
        (4005, "Internal client error"),
        (4205, "Client Restart"),
        (4499, "Terminated"),
        (4504, "Connection acknowledgement timeout"),
    ];
    let valid = valid.map(|(code, reason)| may_close(code, reason));
    let invalid = [0, 999, 1005, 1006, 1015].map(must_not_close);
    let others = [
        scenario(
            "a client may close before it sends anything",
            [close(4499, b""), closed(4499, "")],
        ),
        ready(
            "a close reason that is not text is invalid",
            [close(1000, b"\xff"), closed(1007, "Invalid UTF-8")],
        ),
        ready(
            "nothing after a client's close is served",
            [
                raw([
                    frame(FINAL | CLOSE, &1000_u16.to_be_bytes()),
                    frame(FINAL | TEXT, br#"{"type":"ping"}"#),
                ]),
                closed(1000, ""),
            ],
        ),
    ];
    [valid.to_vec(), invalid.to_vec(), others.to_vec()].concat()
}
