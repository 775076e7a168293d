//! Users, the key that signs guest tokens, and revoked tokens.

use async_trait::async_trait;
use sqlx::{Connection, Row, SqliteConnection};

use super::{
    Sqlite, Writing,
    rows::{self, Columns, Damaged},
};
use crate::{
    domain::{Identity, Revocation, Subject, Timestamp, TokenId, User, UserId, UserName},
    store::{Accounts, StoreError},
};

#[async_trait]
impl Accounts for Sqlite {
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(async move |mut writer: Writing| {
            insert_user(&mut writer, &user.id, &user.name, user.created_at).await
        })
        .await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let sql = "select id as user_id, name as user_name, created_at as user_created_at
                   from users where id = ?1";
        let id = id.to_string();
        self.read(move |reader| reader.optional(sql, [id], |row| rows::user(row)))
            .await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let sql = "select u.id as user_id, u.name as user_name, u.created_at as user_created_at
                   from users u where u.id in (select value from json_each(?1))";
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let ids = rows::json(&ids);
        self.read(move |reader| reader.all(sql, [ids], |row| rows::user(row)))
            .await
    }

    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let mut writer = self.writing().await?;
        sqlx::query(
            "insert into meta (name, value) values ('signing_key', ?1) on conflict do nothing",
        )
        .bind(candidate.as_slice())
        .execute(&mut *writer)
        .await?;
        let row = sqlx::query("select value from meta where name = 'signing_key'")
            .fetch_one(&mut *writer)
            .await?;
        let kept: &[u8] = row.try_get("value")?;
        kept.try_into().map_err(|_| {
            StoreError::Failed("the signing key in the database is not 32 bytes long".into())
        })
    }

    async fn subject(
        &self,
        identity: &Identity,
        candidate: &Subject,
        now: Timestamp,
    ) -> Result<Subject, StoreError> {
        let (identity, candidate) = (identity.clone(), candidate.clone());
        self.write(async move |mut writer: Writing| {
            let mut transaction = writer.begin_with("begin immediate").await?;
            let kept = keep_subject(&mut transaction, &identity, candidate, now).await?;
            transaction.commit().await?;
            Ok(kept)
        })
        .await
    }

    async fn revoke(
        &self,
        token: TokenId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(async move |mut writer: Writing| {
            let mut transaction = writer.begin_with("begin immediate").await?;
            sqlx::query("delete from revocations where expires_at <= ?1")
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            let insert = "insert into revocations (token, expires_at) values (?1, ?2)
                          on conflict do nothing";
            sqlx::query(insert)
                .bind(token.0.as_slice())
                .bind(expires_at.0)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        })
        .await
    }

    async fn is_revoked(&self, token: TokenId) -> Result<bool, StoreError> {
        let sql = "select 1 from revocations where token = ?1";
        let found = self.read(move |reader| reader.optional(sql, [token.0], |_| Ok(())));
        Ok(found.await?.is_some())
    }

    async fn revocations_head(&self) -> Result<u64, StoreError> {
        let sql = "select coalesce(max(number), 0) as number from revocations";
        let head = self.read(move |reader| reader.optional(sql, [], |row| rows::number(row)));
        Ok(head.await?.unwrap_or_default())
    }

    async fn revocations(&self, after: u64, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        // A larger number is after every row, because the column cannot hold it.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let sql = "select number, token, expires_at from revocations where number > ?1
                   order by number limit ?2";
        self.read(move |reader| reader.all(sql, (after, limit), |row| revocation(row)))
            .await
    }
}

impl Sqlite {
    /// Writes in a task of its own. If the caller's future is dropped, the write still finishes,
    /// and does not leave the shared connection in the middle of a statement.
    async fn write<T, W>(
        &self,
        write: impl FnOnce(Writing) -> W + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        let store = self.clone();
        let task = tokio::spawn(async move {
            let written = write(store.writing().await?).await;
            let written = written.map_err(|error| store.failed(error))?;
            store.health.check_after()?;
            Ok(written)
        });
        task.await.expect("a write does not panic")
    }
}

async fn insert_user(
    writer: &mut SqliteConnection,
    id: &UserId,
    name: &UserName,
    created_at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into users (id, name, created_at) values (?1, ?2, ?3)")
        .bind(id.to_string())
        .bind(name.as_str())
        .bind(created_at.0)
        .execute(writer)
        .await?;
    Ok(())
}

/// The stored user of an identity, renamed if the candidate's name is newer; if there is none,
/// stores the candidate.
async fn keep_subject(
    writer: &mut SqliteConnection,
    identity: &Identity,
    candidate: Subject,
    now: Timestamp,
) -> Result<Subject, sqlx::Error> {
    let Some(kept) = find_subject(writer, identity).await? else {
        insert_user(writer, &candidate.user, &candidate.name, now).await?;
        sqlx::query(
            "insert into subjects (issuer, subject, user_id, named_at) values (?1, ?2, ?3, ?4)",
        )
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .bind(candidate.user.to_string())
        .bind(candidate.named_at.0)
        .execute(writer)
        .await?;
        return Ok(candidate);
    };
    if candidate.name == kept.name || candidate.named_at <= kept.named_at {
        return Ok(kept);
    }
    let renamed = Subject {
        user: kept.user,
        ..candidate
    };
    sqlx::query("update users set name = ?2 where id = ?1")
        .bind(renamed.user.to_string())
        .bind(renamed.name.as_str())
        .execute(&mut *writer)
        .await?;
    sqlx::query("update subjects set named_at = ?3 where issuer = ?1 and subject = ?2")
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .bind(renamed.named_at.0)
        .execute(writer)
        .await?;
    Ok(renamed)
}

async fn find_subject(
    writer: &mut SqliteConnection,
    identity: &Identity,
) -> Result<Option<Subject>, sqlx::Error> {
    let sql = "select s.named_at, u.id as user_id, u.name as user_name,
               u.created_at as user_created_at
               from subjects s join users u on u.id = s.user_id
               where s.issuer = ?1 and s.subject = ?2";
    let row = sqlx::query(sql)
        .bind(&identity.issuer)
        .bind(&identity.subject)
        .fetch_optional(writer)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let user = rows::user(&row)?;
    Ok(Some(Subject {
        user: user.id,
        name: user.name,
        named_at: rows::timestamp(&row, "named_at")?,
    }))
}

fn revocation(row: &impl Columns) -> Result<Revocation, Damaged> {
    let id = row.bytes("token")?.unwrap_or_default();
    let id = id
        .try_into()
        .map_err(|_| Damaged::new("token", "not 16 bytes long"))?;
    let (number, expires_at) = (rows::number(row)?, rows::timestamp(row, "expires_at")?);
    Ok(Revocation {
        number,
        token: TokenId(id),
        expires_at,
    })
}
