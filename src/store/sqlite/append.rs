//! Writing: a batch is one transaction, and sends in a row are one multi-row statement.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{
    Sqlite, SqliteLimits,
    changes::{change_room, create_room},
    sends::send_messages,
};
use crate::{
    domain::Timestamp,
    store::{Append, AppendError, Command, CommandOutcome, Refusal, SendMessage, StoreError},
};

pub(super) type Answer = Result<CommandOutcome, Refusal>;

#[async_trait]
impl Append for Sqlite {
    async fn commit(
        &self,
        batch: &[Command],
        now: Timestamp,
    ) -> Vec<Result<CommandOutcome, AppendError>> {
        let mut writer = self.writer.lock().await;
        match transaction(&mut writer, batch, now, &self.limits).await {
            Ok(answers) => {
                self.note_sent(answers.iter().flatten());
                answers
                    .into_iter()
                    .map(|answer| answer.map_err(AppendError::Refused))
                    .collect()
            }
            Err(error) if batch.len() == 1 => vec![Err(AppendError::Store(error))],
            Err(error) => {
                tracing::warn!(%error, commands = batch.len(), "a batch failed; its commands run one by one");
                let mut answers = Vec::with_capacity(batch.len());
                for command in batch {
                    answers.push(alone(&mut writer, command, now, &self.limits).await);
                }
                self.note_sent(answers.iter().flatten());
                answers
            }
        }
    }

    async fn tend(&self) {
        // A step that fails is tried again after as many messages; meanwhile searches look through what it left.
        if self.step_is_due()
            && let Err(error) = self.index_step().await
        {
            self.unindexed.store(0, Ordering::Relaxed);
            tracing::warn!(%error, "the search index did not take the next messages");
        }
    }
}

impl Sqlite {
    /// Counts the messages that the search index does not hold yet.
    fn note_sent<'a>(&self, outcomes: impl Iterator<Item = &'a CommandOutcome>) {
        let sent = outcomes
            .filter(|outcome| matches!(outcome, CommandOutcome::Sent(..)))
            .count();
        self.unindexed.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

async fn alone(
    writer: &mut SqliteConnection,
    command: &Command,
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<CommandOutcome, AppendError> {
    let mut answers = transaction(writer, std::slice::from_ref(command), now, limits).await?;
    Ok(answers.pop().expect("one answer per command")?)
}

/// Runs the batch between `begin` and `commit`; a failure anywhere takes all of it back.
async fn transaction(
    writer: &mut SqliteConnection,
    batch: &[Command],
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<Vec<Answer>, StoreError> {
    let result = runs(writer, batch, now, limits).await;
    if result.is_err() {
        // SQLite may have rolled back by itself already; then this says so, and nothing is open either way.
        if let Err(error) = sqlx::raw_sql("rollback").execute(&mut *writer).await {
            tracing::debug!(%error, "nothing was left to roll back");
        }
    }
    result
}

/// Where a run stands in its transaction. Each call to the connection's thread and back costs as much as a row, so a run of
/// sends begins and commits in the same calls that read and write.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first: bool,
    pub(super) last: bool,
}

/// Sends in a row are one run; any other command is one by itself, so that each sees what stands before it.
async fn runs(
    writer: &mut SqliteConnection,
    batch: &[Command],
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<Vec<Answer>, StoreError> {
    let mut answers = Vec::with_capacity(batch.len());
    let together = |a: &Command, b: &Command| {
        matches!((a, b), (Command::SendMessage(_), Command::SendMessage(_)))
    };
    for run in batch.chunk_by(together) {
        let place = Place {
            first: answers.is_empty(),
            last: answers.len() + run.len() == batch.len(),
        };
        if let Command::SendMessage(_) = &run[0] {
            let sends: Vec<&SendMessage> = run.iter().filter_map(Command::as_send).collect();
            answers.extend(send_messages(writer, &sends, now, place).await?);
            continue;
        }
        if place.first {
            sqlx::raw_sql("begin immediate")
                .execute(&mut *writer)
                .await?;
        }
        answers.push(match &run[0] {
            Command::CreateRoom(room) => create_room(writer, room, now).await?,
            Command::ChangeRoom(change) => change_room(writer, change, now, limits).await?,
            Command::SendMessage(_) => unreachable!("sends were taken above"),
        });
        if place.last {
            sqlx::raw_sql("commit").execute(&mut *writer).await?;
        }
    }
    Ok(answers)
}
