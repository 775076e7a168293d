//! A proxy between clients and the server, which cuts connections.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Passes on all bytes of the connections since the last cut.
    Open,
    /// Passes on nothing, and closes nothing.
    Silent,
}

/// A running proxy. It ends when the value is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// The number of cuts, and what happens to the bytes.
    line: Arc<watch::Sender<(u64, Line)>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(watch::Sender::new((0, Line::Open)));
        let connections = Arc::new(AtomicUsize::new(0));
        let (states, count) = (line.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(client, server, states.subscribe()));
            }
        });
        Self {
            address,
            line,
            connections,
            task,
        }
    }

    /// Cuts all connections: both sides see the end at any byte.
    pub(crate) fn cut(&self) {
        self.line.send_modify(|(cuts, _)| *cuts += 1);
    }

    /// Passes on nothing from now on, and leaves the connections open.
    pub(crate) fn be_silent(&self) {
        self.line.send_modify(|(_, line)| *line = Line::Silent);
    }

    /// Cuts the silent connections, and passes on the bytes of new ones.
    pub(crate) fn open(&self) {
        self.line
            .send_modify(|(cuts, line)| (*cuts, *line) = (*cuts + 1, Line::Open));
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes on the bytes of one connection until the next cut, or until the proxy is silent.
async fn pass(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<(u64, Line)>) {
    let (cuts, line) = *state.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    if line == Line::Open {
        tokio::select! {
            _ = state.changed() => {}
            _ = copy_bidirectional(&mut client, &mut server) => return,
        }
    }
    // The connections stay open until the next cut.
    let _ = state.wait_for(|(now, _)| *now != cuts).await;
}
