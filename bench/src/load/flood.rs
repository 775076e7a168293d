//! A client that floods the server, from its own address.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::Socket;

/// The address of the flooding client. All of 127.0.0.0/8 is this machine; the other clients use
/// 127.0.0.1.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Connections that run at the same time.
const AT_ONCE: usize = 64;

/// Unfinished requests that each of them holds.
const HELD: usize = 100;

/// How long the client keeps a connection that the server does not close.
const KEPT: Duration = Duration::from_millis(20);

/// Subscriptions that are sent between two reads of the answers.
const UNREAD: u64 = 50;

/// The kind of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flood {
    /// WebSockets, opened one after the other
    Connections,
    /// Subscriptions, as fast as they can be written
    Subscribes,
    /// Messages of 1 MiB
    Messages,
    /// Requests that are never finished
    Handshakes,
}

/// Floods the server for this long, and prints how the connections ended.
pub(crate) async fn flood(kind: Flood, address: SocketAddr, time: Duration) {
    let (end, ends) = (
        Instant::now() + time,
        RefCell::new(BTreeMap::<String, u64>::new()),
    );
    let one = async || {
        let mut held = VecDeque::new();
        while Instant::now() < end {
            let ended = match kind {
                Flood::Connections => connection(address).await,
                Flood::Subscribes => subscribes(address, end).await,
                Flood::Messages => messages(address).await,
                Flood::Handshakes => handshake(address, &mut held).await,
            };
            let ended = ended.unwrap_or_else(|error| error.kind().to_string());
            *ends.borrow_mut().entry(ended).or_default() += 1;
            tokio::task::yield_now().await;
        }
    };
    join_all((0..AT_ONCE).map(|_| one())).await;
    let ends = ends.into_inner();
    println!(
        "    {kind:?} from {ADDRESS}: {} tries, ended by {ends:?}",
        ends.values().sum::<u64>()
    );
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ADDRESS, 0).into())?;
    socket.connect(address).await
}

async fn open(address: SocketAddr) -> io::Result<Result<Socket, String>> {
    Socket::upgrade(connect(address).await?).await
}

async fn connection(address: SocketAddr) -> io::Result<String> {
    let mut socket = match open(address).await? {
        Ok(socket) => socket,
        Err(status) => return Ok(status),
    };
    match timeout(KEPT, closed(&mut socket)).await {
        Ok(closed) => closed,
        Err(_) => Ok("itself".to_owned()),
    }
}

async fn subscribes(address: SocketAddr, end: Instant) -> io::Result<String> {
    let mut socket = match open(address).await? {
        Ok(socket) => socket,
        Err(status) => return Ok(status),
    };
    socket.send(r#"{"type":"connection_init"}"#).await?;
    for number in 0_u64.. {
        let payload = format!(
            r#"{{"query":"subscription{{newMessage(roomId:\"room-1\"){{a{}:id}}}}"}}"#,
            number % 8
        );
        socket
            .send(&format!(
                r#"{{"id":"{number}","type":"subscribe","payload":{payload}}}"#
            ))
            .await?;
        if number % UNREAD == 0 {
            match timeout(Duration::ZERO, closed(&mut socket)).await {
                Ok(closed) => return closed,
                Err(_) if Instant::now() >= end => break,
                Err(_) => {}
            }
        }
    }
    Ok("itself".to_owned())
}

async fn messages(address: SocketAddr) -> io::Result<String> {
    let mut socket = match open(address).await? {
        Ok(socket) => socket,
        Err(status) => return Ok(status),
    };
    let message = "x".repeat(1024 * 1024);
    // An error here does not matter: the close code is reported.
    let _ = socket.send(&message).await;
    closed(&mut socket).await
}

async fn handshake(address: SocketAddr, held: &mut VecDeque<TcpStream>) -> io::Result<String> {
    let mut stream = connect(address).await?;
    stream
        .write_all(b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n")
        .await?;
    let mut byte = [0];
    match timeout(Duration::from_millis(10), stream.peek(&mut byte)).await {
        Ok(read) => read.map(|_| "the end of the connection".to_owned()),
        Err(_) => {
            held.push_back(stream);
            if held.len() > HELD {
                held.pop_front();
            }
            Ok("itself".to_owned())
        }
    }
}

/// Reads until the server closes the connection, and returns how it did.
async fn closed(socket: &mut Socket) -> io::Result<String> {
    while socket.receive(|_| {}).await? {}
    Ok(socket.code.map_or_else(
        || "the end of the connection".to_owned(),
        |code| format!("close {code}"),
    ))
}
