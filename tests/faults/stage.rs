//! A server under load, to which a scenario does something.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Failure, Outcome,
    site::{Server, Site},
    socket::Socket,
    traffic::Traffic,
};

/// The subscribers of a scenario.
const SUBSCRIBERS: usize = 2;

/// The length of a short text, and of a long one, which takes several pages of the write-ahead log.
const SHORT: usize = 100;
const LONG: usize = 8000;

pub(crate) struct Stage {
    /// None while no server runs. It is dropped before its folder.
    server: Option<Server>,
    pub(crate) site: Site,
    pub(crate) traffic: Traffic,
    /// The longest recovery.
    recovered: Option<Duration>,
}

impl Stage {
    /// Starts a server and its load. Returns when messages flow.
    pub(crate) async fn open(mut site: Site) -> Result<Self, Failure> {
        let server = site.start().await?;
        let traffic = Traffic::start(site.address, SUBSCRIBERS, SHORT).await?;
        Self::with(site, server, traffic).await
    }

    /// Starts a server whose log is moved into the database file often.
    pub(crate) async fn open_long(mut site: Site) -> Result<Self, Failure> {
        let server = site.start().await?;
        let traffic = Traffic::start(site.address, SUBSCRIBERS, LONG).await?;
        Self::with(site, server, traffic).await
    }

    /// Takes a server and its load. Returns when messages flow.
    pub(crate) async fn with(
        site: Site,
        server: Server,
        traffic: Traffic,
    ) -> Result<Self, Failure> {
        traffic.acknowledges(50).await?;
        Ok(Self {
            site,
            server: Some(server),
            traffic,
            recovered: None,
        })
    }

    /// The running server.
    pub(crate) fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("a scenario stops it only once")
    }

    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        match self.server.take() {
            Some(server) => server.kill().await,
            None => Ok(()),
        }
    }

    /// Stops the server with SIGTERM.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        match self.server.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Starts a server again. The fault ends with the start.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.server = Some(self.site.start().await?);
        let oldest = self.read("first: 1").await?;
        if oldest["nodes"][0].is_null() {
            return Err("after the restart the log is empty: all messages are lost".into());
        }
        self.recovers(now).await
    }

    /// Reads messages of the room: their texts and times.
    async fn read(&self, range: &str) -> Result<Value, Failure> {
        let query = format!(
            "{{ room(id: \"room-1\") {{ head }}
               messages(roomId: \"room-1\", {range}) {{ nodes {{ text createdAt }} }} }}"
        );
        let client = Socket::connect(self.site.address, None, None).await?;
        let result = client.patient().execute(&query, json!({})).await?;
        let page = &result["data"]["messages"];
        match page["nodes"].is_array() {
            true => Ok(page.clone()),
            false => Err(format!("a read: {result}").into()),
        }
    }

    /// The time of the newest message.
    pub(crate) async fn newest_time(&self) -> Result<OffsetDateTime, Failure> {
        let newest = self.read("last: 1").await?;
        let time = newest["nodes"][0]["createdAt"].as_str().unwrap_or_default();
        OffsetDateTime::parse(time, &Rfc3339).map_err(|error| error.to_string().into())
    }

    /// Checks that no server starts, and that the reason contains this text.
    pub(crate) async fn start_is_refused(&mut self, reason: &str) -> Result<(), Failure> {
        match self.site.start().await {
            Ok(_) => Err("the server started".to_owned().into()),
            Err(Failure::Failed(text)) if text.contains(reason) => Ok(()),
            Err(failure) => Err(failure.with(&format!("instead of: {reason}"))),
        }
    }

    /// Waits for the first acknowledged write after the end of a fault.
    pub(crate) async fn recovers(&mut self, since: Instant) -> Result<(), Failure> {
        let after = match self.traffic.recovers(since).await {
            Ok(after) => after,
            Err(failure) => {
                let readiness = self.site.readiness().await;
                return Err(failure.with(&format!("/readyz: {readiness:?}")));
            }
        };
        self.recovered = self.recovered.max(Some(after));
        Ok(())
    }

    /// Checks that the server serves reads, more at the same time than it has connections to the
    /// database.
    pub(crate) async fn serves_reads(&self) -> Result<(), Failure> {
        let reads = (0..16).map(|_| self.read("first: 5"));
        for page in futures::future::join_all(reads).await {
            let page = page?;
            if page["nodes"].as_array().map_or(0, Vec::len) != 5 {
                return Err(format!("a read during the fault: {page}").into());
            }
        }
        Ok(())
    }

    /// Checks that the server refuses all writes, gives this reason, and serves reads.
    pub(crate) async fn refuses_all(&self, reason: &str) -> Result<(), Failure> {
        self.refuses_writes(reason).await?;
        self.serves_reads().await
    }

    /// Checks that the server refuses all writes, and gives this reason.
    pub(crate) async fn refuses_writes(&self, reason: &str) -> Result<(), Failure> {
        self.site.unready(reason).await?;
        self.traffic.refuses_all().await?;
        self.site.unready(reason).await
    }

    /// Sends the last message and compares the records. `tried` tells how often the fault was
    /// tried.
    pub(crate) async fn finish(mut self, tried: &str) -> Result<Outcome, Failure> {
        let tally = self.traffic.finish(self.site.address).await?;
        if let Some(ended) = self.server.as_mut().and_then(Server::ended) {
            return Err(format!("the server ended with {ended}").into());
        }
        self.kill().await?;
        Ok(Outcome {
            tried: tried.to_owned(),
            tally,
            recovered: self.recovered,
        })
    }
}
