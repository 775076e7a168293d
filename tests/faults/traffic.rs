//! The load of a scenario: writers that send numbered messages, and subscribers that resume.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    Failure,
    socket::{AWAY, Broken, Socket},
    wait_for,
};

const SEND: &str = "mutation ($text: String!, $nonce: String!) {
    sendMessage(roomId: \"room-1\", text: $text, nonce: $nonce) { id } }";
pub(crate) const SUBSCRIBE: &str = "subscription ($after: Cursor) {
    newMessage(roomId: \"room-1\", after: $after) { text } }";
const PAGE: &str =
    "query ($after: Cursor) { messages(roomId: \"room-1\", first: 100, after: $after) {
    nodes { text cursor } pageInfo { hasNextPage } } }";

/// Writers that send at the same time, so that the server commits several messages at once.
pub(crate) const WRITERS: usize = 3;

/// Whether the writers send.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Send,
    Pause,
    /// End after the current message has been acknowledged.
    Stop,
}

/// The answers to the writers.
#[derive(Default)]
struct Answers {
    /// The number of each acknowledged message, in the order of the acknowledgements.
    acknowledged: Vec<(String, Instant)>,
    /// For each error code, how many answers had it.
    codes: BTreeMap<String, usize>,
    /// For each writer, how many answers were UNAVAILABLE.
    unavailable: [usize; WRITERS],
    /// How many writers are between two messages, and wait.
    pausing: usize,
}

/// The answers, and a version that grows with each.
struct Board {
    answers: Mutex<Answers>,
    version: watch::Sender<u64>,
}

impl Board {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Answers) -> R) -> R {
        let result = change(&mut self.answers());
        self.version.send_modify(|version| *version += 1);
        result
    }

    /// Waits until the answers are as expected.
    async fn wait<R>(
        &self,
        what: &str,
        mut find: impl FnMut(&Answers) -> Option<R>,
    ) -> Result<R, Failure> {
        let mut version = self.version.subscribe();
        let waiting = async {
            loop {
                version.borrow_and_update();
                if let Some(found) = find(&self.answers()) {
                    return found;
                }
                // The sender is this board.
                let _ = version.changed().await;
            }
        };
        let result = wait_for(what, waiting).await;
        result.map_err(|failure| {
            let answers = self.answers();
            let acknowledged = answers.acknowledged.len();
            failure.with(&format!(
                "{acknowledged} acknowledged, errors {:?}",
                answers.codes
            ))
        })
    }
}

/// What a subscriber has received.
#[derive(Default)]
pub(crate) struct Record {
    /// The numbers of the messages, in the order in which they arrived.
    seen: Vec<String>,
    /// The last cursor.
    cursor: String,
    /// Why the subscriber has given up.
    problem: Option<String>,
}

pub(crate) type SharedRecord = Arc<watch::Sender<Record>>;

/// A record that begins after a cursor.
fn empty_record(cursor: &str) -> SharedRecord {
    let record = Record {
        cursor: cursor.to_owned(),
        ..Record::default()
    };
    Arc::new(watch::Sender::new(record))
}

/// A subscriber that reads all messages.
pub(crate) struct Subscriber {
    record: SharedRecord,
    task: AbortHandle,
}

/// The writers and the subscribers of a scenario.
pub(crate) struct Traffic {
    token: String,
    mode: watch::Sender<Mode>,
    board: Arc<Board>,
    writers: Vec<JoinHandle<()>>,
    subscribers: Vec<Subscriber>,
    /// The beginning of the log.
    start: String,
}

/// The differences between the acknowledged messages, the log and the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) messages: usize,
    pub(crate) lost: usize,
    pub(crate) repeated: usize,
    pub(crate) out_of_order: usize,
}

impl Traffic {
    /// Signs in on a new database, and starts the writers and `subscribers` subscribers. They
    /// connect to `address`. Each text is filled up to `bytes`.
    pub(crate) async fn start(
        address: SocketAddr,
        subscribers: usize,
        bytes: usize,
    ) -> Result<Self, Failure> {
        let mut client = Socket::connect_at_last(address, None).await.patient();
        let sign_in = "mutation { signIn(name: \"writer\") { token } }";
        let session = client.execute(sign_in, json!({})).await?;
        let token = session["data"]["signIn"]["token"].as_str();
        let token = token.ok_or_else(|| session.to_string())?.to_owned();
        let start = head(&mut client).await?;
        let board = Arc::new(Board {
            answers: Mutex::default(),
            version: watch::Sender::default(),
        });
        let mode = watch::Sender::new(Mode::Send);
        let writers = (0..WRITERS).map(|number| {
            let (token, mode, board) = (token.clone(), mode.subscribe(), board.clone());
            tokio::spawn(write(number, address, token, bytes, mode, board))
        });
        let writers = writers.collect();
        let subscribers = (0..subscribers)
            .map(|_| Subscriber::start(address, empty_record(&start)))
            .collect();
        Ok(Self {
            token,
            mode,
            board,
            writers,
            subscribers,
            start,
        })
    }

    /// How many messages were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.board.answers().acknowledged.len()
    }

    /// Waits until this many more messages were acknowledged.
    pub(crate) async fn acknowledges(&self, more: usize) -> Result<(), Failure> {
        let count = self.acknowledged() + more;
        let enough = |answers: &Answers| (answers.acknowledged.len() >= count).then_some(());
        self.board.wait("acknowledgements", enough).await
    }

    /// Waits until each writer got UNAVAILABLE this often from now on.
    pub(crate) async fn refuses(&self, times: usize) -> Result<(), Failure> {
        let before = self.board.answers().unavailable;
        let all = |answers: &Answers| {
            let mut counts = answers.unavailable.iter().zip(before);
            counts
                .all(|(now, before)| *now >= before + times)
                .then_some(())
        };
        self.board
            .wait("UNAVAILABLE as the answer to each writer", all)
            .await
    }

    /// Waits until the server refuses all writes, and checks that it acknowledges none from then
    /// on.
    pub(crate) async fn refuses_all(&self) -> Result<(), Failure> {
        // The first answers may have been on their way when the fault began.
        self.refuses(2).await?;
        let before = self.acknowledged();
        self.refuses(3).await?;
        match self.acknowledged() - before {
            0 => Ok(()),
            count => Err(format!("{count} writes were acknowledged during the fault").into()),
        }
    }

    /// Waits for the first acknowledgement after this moment, and returns the time until then.
    pub(crate) async fn recovers(&self, since: Instant) -> Result<Duration, Failure> {
        let first = |answers: &Answers| {
            let first = answers.acknowledged.partition_point(|(_, at)| *at < since);
            answers.acknowledged.get(first).map(|(_, at)| *at - since)
        };
        self.board.wait("an acknowledgement", first).await
    }

    /// Waits until no message is under way.
    pub(crate) async fn pause(&self) -> Result<(), Failure> {
        self.mode.send_replace(Mode::Pause);
        let all = |answers: &Answers| (answers.pausing == WRITERS).then_some(());
        self.board.wait("the writers to pause", all).await
    }

    pub(crate) fn resume(&self) {
        self.mode.send_replace(Mode::Send);
    }

    /// Waits until the subscribers have all messages that are acknowledged now.
    pub(crate) async fn seen_by_all(&self) -> Result<(), Failure> {
        let last = self.board.answers().acknowledged.last().cloned();
        for subscriber in &self.subscribers {
            if let Some((number, _)) = &last {
                subscriber.has(number).await?;
            }
        }
        Ok(())
    }

    /// A record for a subscriber that the scenario runs itself, and the cursor to begin after.
    pub(crate) fn idle_subscriber(&self) -> (SharedRecord, String) {
        (empty_record(&self.start), self.start.clone())
    }

    /// Starts a subscriber that resumes where the record ends.
    pub(crate) fn resume_subscriber(&mut self, address: SocketAddr, record: SharedRecord) {
        self.subscribers.push(Subscriber::start(address, record));
    }

    /// Sends a last message, waits until every subscriber has it, and compares the records.
    pub(crate) async fn finish(&mut self, address: SocketAddr) -> Result<Tally, Failure> {
        self.mode.send_replace(Mode::Stop);
        for writer in std::mem::take(&mut self.writers) {
            let ended = wait_for("the writers to end", writer).await?;
            ended.map_err(|error| error.to_string())?;
        }
        let sending = async {
            loop {
                let mut client = Socket::connect_at_last(address, Some(&self.token)).await;
                let variables = json!({ "text": "last", "nonce": "last" });
                let result = client.execute(SEND, variables).await;
                if result.is_ok_and(|result| result["data"]["sendMessage"]["id"].is_string()) {
                    return;
                }
            }
        };
        wait_for("the last message", sending).await?;
        for subscriber in &self.subscribers {
            subscriber.has("last").await?;
        }
        let log = read_log(address, &self.start).await?;
        self.only_unavailable()?;
        let answers = self.board.answers();
        let numbers = answers.acknowledged.iter().map(|(number, _)| number);
        let acknowledged: Vec<String> = numbers.cloned().chain(["last".to_owned()]).collect();
        let mut tally = crate::judge::log_against(&acknowledged, &log);
        for subscriber in &self.subscribers {
            tally.add(crate::judge::record_against(
                &subscriber.record.borrow().seen,
                &log,
            ));
        }
        Ok(tally)
    }

    /// Checks that UNAVAILABLE was the only error of a writer.
    fn only_unavailable(&self) -> Result<(), Failure> {
        let codes = self.board.answers().codes.clone();
        match codes.keys().all(|code| code == "UNAVAILABLE") {
            true => Ok(()),
            false => Err(format!("the writers got {codes:?}").into()),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for writer in &self.writers {
            writer.abort();
        }
    }
}

impl Subscriber {
    /// Starts to read the log where a record ends.
    fn start(address: SocketAddr, record: SharedRecord) -> Self {
        let task = tokio::spawn(subscribe(address, record.clone())).abort_handle();
        Self { record, task }
    }

    /// Waits until the subscriber has the message.
    pub(crate) async fn has(&self, number: &str) -> Result<(), Failure> {
        let mut record = self.record.subscribe();
        let arrived = record.wait_for(|record| {
            record.problem.is_some() || record.seen.iter().rev().any(|seen| seen == number)
        });
        let what = format!("a subscriber to receive the message {number}");
        let result = match wait_for(&what, arrived).await {
            Ok(Ok(record)) => match &record.problem {
                Some(problem) => Err(problem.clone().into()),
                None => Ok(()),
            },
            Ok(Err(_)) => Err("the subscriber has ended".to_owned().into()),
            Err(failure) => Err(failure),
        };
        result.map_err(|failure: Failure| {
            failure.with(&format!("it has {}", self.record.borrow().seen.len()))
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of the room.
pub(crate) async fn head(client: &mut Socket) -> Result<String, Failure> {
    let query = "{ room(id: \"room-1\") { head } }";
    let result = client.execute(query, json!({})).await?;
    let head = result["data"]["room"]["head"].as_str();
    Ok(head.ok_or_else(|| result.to_string())?.to_owned())
}

/// The numbers of all messages after a cursor.
async fn read_log(address: SocketAddr, start: &str) -> Result<Vec<String>, Failure> {
    let mut client = Socket::connect_at_last(address, None).await.patient();
    let (mut log, mut after) = (Vec::new(), start.to_owned());
    loop {
        let result = client.execute(PAGE, json!({ "after": after })).await?;
        let page = &result["data"]["messages"];
        let nodes = page["nodes"].as_array();
        for node in nodes.ok_or_else(|| result.to_string())? {
            log.push(number(&node["text"]));
            after = node["cursor"].as_str().unwrap_or_default().to_owned();
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(log);
        }
    }
}

/// The number of a message: its text without the characters that fill it up.
fn number(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The code of a refusal. If the code or the hint to try again is missing, the whole answer.
fn refusal(result: &Value) -> String {
    let error = &result["errors"][0];
    let message = error["message"].as_str().unwrap_or_default();
    match error["extensions"]["code"].as_str() {
        Some("UNAVAILABLE") if !message.contains("try again") => result.to_string(),
        Some(code) => code.to_owned(),
        None => result.to_string(),
    }
}

/// Sends the messages of one writer. A message without a clear answer is sent again with the same
/// nonce, until it is acknowledged.
async fn write(
    writer: usize,
    address: SocketAddr,
    token: String,
    bytes: usize,
    mut mode: watch::Receiver<Mode>,
    board: Arc<Board>,
) {
    let mut client = Socket::connect_at_last(address, Some(&token)).await;
    for count in 0.. {
        let now = *mode.borrow_and_update();
        if now == Mode::Pause {
            board.change(|answers| answers.pausing += 1);
            let resumed = mode.wait_for(|mode| *mode != Mode::Pause).await.is_ok();
            board.change(|answers| answers.pausing -= 1);
            if !resumed {
                return;
            }
        }
        if *mode.borrow() == Mode::Stop {
            return;
        }
        let number = format!("{writer}/{count}");
        let text = format!("{number:bytes$} .");
        loop {
            let variables = json!({ "text": text, "nonce": number });
            let result = match client.execute(SEND, variables).await {
                Ok(result) => result,
                Err(broken) => {
                    drop(client);
                    client = Socket::reconnect(address, Some(&token), broken).await;
                    continue;
                }
            };
            if result["data"]["sendMessage"]["id"].is_string() {
                board.change(|answers| answers.acknowledged.push((number, Instant::now())));
                break;
            }
            let code = refusal(&result);
            board.change(|answers| {
                answers.unavailable[writer] += usize::from(code == "UNAVAILABLE");
                *answers.codes.entry(code).or_default() += 1;
            });
            tokio::time::sleep(AWAY).await;
        }
    }
}

/// Reads until the task is aborted. Connects again after each break, and resumes at the last
/// cursor.
async fn subscribe(address: SocketAddr, record: SharedRecord) {
    let mut client = Socket::connect_at_last(address, None).await;
    loop {
        let after = record.borrow().cursor.clone();
        let started = client.start(SUBSCRIBE, json!({ "after": after })).await;
        let mut broken = started.err();
        while broken.is_none() {
            match client.receive_alive().await {
                Ok(message) if take(&message, &record) => {}
                Ok(_) => return,
                Err(found) => broken = Some(found),
            }
        }
        drop(client);
        client = Socket::reconnect(address, None, broken.unwrap_or(Broken::Lost)).await;
    }
}

/// Adds a message to a record. Returns whether the subscriber goes on.
pub(crate) fn take(message: &Value, record: &watch::Sender<Record>) -> bool {
    match message["type"].as_str() {
        Some("ping" | "pong") => return true,
        Some("next") => {}
        _ => {
            let problem = format!("a subscription ended with {message}");
            record.send_modify(|record| record.problem = Some(problem));
            return false;
        }
    }
    let payload = &message["payload"];
    let cursor = payload["extensions"]["cursor"].as_str();
    let text = &payload["data"]["newMessage"]["text"];
    let (Some(cursor), true) = (cursor, text.is_string()) else {
        let problem = format!("a subscriber received {message}");
        record.send_modify(|record| record.problem = Some(problem));
        return false;
    };
    record.send_modify(|record| {
        cursor.clone_into(&mut record.cursor);
        record.seen.push(number(text));
    });
    true
}

impl From<Broken> for Failure {
    fn from(_: Broken) -> Self {
        Self::Failed("the server did not answer a client".to_owned())
    }
}
