//! The command `token`.

use uuid::Uuid;

use super::CommandError;
use crate::{
    auth::Auth,
    config::{AuthMode, TokenFlags},
    domain::{UserId, UserName},
    server::clock,
    store::{Database, sqlite::SqliteLimits},
};

/// `switchboard token`: prints a token.
pub(super) async fn token(flags: &TokenFlags) -> Result<(), CommandError> {
    let name = flags.user.as_deref().map(UserName::new).transpose()?;
    let token = match (flags.sign_in.auth, name) {
        (AuthMode::Guest, _) if flags.signing.are_given() => {
            return Err(CommandError::SigningFlags);
        }
        (AuthMode::Guest, name) => guest_token(flags, name).await?,
        (AuthMode::Jwt, Some(name)) => jwt(flags, &name)?,
        (AuthMode::Jwt, None) => return Err(CommandError::UserId),
    };
    println!("{token}");
    Ok(())
}

/// Signs the token of a guest with the key in the database. The guest is new, or has the given id.
async fn guest_token(flags: &TokenFlags, name: Option<UserName>) -> Result<String, CommandError> {
    flags
        .sign_in
        .choice(flags.lifetime)
        .map_err(CommandError::Flags)?;
    let url = flags.database.file().map_err(CommandError::Flags)?;
    let database = Database::open_beside_server(url, SqliteLimits::default()).await?;
    let auth = Auth::guests(database.accounts.clone(), flags.lifetime).await?;
    let (token_id, now) = (Uuid::new_v4(), clock()());
    let session = match (flags.user_id, name) {
        (Some(user), _) => auth.token_of(user, token_id, now).await,
        (None, Some(name)) => {
            let user = UserId::from_uuid(Uuid::now_v7());
            auth.sign_in(user, name, token_id, now).await
        }
        (None, None) => unreachable!("the command line requires one of the two"),
    };
    database.maintenance.close().await;
    Ok(session?.token)
}

/// Signs a token as an identity provider would.
fn jwt(flags: &TokenFlags, name: &UserName) -> Result<String, CommandError> {
    let signer = flags
        .signing
        .signer(&flags.sign_in)
        .map_err(CommandError::Flags)?;
    let now = clock()().seconds();
    let until = now.saturating_add(i64::try_from(flags.lifetime.as_secs()).unwrap_or(i64::MAX));
    let mut claims = serde_json::json!({
        "sub": name.as_str(),
        "name": name.as_str(),
        "iat": now,
        "exp": until,
        "jti": Uuid::new_v4().as_simple().to_string(),
    });
    for (claim, value) in [
        ("iss", &flags.sign_in.jwt_issuer),
        ("aud", &flags.sign_in.jwt_audience),
    ] {
        if let Some(value) = value {
            claims[claim] = value.as_str().into();
        }
    }
    Ok(signer.sign(&claims))
}
