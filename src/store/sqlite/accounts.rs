//! Users and keys.

use async_trait::async_trait;
use sqlx::Row;

use super::{Sqlite, rows};
use crate::{
    domain::{User, UserId},
    store::{Accounts, StoreError},
};

#[async_trait]
impl Accounts for Sqlite {
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        let writer = self.writer.clone();
        let (id, name, created_at) = (user.id.to_string(), user.name.to_string(), user.created_at.0);
        // In a task of its own: a caller that goes away must not leave the shared connection in mid-statement.
        let insert = tokio::spawn(async move {
            sqlx::query("insert into users (id, name, created_at) values (?1, ?2, ?3)")
                .bind(id)
                .bind(name)
                .bind(created_at)
                .execute(&mut *writer.lock().await)
                .await
        });
        insert.await.expect("the insert does not panic")?;
        Ok(())
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let sql = "select id as user_id, name as user_name, created_at as user_created_at from users where id = ?1";
        let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(rows::user).transpose()?)
    }

    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let mut writer = self.writer.lock().await;
        sqlx::query("insert into meta (name, value) values ('signing_key', ?1) on conflict do nothing")
            .bind(candidate.as_slice())
            .execute(&mut *writer)
            .await?;
        let row = sqlx::query("select value from meta where name = 'signing_key'").fetch_one(&mut *writer).await?;
        let kept: &[u8] = row.try_get("value")?;
        kept.try_into().map_err(|_| {
            StoreError::Failed(sqlx::Error::Decode("the signing key in the database is not 32 bytes long".into()))
        })
    }
}
