//! The scenarios. Each starts its own server, so that memory of an earlier one is not measured.

mod connect;
mod fan_out;
mod floods;
mod memory;
mod requests;
mod resume;
mod stuck;
mod writes;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    RunFlags,
    load::{Http, Seen, stamped},
    report::{Report, fdatasync_us},
    server::{Kind, Server, pin_load},
};

/// If nothing arrives for this long, all deliveries have arrived.
const QUIET: Duration = Duration::from_millis(400);

/// One scenario on one server. It adds its figures to the report.
struct Context<'a> {
    flags: &'a RunFlags,
    report: &'a mut Report,
    kind: Kind,
}

impl Context<'_> {
    async fn server(&self) -> Server {
        Server::start(self.kind, &self.flags.switchboard).await
    }

    fn add(&mut self, scenario: &str, unit: &'static str, figure: f64) {
        self.report.add(scenario, unit, self.kind, figure);
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.flags.seconds)
    }
}

/// Runs the selected scenarios and prints the table.
pub(crate) async fn run(flags: &RunFlags) {
    pin_load().await;
    let servers = if flags.servers.is_empty() {
        Kind::ALL.to_vec()
    } else {
        flags.servers.clone()
    };
    let mut report = Report::default();
    println!(
        "fdatasync of 4 KiB: {:.0} us (median of 200)",
        fdatasync_us()
    );
    let local = tokio::task::LocalSet::new();
    local
        .run_until(scenarios(flags, &servers, &mut report))
        .await;
    report.print();
}

async fn scenarios(flags: &RunFlags, servers: &[Kind], report: &mut Report) {
    macro_rules! each {
        ($name:literal, $run:expr) => {
            if $name.starts_with(&*flags.only) {
                println!("{}", $name);
                for &kind in servers {
                    $run(Context {
                        flags,
                        report,
                        kind,
                    })
                    .await;
                }
            }
        };
    }
    each!("fan-out-1000", |context| fan_out::flood(context, 1_000));
    each!("fan-out-9500", |context| fan_out::flood(context, 9_500));
    each!("rate", fan_out::rate);
    each!("documents", fan_out::documents);
    each!("rooms", fan_out::rooms);
    each!("memory", memory::memory);
    each!("writes", writes::writes);
    each!("requests", requests::requests);
    each!("sends", requests::sends);
    each!("connect", connect::connect);
    each!("resume", resume::storm);
    each!("stuck", stuck::stuck);
    each!("floods", floods::floods);
}

/// A token, if the server has tokens.
async fn token(server: &Server) -> Option<String> {
    if server.kind != Kind::Switchboard {
        return None;
    }
    let mut http = Http::connect(server.address, None)
        .await
        .expect("a connection");
    let answer = http
        .ask("mutation { signIn(name: \"bench\") { token } }", json!({}))
        .await
        .expect("an answer");
    answer["data"]["signIn"]["token"]
        .as_str()
        .map(str::to_owned)
}

/// Creates the rooms that a scenario writes to. Only Switchboard needs this.
async fn make_rooms(server: &Server, count: usize) -> Vec<String> {
    let rooms: Vec<String> = (0..count).map(|number| format!("bench-{number}")).collect();
    if let Some(token) = token(server).await {
        let mut http = Http::connect(server.address, Some(&token))
            .await
            .expect("a connection");
        for room in &rooms {
            let create = "mutation($id:ID!){createRoom(id:$id,name:$id){id}}";
            http.ask(create, json!({ "id": room }))
                .await
                .expect("an answer");
        }
    }
    rooms
}

/// Sends messages from `clients` clients for this long. Each waits for its response before it sends
/// again. Returns how many messages were sent.
async fn publish(server: &Server, clients: usize, rooms: &[String], time: Duration) -> u64 {
    let token = token(server).await;
    let end = Instant::now() + time;
    let clients = (0..clients).map(|client| {
        let token = token.clone();
        async move {
            let mut http = Http::connect(server.address, token.as_deref())
                .await
                .expect("a connection");
            let mut sent = 0_u64;
            // Each client begins at another room, to spread the messages over all rooms.
            let mut rooms = rooms.iter().cycle().skip(client * 61 % rooms.len());
            while Instant::now() < end {
                http.send(rooms.next().expect("a cycle"), &stamped())
                    .await
                    .expect("an answer");
                sent += 1;
            }
            sent
        }
    });
    futures::future::join_all(clients).await.into_iter().sum()
}

/// Waits until all deliveries have arrived.
async fn settle(seen: &Rc<Seen>) {
    let mut before = u64::MAX;
    while seen.deliveries.get() != before {
        before = seen.deliveries.get();
        tokio::time::sleep(QUIET).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}
