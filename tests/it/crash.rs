//! The executable is killed and restarted.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::support::{Folder, client::Client, http, wait_for};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    fn start(folder: &Folder) -> Self {
        Self::start_on(folder, "127.0.0.1:0")
    }

    pub(crate) fn start_on(folder: &Folder, address: &str) -> Self {
        Self::start_with(folder, &["--listen", address], Stdio::inherit())
    }

    /// Starts a server with flags of the test. The log goes to `log`.
    pub(crate) fn start_with(folder: &Folder, flags: &[&str], log: Stdio) -> Self {
        Self::run(Command::new(BINARY), folder, flags, log)
    }

    /// Has this command run the server.
    pub(crate) fn run(mut command: Command, folder: &Folder, flags: &[&str], log: Stdio) -> Self {
        let mut child = command
            .args(["serve", "--database", &folder.database()])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = lines.find_map(|line| {
            line.unwrap()
                .split_once("endpoint")
                .map(|(_, rest)| rest.to_owned())
        });
        let endpoint = endpoint.expect("the server prints its endpoint");
        let address = endpoint
            .trim()
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        Self {
            address: address.parse().unwrap(),
            child,
        }
    }

    /// Kills the process like `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn token(address: SocketAddr) -> String {
    let body = json!({ "query": "mutation { signIn(name: \"ann\") { token } }" }).to_string();
    let reply = http::post(address, &body, &[]).await;
    reply.json()["data"]["signIn"]["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Sends numbered messages until the connection breaks. Returns the texts that were answered.
async fn send_until_killed(address: SocketAddr, token: &str, sender: u32) -> Vec<String> {
    let mut client = Client::connect(address, Some(token)).await;
    let mut answered = Vec::new();
    for number in 0..1_000 {
        let text = format!("{sender}/{number}");
        let query = "mutation ($t: String!) { sendMessage(roomId: \"room-1\", text: $t, nonce: $t) { id } }";
        client.start(query, json!({ "t": text })).await;
        loop {
            match client.try_receive().await {
                Ok(message) if message["type"] == "complete" => break,
                Ok(message) => assert!(
                    message["payload"]["data"]["sendMessage"]["id"].is_string(),
                    "{message}"
                ),
                Err(_) => return answered,
            }
        }
        answered.push(text);
    }
    answered
}

/// The texts of the whole log of room-1, as a subscriber receives them.
async fn log(client: &mut Client) -> Vec<String> {
    let oldest =
        "query { room(id: \"room-1\") { messages(first: 0) { pageInfo { hasNextPage } } head } }";
    let head: switchboard::domain::Cursor = {
        let result = client.execute(oldest, json!({})).await;
        result["data"]["room"]["head"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let start = switchboard::domain::Cursor {
        seq: switchboard::domain::Seq(0),
        ..head.clone()
    };
    client.subscribe("room-1", &start.to_string()).await;
    let mut texts = Vec::new();
    for expected in 1..=head.seq.0 {
        let (text, cursor) = client.next_message().await;
        let cursor: switchboard::domain::Cursor = cursor.parse().unwrap();
        assert_eq!(cursor.seq.0, expected, "S2: the Seqs have a hole");
        texts.push(text);
    }
    client.fence().await;
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_an_answered_write_survives_kill_9_exactly_once() {
    let folder = Folder::new();
    let mut answered = HashSet::new();
    let mut sender = 0;
    for kill_after in [50, 400, 900] {
        let server = Process::start(&folder);
        let (address, token) = (server.address, token(server.address).await);
        let senders: Vec<_> = (0..4)
            .map(|_| {
                sender += 1;
                let (token, number) = (token.clone(), sender);
                tokio::spawn(async move { send_until_killed(address, &token, number).await })
            })
            .collect();
        let mut watcher = Client::connect(address, None).await;
        let head = watcher.head("room-1").await;
        watcher.subscribe("room-1", &head).await;
        watcher.next_texts(kill_after).await;
        server.kill();
        for record in wait_for("the senders", futures::future::join_all(senders)).await {
            answered.extend(record.unwrap());
        }
    }
    let server = Process::start(&folder);
    let mut client = Client::connect(server.address, None).await;
    let texts = log(&mut client).await;
    let distinct: HashSet<_> = texts.iter().cloned().collect();
    assert_eq!(distinct.len(), texts.len(), "a message is in the log twice");
    let lost: Vec<_> = answered.difference(&distinct).collect();
    assert!(
        lost.is_empty() && answered.len() > 1_000,
        "{} messages were answered; lost: {lost:?}",
        answered.len()
    );
}

#[test]
#[cfg(target_os = "linux")]
fn r3_the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -n 64 && exec \"$0\" \"$@\"", BINARY]);
    let folder = Folder::new();
    let process = Process::run(
        shell,
        &folder,
        &["--listen", "127.0.0.1:0"],
        Stdio::inherit(),
    );
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let [soft, hard] = files.unwrap().split_whitespace().collect::<Vec<_>>()[..2] else {
        panic!("{limits}")
    };
    assert_ne!(soft, "64");
    assert_eq!(soft, hard);
}
