//! Committing batches of commands.
//!
//! - **S1** A batch is one transaction. If it fails, it is rolled back and its commands run one by
//!   one, so that a command can only fail on its own account.
//! - **S2** An event's Seq is the room's counter plus one, and the counter is written in the same
//!   transaction.
//!
//! Sends that follow each other in a batch are one **run**: one call reads the facts of all of them
//! and one call writes them. Any other command is a run by itself. So each command sees the rows
//! that earlier commands wrote.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{
    Sqlite, SqliteLimits,
    changes::{change_room, create_room},
    sends::{BatchPosition, send_messages},
};
use crate::{
    domain::Timestamp,
    store::{Append, AppendError, Command, CommandOutcome, SendMessage, StoreError, WriteFault},
};

#[async_trait]
impl Append for Sqlite {
    async fn commit(
        &self,
        batch: &[Command],
        now: Timestamp,
    ) -> Vec<Result<CommandOutcome, AppendError>> {
        let unwritable = |fault| batch.iter().map(|_| Err(fault_error(fault))).collect();
        let mut writer = match self.writing().await {
            Ok(writer) => writer,
            Err(fault) => return unwritable(fault),
        };
        let outcomes = match transaction(&mut writer, batch, now, &self.limits).await {
            Ok(outcomes) => outcomes,
            Err(StoreError::Unwritable(fault)) => {
                self.health.record(fault);
                return unwritable(fault);
            }
            Err(error) if batch.len() == 1 => vec![Err(error.into())],
            Err(error) => {
                let commands = batch.len();
                tracing::warn!(%error, commands, "a batch failed; its commands run one by one");
                let mut outcomes = Vec::with_capacity(batch.len());
                for command in batch {
                    outcomes.push(commit_alone(&mut writer, command, now, &self.limits).await);
                }
                outcomes
            }
        };
        for outcome in &outcomes {
            if let Err(AppendError::Store(error)) = outcome {
                self.health.seen(error);
            }
        }
        if let Err(fault) = self.health.check_after() {
            // The batch went to a file that the next start does not find.
            return unwritable(fault);
        }
        self.count_unindexed(&outcomes);
        outcomes
    }

    async fn background_step(&self) {
        // After a failed step, wait for another step's worth of messages before the next attempt.
        // Meanwhile, searches read the messages that the step left out.
        if self.step_is_due()
            && let Err(error) = self.index_step().await
        {
            self.unindexed.store(0, Ordering::Relaxed);
            tracing::warn!(%error, "a step of the search index failed");
        }
    }
}

fn fault_error(fault: WriteFault) -> AppendError {
    StoreError::Unwritable(fault).into()
}

impl Sqlite {
    /// Counts the new messages that the search index does not hold yet.
    fn count_unindexed(&self, outcomes: &[Result<CommandOutcome, AppendError>]) {
        let sent = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Ok(CommandOutcome::Sent(..))))
            .count();
        self.unindexed.fetch_add(sent as u64, Ordering::Relaxed);
    }
}

/// Runs one command in a transaction of its own.
async fn commit_alone(
    writer: &mut SqliteConnection,
    command: &Command,
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<CommandOutcome, AppendError> {
    let mut outcomes = transaction(writer, std::slice::from_ref(command), now, limits).await?;
    outcomes.pop().expect("one outcome per command")
}

/// Runs a batch between `begin` and `commit`. If the database fails anywhere, everything is rolled
/// back. A refusal is no failure: its command has written nothing.
async fn transaction(
    writer: &mut SqliteConnection,
    batch: &[Command],
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<Vec<Result<CommandOutcome, AppendError>>, StoreError> {
    let result = runs(writer, batch, now, limits).await;
    if result.is_err() {
        // SQLite rolls back by itself after some errors. Then this fails, and no transaction is
        // open either way.
        if let Err(error) = sqlx::raw_sql("rollback").execute(&mut *writer).await {
            tracing::debug!(%error, "there was no transaction to roll back");
        }
    }
    result
}

/// Runs the commands of a batch; begins and commits its transaction.
async fn runs(
    writer: &mut SqliteConnection,
    batch: &[Command],
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<Vec<Result<CommandOutcome, AppendError>>, StoreError> {
    let mut outcomes = Vec::with_capacity(batch.len());
    let both_send = |a: &Command, b: &Command| a.as_send().is_some() && b.as_send().is_some();
    for run in batch.chunk_by(both_send) {
        let position = BatchPosition {
            first: outcomes.is_empty(),
            last: outcomes.len() + run.len() == batch.len(),
        };
        if run[0].as_send().is_some() {
            let sends: Vec<&SendMessage> = run.iter().filter_map(Command::as_send).collect();
            outcomes.extend(send_messages(writer, &sends, now, position).await?);
            continue;
        }
        if position.first {
            sqlx::raw_sql("begin immediate")
                .execute(&mut *writer)
                .await?;
        }
        let outcome = match &run[0] {
            Command::CreateRoom(room) => create_room(writer, room, now).await,
            Command::ChangeRoom(change) => change_room(writer, change, now, limits).await,
            Command::SendMessage(_) => unreachable!("sends run together"),
        };
        match outcome {
            Err(AppendError::Store(error)) => return Err(error),
            outcome => outcomes.push(outcome),
        }
        if position.last {
            sqlx::raw_sql("commit").execute(&mut *writer).await?;
        }
    }
    Ok(outcomes)
}
